"""fuse: pictures of one place in, one picture out, tile by tile, with a journal so that a stopped run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from misr.ahead import prefetch
from misr.errors import InputError, ModelError, OutputError, WorkerError
from misr.fusion.adapting import learned
from misr.fusion.done import Done
from misr.fusion.job import Job, Progress, Say, plan, silent
from misr.fusion.pieces import blank, core, in_codes, nothing, pieces
from misr.fusion.report import report_of, write_report
from misr.fusion.settings import Fusing
from misr.fusion.spreading import seated, spread_out
from misr.fusion.summary import came_of_it, lines
from misr.fusion.tiles import Tile, count
from misr.io.product import Output
from misr.journal import Journal, journal_path
from misr.nets.lattice import UNSEEN, Fused
from misr.spread.crew import Crew

FLUSH_S = 5.0  # a stopped run loses at most the tiles of so many seconds
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Fusion:
    """What was done: the picture's path, the method and why it was this one, and the report (see misr.fusion.report)."""

    path: str
    method: str
    why: str
    report: dict[str, Any]


def fuse(
    views: Sequence[str | Path],
    out: str | Path,
    how: Fusing | None = None,
    *,
    progress: Progress | None = None,
    say: Say | None = None,
    crew: Crew | None = None,
) -> Fusion:
    """The views of one place (files, a folder, a glob, a video with `at`) fused into one picture at `out`.

    progress   is told what is being done, and how many of how many steps of it are
    say        takes lines for people
    crew       does the tiles, where there is one; it has been entered, and stays open. The pixels are the same
    Raises MisrError, one sentence; then nothing stands under the output's name.
    """
    with closing(plan(views, out, how or Fusing(), progress=progress)) as job:
        for line in lines(report_of(seated(job, crew))):
            (say or silent)(line)
        return run(job, progress=progress, say=say, crew=crew)


def run(job: Job, *, progress: Progress | None = None, say: Say | None = None, crew: Crew | None = None) -> Fusion:
    """Carry a job out: adapt, render what its journal lacks, put it under its name, write the report where one is wanted."""
    job = seated(learned(job, progress or quiet, say or silent), crew)
    done = render(job, progress or quiet, say or silent, crew)
    told = report_of(job, done)
    for line in came_of_it(told):
        (say or silent)(line)
    if job.how.report:
        write_report(told, job.how.report)
    return Fusion(job.out, job.method.name, job.method.why, told)


def quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def render(job: Job, progress: Progress, say: Say, crew: Crew | None = None) -> Done:
    """All tiles into the output; what an earlier run of the same job finished is kept."""
    with closing(Journal(journal_path(job.out), job.identity)) as journal:
        journal.open(say)
        try:
            output, done = begun(job, journal)
        except OutputError:
            journal.remove()
            raise
        total = count(job.ready.width, job.ready.height, size=job.tile, multiple=job.multiple)
        if done.tiles:
            say(f"resuming at tile {done.tiles + 1} of {total}")
        try:
            done = filled_in(job, journal, output, done, total, progress, crew)
            output.finish()
        except (InputError, ModelError):  # the same would happen again: nothing to go on from
            output.abandon()
            journal.remove()
            raise
        except BaseException:
            output.close()
            raise
        journal.remove()
        return done


def begun(job: Job, journal: Journal) -> tuple[Output, Done]:
    """The output of an interrupted run and how far it is, or a new one."""
    like = {"reference": job.ready.reference, "scale": job.method.scale, "dtype": job.how.dtype or ""}
    words: dict[str, Any] = {**like, "sigma": job.how.sigma, "cog": job.how.cog}
    done = Done.read(journal.path)
    if done.tiles and (output := Output.reopen(job.out, job.burst, **words)) is not None:
        return output, done
    return Output.create(job.out, job.burst, **words), Done()


def filled_in(
    job: Job, journal: Journal, output: Output, done: Done, total: int, progress: Progress, crew: Crew | None
) -> Done:
    """The tiles after those done, written; how far that is. What is flushed is noted, every few seconds and at the end."""
    began, flushed = time.monotonic() - done.seconds, time.monotonic()
    parts: list[Fused] = []
    made = spread_out(crew, job, done.tiles, total, progress) if crew else one_by_one(job, done.tiles, total, progress)

    def noted() -> None:
        output.flush()
        done.write(journal.path)

    try:
        with closing(made):
            for tile, part in made:
                parts.append(part)
                if len(parts) < job.ready.bands:
                    continue
                lost = write_tile(job, output, tile, parts)
                parts = []
                now = time.monotonic()
                done = Done(tile.number + 1, done.unknown + lost, now - began)
                if now - flushed > FLUSH_S or done.tiles == total:
                    noted()
                    flushed = now
    except WorkerError:
        noted()  # a run that lost its workers goes on from the very tile
        raise
    return replace(done, seconds=time.monotonic() - began)


def one_by_one(job: Job, first: int, total: int, progress: Progress) -> Generator[tuple[Tile, Fused]]:
    """Each tile from number `first` on, each of its bands in codes; the views of the next ones are read meanwhile."""
    with closing(prefetch(pieces(job, first), depth=2)) as waiting:
        for piece in waiting:
            if nothing(job, piece):
                part = blank(job, piece.tile)
            else:
                part = in_codes(job, piece.band, core(job.method, piece.tile, piece.stack, job.tile))
            progress("fusing", piece.number + 1, total * job.ready.bands)
            yield piece.tile, part


def write_tile(job: Job, output: Output, tile: Tile, parts: list[Fused]) -> int:
    """All bands of a tile into the output; how many of their fine pixels no view knows."""
    picture, sigma, known = (np.concatenate([np.asarray(p[k][0]) for p in parts]) for k in range(3))
    seen: Array = known > UNSEEN
    scale = job.method.scale
    more = {"sigma": sigma, "count": known} if job.how.sigma else {}
    output.write(scale * tile.x, scale * tile.y, picture, valid=seen, **more)
    return int(seen.size - seen.sum())
