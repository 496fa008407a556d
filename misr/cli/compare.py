"""`misr compare`: clips beside each other in one page, for people's own eyes."""

from __future__ import annotations

import shlex
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from misr.cli import options as o
from misr.cli.options import Text
from misr.errors import InputError

if TYPE_CHECKING:
    from misr.io.reader import OnError
    from misr.plan import Settings
    from misr.report import Comparison


def compare(
    paths: Annotated[
        list[str], typer.Argument(metavar="BEFORE AFTER...", help="Clips, pictures, folders of pictures, %05d.png.")
    ],
    out: Annotated[str, typer.Option("-o", "--out", metavar="PAGE.html", help="The page; all of it is in this file.")],
    ref: Annotated[
        Text, typer.Option("--ref", help="The truth: scores of every frame, and differences from it.")
    ] = None,
    start: Annotated[
        Text, typer.Option("-ss", help="Begin here: seconds or [hh:]mm:ss of BEFORE; auto: where it has most detail.")
    ] = None,
    duration: Annotated[Text, typer.Option("-t", help="For this long (3 seconds).")] = None,
    frames: Annotated[int, typer.Option("--frames", help="At most so many frames of each.")] = 150,
    crop: Annotated[
        Text, typer.Option("--crop", help="This part: WxH+X+Y in pixels of BEFORE; none: all of it, in fewer frames.")
    ] = None,
    shift: Annotated[Text, typer.Option("-itsoffset", help="Seconds to add to the times of every AFTER.")] = None,
    names: Annotated[Text, typer.Option("--names", metavar="A[,B...]", help="What every AFTER is called.")] = None,
    framerate: Annotated[Text, typer.Option("-framerate", help="Pictures per second of sequences; BEFORE's.")] = None,
    size: Annotated[Text, typer.Option("-fs", help="How large the page may be, in bytes: 200M.")] = "50M",
    on_error: o.OnErrorName = "stop",
    progress: o.ProgressKind = "bar",
    debug: o.Debug = False,
) -> None:
    """Put AFTER beside BEFORE in one page: a divider, a loupe, a map of what differs, frame by frame; scores with --ref.

    Frames that belong together are those shown at one time. The page needs no network and no other file.
    """
    o.one_of("--on-error", on_error, "stop", "repeat")
    o.one_of("--progress", progress, "bar", "json", "none")
    from misr.cli.progress import Meter
    from misr.report import Comparing
    from misr.report import compare as make

    how = Comparing(
        start="auto" if start == "auto" else o.clock("-ss", start),
        duration=o.clock("-t", duration),
        frames=frames,
        crop=crop,
        shift=offset(shift),
        names=tuple(name.strip() for name in names.split(",")) if names else (),
        framerate=o.ratio(framerate),
        limit_bytes=size_bytes(size),
        on_error=cast("OnError", on_error),
    )
    with Meter(progress, doing="comparing", source=paths[0], target=out) as meter:
        made = make(paths[0], paths[1:], out, how, ref=ref, progress=meter.update)
    tell(made)


def tell(made: Comparison) -> None:
    """What came of it, for people."""
    for note in made.notes:
        o.say(f"note      {note}")
    o.say(f"{made.frames} frames, {made.size_bytes / 1e6:.1f} MB: {made.target}")


def look_first(paths: list[str], wanted: Settings, text: str, progress: str) -> None:
    """`misr upscale --preview`: the most detailed seconds of one clip, as a page; then how to go on."""
    from misr.cli.progress import Meter
    from misr.io.opening import clips_in
    from misr.report import preview

    seconds = o.clock("--preview", text.removesuffix("s"))
    if not seconds:
        raise InputError(f"--preview {text}: nothing to look at; write 5s, or seconds")
    if len(paths) != 2 or clips_in(paths[0]):
        raise InputError("--preview is of one clip: misr upscale INPUT OUTPUT --preview 5s")
    line = shlex.join(["misr", *o.LINE])
    with Meter(progress, doing="upscaling", source=paths[0], target=paths[1]) as meter:
        made = preview(paths[0], paths[1], wanted, seconds, command=line, progress=meter.update, say=o.say)
    tell(made.comparison)
    took = f", in about {in_words(made.whole_s)}" if made.whole_s is not None else ""
    o.say(f"the whole{took}: {shlex.join(['misr', *without_preview(o.LINE)])}")


def without_preview(line: list[str]) -> list[str]:
    """The words of a command line but --preview and its value."""
    at = next((n for n, word in enumerate(line) if word.startswith("--preview")), len(line))
    return line[:at] + line[at + (1 if "=" in "".join(line[at : at + 1]) else 2) :]


def in_words(seconds: float) -> str:
    """A length of time in the unit people would use."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def offset(text: str | None) -> Fraction | None:
    """-itsoffset, which may be below zero."""
    sign: Literal[-1, 1] = -1 if text and text.startswith("-") else 1
    value = o.clock("-itsoffset", text.lstrip("-") if text else None)
    return None if value is None else sign * value


def size_bytes(text: str | None) -> int:
    """200M, 800k or a plain number of bytes."""
    unit = {"k": 10**3, "m": 10**6, "g": 10**9}.get((text or "")[-1:].lower(), 1)
    try:
        return round(float((text or "")[:-1] if unit > 1 else text or "") * unit)
    except (ValueError, OverflowError):
        raise InputError(f"-fs {text}: not a size; write 200M, or a number of bytes") from None
