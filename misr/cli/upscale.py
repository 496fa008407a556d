"""`misr upscale`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli import options as o
from misr.cli.compare import look_first
from misr.cli.crew import Cpus, Devices, Gpus, On, Workers, crew_of, figures
from misr.cli.options import Flag, Text
from misr.cli.part import Portion, check, render_part
from misr.errors import InputError, MisrError

if TYPE_CHECKING:
    from misr.io.reader import Deinterlace, OnError
    from misr.pipeline import Job
    from misr.plan import Settings
    from misr.spread.crew import Crew
    from misr.upscaler import Precision, Upscaler

EXTRA: list[str] = []  # what stood after `--`, put there by main()


def upscale(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help="Clips, pictures, folders of pictures, %05d.png, or -. Several inputs: OUTPUT is a folder.",
        ),
    ],
    model: o.Model = None,
    scale: o.Scale = None,
    strength: o.Strength = 1.0,
    size: o.Size = None,
    codec: Annotated[
        Text, typer.Option("-c:v", help="Video encoder: libx264, libx265, libsvtav1, prores_ks, ffv1 ...")
    ] = None,
    crf: Annotated[Text, typer.Option("-crf", help="Constant quality of the encoder.")] = None,
    bit_rate: Annotated[Text, typer.Option("-b:v", help="Bit rate: 8M, 800k.")] = None,
    preset: Annotated[Text, typer.Option("-preset", help="The encoder's preset.")] = None,
    tune: Annotated[Text, typer.Option("-tune", help="The encoder's tune.")] = None,
    pix_fmt: o.PixFmt = None,
    audio: Annotated[Text, typer.Option("-c:a", help="copy (default), or an audio encoder.")] = None,
    fmt: Annotated[Text, typer.Option("-f", help="Container, where the extension does not say it.")] = None,
    start: Annotated[Text, typer.Option("-ss", help="Begin here: seconds or [hh:]mm:ss.")] = None,
    end: Annotated[Text, typer.Option("-to", help="End here.")] = None,
    duration: Annotated[Text, typer.Option("-t", help="For this long.")] = None,
    framerate: Annotated[
        Text,
        typer.Option("-framerate", help="Pictures per second of a sequence (25); of a clip, instead of its times."),
    ] = None,
    yes: o.Yes = False,
    no: Annotated[Flag, typer.Option("-n", help="Never overwrite; skip existing outputs of a batch.")] = False,
    no_audio: Annotated[Flag, typer.Option("-an", help="Leave audio out.")] = False,
    no_subtitles: Annotated[Flag, typer.Option("-sn", help="Leave subtitles out.")] = False,
    no_data: Annotated[Flag, typer.Option("-dn", help="Leave data streams out.")] = False,
    device: Devices = None,
    workers: Workers = 0,
    on: On = None,
    cpus: Cpus = 0,
    gpus: Gpus = None,
    part: Portion = None,
    precision: o.PrecisionName = "auto",
    tile: o.Tile = 0,
    batch: o.Batch = 0,
    threads: o.Threads = 0,
    deinterlace: Annotated[str, typer.Option("--deinterlace", help="auto, on, off.")] = "auto",
    on_error: o.OnErrorName = "stop",
    matrix: o.Matrix = None,
    span: o.Range = None,
    primaries: o.Primaries = None,
    transfer: o.Transfer = None,
    siting: o.Siting = None,
    progress: o.ProgressKind = "bar",
    dry_run: Annotated[Flag, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    preview: Annotated[
        Text,
        typer.Option("--preview", metavar="5s", help="Only the most detailed 5 seconds, in OUTPUT.preview.html; stop."),
    ] = None,
    debug: o.Debug = False,
) -> None:
    """Upscale INPUT into OUTPUT; everything else in the clip stays as it was.

    Encoder options follow `--`:   misr upscale in.mkv out.mkv -s 2 -- -x264-params keyint=60
    """
    o.one_of("--precision", precision, "auto", "fp32", "bf16", "fp16")
    o.one_of("--deinterlace", deinterlace, "auto", "on", "off")
    o.one_of("--on-error", on_error, "stop", "repeat")
    o.one_of("--progress", progress, "bar", "json", "none")
    if yes and no:
        raise InputError("-y and -n contradict each other; give one of them")
    o.whole(tile=tile, batch=batch, threads=threads)
    if len(paths) < 2:
        raise InputError("an input and an output are needed: misr upscale INPUT OUTPUT")
    from misr.plan import Settings

    crew, device = crew_of(on, workers, device, cpus, gpus, threads=threads)
    options = {k: v for k, v in (("crf", crf), ("preset", preset), ("tune", tune)) if v is not None}
    options |= o.extra_options(EXTRA)
    without = frozenset(k for k, gone in (("audio", no_audio), ("subtitle", no_subtitles), ("data", no_data)) if gone)
    wanted = Settings(
        model=model,
        scale=scale,
        size=size,
        strength=strength,
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
        bit_rate=bits(bit_rate),
        audio=audio,
        without=without,
        fmt=fmt,
        start=o.clock("-ss", start),
        end=o.clock("-to", end),
        duration=o.clock("-t", duration),
        framerate=o.ratio(framerate),
        retag=o.retag(matrix, span, primaries, transfer, siting),
        overwrite=yes,
        device=device,
        tile=tile,
        batch=batch,
        threads=threads,
        precision=cast("Precision", precision),
        deinterlace=cast("Deinterlace", deinterlace),
        on_error=cast("OnError", on_error),
    )
    o.use_threads(threads)
    if part is not None:
        check(part, preview=preview, crew=crew)
    if preview is not None:
        if crew is not None:
            raise InputError(
                "--preview is a few seconds' work for this process; leave --workers, --on and several devices out"
            )
        look_first(paths, wanted, preview, progress)
        return
    work_through(paths[:-1], paths[-1], wanted, progress, dry_run, skip=no, crew=crew, part=part)


def work_through(
    sources: list[str],
    target: str,
    wanted: Settings,
    progress: str,
    dry_run: bool,
    *,
    skip: bool,
    crew: Crew | None = None,
    part: str | None = None,
) -> None:
    """One input, or a batch: several inputs or a folder of clips into a folder; failures are told at the end."""
    from misr.cli.progress import fail

    pairs = batch_of(sources, target)
    several = pairs[0][1] != target
    made = several and not Path(target).exists()
    if made:
        Path(target).mkdir(parents=True, exist_ok=True)  # another part may make it just now
    failed = []
    left = [pair for pair in pairs if not (skip and there(pair[1]))]
    if not left and len(pairs) == 1:
        raise typer.Exit(1)
    if crew is not None and left and not dry_run:
        together(left, wanted, progress, crew)
        return
    for source, out in left:
        try:
            if part is not None:
                render_part(source, out, wanted, part, pairs if several else [], progress, dry_run, announce)
            else:
                one(source, out, wanted, progress, dry_run)
        except (MisrError, OSError) as e:
            if len(pairs) == 1:
                raise
            failed.append(f"{source}: {e}")
            fail(str(e), kind=progress, source=source, target=out)
            o.say(f"failed: {e}")
    if made and dry_run:
        Path(target).rmdir()
    if failed:
        raise InputError(f"{len(failed)} of {len(pairs)} inputs failed, the others are done: " + "; ".join(failed))


def there(out: str) -> bool:
    """Whether an output of a batch exists; said, as it is skipped."""
    if out == "-" or not Path(out).exists():
        return False
    o.say(f"{out} exists, skipped")
    return True


def together(pairs: list[tuple[str, str]], wanted: Settings, progress: str, crew: Crew) -> None:
    """All clips with a crew, and one bar for all."""
    from misr.cli.progress import Meter
    from misr.plan import Result
    from misr.spread.drive import upscale_all
    from misr.spread.pace import Pace

    source, target = pairs[0] if len(pairs) == 1 else ("", str(Path(pairs[0][1]).parent))

    def update(done: int, expected: int, pace: Pace) -> None:
        meter.update(done, expected, resumed=pace.found, **figures(pace))

    def ended(result: Result) -> None:
        for note in result.notes:
            o.say(f"note      {note}")
        o.say(f"{result.frames} frames in, {result.frames} frames out: {result.target}")

    with crew, Meter(progress, doing="upscaling", source=source, target=target) as meter:
        upscale_all(pairs, wanted, crew, progress=update, say=o.say, began=announce, ended=ended)


def announce(job: Job, up: Upscaler) -> None:
    """What will be done, and what of it a user should know beforehand."""
    from misr.summary import describe

    where = f"{job.identity['device']} ({job.identity['precision']})"
    o.say(f"{job.source} -> {job.target}: x{job.encoding.width / job.info.width:g} with {up.card.name} on {where}")
    for line in describe(job, up):
        if line.startswith(("note", "fields", "chosen")) or "becomes" in line or "dropped" in line:
            o.say(line)


def one(source: str, target: str, wanted: Settings, progress: str, dry_run: bool) -> None:
    """Plan and run one clip."""
    from misr.cli.progress import Meter
    from misr.pipeline import run
    from misr.plan import plan
    from misr.summary import describe, outcome

    job, reader, up = plan(source, target, wanted)
    try:
        if dry_run:
            print("\n".join(describe(job, up)))
            return
        announce(job, up)
        with Meter(progress, job.expected, doing="upscaling", source=source, target=target) as meter:
            frames = run(job, reader, up, progress=meter.update, say=o.say)
        for note in outcome(job, reader, up):
            o.say(f"note      {note}")
        o.say(f"{frames} frames in, {frames} frames out: {target}")
    finally:
        reader.close()


def batch_of(sources: list[str], target: str) -> list[tuple[str, str]]:
    """Pairs of input and output. A folder holding clips is a batch; a folder holding pictures is a sequence."""
    from misr.io.opening import clips_in

    clips = [c for s in sources for c in (clips_in(s) or [s])]
    if len(clips) == 1 and not clips_in(sources[0]):
        return [(clips[0], target)]
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{target}: several inputs need a folder to go to")
    names = [Path(c).name for c in clips]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{target} cannot hold two outputs named {twice[0]}; upscale them one by one")
    return [(c, str(folder / name)) for c, name in zip(clips, names, strict=True)]


def bits(text: str | None) -> int:
    """8M, 800k or a plain number, in bits per second."""
    if text is None:
        return 0
    unit = {"k": 10**3, "m": 10**6, "g": 10**9}.get(text[-1:].lower(), 1)
    try:
        rate = round(float(text[:-1] if unit > 1 else text) * unit)
    except (ValueError, OverflowError):
        rate = 0
    if not 0 < rate < 1 << 40:
        raise InputError(f"-b:v {text}: not a bit rate; write 8M or 800k")
    return rate
