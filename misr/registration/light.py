"""Gain and offset of one picture against another that lies on the same grid, by what both show at low frequencies."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from misr.registration import equations
from misr.registration.smooth import Array, blurred, masked

LOW_PX = 2.0  # sigma: fine detail differs with the sampling, sigma 2 px leaves what does not
ROUNDS = 12


def light(
    reference: np.ndarray | Tensor, view: np.ndarray | Tensor, valid: np.ndarray | Tensor | None = None
) -> tuple[float, float]:
    """(gain, offset) with view = gain * reference + offset, robust to what changed; planes (h, w) of one size, already aligned.

    The offset is in the planes' unit. (1, difference of the means) where the reference is flat, (1, 0) where nothing is valid.
    """
    a, b = masked(reference, valid, "the reference"), masked(view, valid, "the view")
    both = a.mask * b.mask
    if not both.any():
        return 1.0, 0.0
    (low_a, _), (low_b, _) = blurred(a, LOW_PX), blurred(b, LOW_PX)
    chosen = np.flatnonzero(both)
    chosen = chosen[:: chosen.size // 40_000 + 1]
    return line(low_a.ravel()[chosen], low_b.ravel()[chosen])


def line(x: Array, y: Array) -> tuple[float, float]:
    """(slope, intercept) of y over x by Huber's weights, then Tukey's; slope 1 where x does not vary."""
    middle_x, middle_y = float(np.median(x)), float(np.median(y))
    x, y = x.astype(np.float64) - middle_x, y.astype(np.float64) - middle_y
    if float(x.std()) <= 1e-6 * max(abs(middle_x), 1e-6):
        return 1.0, middle_y - middle_x
    slope, level, weight = 1.0, 0.0, np.ones_like(x)
    for n in range(ROUNDS):
        total = weight.sum()
        mean_x, mean_y = (weight @ x) / total, (weight @ y) / total
        power = weight @ (x - mean_x) ** 2
        if total <= 0 or power <= 0:
            break
        slope = float((weight * (x - mean_x)) @ (y - mean_y) / power)
        level = float(mean_y - slope * mean_x)
        residual = y - slope * x - level
        spread = 1.4826 * float(np.median(np.abs(residual)))
        weight = equations.trust(residual, np.zeros_like(x), max(spread, 1e-9), clip=n > ROUNDS // 2)
    return slope, level + middle_y - slope * middle_x
