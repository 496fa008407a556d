"""`misr upscale --part 3/16`: a batch system's share of the segments; `misr join` finishes what all have rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from misr.cli import options as o
from misr.cli.options import Text
from misr.errors import InputError

if TYPE_CHECKING:
    from misr.pipeline import Job
    from misr.plan import Settings
    from misr.spread.crew import Crew
    from misr.upscaler import Upscaler

Portion = Annotated[
    Text,
    typer.Option(
        "--part",
        metavar="3/16",
        help="Only the 3rd of 16 parts, for batch systems; it waits beside OUTPUT until misr join has all.",
    ),
]


def check(part: str, *, preview: str | None, crew: Crew | None) -> None:
    """Refuse what makes no sense with --part, and a part that is none; InputError."""
    from misr.spread.portions import Which

    if preview is not None:
        raise InputError("--part and --preview are two jobs; look first, then render parts")
    if crew is not None:
        raise InputError(
            "--part is for batch systems, which know the machines: leave --workers, --on and several devices out, and make "
            "more parts instead"
        )
    Which.said(part)


def render_part(
    source: str,
    target: str,
    wanted: Settings,
    part: str,
    batch: Sequence[tuple[str, str]],
    progress: str,
    dry_run: bool,
    announce: Callable[[Job, Upscaler], None],
) -> None:
    """Plan and render a part of one clip, which may be one of a batch; the last line says what is there then."""
    from misr.cli.progress import Meter
    from misr.spread.parts import begun, planned, render
    from misr.spread.portions import Which
    from misr.summary import describe

    names = [Path(out).name for _, out in batch]
    which = Which.said(part, names.index(Path(target).name) if names else 0, names)
    with closing(
        planned(source, target, wanted, which) if dry_run else begun(source, target, wanted, which, o.say)
    ) as it:
        if dry_run:
            print("\n".join([*describe(it.job, it.up), it.line]))
            return
        announce(it.job, it.up)
        with Meter(progress, it.frames, doing="upscaling", source=source, target=target) as meter:
            done = render(it, meter.update, o.say)
        for note in done.notes:
            o.say(f"note      {note}")
        o.say(done.line)
