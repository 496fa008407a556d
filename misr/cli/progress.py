"""Progress that people and programs can read: a bar on a terminal, or lines of JSON, which docs/progress.md describes."""

from __future__ import annotations

import json
import math
import sys
import time
from itertools import pairwise
from types import TracebackType
from typing import Any, Literal

VERSION = 1  # of the lines of JSON; docs/progress.md says what may change within one
EVERY_S = 0.5  # between two lines of JSON
Event = Literal["start", "progress", "end", "error"]

running: Meter | None = None  # the one whose bar is on the terminal, or whose job is not over


class Meter:
    """How far a job is. bar: on a terminal, and nothing elsewhere; json: lines on stderr; none: nothing.

    expected         units in all, 0 where nobody knows
    unit, doing      what is counted, and what is done with it; a job of several stages names each of them in update()
    source, target   the paths the job is about, where it has one of each
    """

    def __init__(
        self, kind: str, expected: int = 0, *, unit: str = "frame", doing: str = "", source: str = "", target: str = ""
    ) -> None:
        global running
        self.kind, self.done, self.expected = kind, 0, expected
        self.unit, self.doing, self.source, self.target = unit, doing, source, target
        self.figures: dict[str, float] = {}
        self.binds = ""  # what a crew waits for
        self.began = self.stage_began = self.last = time.monotonic()
        self.told: float | None = None  # when the last line of JSON was
        self.resumed: int | None = None  # units that a resumed run found already done
        self.uncounted = 0  # of `done`, into the rate
        self.bar = bar_of(self) if kind == "bar" else None
        running = self
        self._line("start")

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close(finished=error is None)

    @property
    def shown(self) -> bool:
        """Whether there is a bar that somebody sees."""
        return self.bar is not None and not self.bar.disable

    @property
    def elapsed_s(self) -> float:
        """Since the job began."""
        return time.monotonic() - self.began

    @property
    def per_s(self) -> float | None:
        """Units a second of this run and stage; what a resumed run found does not count. None before the first unit."""
        here, seconds = self.done - self.uncounted, time.monotonic() - self.stage_began
        return here / seconds if here > 0 and seconds > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Until this stage is over, as long as it goes on as it went; None where that cannot be known."""
        if not self.expected:
            return None
        left = max(self.expected - self.done, 0)
        return 0.0 if not left else left / self.per_s if self.per_s else None

    def close(self, *, finished: bool) -> None:
        """The job is over; one that failed is told by fail(), which knows why."""
        global running
        if self.bar is not None:
            self.bar.close()
        if finished and self.resumed is None:  # nothing was left to do
            self.done = self.resumed = self.uncounted = self.expected
        if finished:
            self._line("end")
            if running is self:
                running = None

    def update(
        self,
        done: int,
        expected: int,
        *,
        doing: str | None = None,
        figures: dict[str, float] | None = None,
        resumed: int | None = None,
        binds: str = "",
    ) -> None:
        """Units finished so far, of how many (0: unknown); figures are what else a program may like to know.

        resumed   of those, what an earlier run had finished; else all before the first that is told
        binds     which stage of a crew's work all others wait for
        A count that falls, as where a worker dies and its task begins again, stays as it was until it is caught up with.
        """
        if doing is not None and doing != self.doing:
            goes_on = self.resumed is not None and done > self.done and expected == self.expected
            self.doing, self.told = doing, None
            if not goes_on:
                self.resumed, self.stage_began = None, self.last  # its first unit took time too
        elif self.resumed is not None:
            done = max(done, self.done)
        first = self.resumed is None
        if resumed is not None:
            self.resumed = self.uncounted = resumed
        elif first:
            self.resumed = self.uncounted = max(0, done - 1)
        if first:
            self.told = None  # the first unit of a stage is told at once
        self.done, self.expected, self.last = done, expected, time.monotonic()
        if figures:
            self.figures.update(figures)
        self.binds = binds or self.binds
        if self.bar is not None:
            self.bar.follow(self, first=first)
        if self.told is None or self.last - self.told > EVERY_S:
            self._line("progress")

    def warm(self) -> None:
        """From here on the rate counts: what came before, as reading the sources, says nothing of how it goes on."""
        self.uncounted, self.stage_began = self.done, time.monotonic()

    def row(self, event: Event, message: str | None = None) -> dict[str, Any]:
        """A line of JSON, before it is one. Every line has every field."""
        return {
            "version": VERSION,
            "event": event,
            "command": command(),
            "input": self.source or None,
            "output": self.target or None,
            "doing": self.doing,
            "unit": self.unit,
            "done": self.done,
            "total": self.expected or None,
            "resumed": self.resumed or 0,
            "per_s": rounded(self.per_s, 2),
            "elapsed_s": rounded(self.elapsed_s, 2),
            "eta_s": 0.0 if event == "end" else rounded(self.eta_s, 1),
            "figures": {name: rounded(value, 6) for name, value in self.figures.items()},
            "binds": self.binds or None,
            "message": message,
        }

    def _line(self, event: Event, message: str | None = None) -> None:
        if self.kind == "json":
            self.told = time.monotonic()
            print(json.dumps(self.row(event, message), allow_nan=False), file=sys.stderr, flush=True)


def rounded(value: float | None, digits: int) -> float | None:
    """A number as JSON can hold it."""
    return round(value, digits) if value is not None and math.isfinite(value) else None


def command() -> str:
    """The word after `misr`."""
    from misr.cli.options import LINE

    return LINE[0] if LINE else ""


def wants_json(args: list[str]) -> bool:
    """Whether a command line asks for lines of JSON; what stands after `--` is the encoder's."""
    line = args[: args.index("--")] if "--" in args else args
    return "--progress=json" in line or ("--progress", "json") in pairwise(line)


