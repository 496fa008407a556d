"""`misr tune` as a function: look at the clip, race the models, choose, draw the sheet; in about the time that is given."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from misr.errors import InputError, ModelError, OutputError
from misr.io.output import Span
from misr.io.reader import ClipInfo
from misr.journal import write_whole
from misr.machine import cores
from misr.plan import Settings, open_reader, several
from misr.tuning.advice import TABLE_BEST, TABLE_FAST, candidates, choose
from misr.tuning.facts import Facts, look
from misr.tuning.lines import lasting, lines
from misr.tuning.page import Shown, distinct, frames_for, least, page
from misr.tuning.race import Command, Ways, race
from misr.tuning.sheet import Row, sheet
from misr.tuning.speed import Pace
from misr.zoo import card, device_of, fuses

LOOKING, RACING = 0.25, 0.6  # shares of the time; the sheet has the rest
PAGING = 0.15  # the page's share, which racing goes without
BUSY = 0.5  # load for each core from which other work decides what is faster
MOST_SCALE = 8  # models end at 4; what is beyond is interpolated

Stage = Callable[[str, int, int], None]  # what is being done, how many steps are over, of how many


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a clip is looked at.

    scale     SR size / source size
    models    names or directories, looked at beside the shipped models for the scale
    seconds   to take, about; a large picture and a slow model take what a few frames need
    device    "cpu", "cuda"; the best one here by default
    """

    scale: float = 2.0
    models: tuple[str, ...] = ()
    seconds: float = 75.0
    device: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= MOST_SCALE:
            raise InputError(f"-s {self.scale:g}: models make pictures larger; give a factor from 1 to {MOST_SCALE}")
        if not self.seconds > 0:
            raise InputError(f"--seconds {self.seconds:g}: nothing can be measured in no time; give 10 or more")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found: facts and the same in words, all speeds, the two commands, where sheet and page are, and how long it took.

    page    "" where none was asked for; where it was, and would take too long, `page_s` says how long in seconds
    """

    facts: Facts
    lines: tuple[tuple[str, str], ...]
    paces: tuple[Pace, ...]
    fast: Command
    best: Command
    sheet: str
    page: str
    page_s: float | None
    took_s: float


def tune(
    source: str | Path, out: str | Path | None = None, how: Tuning | None = None, *, stage: Stage | None = None
) -> Tuned:
    """Look at a clip and at this machine: what is fast, what is best, and a sheet of pictures to judge by.

    out    the sheet, a PNG, or a folder that gets it as sheet.png and, as compare.html, a page on which both commands' results
           are seen beside the clip, for a second at most; CLIP.tune.png in the current folder by default

    InputError, OutputError or ModelError in one sentence; then nothing was written.
    """
    how, name, began, load = how or Tuning(), str(source), time.monotonic(), load_of_others()
    if name == "-":
        raise InputError("standard input can be read only once, and a clip is looked at several times; give a file")
    target = place(name, out)
    beside = target.parent / "compare.html" if out is not None and target != Path(out) else None
    names = candidates(how.scale, how.models)
    count, told, over = 2 * len(names) + (8 if beside else 5), stage or (lambda doing, done, of: None), 0

    def step(doing: str) -> None:
        nonlocal over
        told(doing, min(over, count - 1), count)
        over += 1

    for model in how.models:
        if fuses(card(model, scale=how.scale)):
            raise ModelError(f"{model} fuses pictures of one place; use it with `misr fuse`, not on a clip")
    step("looking at the clip")
    facts, info = looked_at(name, how)
    fast, best = (choose(table, facts, info, how.scale) for table in (TABLE_FAST, TABLE_BEST))
    ways = Ways(name, info, facts, how.scale, how.device, busy=load > BUSY)
    with tempfile.TemporaryDirectory(prefix="misr-tune-") as folder:
        racing = RACING - PAGING if beside else RACING
        run = race(ways, names, fast, best, Path(folder), began + how.seconds * (LOOKING + racing), step)
    rows = [Row(called(n), speed_of(n, run.paces, info), partial(ways.upscaler, n)) for n in names]
    reader = open_reader(name, Span(), reading(facts, info), upright=True)
    size = run.size if reader.info.width == info.width else run.size[::-1]
    try:
        title = f"{Path(name).name}, x{how.scale:g}"
        picture = sheet(reader, facts.moment, size, rows, title=title, step=step)
    finally:
        reader.close()
    shown = distinct(Shown(run.fast, run.wanted[0], "fast"), Shown(run.best, run.wanted[1], "best"))
    frames = frames_for(how.seconds * PAGING, shown, info.rate) if beside else 0
    text = page(ways, shown, frames, again(name, out, how), step) if frames else b""
    write(target, picture)
    if beside and text:
        write(beside, text)
    told("done", count, count)
    return Tuned(
        facts,
        (*lines(facts, info), ("machine", machine(load, device_of(how.device).type))),
        run.paces,
        run.fast,
        run.best,
        str(target),
        page=str(beside) if text else "",
        page_s=least(shown) if beside and not text else None,
        took_s=time.monotonic() - began,
    )


def again(source: str, out: str | Path | None, how: Tuning) -> str:
    """The command line that does the same."""
    words, usual = ["misr", "tune", source, "-o", str(out)], Tuning()
    words += ["-s", f"{how.scale:g}"] if how.scale != usual.scale else []
    words += [w for model in how.models for w in ("-m", model)]
    words += ["--seconds", f"{how.seconds:g}"] if how.seconds != usual.seconds else []
    return shlex.join(words + (["--device", how.device] if how.device else []))


def load_of_others() -> float:
    """Processes that wanted a core during the last minute, for each core; 0 where the system does not count them.

    Of all cores, also in a container that may use few: the load is that of the whole machine, too.
    """
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0


def machine(load: float, device: str) -> str:
    """What the speeds were measured on."""
    may = cores()
    on = f"{may} core{'s' * (may != 1)}" + (f" and {device}" if device != "cpu" else "")
    if load <= BUSY:
        return f"{on}, idle before this"
    busy = f"busy with other work ({load:.1f} processes for each)"
    return f"{on}, {busy}: speeds are of what that leaves, and hold only beside it"


def place(source: str, out: str | Path | None) -> Path:
    """Where the sheet goes; OutputError for what cannot be one."""
    if out is None:
        return Path(f"{Path(source).resolve().stem.replace('%', '')}.tune.png")
    path = Path(out)
    if path.suffix.lower() not in ("", ".png") and not path.is_dir():
        raise OutputError(f"{out}: the sheet is a picture; give a name that ends in .png, or a folder")
    target = path if path.suffix.lower() == ".png" and not path.is_dir() else path / "sheet.png"
    folder = path.parent
    if not folder.is_dir() or path.exists() and target != path and not path.is_dir():
        raise OutputError(f"{out}: not a place for the sheet; name one in a folder that exists")
    return target


def looked_at(source: str, how: Tuning) -> tuple[Facts, ClipInfo]:
    """The facts, and what the file says of itself, with its fields as misr would find them.

    Where frames are woven of two fields, all that is not of fields is told of them deinterlaced, as models get them: combs would
    pass for detail that is aliased.
    """
    reader = open_reader(source, Span(), Settings(), upright=False)
    info = reader.info
    try:
        if not several(info):
            raise InputError(f"{source} is one picture; upscale it with some models, and see them with misr compare")
        if info.interlaced:  # its frames are to be seen as they are
            reader.close()
            reader = open_reader(source, Span(), Settings(deinterlace="off"), upright=False)
        facts = look(reader, how.scale, how.seconds * LOOKING)
        if facts.fields:
            reader.close()
            reader = open_reader(source, Span(), Settings(deinterlace="on"), upright=False)
            whole = look(reader, how.scale, how.seconds * LOOKING / 2)
            facts = replace(whole, fields=facts.fields, pulled=facts.pulled)
        return facts, info
    finally:
        reader.close()


def reading(facts: Facts, info: ClipInfo) -> Settings:
    """How the clip is read to be upscaled."""
    return Settings(deinterlace="on" if facts.fields and not info.interlaced else "auto")


def called(model: str) -> str:
    """A model's name, as its card has it."""
    return card(model).name


def speed_of(model: str, paces: Sequence[Pace], info: ClipInfo) -> str:
    """Lines for the sheet: frames per second, how long the clip takes, and with which preset."""
    it = next((p for p in paces if p.model == called(model) and not p.threads), None)
    if it is None:
        return ""
    whole_s = it.seconds(info.frames)
    return (
        f"{it.fps:.1f} frames/s"
        + (f"\n{lasting(whole_s)} in all" if whole_s else "")
        + (f"\n-preset {it.preset}" if it.preset else "")
    )


def write(target: Path, data: bytes) -> None:
    """The sheet or the page under its name, in a folder that is made where it is wanted."""
    what = "sheet" if target.suffix == ".png" else "page"
    try:
        target.parent.mkdir(exist_ok=True)
        write_whole(target, data)
    except OSError as e:
        raise OutputError(
            f"{target}: the {what} cannot be written ({e.strerror}); choose another place with -o"
        ) from None
