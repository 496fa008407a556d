"""Progress that people and programs can read."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType


class Meter:
    """bar: a tqdm bar on a terminal, nothing elsewhere; json: a line on stderr about every half second, and a last one; none.

    unit    what is counted: a frame, a step; doing: what the steps are of, where there are several kinds
    """

    def __init__(self, kind: str, expected: int, *, unit: str = "frame", doing: str = "") -> None:
        self.kind, self.done, self.expected = kind, 0, expected
        self.unit, self.doing = unit, doing
        self.began = self.last = time.monotonic()
        self.first: int | None = None  # units that a resumed run found already done
        self.bar = None
        if kind == "bar":
            from tqdm import tqdm

            self.bar = tqdm(
                total=expected or None, unit=unit, desc=doing or None, file=sys.stderr, disable=None, dynamic_ncols=True
            )

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close(finished=error is None)

    def close(self, *, finished: bool) -> None:
        """The last line, and whether all is done."""
        if self.bar is not None:
            self.bar.close()
        if self.kind == "json":
            self._line(finished=finished)

    def update(self, done: int, expected: int) -> None:
        """Units finished so far, of how many."""
        if self.first is None:
            self.first = max(0, done - 1)
            self.last = 0.0  # the first frame is told at once
            if self.bar is not None:
                self.bar.update(self.first)
        if self.bar is not None:
            self.bar.update(done - max(self.done, self.first))
        self.done, self.expected = done, expected
        if self.kind == "json" and time.monotonic() - self.last > 0.5:
            self.last = time.monotonic()
            self._line(finished=False)

    def _line(self, *, finished: bool) -> None:
        seconds = time.monotonic() - self.began
        fps = (self.done - (self.first or 0)) / seconds if seconds > 0 else 0.0
        left = (self.expected - self.done) / fps if fps and self.expected > self.done else None
        row = {
            **({"doing": self.doing} if self.doing else {}),
            self.unit: self.done,
            f"{self.unit}s": self.expected or None,
            "fps" if self.unit == "frame" else f"{self.unit}s_per_s": round(fps, 2),
            "elapsed_s": round(seconds, 2),
            "eta_s": None if left is None else round(left, 1),
            "finished": finished,
        }
        print(json.dumps(row), file=sys.stderr, flush=True)
