"""`misr train`: a model of one's own."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from misr.cli.completion import all_models, clip_models
from misr.cli.options import ProgressKind
from misr.errors import InputError

if TYPE_CHECKING:
    from misr.train.fit import Labels, Training
    from misr.train.loop import Run
    from misr.train.scenes import Degradation

Text = str | None


def train(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Clips, pictures, folders of both, .npz packs. Hidden views for a net that fuses bursts: "
            "a burst each, as a folder, an array or a glob in quotes.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="The model directory to make; `misr upscale -m`, or `misr fuse -m`, takes it."
        ),
    ],
    net: Annotated[
        str,
        typer.Option(
            "--net",
            help="fast, gru; the classics srcnn, vdsr, fsrcnn, espcn, srresnet, edsr, johnson, swinir, lapsrn, prosr, dbpn, "
            "hourglass; sparse, a dictionary (extra misr[sparse]); for bursts burst, shift_and_pool, misr_gru; that of --start.",
        ),
    ] = "",
    scale: Annotated[
        int, typer.Option("-s", "--scale", help="2, 3 or 4, of some nets 8; that of --start by default.")
    ] = 0,
    steps: Annotated[int, typer.Option("--steps", help="How long, in steps; or --minutes.")] = 0,
    minutes: Annotated[float, typer.Option("--minutes", help="How long, in minutes of work.")] = 0,
    labels: Annotated[
        str, typer.Option("--labels", help="hr: DATA is sharp and is shrunk; heldout: views hidden from the net; both.")
    ] = "hr",
    start: Annotated[
        str, typer.Option("--start", help="A model to begin from: its name or directory.", autocompletion=all_models)
    ] = "",
    motion: Annotated[
        str,
        typer.Option(
            "--motion", help="A model whose motion the net gets, whatever its width.", autocompletion=clip_models
        ),
    ] = "",
    freeze: Annotated[
        Text,
        typer.Option("--freeze", help="Parts of the net that stay, as motion (default with --start, --motion); none."),
    ] = None,
    degradation: Annotated[
        str,
        typer.Option(
            "--degradation", help="bi, bd, mixed (kernels, noise), codec (and H.264, JPEG); bursts have their own."
        ),
    ] = "bi",
    optics: Annotated[
        float,
        typer.Option(
            "--optics", help="How views come about, heldout: Gaussian sigma in pixels; 0: bicubic, of bursts 0.27."
        ),
    ] = 0,
    small: Annotated[
        Text,
        typer.Option(
            "--small",
            help="A folder with a small picture for each sharp one of DATA, of the same name: real pairs in place of shrinking.",
        ),
    ] = None,
    auxiliary: Annotated[
        list[str] | None,
        typer.Option(
            "--auxiliary",
            help="Clean pictures, clips, packs beside a handful of pairs (--small): many like those are made of them (DRTL).",
        ),
    ] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabelled",
            help="Small pictures and clips without sharp ones, as to be enlarged: turned, they are to give the same (TCR).",
        ),
    ] = None,
    consistency: Annotated[
        float | None, typer.Option("--consistency", help="For --unlabelled: how much that weighs (0.1).")
    ] = None,
    unpaired: Annotated[
        list[str] | None,
        typer.Option(
            "--unpaired",
            help="Small noisy or blurred pictures of other scenes than DATA: what cleans such is learned, in front of --start.",
        ),
    ] = None,
    views: Annotated[
        int, typer.Option("--views", help="Longest window, where the net fuses views (12; 16 of a burst).")
    ] = 0,
    frames: Annotated[
        int, typer.Option("--frames", help="Views a batch (40; 16 for nets of one view, 80 for bursts).")
    ] = 0,
    crop: Annotated[int, typer.Option("--crop", help="Source pixels along a side of what is learned from.")] = 64,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate (3e-3; 1e-3 with --start).")] = 0,
    loss: Annotated[
        str,
        typer.Option(
            "--loss",
            help="smooth-l1, charbonnier, l2 (bursts have their own); or a sum such as '1*l2 + 0.006*content + 1e-3*adversarial' "
            "of l1, l2, smooth-l1, charbonnier, content, texture, tv, adversarial, feature-adversarial: see docs/training.md.",
        ),
    ] = "smooth-l1",
    features: Annotated[
        Text,
        typer.Option(
            "--features",
            help="For what sees features: a file of VGG19's weights (torchvision's by default); self: learn them.",
        ),
    ] = None,
    discriminator: Annotated[
        int | None,
        typer.Option(
            "--discriminator",
            help="For adversarial terms, --unpaired: channels of its first layer (64; 8 suits a small net).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and data.")] = 0,
    option: Annotated[list[str] | None, typer.Option("--option", help="width=32: an option of the net.")] = None,
    run: Annotated[Path | None, typer.Option("--run", help="Checkpoints and log; runs/<name of -o>.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what --run holds.")] = False,
    every: Annotated[int, typer.Option("--every", help="Steps from checkpoint to checkpoint.")] = 250,
    memory: Annotated[float, typer.Option("--memory", help="GiB of pixels to keep.")] = 2.0,
    device: Annotated[Text, typer.Option("--device", help="cpu, cuda, cuda:1.")] = None,
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", help="CPU threads; 0: all.")] = 0,
    trained_on: Annotated[str, typer.Option("--trained-on", help="What the card says of the data.")] = "",
    progress: ProgressKind = "bar",
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Train a net on DATA into a model directory; the same command goes on after a stop.

    Several GPUs:   torchrun --nproc-per-node 4 -m -- misr train DATA... --net gru -s 4 -o models/mine --steps 50000
    No pairs at all: misr train sharp/ --unpaired noisy/ --start fast-x2 -o mine --minutes 30
    Your own bursts: misr train scene1/ scene2/ --labels heldout --start burst-x2 -o mine --minutes 30
    """
    from misr.cli.options import one_of, say
    from misr.train.fit import Training, fit

    one_of("--labels", labels, "hr", "heldout", "both")
    one_of("--degradation", degradation, "bi", "bd", "mixed", "codec")
    one_of("--precision", precision, "auto", "fp32", "bf16")
    one_of("--progress", progress, "bar", "json", "none")
    wanted = Training(
        data=tuple(data),
        out=out,
        net=net,
        scale=scale,
        steps=steps,
        minutes=minutes,
        labels=cast("Labels", labels),
        start=start,
        motion=motion,
        freeze=None if freeze is None else tuple(p for p in freeze.split(",") if p and p != "none"),
        degradation=cast("Degradation", degradation),
        optics=optics,
        small=small,
        auxiliary=tuple(auxiliary or ()),
        unlabelled=tuple(unlabelled or ()),
        consistency=consistency,
        unpaired=tuple(unpaired or ()),
        views=views,
        frames=frames,
        crop=crop,
        rate=rate,
        loss=loss,
        features=features,
        discriminator=discriminator,
        seed=seed,
        options=dict(pair(text) for text in option or []),
        run=run,
        restart=restart,
        every=every,
        memory=memory,
        device=device,
        precision=cast("Any", precision),
        threads=threads,
        trained_on=trained_on,
        command=shlex.join(["misr", *sys.argv[1:]]),
    )
    with Bar(wanted, progress) as bar:
        made = fit(wanted, say=say, stepped=bar.stepped, tell=bar.tell)
    if made.baseline:
        say(f"{made.folder}: {made.valid_db:.2f} dB on what was held out; {made.baseline} {made.baseline_db:.2f} dB")


