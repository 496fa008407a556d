"""`misr filter`: a stage of an ffmpeg pipeline, standard input to standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli import options as o
from misr.cli.options import Text
from misr.errors import InputError

if TYPE_CHECKING:
    from misr.io.reader import Deinterlace, OnError
    from misr.upscaler import Precision

EXTRA: list[str] = []  # what stood after `--`, put there by main()


def filter(
    source: Annotated[str, typer.Argument(metavar="[IN]", help="A clip, or - (default): matroska, nut or y4m.")] = "-",
    target: Annotated[str, typer.Argument(metavar="[OUT]", help="A clip, or - (default).")] = "-",
    model: o.Model = None,
    scale: o.Scale = None,
    strength: o.Strength = 1.0,
    size: o.Size = None,
    fmt: Annotated[Text, typer.Option("-f", help="matroska (default), nut, yuv4mpegpipe (or y4m).")] = None,
    codec: Annotated[str, typer.Option("-c:v", help="rawvideo, or ffv1: a fifth of the bytes, slower.")] = "rawvideo",
    pix_fmt: o.PixFmt = None,
    framerate: Annotated[
        Text, typer.Option("-framerate", help="Frames per second, instead of the times that the stream tells.")
    ] = None,
    yes: o.Yes = False,
    device: o.Device = None,
    precision: o.PrecisionName = "auto",
    tile: o.Tile = 0,
    batch: o.Batch = 0,
    threads: o.Threads = 0,
    deinterlace: Annotated[str, typer.Option("--deinterlace", help="off (as in ffmpeg), auto, on.")] = "off",
    on_error: o.OnErrorName = "stop",
    matrix: o.Matrix = None,
    span: o.Range = None,
    primaries: o.Primaries = None,
    transfer: o.Transfer = None,
    siting: o.Siting = None,
    progress: o.ProgressKind = "bar",
    debug: o.Debug = False,
) -> None:
    """Upscale a stream between two programs; sound, subtitles, chapters and tags ride along.

    ffmpeg -i in.mkv -map 0 -c copy -c:v rawvideo -f matroska - | misr filter -s 2 |
    ffmpeg -i - -map 0 -c copy -c:v libx265 out.mkv
    """
    from misr.io.streams import format_for
    from misr.plan import Settings

    o.one_of("--precision", precision, "auto", "fp32", "bf16", "fp16")
    o.one_of("--deinterlace", deinterlace, "auto", "on", "off")
    o.one_of("--on-error", on_error, "stop", "repeat")
    o.one_of("--progress", progress, "bar", "json", "none")
    o.whole(tile=tile, batch=batch, threads=threads)
    if codec not in ("rawvideo", "ffv1"):
        raise InputError(
            f"-c:v {codec}: a filter hands on rawvideo or ffv1; encode with ffmpeg after it, or use `misr upscale`"
        )
    container = format_for(target, fmt)
    if target == "-" and container not in ("matroska", "nut", "yuv4mpegpipe"):
        raise InputError(f"-f {fmt}: a pipe carries matroska, nut or yuv4mpegpipe; ffmpeg after it writes the rest")
    wanted = Settings(
        model=model,
        scale=scale,
        size=size,
        strength=strength,
        codec=codec,
        pix_fmt=pix_fmt,
        options=o.extra_options(EXTRA),
        fmt=container,
        framerate=o.ratio(framerate),
        retag=o.retag(matrix, span, primaries, transfer, siting),
        overwrite=yes,
        device=device,
        precision=cast("Precision", precision),
        tile=tile,
        batch=batch,
        threads=threads,
        deinterlace=cast("Deinterlace", deinterlace),
        on_error=cast("OnError", on_error),
    )
    if target != "-" and not Path(target).suffix:
        raise InputError(f"{target}: a file wants an extension, such as .mkv; - is standard output")
    for name, path, stream in (("input", source, sys.stdin), ("output", target, sys.stdout)):
        if path == "-" and stream.isatty():
            raise InputError(
                f"standard {name} is a terminal; `misr filter` stands between two pipes: a | misr filter | b"
            )
    o.use_threads(threads)
    from misr.cli.upscale import one

    one(source, target, wanted, progress, dry_run=False)
