"""A look before a long run: the most detailed seconds of a clip, upscaled as asked and put beside the source."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from misr.errors import InputError, OutputError
from misr.pipeline import Job, Progress, run
from misr.plan import Settings, open_reader, plan, several, span_of
from misr.report.comparison import Comparison, compare
from misr.report.detail import busiest_span
from misr.report.settings import Comparing
from misr.upscaler import Upscaler


@dataclass(frozen=True, slots=True)
class Preview:
    """A page, and what the whole run would take: seconds, at the speed of this one; None where its length is not known."""

    comparison: Comparison
    begin: Fraction
    whole_s: float | None


def preview(
    source: str,
    target: str,
    wanted: Settings,
    seconds: Fraction,
    *,
    command: str = "",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Preview:
    """Upscale the most detailed `seconds` of a clip as `wanted`, and write TARGET.preview.html; TARGET itself is not touched.

    The seconds are looked for between wanted's start and end. InputError where the source is no clip that can be read twice.
    """
    tell = say or (lambda line: None)
    if "-" in (source, target):
        raise InputError("--preview reads the clip twice and writes a page beside the output; name files for both")
    page = Path(f"{target.rstrip('/')}.preview.html")
    if not page.parent.is_dir():
        raise OutputError(f"{page.parent}: no such folder; make it first")
    span = span_of(wanted)
    reader = open_reader(source, span, wanted, upright=False)
    try:
        if not several(reader.info):
            raise InputError(f"{source} is one picture; upscale it, and see both with misr compare")
        busiest = busiest_span(reader, seconds, span.start, span.end)
    finally:
        reader.close()
    tell(busiest.told())
    part = replace(wanted, start=busiest.begin, end=busiest.end, duration=None, overwrite=True)
    with tempfile.TemporaryDirectory(prefix="misr-preview-") as folder:
        made = Path(folder) / Path(target.rstrip("/")).name
        job, up, frames, took = rendered(source, made, part, progress=progress, say=tell)
        how = Comparing(
            start=busiest.begin,
            duration=busiest.end - busiest.begin,
            frames=max(frames, 1),
            shift=busiest.begin,
            names=(f"{Path(target).name}: {up.card.name}",),
            framerate=wanted.framerate,
            reading=wanted,
            paths=(target,),
            command=command,
            notes=(busiest.told(),),
        )
        comparison = compare(source, made, page, how)
    whole = replace(job, span=span).expected
    return Preview(comparison, busiest.begin, whole / frames * took if whole else None)


def rendered(
    source: str,
    made: Path,
    wanted: Settings,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[Job, Upscaler, int, float]:
    """A stretch of a clip upscaled as `wanted`, into a file to look at: its job, the model, how many frames, seconds taken."""
    job, reader, up = plan(source, str(made), wanted)
    began = time.monotonic()
    try:
        frames = run(job, reader, up, progress=progress, say=say or (lambda line: None))
    finally:
        reader.close()
    return job, up, frames, time.monotonic() - began
