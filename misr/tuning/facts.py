"""What a clip is like, in numbers: looked at in a few places, never read through."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from misr.errors import InputError
from misr.io.filters import INTERLACED_HEIGHTS
from misr.io.quantiser import quantiser
from misr.io.reader import ClipInfo, Reader
from misr.pipeline import AnyReader
from misr.registration import register
from misr.registration.outlook import Outlook, outlook
from misr.registration.promise import Word
from misr.tuning.measures import blocking, noise, reach
from misr.tuning.spots import Spot, spots

Array = np.ndarray[Any, np.dtype[Any]]
MANY = 7  # places; odd, so that one of them is the middle
PART, WIDE = 512, 1024  # px a side, of the part of a frame that noise is measured in, and of that for detail and blocks
SMALLEST = 32  # px a side, of what can be laid over its neighbours
STILL = 0.05  # mean step in codes of 255 below which nothing moves
SAME = 0.12  # step, of the usual one, below which a frame is the one before it once more
CADENCE = 5  # frames of video that four of film become
AGAIN = 0.7  # step of a field that comes again, of the others' median: coding leaves the two copies apart
WOVEN = 1 / 3  # share of frames that idet must call interlaced, as misr.io.filters has it


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers of a clip; None where nothing could be told.

    noise        standard deviation of the luma, codes of 255
    reach        finest detail, cycles/px; 0.5 is as fine as pixels can show
    quantiser    H.264's own, 0 to 51
    blocking     steps at the borders of 8x8 blocks, of the mean step
    aliasing     of neighbouring frames, 0 to 1; coverage: share of the finer grid that their shifts reach
    word, why    whether several frames hold more than one, as misr.registration.outlook has it; helps: so far as is known
    moves_px     usual shift from frame to frame where there is most detail
    moment       seconds on the clip's clock, of the place with most detail
    """

    moment: Fraction
    frames: int
    places: int
    noise: float | None
    reach: float | None
    quantiser: float | None
    bits_per_pixel: float | None
    blocking: float
    fields: Literal["", "tff", "bff"]
    pulled: bool
    duplicates: float
    cuts: int
    moves_px: float | None
    still: bool
    aliasing: float | None
    coverage: float | None
    word: Word
    helps: bool
    why: str


def look(reader: AnyReader, scale: float, seconds: float) -> Facts:
    """The facts of a clip whose reader does not deinterlace, by looks that take about so many seconds."""
    seen = list(spots(reader, MANY, seconds))
    sigma = middle([noise(part(s.middle)) for s in seen])
    times = [s.time - reader.info.start for s in seen]
    several = together(seen, scale)
    order = fields(seen, reader.info)
    steps = [step for s in seen for step, cut in zip(s.steps, s.cuts, strict=True) if not cut]
    if not seen:
        raise InputError(f"{reader.info.path}: no frame could be looked at; repair the file first")
    return Facts(
        moment=max(seen, key=lambda s: slopes(s.middle)).time,
        frames=sum(s.frames for s in seen),
        places=len(seen),
        noise=sigma,
        reach=middle([reach([part(s.middle, WIDE)], sigma or 0.0) for s in seen]),
        quantiser=quantiser(reader.path, times) if isinstance(reader, Reader) else None,
        bits_per_pixel=bits_per_pixel(reader.info),
        blocking=statistics.median(blocking(part(s.middle, WIDE)) for s in seen),
        fields=order,
        pulled=bool(order) and pulled(seen),
        duplicates=duplicates(seen),
        cuts=sum(sum(s.cuts) for s in seen),
        moves_px=moves_px(seen),
        still=bool(steps) and float(np.mean(steps)) < STILL,
        aliasing=several.aliasing,
        coverage=several.coverage,
        word=several.word,
        helps=several.word in ("yes", "a little"),
        why=several.why,
    )


