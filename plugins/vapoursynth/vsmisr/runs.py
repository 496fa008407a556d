"""Which frames are rendered together, which ones that takes, and rendering them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import misr
from vsmisr.pixels import View


@dataclass(frozen=True, slots=True)
class Runs:
    """A clip of `frames`, in runs of `length` that begin at its multiples, dealt in turn to `streams`.

    length         windows of the model times the batch, so that a run is one batch
    before, after  frames the model looks at on each side of a run
    """

    frames: int
    length: int
    before: int
    after: int
    streams: int

    @property
    def rounds(self) -> int:
        """How often each stream has its turn; the last round may lie beyond the clip in part."""
        return -(-self.frames // (self.length * self.streams))

    @property
    def views(self) -> int:
        """How many frames a run takes."""
        return self.before + self.length + self.after

    @property
    def tail(self) -> int:
        """How many frames must follow the clip's last so that all rounds are whole."""
        return self.rounds * self.streams * self.length + self.after - self.frames

    def numbers(self, run: int) -> range:
        """The frames a run takes; some lie outside the clip at its ends."""
        first = run * self.length - self.before
        return range(first, first + self.views)

    def wanted(self, run: int) -> range:
        """The frames of a run."""
        return range(run * self.length, min((run + 1) * self.length, self.frames))

    def kept(self, threads: int) -> int:
        """How many finished runs, each of `length` pictures, a stream keeps for the requests that come for the rest of them.

        `threads` ask at the same time, in about the clip's order. A run of one picture is asked for once.
        """
        return 1 if self.length == 1 else 1 - (-threads // (self.length * self.streams))


def render(up: misr.Upscaler, views: Sequence[View], wanted: range) -> list[misr.Frame]:
    """Sharp pictures of the frames wanted, from them and their neighbours in order, up to the clip's ends.

    A change of colour tags is a new clip: one window has one colour.
    """
    pictures: list[misr.Frame] = []
    for _, alike in groupby(views, key=lambda view: view.frame.color):
        stretch = list(alike)
        first, past = stretch[0].number, stretch[-1].number + 1
        begin, end = max(first, wanted.start), min(past, wanted.stop)
        if begin < end:
            session = up.session(first=first, begin=begin, end=end)
            for view in stretch:
                pictures += session.push(view.frame, cut=view.cut)
            pictures += session.flush()
    return pictures
