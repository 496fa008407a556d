"""A clip's segments as pieces of work that need nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from misr.io.segments import Segment, read_segment
from misr.journal import Journal
from misr.pipeline import Part


@dataclass(frozen=True, slots=True)
class Share:
    """A segment to render: its part of the clip, and the times in seconds that its frames must have."""

    part: Part
    times: tuple[Fraction, ...]

    @property
    def begin(self) -> int:
        """Number of its first frame."""
        return self.part.begin

    @property
    def name(self) -> str:
        """For a message."""
        return f"segment at frame {self.begin} ({float(self.times[0]):.3f} s)"


def shares(times: Sequence[Fraction], size: int, context: int) -> list[Share]:
    """All segments of `size` frames; the last may be shorter. context: frames before one that its pictures depend on."""
    made = []
    for begin in range(0, len(times), size):
        end = begin + size if begin + size < len(times) else None  # the last one sees the clip's end for itself
        since = times[max(0, begin - context)] if begin else None
        made.append(Share(Part(begin, end, since), tuple(times[begin : begin + size])))
    return made


def kept(journal: Journal, share: Share) -> Segment | None:
    """The share's segment, where the journal holds it whole and with these times."""
    stored = read_segment(journal.segment(share.begin))
    return stored if stored is not None and stored.times == share.times else None


def portion(todo: Sequence[Share], nth: int, of: int) -> list[Share]:
    """The nth, from 1, of so many runs of neighbours, as even as can be."""
    return list(todo[(nth - 1) * len(todo) // of : nth * len(todo) // of])
