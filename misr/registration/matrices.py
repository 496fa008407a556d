"""3x3 matrices between the pixels of two pictures, pixel centres at integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Matrix = tuple[float, ...]  # 9 numbers, row by row
Points = np.ndarray[Any, np.dtype[np.float64]]  # (n, 2): x, y in pixels

IDENTITY: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def square(matrix: Sequence[float]) -> np.ndarray:
    """As a (3, 3) array of float64."""
    return np.array(matrix, np.float64).reshape(3, 3)


def flat(matrix: np.ndarray) -> Matrix:
    """As a tuple of 9 plain floats, the last of them 1."""
    return tuple(float(v) for v in (matrix / matrix[2, 2]).ravel())


def shifted(dx: float, dy: float) -> Matrix:
    """The matrix of a shift: the view shows at (x + dx, y + dy) what the reference shows at (x, y)."""
    return (1.0, 0.0, float(dx), 0.0, 1.0, float(dy), 0.0, 0.0, 1.0)


def moved(matrix: Sequence[float], points: Points) -> Points:
    """Where the points (n, 2) of the reference lie in the view, (n, 2)."""
    m = square(matrix)
    projected = points @ m[:, :2].T + m[:, 2]
    return projected[:, :2] / projected[:, 2:]


def shift_of(matrix: Sequence[float], width: int, height: int) -> tuple[float, float]:
    """(dx, dy) in px by which the motion moves the middle of a picture."""
    middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
    dx, dy = (moved(matrix, middle) - middle)[0]
    return float(dx), float(dy)


def corners(width: int, height: int) -> Points:
    """Centres of the four corner pixels of a picture, (4, 2)."""
    return np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)


def on_grid(matrix: Sequence[float], *, reference: float = 1.0, view: float = 1.0) -> Matrix:
    """The same motion between pictures resampled `reference` and `view` times finer (0.5: halved), area-aligned.

    Finer pixel q of pixel p: q = s p + (s - 1) / 2.
    """
    return flat(finer(view) @ square(matrix) @ np.linalg.inv(finer(reference)))


def finer(scale: float) -> np.ndarray:
    """(3, 3): from a grid to one `scale` times finer, area-aligned."""
    return np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])


def windowed(matrix: Sequence[float], *, reference: tuple[int, int], view: tuple[int, int]) -> Matrix:
    """The same motion between windows that begin at these (x, y) of reference and view."""
    to_whole = square(shifted(*reference))
    to_window = square(shifted(-view[0], -view[1]))
    return flat(to_window @ square(matrix) @ to_whole)


def whole(matrix: Sequence[float], *, reference: tuple[int, int], view: tuple[int, int]) -> Matrix:
    """The inverse of windowed: from the motion between windows to that between whole pictures."""
    return windowed(matrix, reference=(-reference[0], -reference[1]), view=(-view[0], -view[1]))


def field(matrix: Sequence[float], x: int, y: int, w: int, h: int) -> Tensor:
    """The motion (2, h, w) on the window at (x, y) of the reference's grid, float32: [0] = dx, [1] = dy, in pixels.

    The window's pixel p, at p + (x, y) of the whole reference, lies in the whole view at p + (x, y) + motion[p].
    """
    m = square(matrix)
    xs, ys = np.arange(x, x + w, dtype=np.float64)[None, :], np.arange(y, y + h, dtype=np.float64)[:, None]
    depth = m[2, 0] * xs + m[2, 1] * ys + m[2, 2]
    dx = (m[0, 0] * xs + m[0, 1] * ys + m[0, 2]) / depth - xs
    dy = (m[1, 0] * xs + m[1, 1] * ys + m[1, 2]) / depth - ys
    return torch.from_numpy(np.stack([dx, dy]).astype(np.float32))
