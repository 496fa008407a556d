"""Between integer planes as stored and the floats that nets see.

A **view** is a plane in [0, 1]: code value / unit, where unit is 255 * 2^(depth - 8) for limited range and 2^depth - 1 for
full, so that the same light gives the same float at every depth. Nets of one plane see the luma view of a frame; chroma is
resampled with its siting and never leaves YUV. RGB views are non-linear R'G'B'. Standards: ITU-R BT.601-7, BT.709-6,
BT.2020-2; code points and ranges as in ITU-T H.273; chroma sample locations as in H.273 / H.265 annex E.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from misr.errors import InputError
from misr.frame import BOTTOM, BOTTOMLEFT, FULL, LEFT, TOP, TOPLEFT, UNSPECIFIED, Color, Frame
from misr.resample import phases, resample

KR_KB = {  # luma weights of R and B by H.273 matrix
    1: (0.2126, 0.0722),  # BT.709-6
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601-7 625
    6: (0.299, 0.114),  # BT.601-7 525
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020-2 non-constant luminance
}
COSITED_X, COSITED_Y = {LEFT, TOPLEFT, BOTTOMLEFT}, {TOPLEFT, TOP}


def weights(color: Color, height: int) -> tuple[float, float, float]:
    """Luma weights (KR, KG, KB); untagged means BT.709 from 720 lines up, else BT.601, as players read it."""
    matrix = color.matrix
    if matrix in (0, UNSPECIFIED) or color.model == "rgb" and matrix not in KR_KB:
        matrix = 1 if height >= 720 else 6
    if matrix not in KR_KB:
        raise InputError(
            f"colour matrix {matrix} (H.273) has no fixed luma weights; convert the clip to BT.709 or BT.2020 first"
        )
    kr, kb = KR_KB[matrix]
    return kr, 1 - kr - kb, kb


def unit(color: Color) -> float:
    """The code value that is 1.0 in a view."""
    if color.depth == 32:
        return 1.0
    return float(2**color.depth - 1) if color.full else 255.0 * 2 ** (color.depth - 8)


def luma_span(color: Color) -> tuple[float, float]:
    """View values of black and white: (0, 1) for full range, (16/255, 235/255) for limited."""
    return (0.0, 1.0) if color.full or color.depth == 32 else (16 / 255, 235 / 255)


def chroma_span(color: Color) -> tuple[float, float]:
    """View values of zero chroma, and of the whole excursion from -1/2 to 1/2."""
    middle = 0.5 if color.depth == 32 else 2 ** (color.depth - 1) / unit(color)
    return middle, 1.0 if color.full or color.depth == 32 else 224 / 255


def chroma_offset(color: Color) -> tuple[float, float]:
    """Where chroma sample 0 sits, in luma samples (across, down); untagged 4:2:0 is left-sited, as in MPEG-2 and later."""
    fx, fy = color.subsampling
    siting = color.siting or LEFT
    x = 0.0 if siting in COSITED_X else (fx - 1) / 2
    y = 0.0 if siting in COSITED_Y else fy - 1.0 if siting in (BOTTOMLEFT, BOTTOM) else (fy - 1) / 2
    return (x if fx > 1 else 0.0), (y if fy > 1 else 0.0)


def siting_shift(source: Color, out: Color, scale: tuple[float, float]) -> tuple[float, float]:
    """The `shift` for resample() that carries source chroma samples onto out's chroma grid, luma enlarged by scale."""
    shifts = []
    for axis in (0, 1):
        f_in, f_out = source.subsampling[axis], out.subsampling[axis]
        at_in, at_out = chroma_offset(source)[axis], chroma_offset(out)[axis]
        s = scale[axis]
        shifts.append((at_out + 0.5) / (s * f_in) - (0.5 + at_in) / f_in - f_out / (2 * s * f_in) + 0.5)
    return shifts[0], shifts[1]


def view(plane: "np.ndarray[Any, Any]", color: Color, device: torch.device) -> Tensor:
    """One stored plane as a view (1, 1, h, w), float32, on the device. Integers cross the bus, pinned, not floats."""
    wide = plane.dtype == np.uint16
    codes = torch.from_numpy(plane.view(np.int16) if wide else plane)
    if device.type == "cuda":
        codes = codes.pin_memory()
    codes = codes.to(device, non_blocking=True)
    codes = codes.to(torch.int32) & 0xFFFF if wide else codes
    return codes[None, None].to(torch.float32).mul_(1 / unit(color))


def store(x: Tensor, color: Color) -> Tensor:
    """View values as integers of the colour's depth, rounded and clamped once: uint8, or int16 holding uint16 bits."""
    if color.depth == 32:
        return x.to(torch.float32)
    codes = (x * unit(color)).add_(0.5).clamp_(0, 2**color.depth - 1)
    return codes.to(torch.uint8) if color.depth == 8 else codes.to(torch.int32).to(torch.int16)


