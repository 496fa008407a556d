"""`misr fuse`: pictures of one place into one."""

from __future__ import annotations

from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli.completion import burst_models
from misr.cli.crew import Cpus, Devices, Gpus, On, Workers, crew_of, figures
from misr.cli.options import PrecisionName, ProgressKind, clock, one_of, say
from misr.errors import InputError

if TYPE_CHECKING:
    from misr.burst.preparing import Fit
    from misr.fusion import Fusing
    from misr.fusion.job import Progress
    from misr.spread.crew import Crew
    from misr.upscaler import Precision

Text = str | None
Flag = bool


def fuse(
    views: Annotated[
        list[str],
        typer.Argument(
            metavar="VIEW...",
            help="Pictures of one place, a folder or a glob of them, an array, or a video with --at. "
            "Several folders: a burst each.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "-o", "--output", help="The picture that is made; of several folders a folder, or a .zip for PROBA-V."
        ),
    ],
    scale: Annotated[
        int | None, typer.Option("-s", "--scale", help="Output size / view size; the model's own, or 2.")
    ] = None,
    method: Annotated[
        Text,
        typer.Option(
            "-m",
            "--model",
            help="best, mean, shift-and-add, map, or a model; the best for the views if not given.",
            autocompletion=burst_models,
        ),
    ] = None,
    reference: Annotated[
        str,
        typer.Option("--reference", help="The view whose grid is kept: auto (the clearest), a number from 0, a file."),
    ] = "auto",
    masks: Annotated[
        list[str] | None, typer.Option("--masks", help="A mask for each view, or a folder of them: 0 is not used.")
    ] = None,
    exposures: Annotated[
        Text,
        typer.Option(
            "--exposures",
            help="How long each view was exposed: 1/60,1/30 ... or a text file; the files' tags if not given.",
        ),
    ] = None,
    nodata: Annotated[float | None, typer.Option("--nodata", help="The code that means: nothing known here.")] = None,
    registration: Annotated[
        Text,
        typer.Option("--registration", help="Where the views lie, as JSON (a report is one): nothing is searched for."),
    ] = None,
    motion: Annotated[
        str, typer.Option("--motion", help="How views differ: auto, shift, affine, homography.")
    ] = "auto",
    bands: Annotated[Flag, typer.Option("--bands", help="Place each band of a view by itself.")] = False,
    noise: Annotated[
        Text, typer.Option("--noise", help="A,C: the variance of a code y is A * y + C; estimated if not given.")
    ] = None,
    mtf: Annotated[
        float | None, typer.Option("--mtf", help="Contrast that the camera leaves at its sampling limit, such as 0.4.")
    ] = None,
    clouds: Annotated[
        Flag, typer.Option("--clouds/--no-clouds", help="Leave out what no other view agrees with.")
    ] = True,
    saturation: Annotated[
        Flag, typer.Option("--saturation/--no-saturation", help="Leave out what is as bright as codes go.")
    ] = True,
    dtype: Annotated[Text, typer.Option("--dtype", help="Of the output: uint8, uint16, int16, float32 ...")] = None,
    sigma: Annotated[
        Flag, typer.Option("--sigma", help="Also write the standard error and the effective number of views.")
    ] = False,
    cog: Annotated[Flag, typer.Option("--cog", help="A cloud-optimised GeoTIFF.")] = False,
    report: Annotated[
        Text, typer.Option("--report", help="What was found: x.json, x.html, or a name without extension for both.")
    ] = None,
    at: Annotated[Text, typer.Option("--at", help="Of a video: the second, or hh:mm:ss, that is wanted.")] = None,
    count: Annotated[int, typer.Option("--views", help="Of a video: so many frames around --at.")] = 0,
    tile: Annotated[int, typer.Option("--tile", help="Square tiles of this many view pixels; 0: the usual size.")] = 0,
    adapt: Annotated[
        Text,
        typer.Option(
            "--adapt",
            metavar="DIR",
            help="First let the views teach the model; DIR keeps it, for -m. Used only if views it never saw get better. "
            "Of several folders a model each, in DIR.",
        ),
    ] = None,
    adapt_minutes: Annotated[
        float, typer.Option("--adapt-minutes", help="How long to learn, in minutes of work (2).")
    ] = 0,
    adapt_steps: Annotated[int, typer.Option("--adapt-steps", help="The same in steps.")] = 0,
    device: Devices = None,
    workers: Workers = 0,
    on: On = None,
    cpus: Cpus = 0,
    gpus: Gpus = None,
    precision: PrecisionName = "auto",
    yes: Annotated[Flag, typer.Option("-y", help="Overwrite the output.")] = False,
    no: Annotated[Flag, typer.Option("-n", help="Never overwrite; skip existing outputs of several.")] = False,
    progress: ProgressKind = "bar",
    dry_run: Annotated[
        Flag, typer.Option("--dry-run", help="Look at the views, say what would be done (also as --report), and stop.")
    ] = False,
    debug: Annotated[Flag, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Fuse views of one place into one sharper picture, with its place on Earth, its error, and a report.

    misr fuse scene/*.tif -o sharp.tif -s 2 --sigma --report sharp        misr fuse clip.mp4 --at 12.5 --views 15 -o still.png
    """
    from misr.fusion import Fusing

    one_of("--precision", precision, "auto", "fp32", "bf16", "fp16")
    one_of("--motion", motion, "auto", "shift", "affine", "homography")
    one_of("--progress", progress, "bar", "json", "none")
    if yes and no:
        raise InputError("-y and -n contradict each other; give one of them")
    crew, device = crew_of(on, workers, device, cpus, gpus)
    wanted = Fusing(
        scale=scale,
        method=method,
        reference=reference,
        masks=tuple(masks or ()),
        exposures=light(exposures),
        nodata=nodata,
        registration=registration,
        motion=cast("Fit", motion),
        bands=bands,
        noise=variance(noise),
        mtf=mtf,
        clouds=clouds,
        saturation=saturation,
        dtype=dtype,
        sigma=sigma,
        cog=cog,
        report=report,
        at=clock("--at", at),
        views=count,
        tile=tile,
        adapt=adapt,
        adapt_minutes=adapt_minutes,
        adapt_steps=adapt_steps,
        device=device,
        precision=cast("Precision", precision),
        overwrite=yes,
    )
    work_through(views, out, wanted, progress, dry_run=dry_run, skip=no, crew=crew)


def work_through(
    views: list[str], out: str, wanted: Fusing, progress: str, *, dry_run: bool, skip: bool, crew: Crew | None = None
) -> None:
    """One burst, or a folder each."""
    from misr.cli.progress import Meter
    from misr.fusion import bursts_in, fuse_folders
    from misr.fusion import fuse as fuse_one
    from misr.spread.watched import Watched

    if skip and Path(out).is_file():
        say(f"{out} exists, skipped")
        raise typer.Exit(1)
    folders = bursts_in(views)
    if folders and dry_run:
        raise InputError("--dry-run looks at one burst; name one folder")
    watched = Watched(crew) if crew and not dry_run else None
    with watched or nullcontext(), Meter(progress, unit="step", doing="looking", source=views[0], target=out) as meter:

        def update(doing: str, done: int, total: int) -> None:
            meter.unit = "second" if doing == "adapting" and not wanted.adapt_steps else "step"
            pace = figures(watched.pace) if watched and doing == "fusing" else {}
            meter.update(done, total, doing=doing, **pace)

        if dry_run:
            look(views, out, wanted, update)
        elif folders:
            made = fuse_folders(folders, out, wanted, skip=skip, progress=update, say=say, crew=watched)
            say(f"{len(made)} of {len(folders)} bursts fused: {out}")
        else:
            done = fuse_one(views, out, wanted, progress=update, say=say, crew=watched)
            say(f"{done.report['views_used']} views in, one picture out: {done.path}")


def look(views: list[str], out: str, wanted: Fusing, update: Progress) -> None:
    """What would be done, printed, and the report where one is wanted."""
    from misr.fusion import lines, plan, report_of, write_report

    with closing(plan(views, out, wanted, progress=update)) as job:
        told = report_of(job)
    print("\n".join(lines(told)))
    if wanted.report:
        write_report(told, wanted.report)


def light(text: str | None) -> tuple[float, ...] | str:
    """--exposures: a file's name, or times such as 1/60,0.02."""
    if text is None or "," not in text:
        return text or ()
    try:
        times = tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        times = (0.0,)
    if min(times) <= 0:
        raise InputError(f"--exposures {text}: not times; write 1/60,1/30 or 0.0167,0.0333, one for each view")
    return times


def variance(text: str | None) -> tuple[float, float] | None:
    """--noise A,C."""
    if text is None:
        return None
    try:
        a, c = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--noise {text}: two numbers are wanted, such as 0.5,20") from None
    return a, c
