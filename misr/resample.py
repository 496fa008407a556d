"""Separable resampling as linear maps: any size, any sub-pixel offset, on any device.

Area-aligned grid: output sample q sits at input coordinate (q + 1/2) / scale - 1/2 + shift. Shrinking widens the kernel
(antialiasing), as MATLAB's imresize does. Kernels: Keys' cubic with a = -1/2 (Keys 1981), Lanczos with 3 lobes.
"""

from functools import lru_cache
from math import ceil, floor
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

Kernel = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Edges = Literal["replicate", "symmetric"]
RADIUS: dict[str, float] = {"nearest": 0.5, "bilinear": 1, "bicubic": 2, "lanczos": 3}


def kernel_value(kernel: Kernel, x: Tensor) -> Tensor:
    """The interpolation kernel at distances x, in input samples."""
    x = x.abs()
    if kernel == "nearest":
        return (x <= 0.5).to(x.dtype)
    if kernel == "bilinear":
        return (1 - x).clamp(min=0)
    if kernel == "bicubic":
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is kept must be of use to training too
def matrix(
    n_in: int, n_out: int, scale: float, kernel: Kernel = "bicubic", shift: float = 0.0, edges: Edges = "replicate"
) -> Tensor:
    """The map (n_out, n_in), float32, rows summing to one, that resamples a line of n_in samples."""
    at = (torch.arange(n_out, dtype=torch.float64) + 0.5) / scale - 0.5 + shift
    if kernel == "nearest":
        index = (at + 0.5 - 1e-9).floor().clamp(0, n_in - 1).long()
        return F.one_hot(index, n_in).to(torch.float32)
    widen = min(scale, 1.0)
    radius = RADIUS[kernel] / widen
    taps = ceil(2 * radius) + 2
    index = (at - radius).floor().long()[:, None] + torch.arange(taps)
    weight = kernel_value(kernel, (at[:, None] - index) * widen)
    weight = weight / weight.sum(1, keepdim=True)
    if edges == "symmetric":
        index = index % (2 * n_in)
        index = torch.minimum(index, 2 * n_in - 1 - index)
    out = torch.zeros(n_out, n_in, dtype=torch.float64)
    return out.scatter_add_(1, index.clamp(0, n_in - 1), weight).to(torch.float32)


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is kept must be of use to training too
def phase_kernel(
    scale: int, kernel: Kernel = "bicubic", shift: tuple[float, float] = (0.0, 0.0), cell: int = 1
) -> Tensor:
    """A convolution (r^2, 1, k, k) of stride `cell`, r = cell * scale, k - cell even.

    Channel dy * r + dx is output sample (dx, dy) of every cell of cell x cell input samples.
    """
    reach = ceil(RADIUS[kernel] + max(abs(shift[0]), abs(shift[1])) + 0.5)
    n = 2 * reach + cell
    across, down = (matrix(n, n * scale, scale, kernel, s)[reach * scale : (reach + cell) * scale] for s in shift)
    weight = torch.einsum("yi,xj->yxij", down, across).reshape((cell * scale) ** 2, 1, n, n)
    while not any(side.any() for side in (weight[..., 0, :], weight[..., -1, :], weight[..., 0], weight[..., -1])):
        weight = weight[..., 1:-1, 1:-1]
    return weight.contiguous()


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is kept must be of use to training too
def phase_kernel_on(
    device: torch.device,
    dtype: torch.dtype,
    scale: int,
    kernel: Kernel = "bicubic",
    shift: tuple[float, float] = (0.0, 0.0),
    cell: int = 1,
) -> Tensor:
    """phase_kernel() where it is used: sent once, as a step that is captured in a CUDA graph may not send anything."""
    return phase_kernel(scale, kernel, shift, cell).to(device, dtype)


def phases(
    planes: Tensor, scale: int, kernel: Kernel = "bicubic", shift: tuple[float, float] = (0.0, 0.0), *, cell: int = 1
) -> Tensor:
    """Enlarge (n, 1, h, w) by an integer, left unshuffled: (n, r^2, h / cell, w / cell), r = cell * scale, channels last."""
    weight = phase_kernel_on(planes.device, planes.dtype, scale, kernel, shift, cell)
    reach = (weight.shape[-1] - cell) // 2
    x = F.pad(planes, (reach, reach, reach, reach), mode="replicate")
    x = rearrange(x.contiguous(), "n 1 h w -> n h w 1")
    x = rearrange(x, "n h w c -> n c h w")  # one channel, now last in memory: the output's are so for free
    with torch.autocast(
        planes.device.type, enabled=False
    ):  # a base image keeps all its bits under a half-precision net
        return F.conv2d(x, weight.contiguous(memory_format=torch.channels_last), stride=cell)


def resample(
    planes: Tensor,
    size: tuple[int, int],
    scale: tuple[float, float] | None = None,
    *,
    kernel: Kernel = "bicubic",
    shift: tuple[float, float] = (0.0, 0.0),
    edges: Edges = "replicate",
) -> Tensor:
    """Resample (..., h, w) to size (h, w).

    scale and shift are (across, down); scale defaults to the ratio of the sizes. Values may overshoot the input's range.
    Where no sample moves, the planes themselves are the result: every kernel here gives them back.
    """
    h, w = planes.shape[-2:]
    sx, sy = scale or (size[1] / w, size[0] / h)
    if tuple(size) == (h, w) and sx == sy == 1 and tuple(shift) == (0, 0):
        return planes
    whole = sx == sy and sx == floor(sx) and sx > 1 and size == (h * int(sx), w * int(sx))
    if whole and kernel != "nearest" and edges == "replicate":
        out = F.pixel_shuffle(phases(planes.reshape(-1, 1, h, w), int(sx), kernel, shift), int(sx))
        return out.reshape(*planes.shape[:-2], *size)
    across = matrix(w, size[1], sx, kernel, shift[0], edges).to(planes)
    down = matrix(h, size[0], sy, kernel, shift[1], edges).to(planes)
    return down @ (planes @ across.T)
