"""Information fidelity criterion (Sheikh, Bovik & de Veciana, IEEE TIP 2005), as the authors' `ifcvec` has it.

Both pictures go into a steerable pyramid of six orientations and four levels (Simoncelli & Freeman 1995); its horizontal and
vertical bands are modelled as blocks of 3x3 coefficients, each a Gaussian vector of one covariance times a local strength (a
Gaussian scale mixture), and the picture as the truth through a channel of local gain and noise. The criterion is the mutual
information of the two, in bits per pixel. Papers on super-resolution publish this variant.
"""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from misr.metrics.ssim import two_of_a_kind

BLOCK = 3  # coefficients a side
WINDOWS = (17, 9, 5, 3)  # of the channel's estimates, coefficients a side, finest level first
SMALLEST = 80  # pixels; below, the coarsest band has no block left inside its border
TINY, TOLERANCE = 1e-15, 1e-10
# The filters `sp5Filters` of Simoncelli's matlabPyrTools: a corner each, the rest by symmetry
FIRST_LOW = (
    (0.00341614, -0.01551246, -0.03848215),
    (-0.01551246, 0.05586982, 0.15925570),
    (-0.03848215, 0.15925570, 0.40304148),
)
LOW = (
    (0.00085404, -0.00244917, -0.00387812, -0.00944432, -0.00962054),
    (-0.00244917, -0.00523281, -0.00661117, 0.00410600, 0.01002988),
    (-0.00387812, -0.00661117, 0.01396746, 0.03277038, 0.03981393),
    (-0.00944432, 0.00410600, 0.03277038, 0.06426333, 0.08169618),
    (-0.00962054, 0.01002988, 0.03981393, 0.08169618, 0.10096540),
)
BAND = (  # odd across, even down
    (0.00277643, -0.00986904, -0.01021852, 0.0),
    (0.00496194, -0.00893064, -0.03075356, 0.0),
    (0.01026699, 0.01189859, -0.08226445, 0.0),
    (0.01455399, 0.02755155, -0.11732297, 0.0),
)


def ifc(picture: Tensor, truth: Tensor) -> float:
    """Bits per pixel, mean over planes (..., h, w) of any range, each side at least 80; 0 and up, infinite for equal pictures.

    Blurring a picture or adding noise lowers it; a plain gain does not change it.
    """
    a, b = two_of_a_kind(picture, truth, SMALLEST, "ifc")
    if torch.equal(a, b):
        return math.inf
    pixels = a.shape[-1] * a.shape[-2]
    bits = [
        band_bits(band_a[n, 0], band_b[n, 0], window)
        for window, bands_a, bands_b in zip(WINDOWS, bands(a), bands(b), strict=True)
        for band_a, band_b in zip(bands_a, bands_b, strict=True)
        for n in range(a.shape[0])
    ]
    return math.fsum(bits) / (pixels * a.shape[0])


def bands(planes: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The vertical and the horizontal band of each level, finest first, of planes (n, 1, h, w)."""
    across = mirrored(BAND, -1)
    low, found = filtered(planes, mirrored(FIRST_LOW)), []
    for _ in WINDOWS:
        found.append((filtered(low, across), filtered(low, across.T)))
        low = filtered(low, mirrored(LOW))[..., ::2, ::2]
    return found


def mirrored(corner: tuple[tuple[float, ...], ...], across: int = 1) -> Tensor:
    """A whole filter from its upper left corner, middle row and column included; across -1: odd that way."""
    part = torch.tensor(corner, dtype=torch.float64)
    half = torch.cat([part, across * part.flip(1)[:, 1:]], 1)
    return torch.cat([half, half.flip(0)[1:]])


def filtered(planes: Tensor, kernel: Tensor) -> Tensor:
    """Correlation of planes (n, 1, h, w), mirrored at the edges without doubling the last sample."""
    arrays = (
        cv2.filter2D(p, cv2.CV_64F, kernel.numpy(), borderType=cv2.BORDER_REFLECT_101) for p in planes[:, 0].numpy()
    )
    return torch.from_numpy(np.stack(list(arrays)))[:, None]


def band_bits(picture: Tensor, truth: Tensor, window: int) -> float:
    """Information in bits between two bands (h, w); blocks whose channel was estimated beyond the border do not count."""
    h, w = (n // BLOCK * BLOCK for n in truth.shape)
    picture, truth = picture[:h, :w], truth[:h, :w]
    gain, left = channel(picture, truth, window)
    strength, spread = mixture(truth)
    skip = math.ceil((window - 1) / 2 / BLOCK)
    inner = slice(skip, h // BLOCK - skip), slice(skip, w // BLOCK - skip)
    ratio = (gain * gain * strength / (left + TOLERANCE))[inner]
    return float(torch.log2(1 + ratio[..., None] * spread).sum())


def channel(picture: Tensor, truth: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """picture = gain * truth + noise around the middle of every block: the gain and the variance of the noise."""
    reach, first = window // 2, BLOCK // 2

    def mean(x: Tensor) -> Tensor:
        around = F.pad(x[None, None], (reach, reach, reach, reach), mode="reflect")[..., first:, first:]
        return F.avg_pool2d(around, window, BLOCK)[0, 0]

    mean_a, mean_b, many = mean(picture), mean(truth), window**2
    covariance = many * (mean(picture * truth) - mean_a * mean_b)
    var_a = (many * (mean(picture * picture) - mean_a**2)).clamp(min=0)
    var_b = (many * (mean(truth * truth) - mean_b**2)).clamp(min=0)
    gain = covariance / (var_b + TINY)
    left = (var_a - gain * covariance) / many
    flat_truth, flat_picture = var_b < TINY, var_a < TINY
    gain, left = gain.masked_fill(flat_truth, 0), torch.where(flat_truth, var_a, left)
    gain, left = gain.masked_fill(flat_picture, 0), left.masked_fill(flat_picture, 0)
    left = torch.where(gain < 0, var_a, left)
    return gain.clamp(min=0), left.clamp(min=TINY)


def mixture(truth: Tensor) -> tuple[Tensor, Tensor]:
    """Local strength of each block (h / 3, w / 3) and the eigenvalues (9) of the covariance of all overlapping blocks."""
    everywhere = F.unfold(truth[None, None], BLOCK)[0]  # (9, blocks)
    centred = everywhere - everywhere.mean(1, keepdim=True)
    covariance = centred @ centred.T / centred.shape[1]
    blocks = F.unfold(truth[None, None], BLOCK, stride=BLOCK)[0]
    strength = (torch.linalg.pinv(covariance, hermitian=True) @ blocks * blocks).sum(0) / BLOCK**2
    h, w = (n // BLOCK for n in truth.shape)
    return strength.view(h, w), torch.linalg.eigvalsh(covariance).clamp(min=0)
