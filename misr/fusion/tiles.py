"""A scene in tiles that each carry a halo: tiled and whole are the same picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of the reference's grid, LR pixels: what it gives, and what is looked at for it.

    x, y, width, height       the core; the cores of a scene do not overlap and leave nothing out
    left, top, right, bottom  how much is looked at around it; less than the halo only where the scene ends
    """

    number: int
    x: int
    y: int
    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def window(self) -> tuple[int, int, int, int]:
        """x, y, width and height of all that is looked at."""
        return (
            self.x - self.left,
            self.y - self.top,
            self.left + self.width + self.right,
            self.top + self.height + self.bottom,
        )

    def core(self, picture: Tensor, scale: int) -> Tensor:
        """The core of a picture (..., s*H, s*W) of the whole window."""
        top, left = scale * self.top, scale * self.left
        return picture[..., top : top + scale * self.height, left : left + scale * self.width]


def tiles(width: int, height: int, *, size: int, halo: int, multiple: int = 1) -> Iterator[Tile]:
    """The tiles of a scene of width x height LR pixels, row by row; size 0: one tile.

    Windows begin at multiples of `multiple`, and end there or with the scene: nets that shuffle pixels see the same cells.
    """
    step = -(-(size or max(width, height)) // multiple) * multiple
    around = -(-halo // multiple) * multiple
    corners = [(x, y) for y in range(0, height, step) for x in range(0, width, step)]
    for number, (x, y) in enumerate(corners):
        w, h = min(step, width - x), min(step, height - y)
        right, bottom = min(around, width - x - w), min(around, height - y - h)
        yield Tile(number, x, y, w, h, min(around, x), min(around, y), right, bottom)


def count(width: int, height: int, *, size: int, multiple: int = 1) -> int:
    """How many tiles that makes."""
    step = -(-(size or max(width, height)) // multiple) * multiple
    return -(-width // step) * -(-height // step)
