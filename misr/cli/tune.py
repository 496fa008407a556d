"""`misr tune`: what a clip is like, how fast models are on it here, and the two commands that follow from that."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from misr.cli import options as o
from misr.cli.completion import clip_models

if TYPE_CHECKING:
    from misr.tuning import Command, Tuned

SCHEMA = 1  # of --json


def tune(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A clip, or a sequence: a folder, %05d.png.")],
    out: Annotated[
        o.Text,
        typer.Option(
            "-o",
            "--out",
            metavar="SHEET.png",
            help="The sheet; or a folder for it and a page; CLIP.tune.png by default.",
        ),
    ] = None,
    scale: Annotated[float, typer.Option("-s", "--scale", help="SR size / source size: 2, 4, 1.5 ...")] = 2.0,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="Also this model, a name or a directory; as often as wanted.",
            autocompletion=clip_models,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long it may take, about.")] = 75.0,
    device: o.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of lines.")] = False,
    progress: o.ProgressKind = "bar",
    debug: o.Debug = False,
) -> None:
    """Look at CLIP and at this machine; print a fast and a best command, and draw a sheet to judge by.

    The sheet shows one part of one frame, pixel by pixel: models as rows, strengths as columns, the source on the left. A folder
    as -o also gets compare.html: up to a second of the clip in motion, beside what both commands make of it.
    """
    o.one_of("--progress", progress, "bar", "json", "none")
    from misr.cli.progress import Meter
    from misr.tuning import Tuning, lasting
    from misr.tuning import tune as run

    how = Tuning(scale=scale, models=tuple(models or ()), seconds=seconds, device=device)
    with Meter(progress, unit="step", doing="tuning", source=clip) as meter:
        done = run(clip, out, how, stage=lambda doing, over, of: meter.update(over, of, doing=doing))
    if as_json:
        print(json.dumps(told(done)))
        return
    for line in lines(done):
        print(line)
    o.say(f"the sheet: {done.sheet}")
    if done.page:
        o.say(f"the page: {done.page}")
    if done.page_s:
        more = "give more --seconds, or see BEST alone with misr upscale --preview 1s"
        o.say(f"no page: here it would take {lasting(done.page_s)}; {more}")


def lines(done: Tuned) -> list[str]:
    """Everything, for people: the clip, the speeds, the commands."""
    from misr.tuning import lasting

    found = [f"{name:12} {words}" for name, words in done.lines]
    found += ["", "frames per second, decoder, model and encoder at work together:"]
    found += [f"  {p.told():50} {p.fps:9.2f}{p.how_measured()}" for p in done.paces]
    for goal, it in (("FAST", done.fast), ("BEST", done.best)):
        whole = f"about {lasting(it.whole_s)} for the whole clip" if it.whole_s is not None else "length not known"
        found += ["", f"{goal}, {whole} at {it.pace.fps:.2f} frames per second: {it.why}", it.line]
    return found


def told(done: Tuned) -> dict[str, Any]:
    """The same for programs: facts in the units of misr.tuning.facts, speeds in frames per second, commands as words."""
    facts = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(done.facts).items()}
    return {
        "schema": SCHEMA,
        "facts": facts | {"moment": round(float(done.facts.moment), 6)},
        "lines": dict(done.lines),
        "paces": [asdict(p) | {"fps": round(p.fps, 3)} for p in done.paces],
        "fast": command(done.fast),
        "best": command(done.best),
        "sheet": done.sheet,
        "page": done.page or None,
        "took_s": round(done.took_s, 2),
    }


def command(it: Command) -> dict[str, Any]:
    """A command as JSON."""
    whole = None if it.whole_s is None else round(it.whole_s, 1)
    return {"words": it.words, "line": it.line, "fps": round(it.pace.fps, 3), "whole_s": whole, "why": it.why}
