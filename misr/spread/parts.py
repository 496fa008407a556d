"""Parts of a clip for batch systems: each renders its segments into one journal on a disk that all machines see.

    misr upscale IN OUT --part 3/16     the third of sixteen runs of neighbouring segments, in this process
    misr join OUT                       when all are there (misr.spread.joining)

Parts know of each other by the journal alone. A segment is locked while it is rendered, so two workers on one part share its
work; where the disk knows no locks both render, and store the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO

from misr.errors import DecodeError, InputError, MisrError, OutputError
from misr.io.index import frame_times
from misr.io.segments import Segment, own_part
from misr.journal import Journal, journal_path, told, write_whole
from misr.pipeline import AnyReader, Job, Part, Progress, chunked, rendered
from misr.plan import Settings, plan
from misr.spread.ongoing import failure
from misr.spread.portions import Rendered, Which, counted, neighbours
from misr.spread.shares import Share, kept, shares
from misr.summary import outcome
from misr.upscaler import Upscaler

# a file of the journal: packets promise other frames than there are, so all parts count by decoding
COUNTED = "counted"


class Misread(Exception):
    """The frames of a segment are not those that the clip's packets promised."""


@dataclass(slots=True)
class Piece:
    """A part of a clip, planned.

    whole, mine  all segments, and those of the part; `decode`: found by decoding every frame, as the packets cannot be believed
    there        first frames of segments of mine that are stored; errors: of those that failed
    alone        first frames of segments to be rendered each by itself, as a stream broke there
    made         how many segments were rendered here
    """

    job: Job
    reader: AnyReader
    up: Upscaler
    journal: Journal
    which: Which
    decode: bool = False
    whole: list[Share] = field(default_factory=list)
    mine: list[Share] = field(default_factory=list)
    there: set[int] = field(default_factory=set)
    alone: set[int] = field(default_factory=set)
    errors: dict[int, MisrError] = field(default_factory=dict)
    made: int = 0

    @property
    def size(self) -> int:
        """Frames of a segment."""
        return chunked(self.job.segment_frames, self.up.card.emit)

    @property
    def frames(self) -> int:
        """Of the part."""
        return sum(len(share.times) for share in self.mine)

    @property
    def line(self) -> str:
        """The part, in a line of the plan."""
        head = f"part      {self.which.nth} of {self.which.of}: {len(self.mine)} of {counted(len(self.whole))}"
        if not self.mine:
            return head
        first, last = self.mine[0], self.mine[-1]
        numbers = f"frames {first.begin} to {last.begin + len(last.times) - 1}"
        return f"{head}, {numbers}, {float(first.times[0]):.3f} to {float(last.times[-1]):.3f} s"

    def count(self) -> None:
        """Find the segments. InputError where there is no frame."""
        self.decode = self.decode or (self.journal.path / COUNTED).exists()
        self.whole = shares(frame_times(self.reader, decode=self.decode), self.size, self.up.card.context)
        if not self.whole:
            raise InputError(f"{self.job.source}: no frame between -ss and -to; see that they lie within the clip")
        self.mine = self.which.of_these(self.whole)

    def recount(self) -> bool:
        """Find the segments by decoding; if they are others, say so to all parts, and what was cut otherwise goes."""
        before, self.decode, self.made = self.whole, True, 0
        self.errors.clear()
        self.alone.clear()
        self.count()
        if self.whole == before:
            return False
        write_whole(self.journal.path / COUNTED, "")
        right = {share.begin: share for share in self.whole}
        for path in self.journal.path.glob("*.seg"):
            if path.stem.isdecimal() and not ((it := right.get(int(path.stem))) and kept(self.journal, it)):
                path.unlink(missing_ok=True)
        return True

    def render(self, progress: Progress, say: Callable[[str], None]) -> None:
        """Render what is not there and nobody else is at; then wait for the others, and render what they left. Misread."""
        todo = [share for share in self.mine if kept(self.journal, share) is None]
        self.there = {share.begin for share in self.mine} - {share.begin for share in todo}
        busy = [share for share in self.through(todo, progress) if kept(self.journal, share) is None]
        if busy:
            say(f"waiting for {counted(len(busy))} that another worker is at")
        self.through(busy, progress, wait=True)

    def through(self, todo: list[Share], progress: Progress, *, wait: bool = False) -> list[Share]:
        """Render these but for those that others are at, which come back; `wait`: for the others."""
        busy: list[Share] = []
        at = 0
        while at < len(todo):
            share = todo[at]
            if share.begin in self.there or share.begin in self.errors:
                at += 1
                continue
            hold = self.journal.hold(share.begin, wait=wait)
            if hold is None:
                busy.append(share)
                at += 1
                continue
            with hold:
                if kept(self.journal, share) is not None:
                    self.there.add(share.begin)
                    continue
                single = wait or share.begin in self.alone
                self.stream(neighbours(todo[at : at + 1] if single else todo[at:]), hold, progress)
        return busy

    def stream(self, run: list[Share], hold: IO[str], progress: Progress) -> None:
        """Render the first share, which is held, and its neighbours in one go as long as nobody else is at them.

        Where it breaks, a segment is to be tried alone, as the stream reads ahead of it; where it breaks again, it has failed.
        """
        before = sum(len(share.times) for share in self.mine if share.begin in self.there) - run[0].begin
        ahead = rendered(
            self.job,
            self.reader,
            self.up,
            self.size,
            Part(run[0].begin, run[-1].part.end, run[0].part.since),
            lambda count, _: progress(before + count, self.frames),
            lambda first: own_part(self.journal.segment(first)),
        )
        with closing(ahead):  # type: ignore[type-var]
            for n, share in enumerate(run):
                mine = self.journal.hold(share.begin) if n else hold
                if mine is None:
                    return
                with mine:
                    if n and kept(self.journal, share) is not None:
                        return
                    try:
                        self.keep(share, next(ahead, None))
                    except DecodeError as e:
                        self.fail(share, e, alone=len(run) == 1)
                        return
                    except InputError as e:
                        if self.decode:
                            raise
                        raise Misread from e  # perhaps there is no frame where the stream was to begin
            if run[-1].part.end is None and (more := next(ahead, None)) is not None:
                more.path.unlink(missing_ok=True)
                raise Misread

    def keep(self, share: Share, segment: Segment | None) -> None:
        """A rendered segment under its name; Misread where it has other frames than the share, or another part found such."""
        if segment is None or segment.times != share.times:
            if segment is not None:
                segment.path.unlink(missing_ok=True)
            raise Misread
        os.replace(segment.path, self.journal.segment(share.begin))
        self.there.add(share.begin)
        self.made += 1
        if not self.decode and (self.journal.path / COUNTED).exists():
            raise Misread

    def fail(self, share: Share, error: DecodeError, *, alone: bool) -> None:
        """A segment has failed where it was rendered alone; the others go on."""
        self.alone.add(share.begin)
        if alone:
            self.errors[share.begin] = DecodeError(f"{share.name}: {error}", time=error.time)

    def close(self) -> None:
        """Let go of source and journal."""
        self.reader.close()
        self.journal.close()


