"""`misr export`: a model as a file for ONNX Runtime, libtorch and FFmpeg, or OpenVINO."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli.completion import clip_models
from misr.cli.options import Debug, ProgressKind, Yes, one_of

if TYPE_CHECKING:
    from misr.exporting import Exported, Format


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Name or directory of a model; see `misr models`.", autocompletion=clip_models
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="x.onnx, x.pt (TorchScript) or x.xml (OpenVINO).")],
    scale: Annotated[
        float | None, typer.Option("-s", "--scale", help="Of a plain kernel (bicubic ...): 2, 3, 4 ...")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="onnx, torchscript, openvino; OUT's suffix by default.")
    ] = None,
    rgb: Annotated[
        bool, typer.Option("--rgb", help="R'G'B' in and out: BT.709 luma, bicubic colour. TorchScript always does.")
    ] = False,
    opset: Annotated[int, typer.Option("--opset", help="Of ONNX, 16 to 20.")] = 17,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="OpenVINO: weights in 16 bits; models of one view bear it.")
    ] = False,
    yes: Yes = False,
    progress: ProgressKind = "bar",
    debug: Debug = False,
) -> None:
    """Write MODEL for another runtime, after that runtime has made the same pictures with it.

    Pictures of one view go through any runtime; video models take a window of views and which of them are real.
    """
    one_of("--progress", progress, "bar", "json", "none")
    from misr.cli.progress import Meter
    from misr.exporting import export as write

    if format is not None:
        one_of("--format", format, "onnx", "torchscript", "openvino")
    with Meter(progress, unit="step", doing="exporting", source=model, target=str(out)) as meter:
        done = write(
            model,
            out,
            scale=scale,
            format=cast("Format | None", format),
            rgb=rgb,
            opset=opset,
            fp16=fp16,
            overwrite=yes,
            progress=meter.update,
        )
    for line in lines(done):
        print(line, file=sys.stderr)


def lines(done: Exported) -> list[str]:
    """What was written, for people."""
    size_kb = sum(p.stat().st_size for p in done.files) / 1000
    tensors = [
        f"  {name} ({', '.join(map(str, dims))})" for name, dims in (*done.inputs.items(), *done.outputs.items())
    ]
    return [
        f"{' and '.join(map(str, done.files))}: {done.told['name']} x{done.told['scale']}, {size_kb:.0f} kB",
        *(f"{line}{'  <- out' if k == len(done.inputs) else ''}" for k, line in enumerate(tensors)),
        f"its runtime's pictures are within {done.error:.1e} of white of misr's own",
    ]
