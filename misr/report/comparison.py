"""Clips beside each other as one page: read, matched by time, measured, kept, written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from misr.ahead import prefetch
from misr.errors import InputError, OutputError
from misr.frame import Frame
from misr.io.pictures import is_sequence
from misr.journal import write_whole
from misr.plan import Settings
from misr.report.detail import busiest_span
from misr.report.inputs import Input, Role, opened
from misr.report.moments import Moments, find, frames_of
from misr.report.page import page
from misr.report.pictures import BASE64, Keeping, keeping, part_asked
from misr.report.scores import Curve, measure_for
from misr.report.settings import Comparing, again
from misr.report.telling import facts, remarks

Progress = Callable[[int, int], None]  # frames on the page so far, of how many
MOST_INPUTS = 9  # keys 1 to 9 choose them


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was written: where, how many frames of each input at most, how large, and what a reader is told about it."""

    target: str
    frames: int
    size_bytes: int
    notes: tuple[str, ...]


def compare(
    before: str | Path,
    afters: str | Path | Sequence[str | Path],
    out: str | Path,
    how: Comparing | None = None,
    *,
    ref: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """One page of HTML that shows clips, pictures or sequences beside each other, and needs nothing but itself.

    Frames of AFTERS and of the reference are those shown at the times of BEFORE's. With a reference every input is measured
    against it: PSNR, SSIM and flicker of the luma, as misr.evaluate does. InputError or OutputError in one sentence; then
    nothing was written.
    """
    how = how or Comparing()
    given = [str(p) for p in ([afters] if isinstance(afters, str | Path) else afters)]
    truth = None if ref is None else str(ref)
    check(given, str(out), truth, how)
    with ExitStack() as readers:

        def enter(
            path: str, role: Role, rate: Fraction | None, name: str = "", reading: Settings | None = None
        ) -> Input:
            usual = Settings(framerate=rate if is_sequence(path) else None, on_error=how.on_error)
            it = opened(path, role, name=name, how=reading or usual)
            readers.callback(it.reader.close)
            return it

        first = enter(str(before), "before", how.framerate, reading=how.reading)
        rate = how.framerate or first.info.rate  # of sequences; clips have their own
        others = [enter(path, "after", rate, name) for path, name in zip_longest(given, how.names, fillvalue="")]
        others = [replace(it, told=path) for it, path in zip(others, [*how.paths, *[""] * len(others)], strict=False)]
        others += [] if truth is None else [enter(truth, "reference", rate)]
        first, *others = distinct([first, *others])
        notes, start = begin(first, how)
        seen = find(first, others, start=start, duration=how.seconds, most=how.frames, shift=how.shift)
        part = part_asked(how.crop, [i.size for i in seen.inputs]) if how.crop else None
        keep = keeping(seen.samples, len(seen.moments), how.limit_bytes, part)
        pictures, curves = kept(seen, keep, how.limit_bytes, progress or (lambda done, of: None))
    notes += remarks(seen, keep, len(pictures), how)
    told = facts(seen.first(len(pictures)), keep, curves, notes, again(str(before), given, str(out), truth, how))
    text = page(told, keep.kind, pictures)
    try:
        write_whole(Path(out), text)
    except OSError as e:
        raise OutputError(f"{out}: the page cannot be written ({e.strerror}); choose another place") from None
    return Comparison(str(out), len(pictures), len(text.encode()), tuple(notes))


def check(afters: Sequence[str], out: str, ref: str | None, how: Comparing) -> None:
    """Refuse what cannot be meant, before anything is read."""
    path, many = Path(out), 1 + len(afters) + (ref is not None)
    if not afters:
        raise InputError("something to compare with is needed: misr compare BEFORE AFTER... -o PAGE.html")
    if many > MOST_INPUTS:
        raise InputError(f"{many} inputs are too many for one page; compare {MOST_INPUTS} at most")
    if len(how.names) > len(afters):
        raise InputError(f"{len(how.names)} names for {len(afters)} clips after BEFORE; give one for each at most")
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{out}: a comparison is a page; give it a name that ends in .html")
    if not path.parent.is_dir() or path.is_dir():
        raise OutputError(f"{out}: not a place for a file; name one in a folder that exists")


def distinct(inputs: Sequence[Input]) -> list[Input]:
    """The inputs, those whose files are called alike by their folders too; the reference says that it is one."""
    names = [i.name for i in inputs]
    found = []
    for it in inputs:
        alike = names.count(it.name) > 1
        name = str(Path(*Path(it.path).resolve().parts[-2:])) if alike else it.name
        found.append(replace(it, name=f"{name} (reference)" if it.role == "reference" else name))
    return found


def begin(first: Input, how: Comparing) -> tuple[list[str], Fraction | None]:
    """Where the page begins on BEFORE's clock, None for its beginning; and what is to be said of that."""
    if how.start != "auto":
        return [*how.notes], how.start
    span = busiest_span(first.reader, how.seconds)
    return [*how.notes, span.told()], span.begin


def kept(
    seen: Moments, keep: Keeping, limit: int, progress: Progress
) -> tuple[list[list[bytes | None]], dict[int, Curve]]:
    """The pictures of every moment while there is room, and the scores against the reference by input."""
    inputs, moments = seen.inputs, seen.moments
    truth = next((n for n, i in enumerate(inputs) if i.role == "reference"), None)
    curves = {}
    if truth is not None:
        how = measure_for(inputs[truth].size, len(moments))
        curves = {n: Curve(how, i.path) for n, i in enumerate(inputs) if n != truth}
    pictures: list[list[bytes | None]] = []
    size = 0.0
    with ExitStack() as threads:  # one for each input: most of the time goes into keeping without loss
        streams = [
            threads.enter_context(closing(prefetch(pictured(it, [m.times[n] for m in moments], keep), 2)))
            for n, it in enumerate(inputs)
        ]
        for row in zip(*streams, strict=True):
            size += BASE64 * sum(len(data) for _, data in row if data)
            if size > limit and pictures:
                break
            pictures.append([data for _, data in row])
            for n, curve in curves.items():
                curve.push(row[n][0], row[truth or 0][0])
            progress(len(pictures), len(moments))
    return pictures, curves


def pictured(it: Input, times: Sequence[Fraction | None], keep: Keeping) -> Iterator[tuple[Frame | None, bytes | None]]:
    """An input's frame at each of the times, and the file of it that the page carries."""
    for frame in frames_of(it, times):
        yield frame, None if frame is None else keep.data(frame)
