"""Nets of one view: a paper's map from picture to picture, made a net like all others; and what such nets are built of."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import resample

BICUBIC = 2.5  # LR pixels around an HR pixel's own that reach it through the bicubic


class Layer(Protocol):
    """What takes a picture and gives one."""

    def __call__(self, x: Tensor, /) -> Tensor: ...


class Single(nn.Module):
    """A net whose subclass says picture(x (n, c, h, w) in [0, 1]) -> (n, c, s*h, s*w); h and w are any.

    scale      one of `scales`, else ValueError; channels: 1 for a plane, 3 for RGB
    multiple   pixels are treated alike only this far apart: tiles begin at multiples of it
    """

    cell = 0
    multiple = 1
    halo: int

    def __init__(self, scale: float, channels: int, scales: tuple[int, ...] = (2, 3, 4)) -> None:
        super().__init__()
        if scale not in scales:
            *some, last = scales
            able = f"{', '.join(map(str, some))} or {last}"
            raise ValueError(f"{type(self).__name__} enlarges by {able}, not by {scale:g}")
        if channels not in (1, 3):
            raise ValueError(f"channels {channels}: 1 for a plane, or 3 for RGB")
        self.scale, self.channels = int(scale), channels

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w), float32, of pictures (n, c, h, w)."""
        raise NotImplementedError

    def levels(self, x: Tensor) -> list[Tensor]:
        """All pictures that learning is to hold against the truth, at any size; the last is picture(x)."""
        return [self.picture(x)]

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Sharp centres (b, n, c, s*h, s*w) of windows (b, t, c, h, w)."""
        b, t, c, h, w = views.shape
        x = self.picture(rearrange(views[:, centres.start : centres.stop], "b n c h w -> (b n) c h w"))
        return rearrange(x, "(b n) c h w -> b n c h w", b=b)


def conv(wide: int, to: int, kernel: int = 3, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size; beyond the edges are zeros."""
    return nn.Conv2d(wide, to, kernel, padding=kernel // 2, bias=bias)


def chain(
    kernels: Sequence[int], widths: Sequence[int], channels: tuple[int, int], *, bias: bool = True
) -> list[nn.Conv2d]:
    """Convolutions of these kernels, `widths` channels between them; ValueError where they do not fit."""
    if len(kernels) != len(widths) + 1 or not all(k % 2 for k in kernels):
        raise ValueError(f"kernels {list(kernels)} are to be odd, and one more than widths {list(widths)}")
    wide = (channels[0], *widths, channels[1])
    return [conv(i, o, k, bias=bias) for (i, o), k in zip(pairwise(wide), kernels, strict=True)]


def bicubic(x: Tensor, scale: int) -> Tensor:
    """Pictures (n, c, h, w) enlarged, float32."""
    h, w = x.shape[-2:]
    return resample(x.float(), (scale * h, scale * w), (scale, scale))


def exactly(layer: Layer, x: Tensor) -> Tensor:
    """layer(x) in float32, whatever is used around it: where a picture is made, 8 bits show bf16."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())


def begin_at_zero(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Make a layer give nothing: a net that adds to the bicubic begins as the bicubic."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def steps(scale: int) -> list[int]:
    """The factors by which a net goes up: 2, 2 for 4; 3 for 3."""
    return [3] if scale == 3 else [2] * (scale.bit_length() - 1)


def subpixel(width: int, scale: int, activation: type[nn.Module] | None = None) -> nn.Sequential:
    """Sub-pixel convolutions (Shi et al., CVPR 2016) up to the scale, an activation after each."""
    up = nn.Sequential()
    for factor in steps(scale):
        up.extend([conv(width, factor * factor * width), nn.PixelShuffle(factor)])
        if activation:
            up.append(activation())
    return up


def reach_up(scale: int, last: int) -> int:
    """LR pixels that reach an HR pixel through subpixel() and `last` HR pixels more."""
    for factor in reversed(steps(scale)):
        last = ceil(last / factor) + 1
    return last


def whole(x: Tensor, multiple: int) -> Tensor:
    """Pictures (n, c, h, w) with sides of whole multiples, the last row and column repeated."""
    h, w = x.shape[-2:]
    return F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate") if h % multiple or w % multiple else x
