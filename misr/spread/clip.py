"""A segment of a clip as a task: what a worker is told, what it does, and what it answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from misr.ahead import Clock
from misr.errors import DecodeError, InputError
from misr.io.excerpt import Excerpt, Wanting
from misr.io.segments import Segment, own_part
from misr.io.streams import KEEPS_ROTATION
from misr.journal import segment_at, signature
from misr.pipeline import AnyReader, Job, rendered
from misr.plan import Settings, open_reader
from misr.spread.crew import Held, Seat
from misr.spread.model import Model
from misr.spread.shares import Share
from misr.upscaler import Upscaler

MARK = "driver"  # a file of the journal by which a worker knows that it sees the driver's own


@dataclass(frozen=True, slots=True)
class Order:
    """What all segments of a clip have in common.

    wanted     as the user said it: how to read the source and run the model
    precision  that of all workers; "auto": each the best for its device
    size       frames of a segment
    journal    its directory, and `mark`, what its file MARK says; both empty: segments come back as bytes
    """

    job: Job
    wanted: Settings
    model: Model
    precision: str
    size: int
    journal: str = ""
    mark: str = ""

    @property
    def key(self) -> str:
        """What tells this order's reader from others at a seat."""
        return f"{self.job.source} {self.mark}"


@dataclass(frozen=True, slots=True)
class Done:
    """A rendered segment: numbers of its first frame and of its frames, and the file itself where the worker could not store it.

    damaged    times in seconds of frames that did not decode and were repeated
    reruns     pictures that were made again in fp32
    """

    begin: int
    frames: int
    stored: bytes | None
    damaged: tuple[Fraction, ...] = ()
    reruns: int = 0
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Unseen:
    """The worker does not see the source, or has not enough of it; `whole`: it needs all from the clip's beginning on."""

    whole: bool = False


@dataclass(frozen=True, slots=True)
class Misread:
    """The segment's frames are not those that the clip's packets promised."""


@dataclass(frozen=True, slots=True)
class SegmentTask:
    """Render a share. head, own: the parts of the source that the worker needs, where it does not see it."""

    order: Held[Order]
    share: Share
    clip: int = 0  # of several
    head: Held[Excerpt] | None = None
    own: Excerpt | None = None
    whole: bool = False  # own begins where the clip does

    @property
    def name(self) -> str:
        """For a message."""
        return self.share.name

    def run(self, seat: Seat, tell: Callable[[int], None]) -> Done | Unseen | Misread:
        """Render it, store it where the driver's journal is seen; tell(frames of it so far)."""
        order = self.order.value()
        up = seat.keep(("model", *modelled(order)), lambda: upscaler(order, seat.device))
        if self.own is not None:
            reader: AnyReader = read(order, self.head.value() + self.own if self.head else self.own)
            try:
                return answered(order, self.share, reader, up, tell, whole=self.whole)
            finally:
                reader.close()
        if not sees(order.job):
            return Unseen()
        return answered(order, self.share, seat.keep(("clip", order.key), lambda: read(order)), up, tell)


def modelled(order: Order) -> tuple[Any, ...]:
    """What tells one loaded model from another."""
    w = order.wanted
    return str(order.job.identity["model"]), order.precision, w.tile, w.batch, w.strength


def upscaler(order: Order, device: str | None) -> Upscaler:
    """The order's model on a worker's device."""
    w = order.wanted
    precision: Any = order.precision
    return Upscaler(
        order.model.build(), device=device, precision=precision, tile=w.tile, batch=w.batch, strength=w.strength
    )


def sees(job: Job) -> bool:
    """Whether this process finds the job's source, and finds it as the driver did."""
    try:
        there = signature(job.source)
        return bool(there) and there == job.identity["source"]
    except (OSError, InputError):
        return False


def read(order: Order, excerpt: Excerpt | None = None) -> AnyReader:
    """The order's source, open. InputError where this machine reads another clip in it than the driver."""
    job, upright = order.job, order.job.fmt not in KEEPS_ROTATION
    if excerpt is not None:
        return open_reader(job.source, job.span, order.wanted, upright=upright, excerpt=excerpt, info=job.info)
    reader = open_reader(job.source, job.span, order.wanted, upright=upright)
    if replace(reader.info, path="") != replace(job.info, path=""):
        reader.close()
        raise InputError(
            f"{job.source}: a worker reads another clip there than the machine it was planned on; "
            "give all the same versions of PyAV and misr"
        )
    return reader


def answered(
    order: Order, share: Share, reader: AnyReader, up: Upscaler, tell: Callable[[int], None], *, whole: bool = False
) -> Done | Unseen | Misread:
    """The share, rendered and stored; the clip's name and the segment's stand before what a decoder complains of."""
    try:
        return stored(order, share, reader, up, tell)
    except Wanting:
        if whole:
            raise
        return Unseen(whole=True)
    except DecodeError as e:
        raise DecodeError(f"{share.name}: {e}", time=e.time) from None


def stored(order: Order, share: Share, reader: AnyReader, up: Upscaler, tell: Callable[[int], None]) -> Done | Misread:
    """The share in the journal, or as bytes where there is none to be seen."""
    reader.damaged.clear()
    reruns, clock = up.reruns, Clock()
    journal = Path(order.journal) if sees_journal(order) else None
    with tempfile.TemporaryDirectory(prefix="misr-") as folder:
        own = Path(folder) if journal is None else journal
        made = list(
            rendered(
                order.job,
                reader,
                up,
                order.size,
                share.part,
                lambda count, expected: tell(count - share.begin),
                lambda first: own_part(segment_at(own, first)),
                clock,
            )
        )
        if not fits(made, share):
            for segment in made:
                segment.path.unlink(missing_ok=True)
            return Misread()
        (segment,) = made
        if journal is not None:
            segment.path.replace(segment_at(journal, share.begin))
        data = None if journal is not None else segment.path.read_bytes()
    return Done(share.begin, len(segment.times), data, tuple(reader.damaged), up.reruns - reruns, clock)


def fits(made: list[Segment], share: Share) -> bool:
    """Whether what was rendered is the share: one segment, with the frames that were promised."""
    return len(made) == 1 and made[0].times == share.times


def sees_journal(order: Order) -> bool:
    """Whether the driver's journal is a directory of this machine too."""
    try:
        return bool(order.mark) and (Path(order.journal) / MARK).read_text() == order.mark
    except (OSError, ValueError):
        return False
