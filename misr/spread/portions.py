"""Which part of a clip, or of each clip of a batch; and what came of it, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from misr.errors import InputError
from misr.spread.shares import Share, portion


@dataclass(frozen=True, slots=True)
class Which:
    """The nth of so many parts. Of a batch: the clip's number in it, and the names of all its outputs."""

    nth: int
    of: int
    turn: int = 0
    batch: tuple[str, ...] = ()

    @staticmethod
    def said(text: str, turn: int = 0, batch: Sequence[str] = ()) -> Which:
        """What `3/16` means; InputError for another text."""
        nth, slash, of = text.partition("/")
        if not (slash and nth.isdecimal() and of.isdecimal() and 1 <= int(nth) <= int(of)):
            raise InputError(f"--part {text}: which of how many is wanted, counted from 1, as 3/16")
        return Which(int(nth), int(of), turn, tuple(batch))

    def of_these(self, whole: Sequence[Share]) -> list[Share]:
        """Its shares. Clips of a batch begin with other parts each, or the last part had all clips of a single segment."""
        return portion(whole, (self.nth - 1 - self.turn) % self.of + 1, self.of)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What came of a part: segments it rendered and segments it has; how many of the output's are there, and how many it has."""

    target: str
    which: Which
    made: int
    mine: int
    there: int
    total: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """In words, and what to do next."""
        name, took = f"part {self.which.nth} of {self.which.of}", duration(self.seconds)
        if not self.mine:
            did = f"{name} has no segment of this clip, which has {self.total}"
        elif not self.made:
            did = f"{name}: {counted(self.mine)} {'was' if self.mine == 1 else 'were'} there already"
        elif self.made < self.mine:
            did = f"{name}: {self.made} of {counted(self.mine)} rendered in {took}, the others were there"
        else:
            did = f"{name}: {counted(self.made)} rendered in {took}"
        next_step = f": misr join {shlex.quote(self.target)}" if self.there == self.total else ""
        return f"{did}; {self.there} of {counted(self.total)} of {self.target} are there{next_step}"


def neighbours(todo: Sequence[Share]) -> list[Share]:
    """The first share, and those that follow it without a gap."""
    run = [todo[0]]
    for share in todo[1:]:
        if share.begin != run[-1].part.end:
            break
        run.append(share)
    return run


def counted(segments: int) -> str:
    """A number of segments, in words."""
    return f"{segments} segment{'' if segments == 1 else 's'}"


def duration(seconds: float) -> str:
    """How long, for people."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"
