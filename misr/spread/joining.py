"""What parts have rendered, or a run that was stopped, joined under the final name; or what of it is missing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

from misr import __version__
from misr.errors import InputError, OutputError
from misr.io.index import frame_times
from misr.io.segments import Segment
from misr.journal import DEVICE, Journal, asked_of, journal_path, told
from misr.pipeline import AnyReader, Job, chunked, concluded
from misr.plan import plan
from misr.settings import Settings, from_json
from misr.spread.parts import COUNTED
from misr.spread.portions import Which, counted
from misr.spread.shares import Share, kept, shares
from misr.summary import outcome
from misr.upscaler import Upscaler


@dataclass(frozen=True, slots=True)
class Joined:
    """What was joined: frames and segments, the output, and what a user should know."""

    target: str
    frames: int
    segments: int
    notes: tuple[str, ...] = ()


def join(
    target: str | Path,
    source: str | Path | None = None,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] | None = None,
) -> Joined:
    """Finish an output whose segments are all in its journal; what was joined.

    source      where the source lies now, if not where the segments were made of it
    OutputError where there is nothing to join, segments are missing, or somebody is at it still; InputError where the source is
    another.
    """
    target = str(target)
    here = journal_path(target)
    asked = asked_at(target)
    job, reader, up = planned(target, str(source) if source is not None else None, asked, overwrite)
    with closing(reader), closing(Journal(here, job.identity, job.asked)) as journal:
        journal.take(say or (lambda line: None), free=DEVICE)  # where it is joined nothing is rendered
        segments = complete(job, reader, up, journal, asked)
        frames = concluded(job, journal, segments)
    return Joined(target, frames, len(segments), outcome(job, reader, up))


def begun_in(folder: Path) -> list[str]:
    """The outputs of a batch that can be joined, or should be: what has a journal, and what has neither that nor a file."""
    begun = {p.name[1:].removesuffix(".misr") for p in folder.glob(".*.misr") if p.is_dir()}
    if not begun:
        raise OutputError(
            f"{folder}: there is nothing to join in it; begin with misr upscale INPUT {folder} --part 1/N"
        )
    batch = {str(name) for out in begun for name in asked_of(journal_path(str(folder / out))).get("batch", [])}
    return [str(folder / name) for name in sorted(begun | {name for name in batch if not (folder / name).exists()})]


def asked_at(target: str) -> dict[str, Any]:
    """What planning an output anew takes, as its journal says. OutputError where there is none, or another misr made it."""
    here = journal_path(target)
    if not here.is_dir():
        done = "it is there already" if Path(target).exists() else "begin with misr upscale INPUT OUTPUT --part 1/N"
        raise OutputError(f"{target}: there is nothing to join, no {here.name} beside it; {done}")
    asked, misr = asked_of(here), told(here).get("misr")
    if misr is not None and misr != __version__:
        raise OutputError(f"{here} was made by misr {misr}, and this is {__version__}; join it with that one")
    if not asked:
        raise OutputError(
            f"{here} does not say what it is made of; the command that was stopped, run again, goes on from it"
        )
    return asked


def planned(target: str, source: str | None, asked: dict[str, Any], overwrite: bool) -> tuple[Job, AnyReader, Upscaler]:
    """The job once more, on this machine, which may have no such device. InputError where the source is gone or another."""
    here = journal_path(target)
    before = told(here)
    try:
        settings = from_json(asked["settings"])
        found = source if source is not None else str(asked["source"])
    except (KeyError, TypeError, ValueError):
        raise OutputError(f"{here} has no readable plan; remove it and begin again") from None
    if "://" not in found and "%" not in found and not Path(found).exists():
        raise InputError(f"{found}: the source of {target} is not there; say where it is: misr join {target} -i INPUT")
    kind = str(before.get("device", "cpu"))
    job, reader, up = plan(found, target, ready(settings, kind, overwrite), kind=kind)
    try:
        job = known_again(job, before, elsewhere=source is not None)
    except BaseException:
        reader.close()
        raise
    return job, reader, up


def ready(settings: Settings, kind: str, overwrite: bool) -> Settings:
    """Settings to plan with where nothing is rendered: a CPU need not do what the devices did."""
    return replace(
        settings, overwrite=overwrite, device=None, precision="fp32" if kind == "cpu" else settings.precision
    )


def known_again(job: Job, before: dict[str, Any], *, elsewhere: bool) -> Job:
    """The job, if its source is that of the segments. elsewhere: it may be a copy, whose time of change is another."""
    now, then = ({**identity.get("source", {})} for identity in (json.loads(json.dumps(job.identity)), before))
    if elsewhere:
        now["modified_ns"] = then.get("modified_ns")
    if now != then:
        raise InputError(
            f"{job.source} is not what {job.target} was begun with, or has changed since; give the source as it was with -i, or "
            f"remove {journal_path(job.target)} and begin again"
        )
    return replace(job, identity=job.identity | {"source": then})


def complete(job: Job, reader: AnyReader, up: Upscaler, journal: Journal, asked: dict[str, Any]) -> list[Segment]:
    """All segments in order; OutputError tells which are missing."""
    times = frame_times(reader, decode=(journal.path / COUNTED).exists())
    whole = shares(times, chunked(job.segment_frames, up.card.emit), up.card.context)
    found = [kept(journal, share) for share in whole]
    if all(found):
        return [segment for segment in found if segment is not None]
    row = journal.row()  # of a run in one go, which believes the frames that come
    if row and journal.finished == len(row):
        return row
    raise OutputError(lacking(job, whole, [share for share, it in zip(whole, found, strict=True) if it is None], asked))


def lacking(job: Job, whole: Sequence[Share], missing: Sequence[Share], asked: dict[str, Any]) -> str:
    """What is missing, by parts and times, and what makes it."""
    head = f"{job.target}: {len(missing)} of {counted(len(whole))} {'is' if len(missing) == 1 else 'are'} missing"
    command = f"misr upscale {shlex.quote(job.source)} {shlex.quote(job.target)}"
    of = asked.get("parts")
    if not of:
        spans = ", ".join(span(run, whole) for run in runs(missing))
        return f"{head}: {spans}; {command}, with the options it had, goes on from there"
    turn = int(asked.get("turn", 0))
    owner: dict[int, int] = {}
    for nth in range(1, int(of) + 1):
        owner |= {share.begin: nth for share in Which(nth, int(of), turn).of_these(whole)}
    told = ", ".join(f"{names([owner[s.begin] for s in run])} ({span(run, whole)})" for run in runs(missing))
    again = f"run those again: {command} --part N/{of}, with the options they had"
    if asked.get("batch"):  # alone, the clip would be cut in another way
        again = "run those parts of the batch again with -n and the options they had"
    return f"{head}: {told}; {again}, then join"


def runs(missing: Iterable[Share]) -> list[list[Share]]:
    """Missing segments, neighbours together."""
    made: list[list[Share]] = []
    for share in missing:
        if made and made[-1][-1].part.end == share.begin:
            made[-1].append(share)
        else:
            made.append([share])
    return made


def span(run: Sequence[Share], whole: Sequence[Share]) -> str:
    """From when to when neighbours go, in seconds on the clip's clock; to the next one's begin, or to the last frame."""
    after = next((share.times[0] for share in whole if share.begin == run[-1].part.end), run[-1].times[-1])
    return f"{seconds(run[0].times[0])} to {seconds(after)} s"


def seconds(time: Fraction) -> str:
    """With three digits after the point."""
    return f"{float(time):.3f}"


def names(parts: Sequence[int]) -> str:
    """part 3; parts 7 to 9; of a batch, where the last part's neighbour is the first, parts 15 to 16 and 1 to 2."""
    numbers = list(dict.fromkeys(parts))
    groups = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda it: it[1] - it[0])]
    said = " and ".join(str(g[0]) if len(g) == 1 else f"{g[0]} to {g[-1]}" for g in groups)
    return f"part{'' if len(numbers) == 1 else 's'} {said}"


__all__ = ["Joined", "begun_in", "join"]
