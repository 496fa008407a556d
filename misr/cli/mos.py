"""`misr mos`: what people think of results, asked blind on a page, and their answers as scores."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from misr.cli import options as o
from misr.cli.options import Text

if TYPE_CHECKING:
    from misr.io.reader import OnError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What people think of results: a blind rating page, and mean opinion scores of what they answered.",
)


@app.command()
def make(
    methods: Annotated[
        list[str],
        typer.Argument(metavar="METHOD...", help="What each made: a clip, a picture, or a folder of like-named ones."),
    ],
    out: Annotated[str, typer.Option("-o", "--out", metavar="PAGE.html", help="The page; all of it is in this file.")],
    ref: Annotated[
        Text, typer.Option("--ref", help="The truth, shown among the others unnamed: scores are also told against it.")
    ] = None,
    names: Annotated[
        Text, typer.Option("--names", metavar="A[,B...]", help="What METHODS are called in scores.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of all orders; with a rater's name it gives one order.")] = 1,
    start: Annotated[Text, typer.Option("-ss", help="Begin here in every clip: seconds or [hh:]mm:ss.")] = None,
    duration: Annotated[Text, typer.Option("-t", help="For this long (5 seconds).")] = None,
    frames: Annotated[int, typer.Option("--frames", help="At most so many frames of each.")] = 300,
    crop: Annotated[
        Text, typer.Option("--crop", help="This part: WxH+X+Y in pixels; none: all of it, in fewer frames.")
    ] = None,
    framerate: Annotated[Text, typer.Option("-framerate", help="Pictures per second of sequences.")] = None,
    sequence: Annotated[bool, typer.Option("--sequence", help="A folder of pictures is one clip.")] = False,
    size: Annotated[Text, typer.Option("-fs", help="How large the page may be, in bytes: 200M.")] = "100M",
    on_error: o.OnErrorName = "stop",
    yes: o.Yes = False,
    progress: o.ProgressKind = "bar",
    debug: o.Debug = False,
) -> None:
    """Make a page on which people rate, from 1 to 5, what METHODS made of the same clips or pictures, not knowing which is which.

    The page needs no network. Each rater saves a file of answers; `misr mos score` reads them.
    """
    o.one_of("--on-error", on_error, "stop", "repeat")
    o.one_of("--progress", progress, "bar", "json", "none")
    from misr.cli.compare import size_bytes
    from misr.cli.progress import Meter
    from misr.errors import OutputError
    from misr.report import Rating, rating_page

    if Path(out).is_file() and not yes:
        raise OutputError(f"{out}: exists, and raters may be at it; -y overwrites it")
    how = Rating(
        names=tuple(name.strip() for name in names.split(",")) if names else (),
        seed=seed,
        start=o.clock("-ss", start),
        duration=o.clock("-t", duration) or (Fraction(5) if duration is None else Fraction(0)),
        frames=frames,
        crop=crop,
        framerate=o.ratio(framerate),
        sequence=sequence,
        limit_bytes=size_bytes(size),
        on_error=cast("OnError", on_error),
    )
    with Meter(progress, unit="content", doing="reading", source=methods[0], target=out) as meter:
        made = rating_page(methods, out, how, ref=ref, progress=meter.update)
    for note in made.notes:
        o.say(f"note      {note}")
    many = f"{len(made.contents)} contents by {len(made.methods)} methods"
    hidden = f", {made.reference} hidden among them" if made.reference else ""
    o.say(f"{many}{hidden}, about {made.minutes} min a rater, {made.size_bytes / 1e6:.1f} MB: {made.target}")


@app.command()
def score(
    answers: Annotated[
        list[str], typer.Argument(metavar="ANSWERS...", help="The files that raters of one page saved.")
    ],
    everyone: Annotated[
        bool,
        typer.Option("--everyone", help="Leave no rater out; else BT.500 leaves out who answers unlike all others."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON instead of a table.")] = False,
    debug: o.Debug = False,
) -> None:
    """Mean opinion scores of methods with 95 % intervals, and how methods differ, from what raters answered.

    Intervals are of Student's t over raters' means. Differences are paired by rater; their p is corrected for how many are asked.
    """
    from misr.report import opinions

    found = opinions(answers, everyone=everyone)
    print(found.json() if json else found.table(), end="")
    for rater in found.left_out:
        o.say(
            f"note      {rater} is left out: often far from the others, above as below (BT.500-13); --everyone counts all"
        )