def shuffle(x: Tensor, scale: int) -> Tensor:
    """F.pixel_shuffle of integer phases (n, s*s, h, w) to (n, 1, s*h, s*w), a whole row of a cell moved as one word."""
    n, _, h, w = x.shape
    word = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(scale * x.element_size())
    if word is None or x.is_floating_point() or 1 in (h, w):  # lines of one pixel have strides no word fits
        return F.pixel_shuffle(x, scale)
    cells = rearrange(x, "n (y x) h w -> n h w y x", y=scale).contiguous().view(word)[..., 0]
    return rearrange(cells, "n h w y -> n h y w").contiguous().view(x.dtype).reshape(n, 1, h * scale, w * scale)


def on_host(planes: Sequence[Tensor]) -> tuple["np.ndarray[Any, Any]", ...]:
    """Stored planes (1, 1, h, w) as arrays (h, w) on the host: uint8, uint16 or float32; one wait for all of them."""
    copies = [p[0, 0].to("cpu", non_blocking=True) for p in planes]
    if planes[0].is_cuda:
        torch.cuda.current_stream(planes[0].device).synchronize()
    arrays = (c.numpy() for c in copies)
    return tuple(a.view(np.uint16) if a.dtype == np.int16 else a for a in arrays)


def luma_view(frame: Frame, device: torch.device) -> Tensor:
    """The luma of a frame as a view (1, h, w); of RGB, the weighted sum of R'G'B'."""
    if frame.color.model != "rgb":
        return view(frame.planes[0], frame.color, device)[0]
    r, g, b = (view(p, frame.color, device)[0] for p in frame.planes[:3])
    kr, kg, kb = weights(frame.color, frame.height)
    return kr * r + kg * g + kb * b


def rgb_view(frame: Frame, device: torch.device) -> Tensor:
    """R'G'B' (3, h, w), black 0 and white 1; chroma interpolated to the luma grid with its siting."""
    size = frame.height, frame.width
    y = normal_luma(luma_view(frame, device)[None], frame.color)
    if frame.color.model == "gray":
        return y[0].expand(3, -1, -1)
    if frame.color.model == "rgb":
        x = torch.cat([view(p, frame.color, device)[0] for p in frame.planes[:3]])
        return normal_luma(x, frame.color)
    cb, cr = normal_chroma(frame, size, (1.0, 1.0), replace(frame.color, subsampling=(1, 1)), device)
    return torch.cat(to_rgb(y, cb, cr, weights(frame.color, frame.height)), 1)[0]


def normal_luma(x: Tensor, color: Color) -> Tensor:
    """A luma (or R'G'B') view with black at 0 and white at 1."""
    black, white = luma_span(color)
    return x if (black, white) == (0.0, 1.0) else (x - black) / (white - black)


def code_luma(x: Tensor, color: Color) -> Tensor:
    """Inverse of normal_luma."""
    black, white = luma_span(color)
    return x if (black, white) == (0.0, 1.0) else x * (white - black) + black


def normal_chroma(
    frame: Frame, size: tuple[int, int], scale: tuple[float, float], grid: Color, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cb and Cr in [-1/2, 1/2], (1, 1, h, w), resampled onto grid's chroma lattice for a picture of `size`."""
    color = frame.color
    if color.model == "gray":
        zero = torch.zeros(1, 1, *chroma_size(size, grid), device=device)
        return zero, zero
    if color.model == "rgb":
        kr, kg, kb = weights(color, frame.height)
        r, g, b = (normal_luma(view(p, color, device), color) for p in frame.planes[:3])
        y = kr * r + kg * g + kb * b
        planes = torch.cat([(b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))])
    else:
        middle, span = chroma_span(color)
        planes = (torch.cat([view(p, color, device) for p in frame.planes[1:3]]) - middle) / span
    cb, cr = resample_chroma(planes, size, scale, color, grid).split(1)
    return cb, cr