def begin() -> None:
    """Forget the job of an earlier command in this process."""
    global running
    running = None


def fail(message: str, *, kind: str, source: str = "", target: str = "") -> None:
    """Tell programs that the job which is running, or was about to, has failed, and why."""
    global running
    meter = running or Meter("none", source=source, target=target)
    running = None
    if kind == "json":
        meter.kind = "json"
        meter._line("error", message)


def above(line: str) -> None:
    """Print a line for people on stderr; a bar makes room for it."""
    bar = running.bar if running is not None and running.shown else None
    if bar is not None:
        bar.clear()
    print(line, file=sys.stderr, flush=True)
    if bar is not None:
        bar.refresh()


def bar_of(meter: Meter) -> Any:
    """A bar on a terminal: `upscaling:  35%|...| 105/300 frames [00:04<00:08, 24.1 fps]`; nothing elsewhere."""
    from tqdm import tqdm

    class Bar(tqdm):
        """The rate and the time left are the meter's own, so that people and programs read the same numbers."""

        seen = 0

        @property
        def format_dict(self) -> dict[str, Any]:
            """What a bar is drawn from."""
            eta = "?" if meter.eta_s is None else tqdm.format_interval(meter.eta_s)
            figures = "".join(f", {k} {v:.5g}" for k, v in meter.figures.items())
            ends = f"{rate_of(meter)}{figures}{f', {meter.binds} binds' if meter.binds else ''}]"
            name, unit = f"{meter.doing}: " if meter.doing else "", f"{meter.unit}s"
            known = f"{{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{meter.expected} {unit} [{{elapsed}}<{eta}"
            unknown = f"{{n_fmt}} {unit} [{{elapsed}}"
            return {**super().format_dict, "bar_format": name + (known if meter.expected else unknown) + ends}

        def follow(self, meter: Meter, *, first: bool) -> None:
            """Show where the meter is; at once where a stage begins, or a stopped run goes on."""
            self.total = meter.expected or None
            before, self.seen = self.seen, meter.done
            if first:
                self.n = meter.done
                self.refresh()
            else:
                self.update(meter.done - before)

    return Bar(total=meter.expected or None, file=sys.stderr, disable=None, dynamic_ncols=True)


def rate_of(meter: Meter) -> str:
    """`, 24.1 fps`; nothing where seconds are counted."""
    if meter.unit == "second":
        return ""
    unit = "fps" if meter.unit == "frame" else f"{meter.unit}s/s"
    return f", {'?' if meter.per_s is None else f'{meter.per_s:.1f}'} {unit}"
