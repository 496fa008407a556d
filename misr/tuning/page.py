"""A page beside the sheet: what the two commands make of the moment with most detail, before on the left, in motion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from misr.io.output import Span
from misr.plan import Settings, open_reader
from misr.report import Comparing, compare
from misr.report.detail import busiest_place, since
from misr.report.preview import rendered
from misr.tuning.race import Command, Ways
from misr.tuning.sheet import TEXTURE

PART = 320, 180  # source pixels that are shown; all of them would make the page large and slow to make
LONGEST_S = 1
FEWEST = 3  # frames
KEPT_S = 0.15  # for keeping a frame's pictures without loss, about
PATIENCE = 3  # times the time that is given, up to which the fewest frames are waited for


@dataclass(frozen=True, slots=True)
class Shown:
    """What is put beside the source: a command, what it says as settings, and which goals it serves: fast, best or both."""

    command: Command
    wanted: Settings
    goals: str

    @property
    def name(self) -> str:
        """As the page has it."""
        return f"{self.goals}: {self.command.pace.model}"


def distinct(fast: Shown, best: Shown) -> list[Shown]:
    """Both, or one where they would look alike: the same model and as much of its detail."""
    if (fast.wanted.model, fast.wanted.strength) == (best.wanted.model, best.wanted.strength):
        return [replace(best, goals="fast and best")]
    return [fast, best]


def frames_for(seconds: float, shown: Sequence[Shown], rate: Fraction) -> int:
    """How many frames so many seconds are enough for; 0 where even a few would take far longer."""
    if least(shown) > PATIENCE * seconds:
        return 0
    return max(FEWEST, min(int(seconds * FEWEST / least(shown)), round(LONGEST_S * rate)))


def least(shown: Sequence[Shown]) -> float:
    """Seconds that the shortest page takes to make, about."""
    return FEWEST * (KEPT_S + sum(1 / it.command.pace.fps for it in shown))


def page(ways: Ways, shown: Sequence[Shown], frames: int, command: str, step: Callable[[str], None]) -> bytes:
    """The page as HTML: so many frames from the clip's moment on, as each of these makes them, and the source.

    command    the line that makes the page again; step: told of each run before it begins
    """
    begin, rate = ways.facts.moment, ways.info.rate
    where = part(ways, shown[0].wanted)
    with tempfile.TemporaryDirectory(prefix="misr-tune-") as folder:
        made = []
        for it in shown:
            step(f"rendering {it.command.pace.model}")
            made.append(Path(folder) / it.command.target)
            rendered(ways.source, made[-1], replace(it.wanted, start=begin, end=begin + frames / rate))
        step("comparing")
        how = Comparing(
            start=begin,
            duration=frames / rate,
            frames=frames,
            crop=where,
            shift=begin,
            names=tuple(it.name for it in shown),
            reading=shown[0].wanted,
            paths=tuple(it.command.target for it in shown),
            command=command,
            notes=(note(frames, begin),),
        )
        out = Path(folder) / "compare.html"
        compare(ways.source, made, out, how)
        return out.read_bytes()


def note(frames: int, begin: Fraction) -> str:
    """Which frames these are."""
    return f"Shown are {frames} frames from {float(begin):.2f} s on, where most detail was found, as the two commands make them."


def part(ways: Ways, wanted: Settings) -> str:
    """The part of the first frame with most fine detail, as --crop has it; none where all of it is shown."""
    reader = open_reader(ways.source, Span(), wanted, upright=True)
    try:
        frame = next(since(reader, ways.facts.moment))
    finally:
        reader.close()
    w, h = (min(a, b) for a, b in zip(PART, (frame.width, frame.height), strict=True))
    if (w, h) == (frame.width, frame.height):
        return "none"
    x, y = busiest_place(frame, (w / frame.width, h / frame.height), power=TEXTURE)
    left = min(max(round(x * frame.width - w / 2), 0), frame.width - w)
    top = min(max(round(y * frame.height - h / 2), 0), frame.height - h)
    return f"{w}x{h}+{left}+{top}"