def planned(source: str, target: str, wanted: Settings, which: Which) -> Piece:
    """A part of a clip, before anything is written. InputError for what is not made in segments."""
    whole = InputError(
        f"{target}: --part is for clips in files, which are made in segments; pipes, pictures, animations and raw video are "
        "made in one go"
    )
    if "-" in (source, target):
        raise whole
    job, reader, up = plan(source, target, wanted)
    asked = job.asked | {"parts": which.of, "turn": which.turn, "batch": list(which.batch)}
    piece = Piece(job, reader, up, Journal(journal_path(target), job.identity, asked), which)
    try:
        if not job.resumable or job.fmt == "image2":
            raise whole
        piece.count()
    except BaseException:
        piece.close()
        raise
    return piece


def begun(source: str, target: str, wanted: Settings, which: Which, say: Callable[[str], None]) -> Piece:
    """A part of a clip, its journal shared. OutputError where that is another job's, or a run has it alone."""
    first = not told(journal_path(target))
    piece = planned(source, target, wanted, which)
    try:
        try:
            piece.journal.share(say)
        except OutputError:
            if not first or not told(piece.journal.path):
                raise
            piece.close()  # another part was first, and said what this one did not know: with how many threads all encode
            piece = planned(source, target, wanted, which)
            piece.journal.share(say)
        if not piece.decode and (piece.journal.path / COUNTED).exists():
            piece.count()
    except BaseException:
        piece.close()
        raise
    return piece


def render(piece: Piece, progress: Progress | None = None, say: Callable[[str], None] = print) -> Rendered:
    """Render a part's segments that are not there; what came of it. progress: frames of the part, done and in all.

    MisrError where segments failed; the others are stored all the same.
    """
    began, tell = time.monotonic(), progress or (lambda done, expected: None)
    try:
        try:
            piece.render(tell, say)
        except Misread as e:
            if piece.decode:
                raise
            say(
                f"{piece.job.source}: other frames than its packets promise; counting them by decoding, and beginning again"
            )
            if not piece.recount() and e.__cause__:
                raise e.__cause__ from None
            piece.render(tell, say)
    except Misread:
        raise InputError(
            f"{piece.job.source}: other frames come when it is read from the middle than from the beginning; upscale it in one "
            "go, without --part"
        ) from None
    if piece.errors:
        raise failure(piece.job.source, list(piece.errors.values()))
    piece.reader.damaged[:] = damaged(piece)
    return Rendered(
        piece.job.target,
        piece.which,
        piece.made,
        len(piece.mine),
        sum(piece.journal.segment(share.begin).exists() for share in piece.whole),
        len(piece.whole),
        time.monotonic() - began,
        outcome(piece.job, piece.reader, piece.up),
    )


def damaged(piece: Piece) -> list[Fraction]:
    """Times of frames of the part that did not decode, each once; those around it are other parts' to tell."""
    mine = {t for share in piece.mine for t in share.times}
    return sorted({*piece.reader.damaged} & mine)


__all__ = ["COUNTED", "Piece", "begun", "planned", "render"]
