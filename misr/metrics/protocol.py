"""The protocol of the papers: BT.601 luma (16-235) of 8-bit RGB, BI degradation, a border of `scale` pixels left out.

Planes are float (h, w) in code values 0-255. BI is MATLAB's imresize: antialiased bicubic, mirrored edges, rounded to
8 bits.
"""

import torch
from torch import Tensor

from misr.metrics.psnr import psnr_db
from misr.metrics.ssim import ssim
from misr.resample import resample

ROW = (65.481, 128.553, 24.966)  # ITU-R BT.601, as MATLAB's rgb2ycbcr: R, G, B in [0, 1] to 219 steps above 16


def luma601(rgb: Tensor) -> Tensor:
    """Luma (h, w), rounded to integers as rgb2ycbcr does for uint8, of 8-bit RGB (h, w, 3)."""
    return (rgb.double() / 255 @ torch.tensor(ROW, dtype=torch.float64) + 16.5).floor()


def cropped(plane: Tensor, scale: int) -> Tensor:
    """The plane without the last rows and columns that make no whole LR pixel."""
    h, w = plane.shape[-2:]
    return plane[..., :h - h % scale, :w - w % scale]


def to_codes(plane: Tensor) -> Tensor:
    """Code values rounded, halves up, and clamped to 0-255."""
    return (plane + 0.5).floor().clamp(0, 255)


def bi(plane: Tensor, scale: int) -> Tensor:
    """The LR plane (h / scale, w / scale) of an HR plane whose sides are multiples of scale."""
    h, w = plane.shape[-2:]
    return to_codes(resample(plane.float(), (h // scale, w // scale), edges="symmetric"))


def luma_psnr_db(picture: Tensor, truth: Tensor, scale: int) -> float:
    """PSNR in dB of two planes of code values, the picture rounded to 8 bits, `scale` pixels cropped at each side."""
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    return psnr_db(to_codes(picture)[inner], truth[inner], peak=255)


def luma_ssim(picture: Tensor, truth: Tensor, scale: int) -> float:
    """SSIM under the same rules."""
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    return ssim(to_codes(picture)[inner], truth[inner], peak=255)
