"""Training pixels small enough to send: parts with detail, as JPEG of high quality; what validates, without loss."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from misr.errors import InputError
from misr.train.data import Material, busiest
from misr.train.degrade import Plane
from misr.train.valid import LONGEST, MOST_CLIPS, SIDE, middle, spread

QUALITY = 95
TILE, FILM = 640, 400  # pixels along a side of what is kept of a still, of a clip
FRAMES = 20
CLIPS = 0.3  # of the room, at most
VALID_STILLS = 4
FLAT = 3.0  # a tile whose neighbours differ by less, on average, teaches little

Coded = list[bytes]  # a picture, or the frames of a clip


def wrap(material: Material, out: Path, *, most_bytes: int, say: Callable[[str], None] = lambda line: None) -> int:
    """Write as much of the material as there is room for, best first; its bytes. InputError if that is too much."""
    valid = [[png(p)] for p in spread([busiest(p[None], 512)[0] for p in material.valid_stills], VALID_STILLS)]
    valid_clips = [
        [png(p) for p in middle(c[:LONGEST], SIDE, 16)] for c in spread(material.valid_clips, MOST_CLIPS)
    ]  # as misr.train.valid takes them
    room = most_bytes - size(valid) - size(valid_clips) - (1 << 16)
    clips = taken(([jpeg(p) for p in busiest(c[:FRAMES], FILM)] for c in mixed(material.clips)), int(CLIPS * room))
    stills = taken(([jpeg(p)] for p in tiles(material.stills)), room - size(clips))
    named = {"stills": stills, "valid_stills": valid, "clips": clips, "valid_clips": valid_clips}
    parts: dict[str, np.ndarray] = {}
    for name, coded in named.items():
        parts[name] = np.frombuffer(b"".join(b for it in coded for b in it), np.uint8)
        parts[name + "_bytes"] = np.array([len(b) for it in coded for b in it], np.int64)
        parts[name + "_frames"] = np.array([len(it) for it in coded], np.int64)
        say(f"{name.replace('_', ' ')}: {len(coded)}, {size(coded) / 1e6:.1f} MB")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        np.savez(file, **parts)  # type: ignore[arg-type]
    if (many := out.stat().st_size) > most_bytes:
        out.unlink()
        raise InputError(f"{out}: {many / 1e6:.1f} MB, more than the {most_bytes / 1e6:.1f} MB there is room for")
    return many


def unwrap(path: Path) -> Material:
    """The pixels of a parcel; InputError for another file."""
    try:
        with np.load(path) as it:
            stacks = {name: list(decoded(*(it[name + part] for part in ("", "_bytes", "_frames")))) for name in
                      ("stills", "valid_stills", "clips", "valid_clips")}  # fmt: skip
    except (KeyError, ValueError, OSError) as e:
        raise InputError(f"{path}: not a parcel of training pixels ({e}); make one with --pack") from None
    stills, valid = ([stack[0] for stack in stacks[name]] for name in ("stills", "valid_stills"))
    return Material(stills, valid, stacks["clips"], stacks["valid_clips"])


def decoded(line: np.ndarray, lengths: np.ndarray, frames: np.ndarray) -> Iterator[Plane]:
    """Stacks (t, h, w) from their coded frames in one line."""
    parts = iter(np.split(line, np.cumsum(lengths)[:-1]))
    for many in frames:
        yield np.stack([cv2.imdecode(next(parts), cv2.IMREAD_GRAYSCALE) for _ in range(many)])  # type: ignore[misc]


def jpeg(plane: Plane) -> bytes:
    """A plane with losses nobody sees."""
    return cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def png(plane: Plane) -> bytes:
    """A plane as it is."""
    return cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def size(coded: Sequence[Coded]) -> int:
    """Bytes of all."""
    return sum(len(b) for it in coded for b in it)


def taken(coded: Iterator[Coded], room: int) -> list[Coded]:
    """As many of them as there is room for, from the first on."""
    kept: list[Coded] = []
    for it in coded:
        room -= size([it])
        if room < 0:
            break
        kept.append(it)
    return kept


def mixed(planes: Sequence[Plane]) -> list[Plane]:
    """Planes or clips in another, fixed order, so that the first ones are of all sources."""
    return [planes[i] for i in np.random.default_rng(0).permutation(len(planes))]


def tiles(stills: Sequence[Plane]) -> Iterator[Plane]:
    """Parts of stills: the one with most detail of each, then the second of each, and so on."""
    each = [sorted(cut(p), key=detail, reverse=True) for p in mixed(stills)]
    for rank in zip_longest(*each):
        yield from (p for p in rank if p is not None and detail(p) >= FLAT)


def cut(plane: Plane) -> list[Plane]:
    """A plane in equal parts of about TILE."""
    rows, columns = (max(1, round(n / TILE)) for n in plane.shape)
    return [part for row in np.array_split(plane, rows, 0) for part in np.array_split(row, columns, 1)]


def detail(plane: Plane) -> float:
    """How much neighbours across differ, in code values, on average over some of the lines."""
    return float(np.abs(np.diff(plane[::8].astype(np.int16), axis=1)).mean())
