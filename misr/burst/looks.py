"""Looks at a scene: patches of its views, small enough to keep however large the scene is."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np

from misr.io.view import View
from misr.registration.matrices import Matrix, moved

Plane = np.ndarray[Any, Any]
Window = tuple[int, int, int, int]  # x, y, w, h

WHOLE = 1024  # px: scenes with no longer side are looked at whole
SIDE = 384  # px: sides of a patch of a larger one
ACROSS, FEWER = 5, 3  # patches along each side of it
MANY = 16  # views from which on there are fewer patches


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The window of one band of a view that begins at its pixel (x, y): float32 codes (h, w), 0 where not valid."""

    x: int
    y: int
    plane: Plane
    valid: Plane  # bool (h, w)

    @property
    def window(self) -> Window:
        """x, y, w, h."""
        h, w = self.plane.shape
        return self.x, self.y, w, h


def spots(width: int, height: int, views: int = 1) -> list[Window]:
    """Windows that stand for a scene of this size: all of it, or patches spread evenly, fewer of them for very many views."""
    if max(width, height) <= WHOLE:
        return [(0, 0, width, height)]
    across = ACROSS if views <= MANY else FEWER
    return [(x, y, w, h) for y, h in stations(height, across) for x, w in stations(width, across)]


def stations(length: int, count: int) -> list[tuple[int, int]]:
    """(beginning, length) of at most so many patches along one side."""
    side = min(SIDE, length)
    n = min(count, ceil(length / side))
    return [(round(max(0.0, min(length * (k + 0.5) / n - side / 2, length - side))), side) for k in range(n)]


def look(view: View, window: Window, band: int) -> Patch:
    """A window of a view, which may reach beyond it: nothing is valid there, nor where a code is not finite."""
    x, y, w, h = window
    plane, valid = np.zeros((h, w), np.float32), np.zeros((h, w), bool)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, view.width), min(y + h, view.height)
    if x1 > x0 and y1 > y0:
        inside = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        at = (x0, y0, x1 - x0, y1 - y0, (band,))
        codes = view.read(*at)[0].astype(np.float32)
        valid[inside] = view.valid(*at) & np.isfinite(codes)
        plane[inside] = codes
        plane[~valid] = 0
    return Patch(x, y, plane, valid)


def soft(plane: Plane, valid: Plane, sigma: float) -> tuple[Plane, Plane]:
    """The mean of the valid samples under a Gaussian cut at 3 sigma, and how much of its weight is on them, 0 to 1."""
    reach = ceil(3 * sigma)
    size = (2 * reach + 1, 2 * reach + 1)
    weight = valid.astype(np.float32)
    total = cv2.GaussianBlur(weight, size, sigma, borderType=cv2.BORDER_CONSTANT)
    mean = cv2.GaussianBlur(plane * weight, size, sigma, borderType=cv2.BORDER_CONSTANT)
    return mean / np.maximum(total, 1e-6), total


def places(matrix: Matrix, reference: Window, begin: tuple[int, int], step: int = 1) -> tuple[Plane, Plane]:
    """Where every `step`th pixel of a reference's window lies in a patch of a view that begins at (x, y): x and y, float32."""
    x, y, w, h = reference
    xs, ys = np.meshgrid(np.arange(x + step // 2, x + w, step), np.arange(y + step // 2, y + h, step))
    at = moved(matrix, np.stack([xs.ravel(), ys.ravel()], 1).astype(np.float64)) - begin
    return at[:, 0].reshape(xs.shape).astype(np.float32), at[:, 1].reshape(xs.shape).astype(np.float32)


def fetched(plane: Plane, at: tuple[Plane, Plane], *, nearest: bool = False) -> Plane:
    """Samples of a plane at places, bilinear; 0 beyond its border."""
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.remap(plane, *at, how, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
