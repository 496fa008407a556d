"""Visual information fidelity in the pixel domain, VIF-P (Sheikh & Bovik, IEEE TIP 2006; the multi-scale `vifp` they released).

What papers call VIF is mostly this. The paper's own VIF works on subbands of a steerable pyramid; its numbers differ.
"""

import torch
from torch import Tensor

from misr.metrics.ssim import local_mean, two_of_a_kind

SIZES = (17, 9, 5, 3)  # of the Gaussian windows, finest scale first; sigma is a fifth of the size
NOISE = 2.0  # variance of the eye's own noise, (code values of 255)^2
TINY = 1e-10
SMALLEST = 41  # pixels; below, the coarsest picture holds no window


def vif(picture: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """The share of the truth's information that is in the picture, mean over planes (..., h, w), each side at least 41.

    1 for equal pictures, near 0 for unlike ones, above 1 where the picture has the truth's structure at more contrast. A flat
    truth has no information: 1 then.
    """
    a, b = (x * (255 / peak) for x in two_of_a_kind(picture, truth, SMALLEST, "vif"))
    kept, there = a.new_zeros(a.shape[0]), a.new_zeros(a.shape[0])
    for scale, size in enumerate(SIZES):
        if scale:
            a, b = (local_mean(x, size, size / 5)[..., ::2, ::2] for x in (a, b))
        gain, left, variance = channel(a, b, size)
        kept += torch.log10(1 + gain * gain * variance / (left + NOISE)).sum((1, 2, 3))
        there += torch.log10(1 + variance / NOISE).sum((1, 2, 3))
    return float(torch.where(there > 0, kept / there, 1.0).mean())


def channel(picture: Tensor, truth: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """picture = gain * truth + noise around every pixel: the gain, the variance of the noise, and that of the truth."""
    mean_a, mean_b = local_mean(picture, size, size / 5), local_mean(truth, size, size / 5)
    var_a = (local_mean(picture * picture, size, size / 5) - mean_a**2).clamp(min=0)
    var_b = (local_mean(truth * truth, size, size / 5) - mean_b**2).clamp(min=0)
    covariance = local_mean(picture * truth, size, size / 5) - mean_a * mean_b
    gain = covariance / (var_b + TINY)
    left = var_a - gain * covariance
    flat_truth, flat_picture = var_b < TINY, var_a < TINY
    gain, left = gain.masked_fill(flat_truth, 0), torch.where(flat_truth, var_a, left)
    gain, left = gain.masked_fill(flat_picture, 0), left.masked_fill(flat_picture, 0)
    left = torch.where(gain < 0, var_a, left)  # negative structure is all noise
    return gain.clamp(min=0), left.clamp(min=TINY), var_b.masked_fill(flat_truth, 0)