def middle(values: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def part(plane: Array, side: int = PART) -> Array:
    """The middle of a plane, begun at whole blocks of 16 px."""
    h, w = plane.shape
    top, left = (max(0, (n - side) // 2) // 16 * 16 for n in (h, w))
    return plane[top : top + side, left : left + side]


def slopes(plane: Array) -> float:
    """How much detail there is: the mean difference between means of 2x2 that lie side by side."""
    h, w = plane.shape
    small = cv2.resize(plane, (max(2, w // 2), max(2, h // 2)), interpolation=cv2.INTER_AREA)
    return float(np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean())


def bits_per_pixel(info: ClipInfo) -> float | None:
    """Bits of the stream for each pixel shown; of the whole file where streams are not told apart, None if nothing is."""
    path = Path(info.path)
    length = float(info.duration or 0)
    rate = info.bit_rate or (path.stat().st_size * 8 / length if length and path.is_file() else 0)
    return rate / float(info.width * info.height * info.rate) if rate and info.rate else None


def fields(seen: Sequence[Spot], info: ClipInfo) -> Literal["", "tff", "bff"]:
    """Which field comes first where frames are woven of two, by idet's verdict on all runs; "" where they are not."""
    tff, bff, straight = (sum(s.fields[k] for s in seen) for k in ("tff", "bff", "progressive"))
    plausible = info.woven or info.height in INTERLACED_HEIGHTS
    if not plausible or tff + bff <= WOVEN * (tff + bff + straight):
        return ""  # flagged or not, the pictures are whole
    return "bff" if bff > tff else "tff"


def pulled(seen: Sequence[Spot]) -> bool:
    """Whether fields come again in the rhythm of film on video: by 3:2 an upper and, in its turn, a lower one in five frames."""
    moving = [s for s in seen if len(s.steps) >= 2 * CADENCE and not unmoved(s)]
    rhythms = [(rhythm(s.halves[0]), rhythm(s.halves[1])) for s in moving]
    found = sum(None not in (upper, lower) and upper != lower for upper, lower in rhythms)
    return bool(moving) and 2 * found > len(moving)


def rhythm(steps: Sequence[float]) -> int | None:
    """Which of every five steps is always much smaller than the others are; None where none is."""
    phases = [steps[k::CADENCE] for k in range(CADENCE)]
    least = min(range(CADENCE), key=lambda k: max(phases[k]))
    others = [step for k, phase in enumerate(phases) if k != least for step in phase]
    return least if max(phases[least]) < AGAIN * statistics.median(others) else None


def unmoved(seen: Spot) -> bool:
    """Whether nothing moves in a run."""
    return float(np.mean(seen.steps)) < STILL if seen.steps else True


def duplicates(seen: Sequence[Spot]) -> float:
    """Share of frames that show the one before them once more, among those of runs in which something moves."""
    again = total = 0
    for it in seen:
        steps = [step for step, cut in zip(it.steps, it.cuts, strict=True) if not cut]
        if not steps or unmoved(it):
            continue
        usual = float(np.quantile(steps, 0.75))
        again += sum(step < SAME * usual for step in steps)
        total += len(steps)
    return again / total if total else 0.0


def together(seen: Sequence[Spot], scale: float) -> Outlook:
    """Whether frames help each other, by laying neighbours over each other where there is most detail."""
    stacks = [np.stack(s.windows) for s in seen if min(s.windows[0].shape) >= SMALLEST]
    return outlook(stacks, scale)


def moves_px(seen: Sequence[Spot]) -> float | None:
    """The usual shift from a frame to the next where there is most detail; None where nothing can be placed."""
    found = []
    for windows in (s.windows for s in seen if len(s.windows) > 1 and min(s.windows[0].shape) >= SMALLEST):
        place = register(windows[len(windows) // 2 - 1], windows[len(windows) // 2])
        h, w = windows[0].shape
        found += [float(np.hypot(*place.shift_px(w, h)))] if place.used else []
    return middle(found)
