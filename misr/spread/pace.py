"""How fast a crew is, and what binds: the stages of its workers, the driver itself, or that there is too little to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from misr.ahead import Clock

BUSY = 0.5  # of the time: a driver that works longer binds, workers that work less are not what binds


@dataclass(slots=True)
class Pace:
    """Seconds since the first task was given, by who spent them.

    slots    tasks that can run at once
    stages   of all finished tasks, by stage of rendering
    worked   seconds of workers in finished tasks
    driving  seconds in which the driver read, stored or joined, and could give nothing
    found    units that an earlier run had finished
    """

    slots: int = 1
    stages: Clock = field(default_factory=Clock)
    worked: float = 0.0
    driving: float = 0.0
    found: int = 0
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def drive(self) -> Iterator[None]:
        """Count what is done meanwhile to the driver."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.driving += time.monotonic() - began

    @property
    def elapsed_s(self) -> float:
        """Since it began."""
        return max(time.monotonic() - self.began, 1e-9)

    @property
    def binds(self) -> str:
        """decode, model, encode: what workers do most; driver: they wait for it; workers: too few work; "": unknown yet."""
        if not self.worked:
            return ""
        if self.driving > BUSY * self.elapsed_s:
            return "driver"
        if self.worked < BUSY * self.slots * self.elapsed_s and self.elapsed_s > 2 * self.worked / self.slots:
            return "workers"
        return max(("decode", "model", "encode"), key=lambda stage: float(getattr(self.stages, stage)))
