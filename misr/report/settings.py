"""How clips are put beside each other: what a user may say, in ffmpeg's words where it has one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal

from misr.errors import InputError
from misr.io.reader import OnError
from misr.plan import Settings

SECONDS = Fraction(3)
OPTIONS = {  # settings, and the options of `misr compare` that say the same
    "start": "-ss",
    "duration": "-t",
    "frames": "--frames",
    "crop": "--crop",
    "shift": "-itsoffset",
    "names": "--names",
    "framerate": "-framerate",
    "limit_bytes": "-fs",
    "on_error": "--on-error",
}


@dataclass(frozen=True, slots=True)
class Comparing:
    """What is shown of clips beside each other, and how much of it; None means "misr decides".

    start        seconds on BEFORE's clock; "auto" is where it has most detail; its beginning by default
    duration     seconds (3); frames: the most of each input
    crop         WxH+X+Y in pixels of BEFORE, WxH of its middle, "none"; by default the part with most detail if all is too much
    shift        seconds added to the times of AFTERS; by default 0, or what makes first frames meet if more frames meet then
    names        what AFTERS are called, in order; their file names by default
    framerate    pictures per second of sequences; BEFORE's by default, 25 where that is one
    limit_bytes  of the page: pictures are kept without loss, else as JPEG, else in part, else fewer of them
    on_error     what a frame that does not decode becomes: an error, or the frame before it once more
    reading      how BEFORE is read where it is not as it says of itself: its colours, rate and fields
    paths        where AFTERS are said to be, in order, where the files are only for a while
    command      the line that makes the page again, where it is not `misr compare`; notes: further sentences for readers
    """

    start: Fraction | Literal["auto"] | None = None
    duration: Fraction | None = None
    frames: int = 150
    crop: str | None = None
    shift: Fraction | None = None
    names: tuple[str, ...] = ()
    framerate: Fraction | None = None
    limit_bytes: int = 50_000_000
    on_error: OnError = "stop"
    reading: Settings | None = None
    paths: tuple[str, ...] = ()
    command: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value in (("-t", self.duration), ("--frames", self.frames), ("-fs", self.limit_bytes)):
            if value is not None and value <= 0:
                raise InputError(f"{what} {value}: nothing would be on the page; give more than 0")

    @property
    def seconds(self) -> Fraction:
        """How much of the clips is looked at."""
        return SECONDS if self.duration is None else self.duration


def again(before: str, afters: Sequence[str], out: str, ref: str | None, how: Comparing) -> str:
    """The command line that makes the same page."""
    words = ["misr", "compare", before, *afters, "-o", out, *(["--ref", ref] if ref else [])]
    for field in fields(Comparing):
        value = getattr(how, field.name)
        if field.name in OPTIONS and value != field.default:
            words += [OPTIONS[field.name], said(value)]
    return how.command or shlex.join(words)


def said(value: Any) -> str:
    """A setting as an option takes it; times and rates as decimals where those are exact."""
    if isinstance(value, Fraction):
        text = f"{float(value):.6f}".rstrip("0").rstrip(".")
        return text if Fraction(text) == value else str(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)
