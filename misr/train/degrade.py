"""From a sharp plane to what a camera, a kernel or a codec leaves of it.

Planes are uint8 arrays (h, w), luma 16-235. BI is the benchmark's: antialiased bicubic, as MATLAB's imresize, rounded
to 8 bits.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from misr.resample import resample

Plane = np.ndarray[Any, np.dtype[np.uint8]]


def rounded(values: torch.Tensor) -> Plane:
    """Floats in code values as uint8, halves away from zero, as MATLAB's uint8()."""
    out: Plane = (values + 0.5).floor().clamp(0, 255).to(torch.uint8).numpy()
    return out


def shrink(sharp: Plane, size: tuple[int, int]) -> Plane:
    """A plane resized to (h, w) by antialiased bicubic, rounded to 8 bits."""
    return rounded(resample(torch.from_numpy(np.ascontiguousarray(sharp)).float(), size, edges="symmetric"))


def bi(sharp: Plane, scale: int) -> Plane:
    """The BI view of a plane whose sides are multiples of scale: (h / scale, w / scale)."""
    h, w = sharp.shape
    if h % scale or w % scale:
        raise ValueError(f"a plane of {w}x{h} has no whole number of x{scale} cells; crop it first")
    return shrink(sharp, (h // scale, w // scale))


def blurred(sharp: Plane, scale: int, rng: np.random.Generator) -> Plane:
    """A plane made smaller through a kernel a camera may have, on the area-aligned grid.

    35 % antialiased bicubic, 40 % isotropic Gaussian, 15 % area, 10 % anisotropic Gaussian.
    """
    kind = rng.choice(["bicubic", "round", "area", "long"], p=[0.35, 0.40, 0.15, 0.10])
    if kind == "bicubic":
        return bi(sharp, scale)
    if kind == "area":
        kernel = torch.full((scale, scale), 1 / scale**2)
    else:
        wide = float(rng.uniform(0.2, 0.5)) * scale
        thin = wide if kind == "round" else wide * float(rng.uniform(0.5, 1))
        kernel = gaussian(scale, wide, thin, float(rng.uniform(0, np.pi)))
    reach = (kernel.shape[0] - scale) // 2
    padded = F.pad(torch.from_numpy(np.ascontiguousarray(sharp)).float()[None, None], (reach,) * 4, mode="replicate")
    return rounded(F.conv2d(padded, kernel[None, None], stride=scale)[0, 0])


def gaussian(scale: int, sigma_x: float, sigma_y: float, angle: float) -> torch.Tensor:
    """A Gaussian (k, k), sigmas in sharp pixels, centred on a cell of scale x scale pixels, summing to one."""
    k = scale + 2 * int(np.ceil(3 * max(sigma_x, sigma_y)))
    at = torch.arange(k) - (k - 1) / 2
    x, y = at * np.cos(angle) + at[:, None] * np.sin(angle), at[:, None] * np.cos(angle) - at * np.sin(angle)
    weight = torch.exp(-((x / sigma_x) ** 2 + (y / sigma_y) ** 2) / 2)
    return weight / weight.sum()


def imaged(sharp: torch.Tensor, scale: int, optics: float) -> torch.Tensor:
    """What a camera sees of sharp pictures (b, 1, s*h, s*w): (b, 1, h, w).

    optics    0: antialiased bicubic, as LR of benchmarks; else the sigma, in LR pixels, of a Gaussian before the pixel's box
    """
    h, w = sharp.shape[-2] // scale, sharp.shape[-1] // scale
    if not optics:
        return resample(sharp, (h, w), edges="symmetric")
    round_ = gaussian(1, optics * scale, optics * scale, 0.0)
    box = torch.full((1, 1, scale, scale), 1 / scale**2)
    # as wide as a cell, and alike on both sides
    weight = F.conv2d(round_[None, None], box, padding=scale - 1).to(sharp)
    reach = (weight.shape[-1] - scale) // 2
    return F.conv2d(F.pad(sharp, (reach,) * 4, mode="replicate"), weight, stride=scale)


def noisy(plane: Plane, sigma: float, rng: np.random.Generator) -> Plane:
    """The plane with white noise of `sigma` code values."""
    out: Plane = (plane + rng.normal(0, sigma, plane.shape) + 0.5).clip(0, 255).astype(np.uint8)
    return out


def jpeg(plane: Plane, quality: int) -> Plane:
    """The plane after baseline JPEG at a quality of 1 to 100."""
    import cv2

    return cv2.imdecode(cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]


def h264(planes: Sequence[Plane], crf: int, *, preset: str = "veryfast", lookahead: bool = True) -> list[Plane]:
    """Planes of one even size after libx264, as one clip of gray luma.

    lookahead    x264 shares bits out over the coming frames; with that, now and then, one clip becomes two different ones
    """
    import av

    options = {"crf": str(crf), "preset": preset, "threads": "1"}
    if not lookahead:
        options["x264-params"] = "mbtree=0:weightp=0:rc-lookahead=0:sync-lookahead=0"
    h, w = planes[0].shape
    with io.BytesIO() as file:
        with av.open(file, "w", format="matroska") as out:
            stream = out.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
            for n, plane in enumerate(planes):
                whole = np.concatenate([plane, np.full((h // 2, w), 128, np.uint8)])
                frame = av.VideoFrame.from_ndarray(whole, format="yuv420p")
                frame.pts = n
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        file.seek(0)
        with av.open(file, "r") as made:
            return [np.array(frame.to_ndarray(format="yuv420p")[:h], np.uint8) for frame in made.decode(video=0)]


def pan(
    sharp: Plane, size: tuple[int, int], rng: np.random.Generator, *, frames: int = 4, speed: int = 6
) -> list[Plane]:
    """Windows of `size` moving over a plane at a steady random speed, up to `speed` px a frame, as a camera would."""
    ys, xs = (track(n - m, frames, speed, rng) for n, m in zip(sharp.shape, size, strict=True))
    return [sharp[y : y + size[0], x : x + size[1]] for y, x in zip(ys, xs, strict=True)]


def track(room: int, frames: int, speed: int, rng: np.random.Generator) -> list[int]:
    """Positions 0 to `room` along one axis, evenly apart, one for each frame."""
    most = min(speed, room // max(1, frames - 1))
    step = int(rng.integers(-most, most + 1))
    way = step * (frames - 1)
    start = int(rng.integers(max(0, -way), min(room, room - way) + 1))
    return [start + n * step for n in range(frames)]


def worn(sharp: Plane, scale: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A window of a plane, and its view as users have it: blurred, often noisy, compressed (H.264 in a pan, or JPEG).

    The window's sides are multiples of 8 and a little shorter than the plane's.
    """
    h, w = ((n - 24) // 8 * 8 for n in sharp.shape)
    if rng.random() < 0.7:
        windows = pan(sharp, (h, w), rng)
        seed = int(rng.integers(2**32))  # one kernel for the whole clip
        views = [blurred(window, scale, np.random.default_rng(seed)) for window in windows]
        sigma = noise(rng)
        views = [noisy(view, sigma, rng) for view in views]
        n = int(rng.integers(len(views)))
        return windows[n], h264(views, int(rng.integers(18, 33)))[n]
    view = blurred(sharp[:h, :w], scale, rng)
    return sharp[:h, :w], jpeg(noisy(view, noise(rng), rng), int(rng.integers(40, 96)))


def noise(rng: np.random.Generator) -> float:
    """None in half of the cases, else a sigma of up to 4 code values."""
    return float(rng.choice([0.0, rng.uniform(0, 4)]))
