"""The models on this clip, one after the other, each as its command would run it; and the commands of the two chosen ones."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from misr.errors import OutputError
from misr.io.pictures import is_sequence
from misr.io.reader import ClipInfo
from misr.pipeline import AnyReader, Job
from misr.plan import Settings, plan
from misr.tuning.advice import QUICK, Choice
from misr.tuning.facts import Facts
from misr.tuning.memory import free_bytes, tile
from misr.tuning.speed import Pace, pace
from misr.upscaler import Precision, Upscaler, fast_bf16
from misr.zoo import device_of

LEAST_S = 0.5  # for each model
FASTER = 1.2  # than the usual way; by so much is worth an option of its own
PIECES = 2  # ways beside the usual one: another precision, fewer threads


@dataclass(frozen=True, slots=True)
class Command:
    """A command that may be run as it stands: its words, how fast it was, how long the whole clip will take, and why it is this.

    whole_s    None where the file does not tell how many frames it has
    """

    words: tuple[str, ...]
    pace: Pace
    whole_s: float | None
    why: str

    @property
    def line(self) -> str:
        """As a shell takes it."""
        return shlex.join(self.words)

    @property
    def target(self) -> str:
        """The file that it makes."""
        return self.words[3]


@dataclass(frozen=True, slots=True)
class Ways:
    """What every command has in common: the clip, its facts, the scale, and the device or None for the best one.

    busy    other work is running, beside which it is chance what is a little faster: no option is chosen by it
    """

    source: str
    info: ClipInfo
    facts: Facts
    scale: float
    device: str | None
    busy: bool = False

    def settings(self, choice: Choice) -> Settings:
        """A choice as `misr upscale` takes it."""
        return Settings(
            model=choice.model,
            scale=self.scale,
            strength=choice.strength,
            device=self.device,
            tile=self.tile(choice.model),
            deinterlace="on" if choice.deinterlace else "auto",
        )

    def tile(self, model: str) -> int:
        """Side of the tiles that a model needs on this machine; 0 for whole pictures."""
        size = self.info.width, self.info.height
        return tile(model, size, free_bytes(device_of(self.device)))

    def upscaler(self, model: str) -> Upscaler:
        """A model, loaded, at full strength."""
        return Upscaler(model, scale=self.scale, device=self.device, tile=self.tile(model))

    def target(self, goal: str, suffix: str) -> str:
        """The name of a result, in the current folder; no name of a sequence."""
        path = Path(self.source)
        stem = path.resolve().parent.name if "%" in path.name else path.stem
        return f"{stem}.x{self.scale:g}-{goal}{suffix}"

    def command(self, goal: str, wanted: Settings, suffix: str, it: Pace, why: str) -> Command:
        """The command line that these settings are."""
        words = [
            "misr",
            "upscale",
            self.source,
            self.target(goal, suffix),
            "-m",
            str(wanted.model),
            "-s",
            f"{self.scale:g}",
        ]
        words += ["--strength", f"{wanted.strength:g}"] if wanted.strength != 1 else []
        words += [w for name, value in wanted.options.items() for w in (f"-{name}", value)]
        words += ["--deinterlace", wanted.deinterlace] if wanted.deinterlace != "auto" else []
        words += ["--precision", wanted.precision] if wanted.precision != "auto" else []
        words += ["--tile", str(wanted.tile)] if wanted.tile else []
        words += ["--threads", str(wanted.threads)] if wanted.threads else []
        words += ["--device", self.device] if self.device else []
        return Command(tuple(words), it, it.seconds(self.info.frames), why)


@dataclass(frozen=True, slots=True)
class Race:
    """What came of it: all speeds, the chosen commands, their settings, and the size of the upscaled picture."""

    paces: tuple[Pace, ...]
    fast: Command
    best: Command
    wanted: tuple[Settings, Settings]
    size: tuple[int, int]


def race(
    ways: Ways, names: list[str], fast: Choice, best: Choice, folder: Path, until: float, step: Callable[[str], None]
) -> Race:
    """Every model, the chosen ones first, until about that moment of time.monotonic().

    folder    where nothing but plans is tried; step: told of each model before it runs
    """
    slow, suffix, (job, reader, up) = planned(ways, best, folder)
    others = [name for name in names if name not in (fast.model, best.model)]
    left = len(others) + 2 + (0 if ways.busy else PIECES)
    try:
        preset = QUICK.get(job.encoding.codec)
        quick = replace(ways.settings(fast), options={"preset": preset} if preset else {})
        quick_job, second, quick_up = plan(ways.source, str(folder / f"fast{suffix}"), quick)
        second.close()

        def run(model: Upscaler, its: Job, doing: str, threads: int = 0, like: Pace | None = None) -> Pace:
            nonlocal left
            step(doing)
            seconds = max(LEAST_S, (until - time.monotonic()) / max(left, 1))
            left -= 1
            return pace(model, its, reader, ways.facts.moment, seconds, threads=threads, like=like)

        quickest = run(quick_up, quick_job, f"timing {fast.model}")
        slowest = run(up, job, f"timing {best.model}")
        rest = [run(ways.upscaler(name), job, f"timing {name}") for name in others]
        varied = [] if ways.busy else variations(quick_up, quick_job, partial(run, like=quickest))
        quicker = max([quickest, *varied], key=lambda p: p.fps if p is not quickest else p.fps * FASTER)
        quick = replace(quick, threads=quicker.threads, precision=said(quicker, quick_up))
    finally:
        reader.close()
    return Race(
        (quickest, slowest, *rest, *varied),
        ways.command("fast", quick, suffix, quicker, fast.why),
        ways.command("best", slow, suffix, slowest, best.why),
        (quick, slow),
        (job.encoding.width, job.encoding.height),
    )


def planned(ways: Ways, choice: Choice, folder: Path) -> tuple[Settings, str, tuple[Job, AnyReader, Upscaler]]:
    """The settings of a choice, the first container that takes the clip (its own, else Matroska), and the plan."""
    wanted = ways.settings(choice)
    own = "" if is_sequence(ways.source) else Path(ways.source).suffix
    for suffix in (own, ".mkv"):
        try:
            if suffix:
                return wanted, suffix, plan(ways.source, str(folder / f"best{suffix}"), wanted)
        except OutputError:
            if suffix == ".mkv":
                raise
    raise AssertionError(own)


def variations(up: Upscaler, job: Job, run: Callable[..., Pace]) -> list[Pace]:
    """The fast model in another precision, and with half of the threads; where the machine has both."""
    found = []
    if other := other_precision(up):
        usual, up.precision = up.precision, other
        found.append(run(up, job, f"timing {up.card.name} in {other}"))
        up.precision = usual
    threads = torch.get_num_threads() // 2
    if up.device.type == "cpu" and threads:
        found.append(run(up, job, f"timing {up.card.name} with {threads} threads", threads=threads))
    return found


def other_precision(up: Upscaler) -> Precision | None:
    """What else the model was tested in that this device may do well."""
    if up.precision != "fp32":
        return "fp32"
    return "bf16" if "bf16" in up.card.precisions and fast_bf16(up.device) else None


def said(it: Pace, up: Upscaler) -> Precision:
    """--precision, where it is not what misr takes by itself."""
    if it.precision == up.precision:
        return "auto"
    return "fp32" if it.precision == "fp32" else "bf16"
