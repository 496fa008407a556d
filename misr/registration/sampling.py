"""A blurred plane where a matrix says, without the bias that interpolation usually brings to registration.

OpenCV's remap is quick, but knows positions to 1/32 px, and its kernels displace what they interpolate: the bicubic one (a =
-0.75) by up to 0.03 px, the Lanczos one by 0.003. What is lost is known for each of the 32 fractions, so that a step along the
gradient brings it back.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from misr.registration.matrices import Matrix, square
from misr.registration.smooth import Array

STEPS = 32  # positions a pixel that remap tells apart
TAPS = np.arange(-3, 5)  # of its Lanczos kernel
SLOPE = np.array([1, -8, 0, 8, -1], np.float32) / 12  # derivative from 5 points, exact up to the fourth power


@cache
def displaced() -> Array:
    """(STEPS,) where Lanczos of 8 taps looks for each fraction, as a picture (power 1 / f^2) blurred by sigma 1 px shows it."""
    fraction = np.arange(STEPS)[:, None] / STEPS
    weights = np.sinc(TAPS - fraction) * np.sinc((TAPS - fraction) / 4)
    omega = np.arange(0.5, 64) * np.pi / 64
    turn = np.exp(1j * omega * (TAPS - fraction)[:, :, None])  # (STEPS, taps, omega)
    response = np.einsum("st,sto->so", weights / weights.sum(1, keepdims=True), turn)
    power = omega * np.exp(-omega * omega)
    return (fraction[:, 0] + (response.imag / omega) @ power / power.sum()).astype(np.float32)


def slopes(plane: Array) -> tuple[Array, Array]:
    """The gradient (d/dx, d/dy) per pixel."""
    one = np.array([1], np.float32)
    border = cv2.BORDER_REPLICATE
    return cv2.sepFilter2D(plane, -1, SLOPE, one, borderType=border), cv2.sepFilter2D(
        plane, -1, one, SLOPE, borderType=border
    )


def positions(matrix: Matrix, width: int, height: int) -> tuple[Array, Array]:
    """Where a reference of this size has its pixels in the view: x and y, (h, w) each, or (1, w) and (h, 1) if that says it."""
    m = square(matrix)
    xs, ys = np.arange(width, dtype=np.float64)[None, :], np.arange(height, dtype=np.float64)[:, None]
    if not (m[0, 1] or m[1, 0] or m[2, 0] or m[2, 1]):
        return (m[0, 0] * xs + m[0, 2]).astype(np.float32), (m[1, 1] * ys + m[1, 2]).astype(np.float32)
    x, y = (m[i, 0] * xs + m[i, 1] * ys + m[i, 2] for i in (0, 1))
    if m[2, 0] or m[2, 1]:
        depth = m[2, 0] * xs + m[2, 1] * ys + m[2, 2]
        x, y = x / depth, y / depth
    return x.astype(np.float32), y.astype(np.float32)


def everywhere(x: Array, y: Array) -> tuple[Array, Array]:
    """Both as (h, w), as remap wants them."""
    shape = (y.shape[0], x.shape[1])
    return np.ascontiguousarray(np.broadcast_to(x, shape)), np.ascontiguousarray(np.broadcast_to(y, shape))


def stepped(at: Array) -> tuple[Array, Array]:
    """Positions rounded to what remap knows, and what is left to go from where it really looks."""
    whole = np.rint(at * np.float32(STEPS))
    known = whole / np.float32(STEPS)
    beyond = displaced() - np.arange(STEPS, dtype=np.float32) / STEPS
    return known, at - known - beyond[whole.astype(np.int32) & (STEPS - 1)]


def sampled(plane: Array, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The plane at these positions, and its gradient (d/dx, d/dy) there. Beyond the border the last pixel is repeated."""
    (at_x, left_x), (at_y, left_y) = stepped(x), stepped(y)
    found = cv2.remap(plane, *everywhere(at_x, at_y), cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    along_x, along_y = slopes(found)
    return found + left_x * along_x + left_y * along_y, along_x, along_y


def weights_at(weight: Array, x: Array, y: Array) -> Array:
    """The weights at these positions, linear in between, 0 beyond the border."""
    return cv2.remap(weight, *everywhere(x, y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
