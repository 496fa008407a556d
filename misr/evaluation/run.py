"""The two things to ask: how close are these results, and how close do these models come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from misr.errors import InputError
from misr.evaluation.items import frames_of, items, matched, paired
from misr.evaluation.measure import measured
from misr.evaluation.scores import Item, Report, Row, Scores
from misr.evaluation.settings import Measure
from misr.evaluation.trial import PROTOCOLS, Protocol, common_scale, trial
from misr.upscaler import Precision, Upscaler

Progress = Callable[[int, int], None]  # frames measured so far, of how many; 0: not known
BASELINE = "bicubic"


def evaluate(
    results: str | Path | Sequence[str | Path],
    reference: str | Path,
    measure: Measure | None = None,
    *,
    sequence: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Measure results (clips, pictures, folders of either, sequences) against a reference of the same kind; a row each.

    Folders are matched by the names in them; result files without a reference are not looked at. sequence: a folder of
    pictures is one clip.
    """
    how, tell = measure or Measure(), counter(progress)
    rows = []
    for result in [results] if isinstance(results, str | Path) else results:
        found = [
            Item(name, tuple(tell(measured(paired(one, other), how, one))))
            for name, one, other in matched(str(result), str(reference), sequence=sequence)
        ]
        rows.append(Row(str(result), tuple(found)))
    return Report(how, tuple(rows))


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
) -> Report:
    """Shrink references by a protocol, upscale them in memory and measure; a row per model, bicubic's first.

    Clips and sequences are clips to a model of several views; a folder of pictures is as many clips of one frame.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol {protocol!r} is not one of {', '.join(PROTOCOLS)}")
    scale = common_scale(models, measure.scale if measure else None)
    how, tell = replace(measure or Measure(), scale=scale), counter(progress)
    clips = [clip for path in references for clip in items(str(path), sequence=sequence).items()]
    rows = []
    for model in [BASELINE, *(m for m in models if m != BASELINE)]:
        up = Upscaler(model, scale=scale, device=device, precision=precision, batch=batch)
        found = [
            Item(name, tuple(tell(measured(trial(frames_of(path), up, how, protocol), how, path))))
            for name, path in clips
        ]
        rows.append(Row(up.card.name, tuple(found)))
    return Report(how, tuple(rows), protocol)


def counter(progress: Progress | None) -> Callable[[Iterable[Scores]], Iterator[Scores]]:
    """What lets scores through and tells how many have passed."""
    done = 0

    def count(scores: Iterable[Scores]) -> Iterator[Scores]:
        nonlocal done
        for row in scores:
            done += 1
            if progress:
                progress(done, 0)
            yield row

    return count
