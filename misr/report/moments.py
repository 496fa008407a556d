"""The moments of a page: when BEFORE shows a frame, and which frame every other input shows then."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from misr.errors import InputError
from misr.frame import Frame
from misr.report.inputs import Input
from misr.report.match import partners, tolerance

SAMPLES = (0, 12, 48)  # frames whose size tells that of the others; of shorter clips, those there are


@dataclass(frozen=True, slots=True)
class Moment:
    """The times at which inputs show what belongs together, seconds on BEFORE's clock; None where one shows nothing."""

    times: tuple[Fraction | None, ...]


@dataclass(frozen=True, slots=True)
class Moments:
    """Inputs on one clock, their moments, some frames of each, and how many frames of each have no partner in BEFORE."""

    inputs: tuple[Input, ...]
    moments: tuple[Moment, ...]
    samples: tuple[list[Frame], ...]
    alone: tuple[int, ...]

    def first(self, count: int) -> Moments:
        """The same with no more than `count` moments."""
        return replace(self, moments=self.moments[:count])


@dataclass(frozen=True, slots=True)
class Partner:
    """An input on BEFORE's clock, when it shows its frames, those of every moment, and some of the frames."""

    input: Input
    times: tuple[Fraction, ...]
    met: tuple[Fraction | None, ...]
    samples: list[Frame]

    @property
    def count(self) -> int:
        """How many moments it has a frame for."""
        return sum(t is not None for t in self.met)


def find(
    before: Input,
    others: Sequence[Input],
    *,
    start: Fraction | None,
    duration: Fraction,
    most: int,
    shift: Fraction | None,
) -> Moments:
    """Read through what is asked for: `most` frames of BEFORE at most, and what all others show in the same seconds.

    shift: seconds added to the times of AFTERS; where None, 0, or what makes first frames meet if more frames meet then.
    """
    begin = before.info.start if start is None else start
    when, samples = read(before, begin, begin + duration, most)
    if not when:
        length = float(before.info.duration or 0)
        raise InputError(
            f"{before.path}: no frame from {float(begin):g} s on; the clip lasts {length:.2f} s, check -ss"
        )
    found = [partner(before, other, when, None if other.role == "reference" else shift) for other in others]
    columns = [when, *(p.met for p in found)]
    return Moments(
        (before, *(p.input for p in found)),
        tuple(Moment(times) for times in zip(*columns, strict=True)),
        (samples, *(p.samples for p in found)),
        (0, *(len(p.times) - p.count for p in found)),
    )


def partner(before: Input, other: Input, when: Sequence[Fraction], shift: Fraction | None) -> Partner:
    """Another input at the moments of BEFORE; InputError when it shows nothing at any of them."""
    within = tolerance(before.info.rate, other.info.rate)
    meeting = before.info.start - other.info.start  # containers count from different zeros
    best: Partner | None = None
    for candidate in dict.fromkeys([Fraction(0), meeting] if shift is None else [shift]):
        moved = replace(other, shift=candidate)
        times, samples = read(moved, when[0] - within, when[-1] + within, None)
        places = partners(when, times, within)
        now = Partner(moved, times, tuple(None if n is None else times[n] for n in places), samples)
        best = now if best is None or now.count > best.count else best
        if best.count == len(when):
            break
    assert best is not None
    if not best.count:
        raise InputError(
            f"{other.path}: shows no frame at the times of {before.path} from {float(when[0]):.3f} s to "
            f"{float(when[-1]):.3f} s; give the seconds to add to its times with -itsoffset"
        )
    return best


def read(it: Input, begin: Fraction, end: Fraction, most: int | None) -> tuple[tuple[Fraction, ...], list[Frame]]:
    """When frames are shown, and some of them."""
    times: list[Fraction] = []
    samples: list[Frame] = []
    for frame in it.frames(begin, end):
        if len(times) == most:
            break
        if len(times) in SAMPLES:
            samples.append(frame)
        times.append(frame.time)
    return tuple(times), samples


def frames_of(it: Input, times: Sequence[Fraction | None]) -> Generator[Frame | None]:
    """The frame of an input at each of the times, None where there is none; one pass, a frame at a time."""
    first = next((t for t in times if t is not None), None)
    stream = iter(()) if first is None else it.frames(first)
    for time in times:
        if time is None:
            yield None
            continue
        frame = next((f for f in stream if f.time >= time), None)
        if frame is None or frame.time != time:
            raise InputError(f"{it.path}: its frame at {float(time):.3f} s is gone; it changed while it was read")
        yield frame
