"""Structural similarity (Wang et al., IEEE TIP 2004): Gaussian window 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03.

The paper calls SSIM what one window has, and MSSIM the mean over all windows of a picture, one at every pixel where a whole
window fits. That mean is what everybody reports as SSIM, and what ssim() gives; MS-SSIM, over scales, is another metric.
"""

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

SIZE, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def window(size: int = SIZE, sigma: float = SIGMA) -> Array:
    """The Gaussian of a line of samples, float64, summing to one."""
    at = np.arange(size) - size // 2
    weight: Array = np.exp(-at * at / (2 * sigma * sigma))
    return weight / weight.sum()


def local_mean(planes: Tensor, size: int = SIZE, sigma: float = SIGMA) -> Tensor:
    """Gaussian means (n, 1, h - size + 1, w - size + 1) of float64 planes (n, 1, h, w): whole windows only.

    By OpenCV, 10 times as fast as a convolution of torch's, which has none of its own for float64 on a CPU.
    """
    line, edge = window(size, sigma), size // 2
    means = [cv2.sepFilter2D(plane, cv2.CV_64F, line, line) for plane in planes[:, 0].cpu().numpy()]
    return torch.from_numpy(np.stack(means))[:, None, edge:-edge, edge:-edge]


def two_of_a_kind(picture: Tensor, truth: Tensor, smallest: int, metric: str) -> tuple[Tensor, Tensor]:
    """Planes (..., h, w) of two pictures as float64 (n, 1, h, w); ValueError where shapes differ or a side is too short."""
    if picture.shape != truth.shape or min(picture.shape[-2:]) < smallest:
        got = f"{tuple(picture.shape)} and {tuple(truth.shape)}"
        raise ValueError(f"{metric} wants two pictures of one shape, sides of at least {smallest}; got {got}")
    h, w = picture.shape[-2:]
    a, b = (x.detach().cpu().double().reshape(-1, 1, h, w) for x in (picture, truth))
    return a, b


def similarity(a: Tensor, b: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    """Maps (n, 1, h - 10, w - 10) of planes (n, 1, h, w): SSIM, and its factor of contrast and structure alone."""
    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a, var_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    same = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast = (2 * covariance + c2) / (var_a + var_b + c2)
    return same * contrast, contrast


def ssim(picture: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """The mean over all windows (MSSIM) of planes (..., h, w), each side at least 11, in [-1, 1]; 1 for equal pictures."""
    a, b = two_of_a_kind(picture, truth, SIZE, "ssim")
    return float(similarity(a, b, peak)[0].mean())
