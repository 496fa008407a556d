"""`misr adapt`: a model that suits one clip."""

from __future__ import annotations

import shlex
from math import inf, nan
from pathlib import Path
from typing import Annotated

import typer

from misr.cli.completion import clip_models
from misr.cli.options import Debug, Device, ProgressKind, Threads
from misr.errors import InputError

Text = str | None


def adapt(
    clip: Annotated[
        str, typer.Argument(metavar="CLIP", help="The clip to adapt to; a folder of numbered pictures is one.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model directory to make; `misr upscale -m` takes it.")],
    model: Annotated[
        str,
        typer.Option("-m", "--model", help="Where learning starts: a name or a directory.", autocompletion=clip_models),
    ] = "video-x2",
    minutes: Annotated[float, typer.Option("--minutes", help="How long to learn, in minutes of work (5).")] = 0,
    steps: Annotated[int, typer.Option("--steps", help="The same in steps.")] = 0,
    ss: Annotated[Text, typer.Option("-ss", help="Learn from here on.")] = None,
    to: Annotated[Text, typer.Option("-to", help="Learn up to here.")] = None,
    optics: Annotated[
        str,
        typer.Option(
            "--optics", help="Camera: Gaussian sigma in pixels; 0: bicubic; fit: found in CLIP, if its lens is soft."
        ),
    ] = "0",
    rate: Annotated[float, typer.Option("--rate", help="Learning rate (1e-4).")] = 0,
    crop: Annotated[int, typer.Option("--crop", help="Pixels along a side of what is learned from.")] = 64,
    frames: Annotated[int, typer.Option("--frames", help="Views a batch (20; 16 for nets of one view).")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the data's order.")] = 0,
    memory: Annotated[float, typer.Option("--memory", help="GiB of pixels to keep.")] = 1.0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what -o holds of an earlier adaptation.")
    ] = False,
    device: Device = None,
    threads: Threads = 0,
    progress: ProgressKind = "bar",
    debug: Debug = False,
) -> None:
    """Adapt a model to CLIP without sharp frames; the same command goes on after a stop.

    -o gets the adapted model only if it is better on frames that nobody learned from; else the start's weights, said so.
    Then: misr upscale CLIP OUT -m MODEL_DIR
    """
    from misr.adapting import Adapting
    from misr.adapting import adapt as run
    from misr.adapting.settings import MINUTES
    from misr.cli.options import LINE, clock, one_of, say
    from misr.cli.train import Bar
    from misr.train.fit import Training

    one_of("--progress", progress, "bar", "json", "none")
    how = Adapting(
        model=model, steps=steps, minutes=minutes or (0 if steps else MINUTES), start=clock("-ss", ss), end=clock("-to", to),
        optics=camera(optics), crop=crop, frames=frames, rate=rate, seed=seed, memory=memory, device=device, threads=threads,
        restart=restart, command=shlex.join(["misr", *LINE]),
    )  # fmt: skip
    shown = Training(data=(clip,), out=out, steps=how.steps, minutes=how.minutes)
    with Bar(shown, progress, doing="adapting") as bar:
        done = run(clip, out, how, say=say, stepped=bar.stepped, tell=bar.tell)
    for line in done.lines:
        print(line)


def camera(text: str) -> float | None:
    """--optics: a sigma, or None for `fit`."""
    if text == "fit":
        return None
    try:
        sigma = float(text)
    except ValueError:
        sigma = nan
    if not 0 <= sigma < inf:
        raise InputError(f"--optics {text}: a Gaussian's sigma in pixels is wanted, such as 0.5, 0 for bicubic, or fit")
    return sigma
