"""NIQE: how far a picture's statistics are from those of good photographs; smaller is better (Mittal et al., IEEE SPL 2013).

It needs no reference, and therefore sees what dB cannot: whether a picture could be a photograph at all. The statistics of
good photographs are the authors', read from a file (`mu_pris_param`, `cov_pris_param`); misr ships none.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from misr.resample import resample

Values = np.ndarray[Any, np.dtype[np.float64]]
BLOCK = 96  # pixels along a side, as published; 48 at half the size
SIDE, SIGMA = 7, 7 / 6  # of the Gaussian within which brightness and contrast are local
gamma = np.vectorize(math.gamma)
SHAPES = np.arange(0.2, 10.0005, 0.001)  # of generalized Gaussians, 2 is the normal one
MOMENTS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns right


class Niqe:
    """The measure by the statistics of a file."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as told:
            self.mean, self.spread = told["mu_pris_param"].reshape(-1), told["cov_pris_param"]

    def __call__(self, plane: Values) -> float:
        """NIQE of the whole blocks of luma (h, w), code values 16 to 235; 3 or so for good photographs, 7 for blurred ones."""
        h, w = (n // BLOCK * BLOCK for n in plane.shape)
        whole = np.asarray(plane[:h, :w], np.float64)
        small = (
            resample(torch.from_numpy(whole / 255)[None, None], (h // 2, w // 2), edges="symmetric")[0, 0].numpy() * 255
        )
        found = np.concatenate([blocks(whole, BLOCK), blocks(small, BLOCK // 2)], 1)
        sound = found[~np.isnan(found).any(1)]
        off = self.mean - np.nanmean(found, 0)
        both = (self.spread + np.cov(sound, rowvar=False)) / 2
        return float(np.sqrt(off @ np.linalg.pinv(both) @ off))


def blocks(plane: Values, side: int) -> Values:
    """Eighteen numbers for each block (n, 18) of a plane."""
    even, (h, w) = normal(plane), plane.shape
    return np.array([told(even[y : y + side, x : x + side]) for x in range(0, w, side) for y in range(0, h, side)])


def normal(plane: Values) -> Values:
    """The plane less its local mean, by its local deviation plus one code value."""
    mean = local(plane)
    return (plane - mean) / (np.sqrt(np.abs(local(plane**2) - mean**2)) + 1)


def local(plane: Values) -> Values:
    """The mean around every pixel, weighted by a Gaussian; beyond the edge is the edge."""
    weights = np.exp(-((np.arange(SIDE) - SIDE // 2) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    h, w = plane.shape
    wide = np.pad(plane, SIDE // 2, mode="edge")
    rows = sum(weight * wide[n : n + h] for n, weight in enumerate(weights))
    return np.asarray(sum(weight * rows[:, n : n + w] for n, weight in enumerate(weights)))


def told(block: Values) -> list[float]:
    """Shape and width of a block's values; then of its products with four neighbours shape, mean, width left and right of 0."""
    shape, _, left, right = fitted(block)
    numbers = [shape, (left + right) / 2]
    for shift in NEIGHBOURS:
        numbers += fitted(block * np.roll(block, shift, (0, 1)))
    return numbers


def fitted(values: Values) -> tuple[float, float, float, float]:
    """Shape, mean, and widths below and above 0 of an asymmetric generalized Gaussian with the moments of these values."""
    left, right = (np.sqrt((side**2).mean()) for side in (values[values < 0], values[values > 0]))
    ratio = left / right
    moment = np.abs(values).mean() ** 2 / (values**2).mean()
    moment *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = float(SHAPES[((MOMENTS - moment) ** 2).argmin()])
    left, right = (side * np.sqrt(gamma(1 / shape) / gamma(3 / shape)) for side in (left, right))
    return shape, float((right - left) * gamma(2 / shape) / gamma(1 / shape)), float(left), float(right)