def pair(text: str) -> tuple[str, Any]:
    """width=32 as a name and a JSON value."""
    name, equals, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        raise InputError(f"--option {text}: NAME=VALUE is wanted, VALUE as JSON, as width=32") from None


class Bar:
    """A meter of training, with loss and validation; where no bar is seen, a line for each check too."""

    def __init__(self, wanted: Training, kind: str = "bar", *, doing: str = "training") -> None:
        from misr.cli.progress import Meter

        self.timed = not wanted.steps
        kind = kind if int(os.environ.get("RANK", "0")) == 0 else "none"  # of torchrun's processes the first speaks
        self.meter = Meter(
            kind,
            round(60 * wanted.minutes) if self.timed else wanted.steps,
            unit="second" if self.timed else "step",
            doing=doing,
            source=wanted.data[0],
            target=str(wanted.out),
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.meter.close(finished=error is None)

    def stepped(self, run: Run) -> None:
        """A step was made."""
        of = self.meter.expected
        done = min(round(run.seconds), of) if self.timed else run.step
        first = self.meter.resumed is None
        self.meter.update(done, of, figures={"step": run.step})
        if first:
            self.meter.warm()

    def tell(self, line: dict[str, float]) -> None:
        """A line of the log was written."""
        from misr.cli.options import say

        self.meter.figures.update(loss=line["loss"], valid_db=line["valid_db"])
        if not self.meter.shown:
            more = "".join(f"{name} {line[name]:.3f}, " for name in ("perceptual", "d_real", "d_fake") if name in line)
            said = f"step {line['step']:.0f}: loss {line['loss']:.5f}, {line['valid_db']:.2f} dB, {more}"
            say(f"{said}{line['seconds']:.0f} s")
