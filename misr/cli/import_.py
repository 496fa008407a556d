"""`misr import`: published weights as a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from misr.cli.options import Debug, Text, Yes


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Weights as plain tensors: .safetensors, .npz, .pth and its like, .pb."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The model directory to make; `misr upscale -m` takes it.")],
    scale: Annotated[
        int | None, typer.Option("-s", "--scale", help="Where the weights serve several: 2, 3 or 4 of VDSR.")
    ] = None,
    net: Annotated[
        Text,
        typer.Option("--net", help="What they are weights of: vdsr, lapsrn, espcn, fsrcnn, srresnet, or spandrel."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="Of the weights, as their publisher says; for the card.")
    ] = "",
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Make a model of weights that others published: of nets that misr has itself, or of any that spandrel knows.

    A file that holds anything but tensors is refused; nothing in it is run. With misr[spandrel] most community models work.
    """
    from misr.importing import import_model

    done = import_model(file, out, scale=scale, net=net, licence=licence, overwrite=yes)
    for line in done.lines:
        print(line)
