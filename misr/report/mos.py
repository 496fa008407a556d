"""A page on which people rate methods blind: absolute category rating (ITU-T P.910), and a hidden reference if there is one."""

from __future__ import annotations

import hashlib
import json
import math
import random
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from misr import __version__
from misr.errors import InputError, OutputError
from misr.evaluation.items import items, matched
from misr.io.embedded import MEDIA, Kind
from misr.io.opening import clips_in
from misr.io.pictures import is_picture, is_sequence
from misr.io.reader import OnError
from misr.journal import write_whole
from misr.plan import Settings
from misr.report.comparison import kept
from misr.report.inputs import Input, opened
from misr.report.moments import find
from misr.report.page import assembled
from misr.report.pictures import Keeping, keeping, part_asked
from misr.report.telling import about, kept_how

Progress = Callable[[int, int], None]  # contents on the page so far, of how many
SECONDS = Fraction(5)
VOTING_S = 5  # that a rater takes beside watching, about
SESSION_MIN = 30  # BT.500: longer than this without a pause, and people rate their weariness


@dataclass(frozen=True, slots=True)
class Rating:
    """What is shown to raters; None means "misr decides".

    names        what METHODS are called in the answers, in order; their file or folder names by default
    seed         of all orders: one seed and one rater's name give one order
    start        seconds into every clip; duration: seconds (5) of it; frames: the most of each
    crop         WxH+X+Y in pixels, WxH of the middle, "none"; by default all, or where that is too much the part with most detail
    framerate    pictures per second of sequences; sequence: a folder of pictures is one clip
    limit_bytes  of the page: pictures are kept without loss, else as JPEG, else in part, else fewer frames of each
    on_error     what a frame that does not decode becomes: an error, or the frame before it once more
    """

    names: tuple[str, ...] = ()
    seed: int = 1
    start: Fraction | None = None
    duration: Fraction = SECONDS
    frames: int = 300
    crop: str | None = None
    framerate: Fraction | None = None
    sequence: bool = False
    limit_bytes: int = 100_000_000
    on_error: OnError = "stop"

    def __post_init__(self) -> None:
        for what, value in (("-t", self.duration), ("--frames", self.frames), ("-fs", self.limit_bytes)):
            if value <= 0:
                raise InputError(f"{what} {value}: nothing would be on the page; give more than 0")


@dataclass(frozen=True, slots=True)
class RatingPage:
    """What was written: where, what is rated, how large it is, how long a rater takes, and what its maker should know."""

    target: str
    contents: tuple[str, ...]
    methods: tuple[str, ...]
    reference: str | None
    size_bytes: int
    minutes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """One content by all methods: its name, when its frames are shown, their pixel size, and of each method the pictures."""

    name: str
    times: tuple[Fraction, ...]
    size: tuple[int, int]
    kind: Kind
    pictures: tuple[tuple[bytes, ...], ...]


def rating_page(
    methods: Sequence[str | Path],
    out: str | Path,
    how: Rating | None = None,
    *,
    ref: str | Path | None = None,
    progress: Progress | None = None,
) -> RatingPage:
    """A page of HTML on which people rate what METHODS made of the same clips or pictures, not knowing which they see.

    methods     each a clip, a picture, or a folder of them; folders are matched by the names of their files
    ref         the truth, shown among the others and not said to be it: ratings can be read as differences from it (DMOS)

    All versions of a content have one size, as they are shown at 100 %. InputError or OutputError in one sentence; then nothing
    was written. misr.opinions reads what raters save.
    """
    how = how or Rating()
    given = [str(p) for p in methods]
    names = named(given, how.names, None if ref is None else str(ref))
    check(given, str(out), ref is not None)
    together = contents(given if ref is None else [*given, str(ref)], sequence=how.sequence)
    share = how.limit_bytes // len(together)
    made: list[Content] = []
    notes: list[str] = []
    for name, paths in together.items():
        found, said = shown(name, paths, how, share)
        made.append(found)
        notes += said
        if progress:
            progress(len(made), len(together))
    text, minutes = written(made, names, ref is not None, how)
    if minutes > SESSION_MIN:
        notes.append(
            f"A rater takes about {minutes} minutes; BT.500 advises {SESSION_MIN} at most, so show fewer contents or methods."
        )
    if len(made) < 2:
        notes.append("There is one content, so its versions follow each other and are compared rather than rated.")
    try:
        write_whole(Path(out), text)
    except OSError as e:
        raise OutputError(f"{out}: the page cannot be written ({e.strerror}); choose another place") from None
    truth = names[-1] if ref is not None else None
    return RatingPage(
        str(out), tuple(together), tuple(names), truth, len(text.encode()), minutes, tuple(dict.fromkeys(notes))
    )


def check(methods: Sequence[str], out: str, with_ref: bool) -> None:
    """Refuse what cannot be meant, before anything is read."""
    path = Path(out)
    if len(methods) + with_ref < 2:
        raise InputError("two versions at least are rated: misr mos make METHOD METHOD... -o PAGE.html")
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{out}: a rating is a page; give it a name that ends in .html")
    if not path.parent.is_dir() or path.is_dir():
        raise OutputError(f"{out}: not a place for a file; name one in a folder that exists")


def named(methods: Sequence[str], names: Sequence[str], ref: str | None) -> list[str]:
    """What methods, and the reference as the last, are called in the answers; InputError where two are called alike."""
    if len(names) > len(methods):
        raise InputError(f"{len(names)} names for {len(methods)} methods; give one for each at most")
    usual = [Path(p).resolve().name if Path(p).is_dir() else Path(p).stem for p in methods]
    found = [*names, *usual[len(names) :], *([] if ref is None else ["reference"])]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice or not all(found):
        raise InputError(f"two methods are called {(twice or [''])[0]!r}; tell them apart with --names A,B,...")
    return found


