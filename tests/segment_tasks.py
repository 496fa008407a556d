"""Segments of clips that go wrong in other processes, which import them from here; put in the place of SegmentTask."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from misr.spread.clip import SegmentTask
from misr.spread.crew import Seat

Tell = Callable[[int], None]


class Slow(SegmentTask):
    """Takes its time, so that whoever waits for one of several is never too late."""

    def run(self, seat: Seat, tell: Tell) -> Any:
        time.sleep(0.5)
        return super().run(seat, tell)


class Blind(SegmentTask):
    """A worker that sees neither the source nor the journal."""

    def run(self, seat: Seat, tell: Tell) -> Any:
        with (
            patch("misr.spread.clip.sees", lambda job: False),
            patch("misr.spread.clip.sees_journal", lambda order: False),
        ):
            return super().run(seat, tell)


class KilledOnce(SegmentTask):
    """The worker of the third segment is killed in the middle of it, as the kernel does where memory is short; once."""

    def run(self, seat: Seat, tell: Tell) -> Any:
        mark = Path(self.order.value().journal) / "killed"

        def doomed(frames: int) -> None:
            tell(frames)
            if self.share.begin == 20 and frames == 5 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return super().run(seat, doomed)