def chroma_size(size: tuple[int, int], color: Color) -> tuple[int, int]:
    """(h, w) of the chroma planes of a picture of (h, w)."""
    fx, fy = color.subsampling
    return -(-size[0] // fy), -(-size[1] // fx)


def resample_chroma(
    planes: Tensor, size: tuple[int, int], scale: tuple[float, float], source: Color, out: Color
) -> Tensor:
    """Chroma planes (n, 1, h, w) onto out's chroma lattice for a luma of `size`, enlarged by scale (across, down)."""
    ratio = tuple(s * f / g for s, f, g in zip(scale, source.subsampling, out.subsampling, strict=True))
    want, shift = chroma_size(size, out), siting_shift(source, out, scale)
    if ratio[0] == ratio[1] == int(ratio[0]) > 1:  # a whole factor, also where odd sizes rounded up: enlarge, then crop
        grown = resample(planes, (planes.shape[-2] * int(ratio[1]), planes.shape[-1] * int(ratio[0])), shift=shift)
        return F.pad(
            grown, (0, max(0, want[1] - grown.shape[-1]), 0, max(0, want[0] - grown.shape[-2])), mode="replicate"
        )[..., : want[0], : want[1]]
    return resample(planes, want, (ratio[0], ratio[1]), shift=shift)


def to_rgb(y: Tensor, cb: Tensor, cr: Tensor, k: tuple[float, float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """R', G', B' of normalised Y', Cb, Cr on one grid."""
    kr, kg, kb = k
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return r, (y - kr * r - kb * b) / kg, b


def same_codes(a: Color, b: Color) -> bool:
    """Whether integers of a mean the same in b, subsampling and siting aside."""
    return (a.model, a.depth, a.full) == (b.model, b.depth, b.full) and a.matrix == b.matrix


def picture_planes(frame: Frame, luma: Tensor, out: Color, scale: tuple[float, float]) -> tuple[Tensor, ...]:
    """Stored planes of a whole picture: the sharp luma view (1, 1, H, W) with the frame's own colour and alpha around it.

    The frame's chroma and alpha are interpolated (bicubic) onto the picture; RGB frames take their colour differences.
    """
    source, size = frame.color, (luma.shape[-2], luma.shape[-1])
    if source.model == "rgb" or out.model == "rgb" or other_matrix(source, out, size[0]):
        y = normal_luma(luma, source)
        cb, cr = normal_chroma(frame, size, scale, replace(out, subsampling=(1, 1)), luma.device)
        return rgb_planes(frame, torch.cat(to_rgb(y, cb, cr, weights(source, frame.height)), 1), out, scale)
    codes = luma if luma_span(source) == luma_span(out) else code_luma(normal_luma(luma, source), out)
    return wrap_planes(frame, store(codes, out), out, scale)


def other_matrix(source: Color, out: Color, height: int) -> bool:
    """Whether YUV goes to YUV of other luma weights (JPEG is always BT.601)."""
    return (
        out.model == source.model == "yuv"
        and out.matrix != source.matrix
        and weights(source, height) != weights(out, height)
    )


def wrap_planes(frame: Frame, stored_luma: Tensor, out: Color, scale: tuple[float, float]) -> tuple[Tensor, ...]:
    """Stored luma (1, 1, H, W) with the frame's chroma and alpha, enlarged, behind it; YUV and gray only."""
    device, size = stored_luma.device, (stored_luma.shape[-2], stored_luma.shape[-1])
    chroma = yuv_chroma(frame, size, scale, out, device) if out.model == "yuv" else []
    return (stored_luma, *chroma, *alpha_plane(frame, size, scale, out, device))


def yuv_chroma(
    frame: Frame, size: tuple[int, int], scale: tuple[float, float], out: Color, device: torch.device
) -> list[Tensor]:
    """Stored Cb and Cr of the picture. Same coding: code values are interpolated as they are, and shuffled as bytes."""
    source = frame.color
    if not (source.model == "yuv" and same_codes(source, out)):
        middle, span = chroma_span(out)
        return [store(c * span + middle, out) for c in normal_chroma(frame, size, scale, out, device)]
    planes = torch.cat([view(p, source, device) for p in frame.planes[1:3]])
    s = int(scale[0])
    h, w = planes.shape[-2:]
    if source.subsampling == out.subsampling and scale == (s, s) and s > 1 and chroma_size(size, out) == (s * h, s * w):
        grown = phases(planes.contiguous(memory_format=torch.channels_last), s, shift=siting_shift(source, out, scale))
        return list(shuffle(store(grown, out), s).split(1))
    return list(store(resample_chroma(planes, size, scale, source, out), out).split(1))


def alpha_plane(
    frame: Frame, size: tuple[int, int], scale: tuple[float, float], out: Color, device: torch.device
) -> list[Tensor]:
    """The stored alpha of the picture, interpolated; opaque where the frame has none. Alpha is always full range."""
    if not out.alpha:
        return []
    full_out = replace(out, range=FULL)
    if not frame.color.alpha:
        return [store(torch.ones(1, 1, *size, device=device), full_out)]
    alpha = view(frame.planes[-1], replace(frame.color, range=FULL), device)
    return [store(resample(alpha, size, scale), full_out)]


def rgb_planes(frame: Frame, rgb: Tensor, out: Color, scale: tuple[float, float]) -> tuple[Tensor, ...]:
    """Stored planes of a picture R'G'B' (1, 3, H, W), black 0 and white 1, with the frame's alpha."""
    h, w = rgb.shape[-2:]
    alpha = alpha_plane(frame, (h, w), scale, out, rgb.device)
    r, g, b = rgb.split(1, 1)
    if out.model == "rgb":
        return (*(store(code_luma(c, out), out) for c in (r, g, b)), *alpha)
    keeps = (
        out.matrix == frame.color.matrix and frame.color.model == "yuv"
    )  # untagged stays what it was, also past 720 lines
    kr, kg, kb = weights(frame.color, frame.height) if keeps else weights(out, h)
    y = kr * r + kg * g + kb * b
    planes = [store(code_luma(y, out), out)]
    if out.model == "yuv":
        dense, (middle, span) = replace(out, subsampling=(1, 1)), chroma_span(out)
        colour = torch.cat([(b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))])
        planes += store(resample_chroma(colour, (h, w), (1.0, 1.0), dense, out) * span + middle, out).split(1)
    return (*planes, *alpha)
