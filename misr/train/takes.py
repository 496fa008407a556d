"""Clips and pictures decoded for training: luma of 16 to 235, in stacks that no cut crosses, in the memory there is."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from misr.color import luma_view, normal_luma
from misr.frame import Frame
from misr.io.opening import CLIP_SUFFIXES
from misr.io.output import Span
from misr.io.pictures import READ_ONLY, is_picture, natural, number_of
from misr.plan import LOSSY, Settings, open_reader
from misr.scene import Signature, is_cut_between, signature
from misr.train.data import busiest
from misr.train.degrade import Plane, shrink

RUN = 24  # frames of a stack
SHORTEST = 4  # frames of a shot worth keeping
SEQUENCE = 5  # numbered pictures of one size from which a folder is a clip
SIDE = 640  # pixels of the part that is kept of frames, where not all can be
SMALLEST = 48  # pixels along the short side of a picture worth keeping
CPU = torch.device("cpu")
WHOLE = Span()


def walked(folder: Path) -> Iterator[Path]:
    """Clips and pictures of a folder and its folders; a folder of numbered pictures is one of the clips."""
    inside = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)
    stills = [p for p in inside if p.is_file() and is_still(p)]
    if is_numbered(stills):
        yield folder
        stills = []
    yield from stills
    yield from (p for p in inside if p.is_file() and p.suffix.lower() in CLIP_SUFFIXES | READ_ONLY - {".heic", ".heif"})
    for below in inside:
        if below.is_dir():
            yield from walked(below)


def is_still(path: Path) -> bool:
    """Whether a file holds pictures that do not move."""
    return not path.is_dir() and is_picture(path.name) or path.suffix.lower() in (".heic", ".heif")


def is_numbered(stills: Sequence[Path]) -> bool:
    """Whether pictures are the frames of a clip: alike in name but for consecutive numbers, and of one size."""
    names = {p.name.replace("".join(c for c in p.stem if c.isdigit())[-9:], "#", 1) for p in stills}
    numbers = [number_of(p) for p in stills]
    if len(stills) < SEQUENCE or numbers != list(range(numbers[0], numbers[0] + len(stills))) or len(names) > 1:
        return False
    sizes = set()
    for path in (stills[0], stills[len(stills) // 2], stills[-1]):
        reader = open_reader(str(path), Span(), Settings(), upright=True)
        sizes.add((reader.info.width, reader.info.height))
        reader.close()
    return len(sizes) == 1


def codes(frame: Frame) -> Plane:
    """The luma of a frame as 8 bits, black 16 and white 235, whatever it is stored as."""
    color = frame.color
    if color.model != "rgb" and color.depth == 8 and not color.full:
        return np.ascontiguousarray(frame.planes[0])
    white = normal_luma(luma_view(frame, CPU), color)[0]
    return (16.5 + 219 * white).clamp_(0, 255).to(torch.uint8).numpy()


def still(path: str) -> Plane:
    """The luma of a still, upright, at its size."""
    reader = open_reader(path, Span(), Settings(deinterlace="off"), upright=True)
    try:
        return codes(next(iter(reader.frames())))
    finally:
        reader.close()


def picture(path: str, most_bytes: int) -> list[Plane]:
    """A still at its size and at half of it; smaller, where memory is short; nothing where it is tiny."""
    plane = still(path)
    while plane.nbytes * 5 // 4 > max(most_bytes, 1 << 18):
        plane = halved(plane)
    both = [plane, halved(plane)] if min(plane.shape) >= 512 else [plane]
    return [p for p in both if min(p.shape) >= SMALLEST]


def halved(plane: Plane) -> Plane:
    """Half the size, antialiased."""
    h, w = plane.shape
    return shrink(plane, (h // 2, w // 2))


def runs(path: str, most_bytes: int, *, halve: bool, span: Span = WHOLE) -> tuple[list[Plane], list[str]]:
    """Stacks (t, h, w) of consecutive frames of a clip, none across a cut, and what was left out, in words.

    All of them, whole, where memory allows; else every n-th, the part of each that moves most. span: of a stretch alone.
    """
    reader = open_reader(path, span, Settings(), upright=True)
    try:
        info = reader.info
        small = halve and info.codec in LOSSY and min(info.width, info.height) >= 720
        h, w = (n // 2 if small else n for n in (info.height, info.width))
        many = info.frames or 1000
        whole = many * h * w <= most_bytes
        size = h * w if whole else min(h, SIDE) * min(w, SIDE)
        every = 1 if whole else max(1, -(-many * size // most_bytes))
        kept: list[Plane] = []
        seen = used = 0
        for n, stack in enumerate(shots(reader.frames(), small)):
            seen += len(stack)
            if n % every == 0 and (used + len(stack) * size <= most_bytes or not kept):
                kept.append(stack if whole else busiest(stack, SIDE))
                used += kept[-1].nbytes
    finally:
        reader.close()
    taken = sum(len(s) for s in kept)
    if not kept or min(h, w) < SMALLEST:
        return [], [f"{path}: no shot of {SHORTEST} frames of {SMALLEST} pixels or more; left out"]
    if taken < seen or not whole:
        part = "" if whole else f", at most {SIDE}x{SIDE} pixels of each"
        return kept, [f"{path}: {taken} of {seen} frames taken{part}, to stay in memory"]
    return kept, []


def shots(frames: Iterable[Frame], small: bool) -> Iterator[Plane]:
    """Stacks of up to RUN frames, ended by cuts; shorter ones than SHORTEST are dropped."""
    held: list[Plane] = []
    last: Signature | None = None
    for frame in frames:
        now = signature(frame)
        if held and (len(held) == RUN or last is not None and is_cut_between(last, now)):
            if len(held) >= SHORTEST:
                yield np.stack(held)
            held = []
        last = now
        held.append(halved(codes(frame)) if small else codes(frame))
    if len(held) >= SHORTEST:
        yield np.stack(held)
