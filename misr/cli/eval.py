"""`misr eval`: how close results are to references, or how close models come."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli.completion import clip_models
from misr.cli.crew import Cpus, Devices, Gpus, On, Workers, crew_of, figures
from misr.cli.options import PrecisionName, ProgressKind
from misr.errors import InputError, OutputError

if TYPE_CHECKING:
    from misr.evaluation.settings import Planes
    from misr.evaluation.trial import Protocol
    from misr.upscaler import Precision

Text = str | None


def evaluate(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT... REFERENCE",
            help="Clips, pictures, %05d.png, or folders of like-named ones. With --model: REFERENCE...; with --probav: RESULT...",
        ),
    ],
    models: Annotated[
        Text,
        typer.Option(
            "-m",
            "--model",
            help="Measure these models, NAME[,NAME...], on LR made of the references.",
            autocompletion=clip_models,
        ),
    ] = None,
    protocol: Annotated[
        Text, typer.Option("--protocol", help="How LR is made: bi (antialiased bicubic, default), bd (Gaussian 1.6).")
    ] = None,
    scale: Annotated[
        int | None, typer.Option("-s", "--scale", help="Sides are cropped to multiples of it; with --model, its scale.")
    ] = None,
    border: Annotated[
        int | None, typer.Option("--border", help="Pixels left out at each side; the scale by default, 0 without one.")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics", help="Of psnr,ssim (its mean over windows, MSSIM),ms-ssim,vif,ifc,warp,flicker; or all."
        ),
    ] = "psnr,ssim",
    color: Annotated[
        str, typer.Option("--color", help="y: BT.601 luma, as papers; rgb; plane: the first plane as stored.")
    ] = "y",
    probav: Annotated[
        Path | None,
        typer.Option(
            "--probav", help="Score folders or zips of imgset####.png by the scenes of PROBA-V in this folder."
        ),
    ] = None,
    norm: Annotated[
        Path | None, typer.Option("--norm", help="The baseline of --probav; norm.csv beside its scenes if not given.")
    ] = None,
    sequence: Annotated[bool, typer.Option("--sequence", help="A folder of pictures is one clip.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every frame's numbers here.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="The same as JSON.")] = None,
    device: Devices = None,
    workers: Workers = 0,
    on: On = None,
    cpus: Cpus = 0,
    gpus: Gpus = None,
    precision: PrecisionName = "auto",
    batch: Annotated[int, typer.Option("--batch", help="Windows per call; 0: the device's best.")] = 0,
    progress: ProgressKind = "bar",
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Measure RESULT against REFERENCE, or models on REFERENCE shrunk as papers do; a table, and CSV and JSON.

    PSNR is in dB, IFC in bits per pixel, flicker in code values of 255, warp in thousandths of white squared, beside what the
    reference itself has. Means are over clips, of the means over their frames. On LR of bd, models are on the grid of BasicVSR.
    PROBA-V: cPSNR in dB, and the score of the challenge, baseline / cPSNR, lower is better; misr fuse makes what is scored.
    """
    from misr.cli.options import one_of
    from misr.cli.progress import Meter
    from misr.evaluation import METRICS, Measure, evaluate_models, evaluate_probav
    from misr.evaluation import evaluate as compare
    from misr.spread.watched import Watched

    one_of("--precision", precision, "auto", "fp32", "bf16", "fp16")
    one_of("--progress", progress, "bar", "json", "none")
    one_of("--color", color, "y", "rgb", "plane")
    one_of("--protocol", protocol or "bi", "bi", "bd")
    wanted = tuple(METRICS) if metrics == "all" else tuple(dict.fromkeys(metrics.replace(" ", "").split(",")))
    how = Measure(metrics=wanted, color=cast("Planes", color), border_px=border, scale=scale)
    names = [name.strip() for name in models.split(",")] if models else []
    targets = [t for t in (csv, json) if t]
    if probav or norm:
        usual = (metrics, color, precision) == ("psnr,ssim", "y", "auto")
        given = names, scale, border is not None, sequence, protocol, device, batch, workers, on, cpus, gpus is not None
        check_probav(probav, others=any(given) or not usual)
    check(paths, names, targets, only_models=bool(protocol or device or batch), alone=bool(probav))
    crew, device = crew_of(on, workers, device, cpus, gpus)
    unit = "scene" if probav else "frame"
    watched = Watched(crew) if crew else None
    with watched or nullcontext(), Meter(progress, unit=unit, doing="measuring", source=paths[0]) as meter:

        def tell(done: int, expected: int) -> None:
            meter.update(done, expected, **(figures(watched.pace) if watched else {}))

        if probav:
            report = evaluate_probav(paths, probav, norm, progress=meter.update)
        elif names:
            report = evaluate_models(
                names,
                paths,
                how,
                protocol=cast("Protocol", protocol or "bi"),
                device=None if crew else device,
                precision=cast("Precision", precision),
                batch=batch,
                sequence=sequence,
                progress=tell,
                crew=watched,
            )
        else:
            report = compare(paths[:-1], paths[-1], how, sequence=sequence, progress=tell, crew=watched)
    print(report.table(), end="")
    for target, text in ((csv, report.csv), (json, report.json)):
        if target:
            write(target, text())


def check(paths: list[str], models: list[str], targets: list[Path], *, only_models: bool, alone: bool = False) -> None:
    """Refuse what cannot be meant, before anything is measured; alone: results need no reference."""
    if not models and not alone and len(paths) < 2:
        raise InputError("a result and a reference are needed: misr eval RESULT REFERENCE, or --model NAME REFERENCE")
    if not models and only_models:
        raise InputError("--protocol, --device and --batch are about models; name one with --model")
    for target in targets:
        if not target.parent.is_dir() or target.is_dir():
            raise OutputError(f"{target}: not a place for a file; name one in a folder that exists")


def check_probav(probav: Path | None, *, others: bool) -> None:
    """Refuse what PROBA-V leaves no choice in."""
    if not probav:
        raise InputError("--norm is the baseline of PROBA-V; name the folder of its scenes with --probav")
    if others:
        raise InputError(
            "--probav scores results by fixed rules: no --model, --scale, --border or the like; see misr fuse"
        )


def write(target: Path, text: str) -> None:
    """A file, under its name only when it is whole."""
    from misr.journal import write_whole

    try:
        write_whole(target, text)
    except OSError as e:
        raise OutputError(f"{target}: cannot be written ({e.strerror}); choose another place") from None
