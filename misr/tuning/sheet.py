"""One picture to judge by: the same part of a frame, models as rows, strengths as columns, the source on the left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import cv2
import numpy as np

from misr.frame import Frame
from misr.io.embedded import png
from misr.pipeline import AnyReader
from misr.report.detail import at, busiest_place, energy
from misr.report.pictures import codes
from misr.tuning.speed import cut
from misr.upscaler import Upscaler

Array = np.ndarray[Any, np.dtype[Any]]
STRENGTHS = (0.5, 0.75, 1.0)
CELL = 288, 216  # pixels of the result in each cell, shown one to one
RUN = 40  # frames that are read; the longest window takes 20
TEXTURE = 0.5  # power of the gradient energy by which frames and places are chosen: fine texture, not a few hard edges
AROUND = 64  # source pixels around the part, that nets may look at
GAP, LEFT, TOP, HEAD = 8, 150, 34, 26  # pixels: between cells, for names of rows, for the title, for names of columns
PAPER, INK, FAINT = (24, 24, 26), (235, 235, 235), (150, 150, 155)  # R'G'B'
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Row:
    """A model: its name, lines about it, and what loads it."""

    name: str
    about: str
    load: Callable[[], Upscaler]


def sheet(
    reader: AnyReader,
    moment: Fraction,
    size: tuple[int, int],
    rows: Sequence[Row],
    *,
    title: str,
    step: Callable[[str], None] = lambda doing: None,
) -> bytes:
    """The sheet as a PNG.

    moment   a second of the clip; of the frames after it the one with most detail is shown, where it has most
    size     (width, height) of the whole upscaled picture
    step     told of each row before it is made
    """
    frames = list(islice(at(reader, moment), RUN))
    inside = range(len(frames) // 4, max(len(frames) * 3 // 4, 1))  # the rest are neighbours
    centre = max(inside, key=lambda n: float((energy(frames[n]) ** TEXTURE).mean()))
    w, h = frames[0].width, frames[0].height
    scale = size[0] / w, size[1] / h
    inner = min(w, round(CELL[0] / scale[0])), min(h, round(CELL[1] / scale[1]))
    x, y = busiest_place(frames[centre], (inner[0] / w, inner[1] / h), power=TEXTURE)
    left, top = (
        min(max(round(p * n - k / 2), 0), n - k) // 2 * 2 for p, n, k in zip((x, y), (w, h), inner, strict=True)
    )
    parts, offset = around(frames, (left, top, *inner))
    told = f"{title}   {inner[0]}x{inner[1]}+{left}+{top} at {float(frames[centre].time):.2f} s, shown one pixel to one"
    columns = ["nearest", "bicubic", *(f"strength {s:g}" for s in STRENGTHS)]
    cell = min(CELL[0], round(inner[0] * scale[0])), min(CELL[1], round(inner[1] * scale[1]))

    def shown(up: Upscaler) -> Array:
        frame = rendered(up, parts, centre, scale)
        x0, y0 = round(offset[0] * scale[0]), round(offset[1] * scale[1])
        return codes(frame)[y0 : y0 + cell[1], x0 : x0 + cell[0]]

    before = [shown(Upscaler(name, scale=max(scale), device="cpu")) for name in ("nearest", "bicubic")]
    paper = blank(len(rows), cell)
    write(paper, told, (GAP, 22), INK, 0.48)
    for n, name in enumerate(columns):
        write(paper, name, (LEFT + GAP + n * (cell[0] + GAP), TOP + 17), FAINT, 0.44)
    for r, row in enumerate(rows):
        step(f"drawing {row.name}")
        up = row.load()
        made = list(before)
        for up.strength in STRENGTHS:
            made.append(shown(up))
        place(paper, r, cell, made)
        label(paper, r, cell, row)
    return png(paper)


def around(frames: Sequence[Frame], part: tuple[int, int, int, int]) -> tuple[list[Frame], tuple[int, int]]:
    """The frames cut to a part with some pixels around it, and where in them the part begins."""
    left, top, w, h = part
    x, y = max(0, left - AROUND) // 2 * 2, max(0, top - AROUND) // 2 * 2
    right, bottom = min(frames[0].width, left + w + AROUND), min(frames[0].height, top + h + AROUND)
    return [cut(f, x, y, right - x, bottom - y) for f in frames], (left - x, top - y)


def rendered(up: Upscaler, frames: Sequence[Frame], centre: int, scale: tuple[float, float]) -> Frame:
    """The frame with that number, upscaled among its neighbours."""
    size = round(frames[0].width * scale[0]), round(frames[0].height * scale[1])
    first = max(0, centre - up.card.before - up.card.emit)
    session = up.session(size=size, first=first, begin=centre, end=centre + 1)
    found = [f for frame in frames[first:] for f in session.push(frame)] + session.flush()
    return found[0]


def blank(rows: int, cell: tuple[int, int]) -> Array:
    """An empty sheet (h, w, 3)."""
    wide = LEFT + GAP + (2 + len(STRENGTHS)) * (cell[0] + GAP)
    return np.full((TOP + HEAD + rows * (cell[1] + GAP), wide, 3), PAPER, np.uint8)


def place(paper: Array, row: int, cell: tuple[int, int], pictures: Sequence[Array]) -> None:
    """A row's pictures, from left to right."""
    y = TOP + HEAD + row * (cell[1] + GAP)
    for n, picture in enumerate(pictures):
        x = LEFT + GAP + n * (cell[0] + GAP)
        paper[y : y + picture.shape[0], x : x + picture.shape[1]] = picture


def label(paper: Array, number: int, cell: tuple[int, int], row: Row) -> None:
    """A row's name, and lines about it."""
    y = TOP + HEAD + number * (cell[1] + GAP)
    write(paper, row.name, (GAP, y + 18), INK, 0.46)
    for n, words in enumerate(row.about.split("\n")):
        write(paper, words, (GAP, y + 40 + 18 * n), FAINT, 0.4)


def write(paper: Array, text: str, place: tuple[int, int], ink: tuple[int, int, int], size: float) -> None:
    """Text whose baseline begins at (x, y)."""
    cv2.putText(paper, text, place, FONT, size, ink, 1, cv2.LINE_AA)
