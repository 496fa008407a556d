"""The two things to ask: how close are these results, and how close do these models come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from misr.errors import InputError
from misr.evaluation.asked import Comparison, Line, Trial, expected_of
from misr.evaluation.items import items, matched
from misr.evaluation.scores import Item, Report, Row, Scores
from misr.evaluation.settings import Measure
from misr.evaluation.spreading import Progress, spread
from misr.evaluation.trial import PROTOCOLS, Protocol, common_scale
from misr.spread.crew import Crew, Seat
from misr.spread.model import Model
from misr.upscaler import Precision

BASELINE = "bicubic"


def evaluate(
    results: str | Path | Sequence[str | Path],
    reference: str | Path,
    measure: Measure | None = None,
    *,
    sequence: bool = False,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Report:
    """Measure results (clips, pictures, folders of either, sequences) against a reference of the same kind; a row each.

    Folders are matched by the names in them; result files without a reference are not looked at. sequence: a folder of
    pictures is one clip. crew: workers, ready, that measure in this process's stead, to the same report.
    """
    asked = Comparison(measure or Measure())
    lines = []
    for result in [results] if isinstance(results, str | Path) else results:
        found = matched(str(result), str(reference), sequence=sequence)
        lines.append(Line(str(result), asked, tuple((name, (one, other)) for name, one, other in found)))
    return Report(asked.how, spread(lines, crew, progress) if crew is not None else answered(lines, Seat(), progress))


def evaluate_models(
    models: Sequence[str],
    references: Sequence[str | Path],
    measure: Measure | None = None,
    *,
    protocol: Protocol = "bi",
    device: str | None = None,
    precision: Precision = "auto",
    batch: int = 0,
    sequence: bool = False,
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Report:
    """Shrink references by a protocol, upscale them in memory and measure; a row per model, bicubic's first.

    Clips and sequences are clips to a model of several views; a folder of pictures is as many clips of one frame.
    crew: as in evaluate(); its workers have devices of their own, so that none can be given.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    if crew is not None and device:
        raise InputError(f"device {device!r} is for a run without a crew, whose workers have their own; leave it out")
    scale = common_scale(models, measure.scale if measure else None)
    how = replace(measure or Measure(), scale=scale)
    clips = tuple((name, (at,)) for path in references for name, at in items(str(path), sequence=sequence).items())
    lines = []
    for name in [BASELINE, *(m for m in models if m != BASELINE)]:
        model = Model.of(name, scale)
        lines.append(Line(model.card.name, Trial(model, how, protocol, precision, batch), clips))
    rows = spread(lines, crew, progress) if crew is not None else answered(lines, Seat(device), progress)
    return Report(how, rows, protocol)


def answered(lines: Sequence[Line], seat: Seat, progress: Progress | None) -> tuple[Row, ...]:
    """The lines' questions, answered here one after the other."""
    tell, rows = counter(lines, progress), []
    for line in lines:
        found = [Item(name, tuple(tell(line.question.scores(seat, paths)))) for name, paths in line.clips]
        rows.append(Row(line.name, tuple(found)))
        seat.close()  # the next line asks another model
    return tuple(rows)


def counter(lines: Sequence[Line], progress: Progress | None) -> Callable[[Iterable[Scores]], Iterator[Scores]]:
    """What lets scores through and tells how many have passed."""
    done, expected = 0, expected_of(lines) if progress else 0

    def count(scores: Iterable[Scores]) -> Iterator[Scores]:
        nonlocal done
        for row in scores:
            done += 1
            if progress:
                progress(done, expected)
            yield row

    return count
