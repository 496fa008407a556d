"""Which clips, pictures and sequences a path means, and which of them belong together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

from misr.errors import InputError, MisrError
from misr.frame import Frame
from misr.io.index import frame_times
from misr.io.opening import clips_in
from misr.io.output import Span
from misr.io.pictures import is_picture, is_sequence, numbered
from misr.plan import Settings, open_reader


def items(path: str, *, sequence: bool) -> dict[str, str]:
    """Name: path of all that is to be measured in a file or folder.

    A folder's clips; else its pictures, each by itself, or all as one clip where they are a `sequence`; else the
    sequences that are its folders.
    """
    if not Path(path).is_dir():
        if not is_sequence(path) and not Path(path).exists():
            raise InputError(f"{path}: no such file")
        return {Path(path).stem: path}
    if clips := clips_in(path):
        return named(clips)
    if pictures := numbered(path):
        return {Path(path).resolve().name: path} if sequence else named([str(p) for p in pictures])
    folders = sorted(p for p in Path(path).iterdir() if p.is_dir() and numbered(str(p)))
    if not folders:
        raise InputError(f"{path}: neither a clip nor a picture in it, nor in its folders")
    return {p.name: str(p) for p in folders}


def named(paths: list[str]) -> dict[str, str]:
    """The paths by the names of their files without suffix; two alike are an InputError."""
    found = {Path(p).stem: p for p in paths}
    if len(found) < len(paths):
        twice = sorted(Path(p).name for p in paths if found[Path(p).stem] != p)[0]
        raise InputError(f"{Path(paths[0]).parent}: {twice} has a namesake of another kind; keep one of them")
    return found


def matched(result: str, reference: str, *, sequence: bool) -> list[tuple[str, str, str]]:
    """(name, result, reference) of each reference: one against one, else by name. A clip's partner is a sequence."""
    clip = any(not Path(p).is_dir() and not is_picture(p) or "%" in p for p in (result, reference))
    theirs, ours = (items(p, sequence=sequence or clip) for p in (result, reference))
    if len(theirs) == len(ours) == 1:
        ((name, path),) = ours.items()
        return [(name, next(iter(theirs.values())), path)]
    if missing := [name for name in ours if name not in theirs]:
        raise InputError(f"{result}: nothing there is named like {', '.join(missing[:3])} of {reference}")
    return [(name, theirs[name], path) for name, path in ours.items()]


def frames_of(path: str) -> Iterator[Frame]:
    """The frames of a clip, picture or sequence, turned upright; never deinterlaced, which would change what is measured."""
    reader = open_reader(path, Span(), Settings(deinterlace="off"), upright=True)
    try:
        yield from reader.frames()
    finally:
        reader.close()


def count_of(path: str) -> int:
    """How many frames a clip, picture or sequence has, found without decoding where that can be; 0 where it cannot be read."""
    try:
        if is_picture(path) and not is_sequence(path):
            return 1
        if is_sequence(path):
            return len(numbered(path))
        with closing(open_reader(path, Span(), Settings(deinterlace="off"), upright=True)) as reader:
            return len(frame_times(reader))
    except MisrError:
        return 0  # who measures it will say why


def paired(result: str, reference: str) -> Iterator[tuple[Frame, Frame]]:
    """Frame by frame; InputError when one has more than the other."""
    theirs, ours = frames_of(result), frames_of(reference)
    for shared, (one, other) in enumerate(zip_longest(theirs, ours)):
        if one is None or other is None:
            many = shared + 1 + sum(1 for _ in (ours if one is None else theirs))
            has, wants = (shared, many) if one is None else (many, shared)
            raise InputError(f"{result} has {has} frames, {reference} has {wants}; cut them to the same frames first")
        yield one, other
