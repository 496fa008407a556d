"""`misr join`: what `misr upscale --part` has rendered becomes the output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from misr.cli import options as o
from misr.cli.options import Text
from misr.errors import InputError, MisrError


def join(
    target: Annotated[
        str, typer.Argument(metavar="OUTPUT", help="What `misr upscale --part` was told; a folder: every clip in it.")
    ],
    source: Annotated[
        Text, typer.Option("-i", metavar="INPUT", help="The source, where it has another path here.")
    ] = None,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> None:
    """Finish OUTPUT, whose parts `misr upscale --part` has rendered; tells which are missing, if any.

    Any machine that sees the disk will do; none of the devices that rendered is needed.
    """
    from misr.spread.joining import begun_in, join
    from misr.spread.portions import counted

    folder = Path(target)
    targets = begun_in(folder) if folder.is_dir() else [target]
    failed = []
    for out in targets:
        came_from = str(Path(source) / Path(out).name) if source is not None and folder.is_dir() else source
        try:
            done = join(out, came_from, overwrite=yes, say=o.say)
        except (MisrError, OSError) as e:
            if not folder.is_dir():
                raise
            failed.append(str(e))
            o.say(f"failed: {e}")
            continue
        for note in done.notes:
            o.say(f"note      {note}")
        o.say(f"{done.frames} frames of {counted(done.segments)} joined: {out}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(targets)} outputs cannot be joined, the others are: {'; '.join(failed)}"
        )
