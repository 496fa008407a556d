"""fuse: pictures of one place in, one picture out, tile by tile, with a journal so that a stopped run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from misr.ahead import prefetch
from misr.errors import InputError, ModelError, OutputError
from misr.fusion.adapting import learned
from misr.fusion.done import Done
from misr.fusion.job import Job, Progress, Say, plan, silent
from misr.fusion.report import report_of, write_report
from misr.fusion.settings import Fusing
from misr.fusion.summary import came_of_it, lines
from misr.fusion.tiles import Tile, count, tiles
from misr.io.product import Output
from misr.journal import Journal, journal_path
from misr.nets.lattice import UNSEEN, Fused, Stack
from misr.upscaler import DTYPES, out_of_memory

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
) -> Fusion:
    """The views of one place (files, a folder, a glob, a video with `at`) fused into one picture at `out`.

    progress   is told what is being done, and how many of how many steps of it are
    say        takes lines for people
    Raises MisrError, one sentence; then nothing stands under the output's name.
    """
    with closing(plan(views, out, how or Fusing(), progress=progress)) as job:
        for line in lines(report_of(job)):
            (say or silent)(line)
        return run(job, progress=progress, say=say)


def run(job: Job, *, progress: Progress | None = None, say: Say | None = None) -> Fusion:
    """Carry a job out: adapt, render what its journal lacks, put it under its name, write the report where one is wanted."""
    job = learned(job, progress or quiet, say or silent)
    done = render(job, progress or quiet, say or silent)
    told = report_of(job, done)
    for line in came_of_it(told):
        (say or silent)(line)
    if job.how.report:
        write_report(told, job.how.report)
    return Fusion(job.out, job.method.name, job.method.why, told)


def quiet(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def render(job: Job, progress: Progress, say: Say) -> Done:
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
            done = filled_in(job, journal, output, done, total, progress)
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


def filled_in(job: Job, journal: Journal, output: Output, done: Done, total: int, progress: Progress) -> Done:
    """The tiles after those done, written; how far that is. What is flushed is noted, every few seconds and at the end."""
    bands, began, flushed = job.ready.bands, time.monotonic() - done.seconds, time.monotonic()
    parts: list[Fused] = []
    with closing(prefetch(stacks(job, done.tiles), depth=2)) as waiting:
        for tile, band, stack in waiting:
            parts.append(in_codes(job, tile, band, stack))
            progress("fusing", tile.number * bands + len(parts), total * bands)
            if len(parts) < bands:
                continue
            lost = write_tile(job, output, tile, parts)
            parts = []
            now = time.monotonic()
            done = Done(tile.number + 1, done.unknown + lost, now - began)
            if now - flushed > FLUSH_S or done.tiles == total:
                output.flush()
                done.write(journal.path)
                flushed = now
    return replace(done, seconds=time.monotonic() - began)


def stacks(job: Job, first: int) -> Iterator[tuple[Tile, int, Stack]]:
    """Each tile from number `first` on, each of its bands, and the views there."""
    method, ready = job.method, job.ready
    grid = tiles(ready.width, ready.height, size=job.tile, halo=method.halo, multiple=job.multiple)
    for tile in grid:
        if tile.number >= first:
            yield from ((tile, band, ready.stack(*tile.window, band)) for band in range(ready.bands))


def in_codes(job: Job, tile: Tile, band: int, stack: Stack) -> Fused:
    """The tile's core of one band (1, 1, h, w) in codes, on the host; where no view knows anything nothing is computed."""
    ready, scale = job.ready, job.method.scale
    if not bool(stack.valid.any()) and job.burst.views[ready.reference].nodata is not None:
        blank = stack.views.new_zeros(1, 1, scale * tile.height, scale * tile.width)
        return Fused(blank, blank, blank)
    try:
        picture, sigma, known = (tile.core(x, scale).cpu() for x in fused(job, stack))
    except (RuntimeError, MemoryError) as e:
        if not out_of_memory(e):
            raise
        raise ModelError(
            f"{job.method.name}: too little memory for tiles of {job.tile} px; give --tile {job.tile // 2}"
        ) from None
    return Fused(ready.codes(picture, band), ready.codes_sigma(sigma, band), known)


def fused(job: Job, stack: Stack) -> Fused:
    """The method's answer to a stack of one whole window; once more in fp32 where half precision broke it."""
    method = job.method
    stack = Stack(*(x.to(method.device, non_blocking=True) for x in stack))
    for precision in dict.fromkeys((method.precision, "fp32")):
        half = precision != "fp32"
        with (
            torch.autocast(method.device.type, dtype=DTYPES[precision]) if half else nullcontext(),
            torch.inference_mode(),
        ):
            got = method.net.fuse(stack)  # type: ignore[operator]
        if bool(got.picture.isfinite().all()):
            return Fused(*(x.float() for x in got))
    raise ModelError(f"{method.name} gave numbers that are not finite; fuse with -m map")


def write_tile(job: Job, output: Output, tile: Tile, parts: list[Fused]) -> int:
    """All bands of a tile into the output; how many of their fine pixels no view knows."""
    picture, sigma, known = (np.concatenate([np.asarray(p[k][0]) for p in parts]) for k in range(3))
    seen: Array = known > UNSEEN
    scale = job.method.scale
    more = {"sigma": sigma, "count": known} if job.how.sigma else {}
    output.write(scale * tile.x, scale * tile.y, picture, valid=seen, **more)
    return int(seen.size - seen.sum())
