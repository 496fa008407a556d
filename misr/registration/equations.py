"""The equations of one Gauss-Newton step: how a small motion and a change of light alter pixels, robust weights, the solution.

A small motion has 2 (shift), 6 (affine) or 8 (homography) parameters, each in px at the longer side's end, so that all are of a
size: with (x, y) from -1 to 1,    dx = p0 + p2 x + p3 y - (p6 x + p7 y) x,    dy = p1 + p4 x + p5 y - (p6 x + p7 y) y.
"""

from __future__ import annotations

import cv2
import numpy as np

from misr.registration.matrices import Matrix, flat
from misr.registration.smooth import Array

HUBER, TUKEY = (
    1.345,
    5.0,
)  # of the residuals' robust std: 95 % efficient; generous, as residuals at edges have long tails
SLACK_PX = 0.03  # residuals that a shift this small explains are not held against a pixel
NEAR_PX = 31  # side of the surroundings whose mean light may differ
SAMPLES = 20_000  # residuals that are enough to tell their spread
MOTIONS = {"shift": 2, "affine": 6, "homography": 8}
SINGULAR = 1e-9  # eigenvalue, of the largest, at which the equations say nothing


def centred(width: int, height: int) -> tuple[float, float, float]:
    """The middle of a picture and half its longer side, in px."""
    return (width - 1) / 2, (height - 1) / 2, max(width, height) / 2


def motion_rows(along_x: Array, along_y: Array, parameters: int) -> Array:
    """(parameters, h * w): how each pixel changes with each parameter of a small motion, from the picture's gradient (h, w)."""
    h, w = along_x.shape
    middle_x, middle_y, reach = centred(w, h)
    xs = ((np.arange(w, dtype=np.float32) - np.float32(middle_x)) / np.float32(reach))[None, :]
    ys = ((np.arange(h, dtype=np.float32) - np.float32(middle_y)) / np.float32(reach))[:, None]
    rows = np.empty((parameters, h, w), np.float32)
    rows[0], rows[1] = along_x, along_y
    if parameters > 2:
        for n, along in ((2, along_x), (4, along_y)):
            np.multiply(along, xs, out=rows[n])
            np.multiply(along, ys, out=rows[n + 1])
    if parameters > 6:
        outward = rows[2] + rows[5]
        rows[6], rows[7] = -outward * xs, -outward * ys
    return rows.reshape(parameters, h * w)


def small_motion(p: np.ndarray, width: int, height: int) -> Matrix:
    """The matrix of a small motion's parameters (2, 6 or 8) about the middle of a picture."""
    middle_x, middle_y, reach = centred(width, height)
    full = np.zeros(8)
    full[: p.size] = p
    inside = (
        np.eye(3) + np.array([[full[2], full[3], full[0]], [full[4], full[5], full[1]], [full[6], full[7], 0]]) / reach
    )
    to_inside = np.array([[1, 0, -middle_x], [0, 1, -middle_y], [0, 0, reach]]) / reach
    return flat(np.linalg.inv(to_inside) @ inside @ to_inside)


def robust_std(residual: Array, weight: Array) -> float:
    """Std of the residuals of pixels that count fully, or at all: 1.4826 times the median absolute deviation from 0."""
    chosen = residual[weight > 0.5]
    if chosen.size < 100:
        chosen = residual[weight > 0]
    return 1.4826 * float(np.median(np.abs(chosen[:: chosen.size // SAMPLES + 1])))


def local(residual: Array, weight: Array) -> Array:
    """The residuals less their weighted mean near each pixel: haze, shading and vignettes fall out."""

    def mean(x: Array) -> Array:
        return cv2.blur(x, (NEAR_PX, NEAR_PX), borderType=cv2.BORDER_CONSTANT)

    return residual - mean(residual * weight) / np.maximum(mean(weight), np.float32(1e-3))


def trust(residual: Array, slope: Array, spread: float, *, clip: bool) -> Array:
    """Robust weights 0..1 of residuals with this spread where the squared gradient is `slope`: Huber's, or Tukey's to clip."""
    odd = residual * residual / (np.float32(spread * spread + 1e-12) + np.float32(SLACK_PX**2) * slope)
    if clip:
        inside = np.maximum(1 - odd / np.float32(TUKEY**2), 0)
        return inside * inside
    return np.float32(HUBER) / np.sqrt(np.maximum(odd, np.float32(HUBER**2)))


def likeness(one: tuple[Array, Array], other: tuple[Array, Array], weight: Array) -> float:
    """Correlation -1..1 of two pictures' gradients: 1 for the same picture in any light, about 0 for strangers."""
    cross, own, its = (
        sum(float(np.vdot(p * weight, q)) for p, q in zip(a, b, strict=True))
        for a, b in ((one, other), (one, one), (other, other))
    )
    return cross / float(np.sqrt(own * its) + 1e-20)


def shared(one: tuple[Array, Array], other: tuple[Array, Array], weight: Array) -> np.ndarray:
    """(2, 2) symmetric weighted sum of the products of two pictures' gradients."""
    x, y = (p * weight for p in one)
    across = (float(np.vdot(x, other[1])) + float(np.vdot(y, other[0]))) / 2
    return np.array([[float(np.vdot(x, other[0])), across], [across, float(np.vdot(y, other[1]))]])


def solved(rows: Array, residual: Array, weight: Array) -> tuple[np.ndarray, np.ndarray] | None:
    """(parameters, normal matrix) that minimise the weighted squares of residual + parameters . rows; None if undetermined."""
    weighted = rows * weight
    normal = (weighted @ rows.T).astype(np.float64)
    values = np.linalg.eigvalsh(normal)
    if not np.isfinite(values).all() or values[0] <= SINGULAR * values[-1]:
        return None
    return -np.linalg.solve(normal, (weighted @ residual).astype(np.float64)), normal
