"""A blurred plane where a matrix says, without the bias that interpolation usually brings to registration.

A pure shift is a separable filter of 8 taps (Lagrange's: flat at low frequencies in size and in phase). Any other motion is
that shift in the middle, and from there OpenCV's remap, which is quick, but knows positions to 1/32 px, and whose kernels
displace what they interpolate: the bicubic one (a = -0.75) by up to 0.05 px, the Lanczos one by 0.015. What is lost is known
for each of the 32 fractions, so that steps along the first and the third derivative bring it back to 0.002 px; it has the other
sign on the other side of the middle.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from misr.registration.matrices import Matrix, shift_of, square
from misr.registration.smooth import Array

STEPS = 32  # positions a pixel that remap tells apart
TAPS = np.arange(-3, 5)  # of its Lanczos kernel
FIRST = np.array([1, -8, 0, 8, -1], np.float32) / 12  # derivative from 5 points, exact up to the fourth power
THIRD = np.array([-1, 2, 0, -2, 1], np.float32) / 2


def along(plane: Array, derivative: Array) -> tuple[Array, Array]:
    """This derivative per pixel, along x and along y."""
    one, border = np.ones(1, np.float32), cv2.BORDER_REPLICATE
    return (
        cv2.sepFilter2D(plane, -1, derivative, one, borderType=border),
        cv2.sepFilter2D(plane, -1, one, derivative, borderType=border),
    )


def slopes(plane: Array) -> tuple[Array, Array]:
    """The gradient (d/dx, d/dy) per pixel."""
    return along(plane, FIRST)


@cache
def lost() -> tuple[Array, Array]:
    """(STEPS,) each: how much of the first and third derivative Lanczos adds at each fraction, to a picture blurred by 1 px."""
    fraction = np.arange(STEPS)[:, None] / STEPS
    weights = np.sinc(TAPS - fraction) * np.sinc((TAPS - fraction) / 4)
    weights /= weights.sum(1, keepdims=True)
    omega = np.arange(0.5, 64) * np.pi / 64
    turn = np.exp(1j * omega * (TAPS - fraction)[:, :, None])  # (STEPS, taps, omega)
    ahead = np.einsum("st,sto->so", weights, turn).imag
    around = np.arange(-2, 3)[:, None]
    derivatives = np.stack([d @ np.sin(around * omega) for d in (FIRST, THIRD)])  # (2, omega)
    energy = np.exp(-omega * omega / 2)
    found = np.linalg.lstsq((derivatives * energy).T, (ahead * energy).T, rcond=None)[0].astype(np.float32)
    return found[0], found[1]


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


def stepped(at: Array) -> tuple[Array, Array, Array]:
    """Positions rounded to what remap knows, and how much of the first and third derivative is then missing."""
    whole = np.rint(at * np.float32(STEPS))
    known = whole / np.float32(STEPS)
    fraction = whole.astype(np.int32) & (STEPS - 1)
    first, third = lost()
    return known, at - known - first[fraction], -third[fraction]


def is_shift(matrix: Matrix) -> bool:
    """Whether it is a shift alone."""
    return (*matrix[:2], *matrix[3:5], *matrix[6:]) == (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0)


def lagrange(fraction: float) -> Array:
    """(8,) taps that interpolate at this fraction, 0..1, after the fourth: exact for polynomials up to the seventh power."""
    away = fraction - TAPS
    others = [np.delete(np.arange(TAPS.size), n) for n in range(TAPS.size)]
    return np.array([np.prod(away[o] / (TAPS[n] - TAPS[o])) for n, o in enumerate(others)], np.float32)


def shifted_plane(plane: Array, dx: float, dy: float, width: int, height: int) -> Array:
    """(height, width): the plane at p + (dx, dy). Beyond the border the last pixel is repeated."""
    whole_x, whole_y = int(np.floor(dx)), int(np.floor(dy))
    taps_x, taps_y = lagrange(dx - whole_x), lagrange(dy - whole_y)
    fine = cv2.sepFilter2D(plane, -1, taps_x, taps_y, anchor=(3, 3), borderType=cv2.BORDER_REPLICATE)
    rows = np.clip(np.arange(height) + whole_y, 0, plane.shape[0] - 1)
    columns = np.clip(np.arange(width) + whole_x, 0, plane.shape[1] - 1)
    return np.take(np.take(fine, rows, 0), columns, 1)


def sampled(plane: Array, matrix: Matrix, width: int, height: int) -> tuple[Array, Array, Array]:
    """(height, width) each: the plane where the matrix takes the reference's pixels, and its gradient (d/dx, d/dy) there."""
    if is_shift(matrix):
        found = shifted_plane(plane, matrix[2], matrix[5], width, height)
        return found, *slopes(found)
    dx, dy = (d % 1 for d in shift_of(matrix, width, height))
    x, y = positions(matrix, width, height)
    return bent(shifted_plane(plane, dx, dy, plane.shape[1], plane.shape[0]), x - np.float32(dx), y - np.float32(dy))


def bent(plane: Array, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """The same at any positions (h, w). Beyond the border the last pixel is repeated."""
    (at_x, first_x, third_x), (at_y, first_y, third_y) = stepped(x), stepped(y)
    found = cv2.remap(plane, *everywhere(at_x, at_y), cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    slope_x, slope_y = slopes(found)
    bend_x, bend_y = along(found, THIRD)
    return found + first_x * slope_x + first_y * slope_y + third_x * bend_x + third_y * bend_y, slope_x, slope_y


def weights_at(weight: Array, matrix: Matrix, width: int, height: int) -> Array:
    """(height, width): the weights there, linear in between, 0 beyond the border."""
    x, y = everywhere(*positions(matrix, width, height))
    return cv2.remap(weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
