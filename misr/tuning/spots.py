"""Where a clip is looked at: a few short runs of frames, evenly spread, of which only what is needed is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import cv2
import numpy as np
import torch

from misr.color import luma_view
from misr.frame import Frame
from misr.io.filters import idet
from misr.io.pyav import to_av
from misr.pipeline import AnyReader
from misr.report.detail import at, busiest_place, since
from misr.scene import is_cut_between, signature

Array = np.ndarray[Any, np.dtype[Any]]
CPU = torch.device("cpu")
RUN = 16  # frames of a run: three turns of film's 3:2 cadence
RUN_PIXELS = 64_000_000  # of luma in a run; larger pictures make shorter runs
SHORTEST = 8
CELL = 8  # px a side, of the means by which frames are compared; they lower noise by as much
WINDOW = 384  # px a side, of the part that is registered


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """What is kept of a run of frames. Planes are luma in codes of 255, float32.

    steps     mean difference of each frame to the one before it, of means of 8x8 px; cuts: whether it begins a shot
    fields    what FFmpeg's idet says of the frames: tff, bff, progressive, undetermined
    halves    the same as steps, of the upper field's lines alone, and of the lower one's
    windows   the part with most detail of the run's longest shot, in consecutive frames
    middle    one whole frame
    """

    time: Fraction
    frames: int
    steps: tuple[float, ...]
    cuts: tuple[bool, ...]
    fields: dict[str, int]
    halves: tuple[tuple[float, ...], tuple[float, ...]]
    windows: tuple[Array, ...]
    middle: Array


def spots(reader: AnyReader, many: int, seconds: float) -> Iterator[Spot]:
    """Up to `many` runs, one at least, until so many seconds are over; the middle of the clip comes first."""
    info = reader.info
    length = info.duration or Fraction(info.frames) / info.rate
    short = length * info.rate <= RUN * 2
    many = max(1, min(many, int(length * info.rate) // RUN))
    places = [Fraction(0)] if short else [Fraction(2 * n + 1, 2 * many) for n in range(many)]
    places.sort(key=lambda place: abs(place - Fraction(1, 2)))
    run = max(SHORTEST, min(RUN, RUN_PIXELS // (info.width * info.height)))
    began, seen = time.monotonic(), set[Fraction]()
    for n, place in enumerate(places):
        if n and time.monotonic() - began > seconds:
            return
        wanted = info.start + place * length
        frames = list(islice(at(reader, wanted), 2 * run if short else run))
        if frames and frames[0].time in seen:  # keyframes lie far apart: go on from there
            frames = list(islice(since(reader, wanted), run))
        if len(frames) < 3 and not (short and frames):
            continue  # past the end
        seen.add(frames[0].time)
        yield spot(frames)


def spot(frames: list[Frame]) -> Spot:
    """What is kept of a run."""
    signatures = [signature(f) for f in frames]
    cuts = tuple(is_cut_between(a, b) for a, b in pairwise(signatures))
    planes = [luma(f) for f in frames]
    upper, lower = (steps([p[k::2] for p in planes]) for k in (0, 1))
    first, last = longest(cuts)
    middle = frames[(first + last) // 2]
    share = min(1.0, WINDOW / middle.width), min(1.0, WINDOW / middle.height)
    x, y = busiest_place(middle, share)
    left = min(max(round(x * middle.width - WINDOW / 2), 0), max(middle.width - WINDOW, 0))
    top = min(max(round(y * middle.height - WINDOW / 2), 0), max(middle.height - WINDOW, 0))
    windows = tuple(p[top : top + WINDOW, left : left + WINDOW].copy() for p in planes[first : last + 1])
    fields = idet([to_av(f) for f in frames])
    whole = planes[(first + last) // 2]
    return Spot(frames[0].time, len(frames), steps(planes), cuts, fields, (upper, lower), windows, whole)


def luma(frame: Frame) -> Array:
    """Luma (h, w) in codes of 255, float32."""
    found: Array = luma_view(frame, CPU)[0].numpy() * np.float32(255)
    return found


def steps(planes: Sequence[Array]) -> tuple[float, ...]:
    """Mean absolute difference of each plane to the one before it, of means of CELL x CELL px."""
    h, w = planes[0].shape
    size = max(1, w // CELL), max(1, h // CELL)
    small = [cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in planes]
    return tuple(float(np.abs(b - a).mean()) for a, b in pairwise(small))


def longest(cuts: tuple[bool, ...]) -> tuple[int, int]:
    """(first, last) frame of the longest shot in a run with these cuts between its frames."""
    edges = [0, *(n + 1 for n, cut in enumerate(cuts) if cut), len(cuts) + 1]
    first, end = max(pairwise(edges), key=lambda span: span[1] - span[0])
    return first, end - 1
