"""Structural similarity (Wang et al., IEEE TIP 2004): Gaussian window 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def window() -> Tensor:
    """The Gaussian of a line of 11 samples, float64, summing to one."""
    at = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    weight = torch.exp(-at * at / (2 * SIGMA * SIGMA))
    return weight / weight.sum()


def local_mean(planes: Tensor) -> Tensor:
    """Gaussian means (n, 1, h - 10, w - 10) of planes (n, 1, h, w): whole windows only."""
    line = window().to(planes)
    return F.conv2d(F.conv2d(planes, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def ssim(picture: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """Mean SSIM of planes (..., h, w), each side at least 11, in [-1, 1]; 1 for equal pictures."""
    if picture.shape != truth.shape or min(picture.shape[-2:]) < SIZE:
        got = f"{tuple(picture.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"ssim wants two pictures of one shape, sides of at least {SIZE}; got {got}")
    a, b = (x.double().reshape(-1, 1, *x.shape[-2:]) for x in (picture, truth))
    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a, var_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    same = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float((same * (2 * covariance + c2) / (var_a + var_b + c2)).mean())
