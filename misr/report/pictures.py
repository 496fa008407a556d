"""How the pictures of a page are kept so that nothing is lost that need not be, and the page stays within its size.

In order: all of it without loss; all of it as JPEG of high quality; the part with most detail; fewer frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, sqrt
from typing import Any

import numpy as np

from misr.errors import InputError
from misr.evaluation.measure import eight_bit_rgb
from misr.frame import Frame
from misr.io.embedded import WEBP_SIDE, Kind, embedded, read_back
from misr.report.detail import busiest_place

Array = np.ndarray[Any, np.dtype[Any]]
BASE64 = 4 / 3  # characters of a page for a byte of a picture
MARGIN = 1.05  # how far off sizes may be that were measured on some frames
MEASURED_PIXELS = 500_000  # of a picture whose size is measured
BAND = 32  # rows that are measured together
SMALLEST_PART = 320  # pixels across of the largest input; below, fewer frames are kept instead


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of all pictures alike, in `cells` of the whole (across, down): left, top, width, height."""

    cells: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    def of(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(left, top, width, height) in pixels of an input of that size, whose sides are multiples of the cells."""
        w, h = size[0] // self.cells[0], size[1] // self.cells[1]
        return self.left * w, self.top * h, self.width * w, self.height * h


@dataclass(frozen=True, slots=True)
class Keeping:
    """How pictures are kept, and what that does to them: the largest and the mean difference, in code values of 255."""

    kind: Kind
    crop: Crop | None = None
    largest: int = 0
    mean: float = 0.0

    def data(self, frame: Frame) -> bytes:
        """A frame as the file that the page carries."""
        return embedded(cropped(codes(frame), self.crop), self.kind)


def codes(frame: Frame) -> Array:
    """R'G'B' (h, w, 3) of 8 bits, whatever the frame's depth and colour; its alpha is not looked at."""
    found: Array = eight_bit_rgb(frame).movedim(0, -1).numpy().astype(np.uint8)
    return found


def cropped(rgb: Array, crop: Crop | None) -> Array:
    """The part of a picture (h, w, 3)."""
    if crop is None:
        return rgb
    left, top, w, h = crop.of((rgb.shape[1], rgb.shape[0]))
    return rgb[top : top + h, left : left + w]


def keeping(samples: Sequence[Sequence[Frame]], frames: int, limit: int, asked: Crop | None) -> Keeping:
    """How to keep `frames` frames of every input within `limit` bytes of page.

    samples    some frames of each input, BEFORE's first; asked: this part and no other, None where misr decides
    """
    pictures = [[cropped(codes(f), asked) for f in some] for some in samples]
    lossless = max(max(rgb.shape) for some in pictures for rgb in some) <= WEBP_SIDE
    if lossless and expected(pictures, "webp", frames) * MARGIN <= limit:
        return Keeping("webp", asked)
    largest, mean = worn(pictures)
    need = expected(pictures, "jpeg", frames)
    if need > limit and asked is None:
        asked = part(samples, sqrt(0.8 * limit / need))  # the part with most detail takes more bytes than its share
    return Keeping("jpeg", asked, largest, mean)


def expected(pictures: Sequence[Sequence[Array]], kind: Kind, frames: int) -> float:
    """Bytes of a page that holds as many frames of inputs like these."""
    return BASE64 * frames * sum(float(np.mean([size(rgb, kind) for rgb in some])) for some in pictures)


def size(rgb: Array, kind: Kind) -> float:
    """Bytes of a picture as a file; of a large one by bands of its rows, as keeping without loss is slow."""
    h, w = rgb.shape[:2]
    every = h * w // MEASURED_PIXELS
    if every < 2:
        return len(embedded(rgb, kind))
    rows = rgb[np.arange(h) // BAND % every == 0]
    return len(embedded(rows, kind)) * h / len(rows)


def worn(pictures: Sequence[Sequence[Array]]) -> tuple[int, float]:
    """What JPEG does to pictures: the largest difference and the mean one, in code values."""
    errors = [np.abs(read_back(embedded(rgb, "jpeg")).astype(np.int16) - rgb) for some in pictures for rgb in some]
    return max(int(e.max()) for e in errors), float(np.mean([e.mean() for e in errors]))


def part(samples: Sequence[Sequence[Frame]], share: float) -> Crop | None:
    """The part with most detail, about `share` of each side; None where the inputs have no pixel grid in common."""
    sizes = [(some[0].width, some[0].height) for some in samples]
    cells = common_cells(sizes)
    biggest = max(w for w, _ in sizes)
    share = min(1.0, max(share, SMALLEST_PART / biggest))
    across, down = (max(1, int(share * n)) for n in cells)
    if min(cells) < 4 or (across, down) == cells:
        return None
    middle = samples[0][len(samples[0]) // 2]
    x, y = busiest_place(middle, (across / cells[0], down / cells[1]))
    left, top = (
        min(max(round(at * n - many / 2), 0), n - many)
        for at, n, many in zip((x, y), cells, (across, down), strict=True)
    )
    return Crop(cells, left, top, across, down)


def part_asked(text: str, sizes: Sequence[tuple[int, int]]) -> Crop:
    """WxH+X+Y in pixels of BEFORE, whose size is the first, as a part of all; WxH is the middle, none is all of it."""
    (w, h), cells = sizes[0], common_cells(sizes)
    if text == "none":
        return Crop((1, 1), 0, 0, 1, 1)
    size, *at = text.split("+")
    try:
        width, height = (int(v) for v in size.split("x"))
        left, top = (int(v) for v in at) if at else ((w - width) // 2, (h - height) // 2)
    except ValueError:
        raise InputError(
            f"--crop {text}: not a part; write WxH+X+Y in pixels of BEFORE, such as 320x180+100+50"
        ) from None
    if not (0 < width <= w - left and 0 < height <= h - top and left >= 0 and top >= 0):
        raise InputError(f"--crop {text} is not inside BEFORE's {w}x{h}; give a part that is")
    x, y = w // cells[0], h // cells[1]  # pixels of a cell: edges that fall into every input's pixel grid
    left, top = left // x, top // y
    return Crop(
        cells, left, top, max(1, min(round(width / x), cells[0] - left)), max(1, min(round(height / y), cells[1] - top))
    )


def common_cells(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The finest division (across, down) of the picture that is made of whole pixels in every input."""
    return gcd(*(w for w, _ in sizes)), gcd(*(h for _, h in sizes))
