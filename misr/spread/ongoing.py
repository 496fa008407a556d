"""A clip in work: which of its segments are to be given out, what workers have of it, and what came back."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from misr.errors import DecodeError, InputError, MisrError, WorkerError
from misr.io.excerpt import Excerpt, cut, head
from misr.io.index import frame_times
from misr.io.reader import Reader
from misr.io.segments import Segment, store
from misr.journal import Journal, journal_path, write_whole
from misr.pipeline import AnyReader, Job, chunked, concluded
from misr.plan import Result, Settings, plan
from misr.spread.clip import MARK, Done, Misread, Order, SegmentTask, Unseen
from misr.spread.crew import Crew, Held, Outcome
from misr.spread.model import Model
from misr.spread.shares import Share, kept, shares
from misr.summary import outcome
from misr.upscaler import Upscaler

PASSING = (DecodeError, WorkerError)  # errors of one segment, which say nothing of the others


@dataclass(slots=True)
class Ongoing:
    """A clip whose segments a crew renders.

    whole     all its segments; todo: those to give out, and whether their worker needs the source from its beginning on
    counts    frames that are finished, by number of a segment's first
    handing   segments carry their parts of the source, as a worker was met that does not see it
    misread   frames are not those that the packets promised: count them by decoding, and begin again
    """

    number: int
    job: Job
    reader: AnyReader
    up: Upscaler
    journal: Journal
    crew: Crew
    order: Held[Order]
    found: list[Segment]
    whole: list[Share] = field(default_factory=list)
    todo: deque[tuple[Share, bool]] = field(default_factory=deque)
    counts: dict[int, int] = field(default_factory=dict)
    running: int = 0
    handing: bool = False
    misread: bool = False
    head: Held[Excerpt] | None = None
    errors: list[MisrError] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """All that there are, as far as is known."""
        return sum(len(share.times) for share in self.whole) or self.job.expected

    @property
    def over(self) -> bool:
        """Nothing is left to do, or to wait for."""
        return not self.todo and not self.running

    def count(self, *, decode: bool = False) -> None:
        """Find the segments, and which of them the journal lacks. decode: frames are counted by decoding them all."""
        self.whole = shares(frame_times(self.reader, decode=decode), self.order.value().size, self.up.card.context)
        missing = [share for share in self.whole if kept(self.journal, share) is None]
        self.todo = deque((share, False) for share in missing)
        lacking = {share.begin for share in missing}
        self.counts = {share.begin: len(share.times) for share in self.whole if share.begin not in lacking}

    def next_task(self) -> SegmentTask:
        """The first segment to give out."""
        share, whole = self.todo.popleft()
        task = SegmentTask(self.order, share, self.number)
        if self.handing:
            head, own = self.excerpt(share, whole=whole)
            task = replace(task, head=head, own=own, whole=whole)
        self.running += 1
        return task

    def excerpt(self, share: Share, *, whole: bool) -> tuple[Held[Excerpt], Excerpt]:
        """What a worker must have of the source to render a share: that which all need, and its own."""
        if not isinstance(self.reader, Reader):
            raise InputError(
                f"{self.job.source}: pictures are not sent to workers; put them where all of them see them"
            )
        if self.head is None:
            self.head = self.crew.hold(head(self.reader))
        onwards = chain.from_iterable(s.times for s in self.whole[share.begin // self.order.value().size :])
        *_, last = islice(onwards, len(share.times) + self.up.card.after)
        return self.head, cut(self.reader, share.part.since, last, whole=whole).without(self.head.value())

    def take(self, came: Outcome) -> None:
        """What came of a segment: stored, to be given out again with more of the source, or failed."""
        self.running -= 1
        share, result = came.task.share, came.result
        self.counts[share.begin] = 0
        if came.error is not None:
            self.errors.append(came.error)
            if not isinstance(came.error, PASSING):
                self.todo.clear()
        elif isinstance(result, Unseen):
            self.handing = True
            self.todo.appendleft((share, result.whole))
        elif isinstance(result, Misread):
            self.misread = True
            self.todo.clear()
        else:
            self.keep(share, result)

    def keep(self, share: Share, done: Done) -> None:
        """A rendered segment, in the journal if it is not there yet."""
        if done.stored is not None:
            store(self.journal.segment(done.begin), done.stored)
        self.counts[share.begin] = done.frames
        self.reader.damaged += done.damaged
        self.up.reruns += done.reruns

    def concluded(self, say: Callable[[str], None]) -> Result | None:
        """All is rendered: the clip, joined. None where frames must be counted anew. MisrError where segments failed."""
        if self.misread:
            if self.errors:
                raise self.errors[0]
            say(
                f"{self.job.source}: other frames than its packets promise; counting them by decoding, and beginning again"
            )
            self.misread = False
            self.reader.damaged.clear()
            self.count(decode=True)
            return None
        if self.errors:
            raise failure(self.job.source, self.errors)
        self.reader.damaged.sort()
        segments = self.found
        if self.whole:
            self.journal.finish(len(self.whole))
            segments = [segment for share in self.whole if (segment := kept(self.journal, share)) is not None]
            assert len(segments) == len(self.whole), "a segment that was stored is gone"
        total = concluded(self.job, self.journal, segments)
        return Result(self.job.target, total, outcome(self.job, self.reader, self.up))

    def close(self) -> None:
        """Let go of source and journal."""
        self.reader.close()
        self.journal.close()


def begun(number: int, source: str, target: str, wanted: Settings, crew: Crew, say: Callable[[str], None]) -> Ongoing:
    """A clip, planned, its journal open; MisrError where it cannot be, or has no segments to give out."""
    job, reader, up = plan(source, target, wanted, kind=None if wanted.device else crew.kind)
    journal = Journal(journal_path(target), job.identity, job.asked)
    try:
        if not job.resumable or job.fmt == "image2":
            raise InputError(
                f"{target}: only clips in a file have segments to share out; leave --workers, --on and several devices out"
            )
        found = journal.open(say)
        mark = uuid.uuid4().hex
        write_whole(journal.path / MARK, mark)
        place = str(journal.path.absolute())
        there = str(Path(job.source).absolute())  # workers stand elsewhere, even on this machine
        model = Model.of(wanted.model or up.card.name, up.card.scale)
        order = Order(
            replace(job, source=there),
            wanted,
            model,
            job.identity["precision"],
            chunked(job.segment_frames, up.card.emit),
            place,
            mark,
        )
        clip = Ongoing(number, job, reader, up, journal, crew, crew.hold(order), found)
        if journal.finished is not None and journal.finished == len(found):
            say("resuming at the join, every segment is there")
        else:
            clip.count()
            if 0 < len(clip.todo) < len(clip.whole):
                say(f"resuming: {len(clip.whole) - len(clip.todo)} of {len(clip.whole)} segments are there")
        return clip
    except BaseException:
        reader.close()
        journal.close()
        raise


def failure(source: str, errors: list[MisrError]) -> MisrError:
    """One error for several segments that failed; what is finished is kept. One that all would meet is told as it is."""
    first = next((e for e in errors if not isinstance(e, PASSING)), errors[0])
    if not isinstance(first, PASSING):
        return first
    if len(errors) == 1:
        said = f"{first}; all other segments are kept"
        return DecodeError(said, time=first.time) if isinstance(first, DecodeError) else WorkerError(said)
    told = "; ".join(str(e) for e in errors)
    return InputError(f"{source}: {len(errors)} segments failed, the others are kept: {told}")
