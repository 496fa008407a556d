"""Where there is most to see: the seconds of a clip and the part of a picture with the strongest gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch

from misr.color import luma_view
from misr.frame import Frame
from misr.io.opening import SEEK_MARGIN_S
from misr.io.reader import Reader
from misr.pipeline import AnyReader

Array = np.ndarray[Any, np.dtype[Any]]
CPU = torch.device("cpu")
PLACES = 48  # looked at in a long clip
LOOK_THROUGH = 900  # frames; a clip of at most as many is read from end to end
EVERY = 5  # of its frames one is looked at


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a clip: from when to when, its gradient energy beside the clip's mean, and how many frames were looked at."""

    begin: Fraction
    end: Fraction
    share: float
    places: int

    def told(self) -> str:
        """Which stretch of the clip that is, and how it was found, in a sentence."""
        seconds = float(self.end - self.begin)
        return (
            f"Shown are {float(self.begin):.2f} s to {float(self.end):.2f} s, the most detailed {seconds:g} s found: "
            f"{self.share:.2f} times the clip's mean gradient energy, by a look at {self.places} frames."
        )


def energy(frame: Frame) -> Array:
    """Gradient energy (h/2, w/2) of the luma, white at 1: squared central differences after a mean of 2x2, which tames noise."""
    luma = luma_view(frame, CPU)[0].numpy()
    h, w = luma.shape
    small = cv2.resize(luma, (max(1, w // 2), max(1, h // 2)), interpolation=cv2.INTER_AREA)
    across, down = (cv2.Sobel(small, cv2.CV_32F, dx, dy, ksize=1) for dx, dy in ((1, 0), (0, 1)))
    found: Array = np.square(across) + np.square(down)
    return found


def busiest_place(frame: Frame, share: tuple[float, float], *, power: float = 1.0) -> tuple[float, float]:
    """Where a window of that share (across, down) of the picture holds most energy: its centre, as shares of the sides.

    power    of the energy that is summed; below 1 much fine texture outweighs a few hard edges
    """
    found = energy(frame) ** power
    h, w = found.shape
    across, down = (max(1, round(part * side)) for part, side in zip(share, (w, h), strict=True))
    table = cv2.integral(found)
    rows = table[down:] - table[: h + 1 - down]
    sums = rows[:, across:] - rows[:, : w + 1 - across]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return (float(x) + across / 2) / w, (float(y) + down / 2) / h


def busiest_span(
    reader: AnyReader, seconds: Fraction, begin: Fraction | None = None, end: Fraction | None = None
) -> Span:
    """The stretch of `seconds` with most gradient energy between begin and end, found by sampling.

    A short clip is read through, of a long one keyframes at evenly spread points. Where the clip is long enough a stretch
    does not reach past its end.
    """
    info = reader.info
    first = info.start if begin is None else max(begin, info.start)
    last = end if end is not None else info.start + info.duration if info.duration else None
    seen = sorted({f.time: float(energy(f).mean()) for f in sampled(reader, first, last)}.items())
    seen = [(t, e) for t, e in seen if t >= first and (last is None or t < last)] or seen
    latest = max(first, last - seconds) if last is not None else first
    starts = sorted({min(t, latest) for t, _ in seen} | {first})
    means = [np.mean([e for t, e in seen if s <= t < s + seconds] or [0.0]) for s in starts]
    best = int(np.argmax(means))
    overall = float(np.mean([e for _, e in seen])) or 1.0
    stop = starts[best] + seconds
    return Span(starts[best], stop if last is None else min(stop, last), float(means[best]) / overall, len(seen))


def sampled(reader: AnyReader, first: Fraction, last: Fraction | None) -> Iterator[Frame]:
    """Frames to look at, cheaply: every EVERY-th of a short clip, else the keyframe before each of PLACES points."""
    if last is None or (last - first) * reader.info.rate <= LOOK_THROUGH:
        yield from islice(at(reader, first), 0, LOOK_THROUGH, EVERY)
        return
    for n in range(PLACES):  # nothing before a keyframe has to be decoded
        yield from islice(at(reader, first + (last - first) * n / PLACES), 1)


def at(reader: AnyReader, time: Fraction) -> Iterator[Frame]:
    """Frames from the keyframe before `time` on."""
    return reader.near(time + SEEK_MARGIN_S) if isinstance(reader, Reader) else reader.frames(time)


def since(reader: AnyReader, time: Fraction) -> Iterator[Frame]:
    """Frames shown at `time` or later; what lies between the keyframe and it is decoded too."""
    return (f for f in at(reader, time) if f.time >= time)
