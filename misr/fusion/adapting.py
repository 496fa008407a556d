"""`misr fuse --adapt`: the views of a job teach the model that then fuses them, if views that it never saw say that it should."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from misr import zoo
from misr.adapting.burst import MINUTES, adapt_burst, checked, portions
from misr.adapting.burst_views import Dealt
from misr.adapting.settings import Adapted, Adapting
from misr.burst import Ready
from misr.errors import InputError
from misr.fusion.choose import Method, method
from misr.fusion.identity import fingerprint, rounded
from misr.fusion.report import command, learning_of
from misr.fusion.settings import Fusing
from misr.fusion.summary import learning
from misr.train.loop import Run

if TYPE_CHECKING:
    from misr.fusion.job import Job, Progress, Say

Told = dict[str, Any]


def start_of(how: Fusing) -> str:
    """The model that learning starts from: the one asked for, else the best for the scale; InputError where there is none."""
    if how.method:
        return how.method
    scale = how.scale or 2
    if (name := zoo.BURST.get(scale, "")) in zoo.names():
        return name
    made = ", ".join(f"x{s}" for s in zoo.BURST)
    raise InputError(
        f"no trained burst model is made for x{scale} to adapt, only for {made}; choose another -s, or an own -m"
    )


def settings(how: Fusing, command: str = "") -> Adapting:
    """The wish in the words of adapting."""
    minutes = how.adapt_minutes or (0 if how.adapt_steps else MINUTES)
    return Adapting(model=start_of(how), steps=how.adapt_steps, minutes=minutes, device=how.device, command=command)


def check(how: Fusing, views: Sequence[Path]) -> None:
    """Refuse, before a view is opened, what cannot be adapted."""
    if how.adapt is None:
        if how.adapt_minutes or how.adapt_steps:
            raise InputError("how long to learn, but not where the model goes; give --adapt DIR too")
        return
    out = Path(how.adapt)
    if how.adapt_minutes and how.adapt_steps:
        raise InputError("how long? Give --adapt-steps or --adapt-minutes, not both")
    checked(settings(how), out, how.scale)
    if any(v.is_dir() and out.resolve().is_relative_to(v.resolve()) for v in views):
        raise InputError(f"{out} lies among the views; name a directory elsewhere for --adapt")
    if not out.resolve().parent.is_dir():
        raise InputError(f"{out.parent}: no such folder; make it first, or name another directory for --adapt")


def planned(how: Fusing, parts: Dealt) -> Told:
    """The report's "adapting": what will be learned from what."""
    wish = settings(how)
    views = {k: len(getattr(parts, k)) for k in ("learn", "watch", "judge")}
    return {"folder": how.adapt, "start": wish.model, "minutes": wish.minutes, "steps": wish.steps, "views": views}


def dealt_out(it: Ready, how: Fusing) -> Told | None:
    """What --adapt would do with a burst; None without it. InputError where its views are too few."""
    return planned(how, portions(it)) if how.adapt else None


def learned(job: Job, progress: Progress, say: Say, *, learnt: Callable[[nn.Module], None] = lambda net: None) -> Job:
    """The job with the model that its views have taught it, or as it was where the rule keeps the start; either is said.

    What was prepared for fusing is learned from as it is: masks, light, noise, places and camera are the same. learnt(net) gets
    what learning made, kept or not.
    """
    wish = job.adapting
    if wish is None or job.adapted is not None:
        return job
    of = wish["steps"] or round(60 * wish["minutes"])

    def stepped(run: Run) -> None:
        progress("adapting", run.step if wish["steps"] else min(round(run.seconds), of), of)

    asked = settings(job.how, command(job.views, job.out, job.how))
    facts = {k: job.told[k] for k in ("could_help", "coverage", "aliasing")}
    promise = {**facts, "sentence": job.told["verdict"], "views": len(job.ready.order)}
    done = adapt_burst(
        job.ready, wish["folder"], asked, identity(job), promise, say=say, stepped=stepped, learnt=learnt
    )
    job = replace(job, adapted=done)
    if done.adopted:
        job = replace(job, method=taught(done, job))
    for line in learning(learning_of(job)):
        say(line)
    return job


def taught(done: Adapted, job: Job) -> Method:
    """The adapted model, ready to fuse."""
    was, how = job.method, job.how
    new = method(str(done.folder), len(job.ready.order), was.scale, device=how.device, precision=how.precision)
    return replace(new, why=f"{done.told['start']}, adapted to these views")


def identity(job: Job) -> Told:
    """What decides the outcome beside the start and how long: the views, and how they were made ready."""
    first, *more = job.views
    ready = json.dumps([asdict(job.how.preparing), rounded(job.told)], sort_keys=True, default=str)
    return {
        "burst": first + (f" and {len(more)} more" if more else ""),
        "contents of the views": fingerprint((*job.views, *job.how.masks))[:12],
        "options of the views": hashlib.sha256(ready.encode()).hexdigest()[:12],
    }
