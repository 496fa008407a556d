"""What is asked of each clip of a row, as a value that any process can answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from misr.evaluation.items import count_of, frames_of, paired
from misr.evaluation.measure import measured
from misr.evaluation.scores import Scores
from misr.evaluation.settings import Measure
from misr.evaluation.trial import Protocol, trial
from misr.spread.crew import Seat
from misr.spread.model import Model
from misr.upscaler import Precision, Upscaler


@dataclass(frozen=True, slots=True)
class Comparison:
    """How close is a result to its reference?"""

    how: Measure

    def scores(self, seat: Seat, paths: Sequence[str]) -> Iterator[Scores]:
        """Of each frame of (result, reference)."""
        result, reference = paths
        return measured(paired(result, reference), self.how, result)


@dataclass(frozen=True, slots=True)
class Trial:
    """How close does a model come to a reference that was shrunk by a protocol? how.scale is the model's."""

    model: Model
    how: Measure
    protocol: Protocol
    precision: Precision
    batch: int

    def scores(self, seat: Seat, paths: Sequence[str]) -> Iterator[Scores]:
        """Of each frame of (reference,); the model is loaded once at a seat."""
        (reference,) = paths
        up = seat.keep(("trial", self.model.key, self.precision, self.batch), lambda: self.upscaler(seat.device))
        return measured(trial(frames_of(reference), up, self.how, self.protocol), self.how, reference)

    def upscaler(self, device: str | None) -> Upscaler:
        """The model on a device."""
        return Upscaler(self.model.build(), device=device, precision=self.precision, batch=self.batch)


Question = Comparison | Trial


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the report, before it is measured: its name, and one question for each of its clips (name, paths)."""

    name: str
    question: Question
    clips: tuple[tuple[str, tuple[str, ...]], ...]


def expected_of(lines: Sequence[Line]) -> int:
    """How many frames will be measured in all, as far as their references tell; 0 where one does not."""
    counts = {path: count_of(path) for path in {paths[-1] for line in lines for _, paths in line.clips}}
    return sum(counts[paths[-1]] for line in lines for _, paths in line.clips) if all(counts.values()) else 0
