"""`misr bench`: how fast this machine is with a model."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli.completion import clip_models
from misr.cli.options import PrecisionName, ProgressKind, one_of

if TYPE_CHECKING:
    from misr.upscaler import Precision


def bench(
    clip: Annotated[
        str | None, typer.Argument(metavar="[CLIP]", help="A clip of your own; a generated 480x270 one by default.")
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", help="Name or directory of a model.", autocompletion=clip_models)
    ] = "fast-x4",
    codec: Annotated[str, typer.Option("-c:v", help="Video encoder.")] = "libx264",
    preset: Annotated[str | None, typer.Option("-preset", help="Its preset.")] = "veryfast",
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1.")] = None,
    precision: PrecisionName = "auto",
    frames: Annotated[int, typer.Option("--frames", help="Frames of the generated clip.")] = 120,
    runs: Annotated[int, typer.Option("--runs", help="Runs of each figure; the median is shown.")] = 3,
    progress: ProgressKind = "bar",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Frames per second: decode, model, everything but encode, encode, end to end, and FFmpeg's Lanczos in the same process."""
    one_of("--progress", progress, "bar", "json", "none")
    from misr.bench import measure, sample
    from misr.cli.progress import Meter
    from misr.plan import Settings

    options = {"preset": preset} if preset else {}
    settings = Settings(
        model=model, codec=codec, options=options, device=device, precision=cast("Precision", precision)
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(clip) if clip else sample(Path(folder) / "sample.mp4", frames=frames)
        print(
            f"{source.name}, {model}, {codec} {preset or ''}: each figure is the median of {runs} runs", file=sys.stderr
        )
        with Meter(progress, unit="step", doing="timing", source=str(source)) as meter:

            def update(doing: str, done: int, of: int) -> None:
                meter.update(done, of, doing=doing)

            stages = measure(source, settings, runs=runs, progress=update)
    rows = {
        "decode": stages.decode,
        "model": stages.model,
        "all but encode": stages.no_encode,
        "encode": stages.encode,
        "end to end": stages.end_to_end,
        "ideal": stages.ideal,
        "lanczos end to end": stages.lanczos,
    }
    if as_json:
        print(json.dumps({k.replace(" ", "_"): round(v, 2) for k, v in rows.items()} | {"binds": stages.binds}))
        return
    for name, value in rows.items():
        print(f"{name:20}{value:8.1f} fps")
    print(
        f"{stages.binds} binds; end to end is {100 * stages.end_to_end / stages.ideal:.0f} % of the ideal, "
        "1 / (1/no-encode + 1/encode)"
    )