def contents(paths: Sequence[str], *, sequence: bool) -> dict[str, list[str]]:
    """The versions of every content by its name, in the order of `paths`; the last is what names are taken from."""
    *others, base = paths
    clips = any(not Path(p).is_dir() and not is_picture(p) or "%" in p or clips_in(p) for p in paths)
    found = {name: [path] for name, path in items(base, sequence=sequence or clips).items()}
    for other in reversed(others):
        for name, path, _ in matched(other, base, sequence=sequence or clips):
            found[name].insert(0, path)
    return found


def shown(name: str, paths: Sequence[str], how: Rating, limit: int) -> tuple[Content, list[str]]:
    """A content by all methods, in at most `limit` bytes of page, and what is to be said of it."""
    with ExitStack() as readers:
        inputs: list[Input] = []
        for path in paths:
            rate = how.framerate or (inputs[0].info.rate if inputs else None)
            usual = Settings(framerate=rate if is_sequence(path) else None, on_error=how.on_error)
            it = opened(path, "after", name=path, how=usual)
            readers.callback(it.reader.close)
            inputs.append(it)
        same_size(inputs)
        first = inputs[0]
        start = None if how.start is None else first.info.start + how.start
        seen = find(first, inputs[1:], start=start, duration=how.duration, most=how.frames, shift=None)
        complete(seen.inputs, [m.times for m in seen.moments])
        part = part_asked(how.crop, [i.size for i in inputs]) if how.crop else None
        keep = keeping(seen.samples, len(seen.moments), limit, part)
        rows, _ = kept(seen, keep, limit, lambda done, of: None)
    times = tuple(m.times[0] or Fraction(0) for m in seen.moments[: len(rows)])
    pictures = tuple(tuple(row[n] or b"" for row in rows) for n in range(len(inputs)))
    size = keep.crop.of(first.size)[2:] if keep.crop else first.size
    return Content(name, times, size, keep.kind, pictures), remarks(
        name, seen.inputs, keep, len(rows), len(seen.moments)
    )


def same_size(inputs: Sequence[Input]) -> None:
    """InputError where versions differ in size, which would tell them apart."""
    first = inputs[0]
    for it in inputs[1:]:
        if it.size != first.size:
            (w, h), (w0, h0) = it.size, first.size
            raise InputError(
                f"{it.path} is {w}x{h}, {first.path} {w0}x{h0}: raters see pictures at 100 %, so versions must have one size; "
                "bring them to it with misr upscale -m bicubic"
            )


def complete(inputs: Sequence[Input], moments: Sequence[tuple[Fraction | None, ...]]) -> None:
    """InputError where a version shows no frame at a time of the first."""
    for n, it in enumerate(inputs):
        if missing := sum(times[n] is None for times in moments):
            raise InputError(
                f"{it.path}: shows no frame at {missing} of the {len(moments)} times of {inputs[0].path}; "
                "give versions that hold the same frames"
            )


def remarks(name: str, inputs: Sequence[Input], keep: Keeping, frames: int, of: int) -> list[str]:
    """What the maker of a page must know of a content."""
    notes = [note for it in inputs for note in about(it, inputs[0])]
    if keep.kind == "jpeg":
        notes.append(f"{name}: {kept_how(keep)} -fs allows more.")
    if keep.crop and keep.crop.cells != (1, 1):
        left, top, w, h = keep.crop.of(inputs[0].size)
        notes.append(f"{name}: the part {w}x{h}+{left}+{top} is shown.")
    if frames < of:
        notes.append(f"{name}: {frames} of {of} frames are shown, the page is full; -fs allows more.")
    return notes


def written(made: Sequence[Content], names: Sequence[str], with_ref: bool, how: Rating) -> tuple[str, int]:
    """The page, and how many minutes a rater takes.

    Stimuli lie in it in a random order under numbers; what they are is kept as base64, which nobody reads by accident.
    """
    shuffled = [(c, m) for c in range(len(made)) for m in range(len(names))]
    chosen = random.Random(how.seed)
    chosen.shuffle(shuffled)
    key = {
        "misr": __version__,
        "contents": [c.name for c in made],
        "methods": list(names),
        "reference": names[-1] if with_ref else None,
        "stimuli": [[made[c].name, names[m]] for c, m in shuffled],
    }
    test = hashlib.sha256(json.dumps(key).encode())
    for c, m in shuffled:
        test.update(hashlib.sha256(b"".join(made[c].pictures[m])).digest())
    seconds = sum(float(made[c].times[-1] - made[c].times[0]) + VOTING_S for c, _ in shuffled)
    minutes = math.ceil(seconds / 60)
    told: dict[str, Any] = {
        "schema": 1,
        "test": test.hexdigest()[:16],
        "seed": how.seed,
        "practice": chosen.randrange(len(shuffled)),
        "longest": max(len(c.times) for c in made),
        "minutes": minutes,
        "stimuli": [
            {
                "content": c,
                "frames": len(made[c].times),
                "times": [round(float(t - made[c].times[0]), 6) for t in made[c].times],
                "size": made[c].size,
                "media": MEDIA[made[c].kind],
            }
            for c, _ in shuffled
        ],
    }

    def files() -> Iterator[tuple[str, bytes]]:
        for which, (c, m) in enumerate(shuffled):
            for n, data in enumerate(made[c].pictures[m]):
                yield f"{which}-{n}", data

    aside = {"key": b64encode(json.dumps(key).encode()).decode()}
    return assembled("misr: how good is the picture?", "mos", ("mos",), told, files(), aside=aside), minutes
