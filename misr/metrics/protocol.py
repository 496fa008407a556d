"""The protocol of the papers: BT.601 luma (16-235) of 8-bit RGB, BI degradation, a border of `scale` pixels left out.

Planes are float (h, w) in code values 0-255. BI is MATLAB's imresize: antialiased bicubic, mirrored edges, rounded to
8 bits. BD is a Gaussian of sigma 1.6, then every 4th sample, on the area-aligned grid of BasicVSR and its successors.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from misr.errors import InputError
from misr.metrics.psnr import psnr_db
from misr.metrics.ssim import ssim
from misr.resample import resample

SIGMA = 1.6  # HR pixels, of BD
ROW = (65.481, 128.553, 24.966)  # ITU-R BT.601, as MATLAB's rgb2ycbcr: R, G, B in [0, 1] to 219 steps above 16


def luma601(rgb: Tensor) -> Tensor:
    """Luma (h, w), rounded to integers as rgb2ycbcr does for uint8, of 8-bit RGB (h, w, 3)."""
    return (rgb.double() / 255 @ torch.tensor(ROW, dtype=torch.float64) + 16.5).floor()


def cropped(plane: Tensor, scale: int) -> Tensor:
    """The plane without the last rows and columns that make no whole LR pixel."""
    h, w = plane.shape[-2:]
    return plane[..., : h - h % scale, : w - w % scale]


def to_codes(plane: Tensor) -> Tensor:
    """Code values rounded, halves up, and clamped to 0-255."""
    return (plane + 0.5).floor().clamp(0, 255)


def bi(plane: Tensor, scale: int) -> Tensor:
    """The LR plane (h / scale, w / scale) of an HR plane whose sides are multiples of scale."""
    h, w = plane.shape[-2:]
    return to_codes(resample(plane.float(), (h // scale, w // scale), edges="symmetric"))


def bd(plane: Tensor, scale: int) -> Tensor:
    """The LR plane (h / scale, w / scale) of an HR plane (h, w), sides multiples of an even scale, by Gaussian and decimation.

    As the MATLAB script of BasicVSR (Chan et al., CVPR 2021): imfilter(hr, fspecial('gaussian', 12, 1.6), 'replicate'), then
    samples scale/2 : scale : end - scale/2, rounded to 8 bits. An even kernel is centred between samples, so LR pixel p sits
    at HR pixel scale * p + (scale - 1) / 2, the grid of all models here. DUF (Jo et al., CVPR 2018) took HR pixel 4 * p
    instead, 1.5 pixels up and to the left: a model of one grid cannot be measured on LR of the other. The 21.8 dB that tables
    give for bicubic on Vid4 BD are a bicubic that knows nothing of that shift (checked: 21.79); without one it has 23.44.
    """
    if scale % 2:
        raise InputError(f"BD at scale {scale}: the papers define it for even scales; use BI, or scale 2 or 4")
    taps = math.ceil(3 * SIGMA) * 2 + 2
    at = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    line = torch.exp(-at * at / (2 * SIGMA * SIGMA))
    line = line / line.sum()
    reach = taps // 2 - scale // 2
    x = F.pad(plane.double()[None, None], (reach, reach, reach, reach), mode="replicate")
    x = F.conv2d(x, line.view(1, 1, 1, -1), stride=(1, scale))
    return to_codes(F.conv2d(x, line.view(1, 1, -1, 1), stride=(scale, 1)))[0, 0].float()


def luma_psnr_db(picture: Tensor, truth: Tensor, scale: int) -> float:
    """PSNR in dB of two planes of code values, the picture rounded to 8 bits, `scale` pixels cropped at each side."""
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    return psnr_db(to_codes(picture)[inner], truth[inner], peak=255)


def luma_ssim(picture: Tensor, truth: Tensor, scale: int) -> float:
    """SSIM under the same rules."""
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    return ssim(to_codes(picture)[inner], truth[inner], peak=255)
