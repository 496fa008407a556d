"""What TIFF tags say, read by hand: the exposure and time of a photograph, and whether a TIFF lies on the Earth.

EXIF is a small TIFF inside a JPEG (CIPA DC-008, "APP1") or a PNG ("eXIf"); GeoTIFF keys are tags of the TIFF itself (OGC 19-008).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXIF_IFD, EXPOSURE_TIME, F_NUMBER, ISO, TAKEN, TAKEN_SUBSECOND, CHANGED = 34665, 33434, 33437, 34855, 36867, 37521, 306
GEO_TAGS = {33550, 33922, 34264, 34735}  # pixel scale, tie points, transformation, key directory
READ_AT_MOST = 1 << 18  # bytes of a photograph in which its EXIF is looked for
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}  # bytes of a value by TIFF type
Tags = dict[int, float | str | bytes]


@dataclass(frozen=True, slots=True)
class Shot:
    """How a photograph was taken: light gathered, s x ISO/100 / f-number^2, or None; time, ISO 8601 or ""."""

    exposure: float | None = None
    time: str = ""


def shot(path: str | Path) -> Shot:
    """What the EXIF of a JPEG, PNG or TIFF tells; all empty where there is none or it is broken."""
    with open(path, "rb") as file:
        head = file.read(READ_AT_MOST)
    try:
        tags = directory(exif_block(head))
        inner = tags.get(EXIF_IFD)
        tags |= directory(exif_block(head), int(inner)) if isinstance(inner, float) else {}
    except (struct.error, ValueError, ZeroDivisionError):
        return Shot()
    return Shot(light(tags), moment(tags))


def light(tags: Tags) -> float | None:
    """s x ISO/100 / f-number^2 as far as the tags know; None without an exposure time."""
    seconds, iso, stop = (tags.get(t) for t in (EXPOSURE_TIME, ISO, F_NUMBER))
    if not isinstance(seconds, float) or seconds <= 0:
        return None
    gain = iso / 100 if isinstance(iso, float) and iso > 0 else 1.0
    return seconds * gain / (stop**2 if isinstance(stop, float) and stop > 0 else 1.0)


def moment(tags: Tags) -> str:
    """EXIF's `2025:06:17 10:20:30` as ISO 8601, with its fraction of a second."""
    taken = tags.get(TAKEN) or tags.get(CHANGED)
    if not isinstance(taken, str) or len(taken) < 19 or not taken[:4].isdigit():
        return ""
    part = tags.get(TAKEN_SUBSECOND)
    fraction = f".{part.strip()}" if isinstance(part, str) and part.strip().isdigit() else ""
    return f"{taken[:10].replace(':', '-')}T{taken[11:19]}{fraction}"


def geo_tagged(path: str | Path) -> bool:
    """Whether a TIFF says where it lies on the Earth; True also for a BigTIFF, which is not read here."""
    with open(path, "rb") as file:
        head = file.read(8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return head[:4] in (b"II+\0", b"MM\0+")
        order = "<" if head[:2] == b"II" else ">"
        file.seek(struct.unpack(order + "I", head[4:])[0])
        entries = struct.unpack(order + "H", file.read(2).ljust(2, b"\0"))[0]
        found = file.read(12 * entries)
    return any(struct.unpack(order + "H", found[i : i + 2])[0] in GEO_TAGS for i in range(0, len(found) - 11, 12))


def exif_block(head: bytes) -> bytes:
    """The TIFF that holds the tags, b"" where a file has none."""
    if head[:2] == b"\xff\xd8":
        return jpeg_exif(head)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        at = head.find(b"eXIf")
        return head[at + 4 :] if at > 0 else b""
    return head if head[:4] in (b"II*\0", b"MM\0*") else b""


def jpeg_exif(head: bytes) -> bytes:
    """The EXIF segment of a JPEG."""
    for marker, at, size in segments(head):
        if marker == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            return head[at + 10 : at + 2 + size]
    return b""


def cut_short(path: str | Path) -> bool:
    """Whether a JPEG has no end after its pixels begin: decoders fill what is missing with gray and go on."""
    data = Path(path).read_bytes()
    at = next((at for marker, at, _ in segments(data) if marker == 0xDA), None)
    return data[:2] == b"\xff\xd8" and (at is None or data.find(b"\xff\xd9", at) < 0)


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, place, size) of a JPEG's segments up to the start of its pixels, by stepping from one to the next."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], at, size
        if data[at + 1] == 0xDA:  # start of scan
            return
        at += 2 + size


def directory(block: bytes, at: int | None = None) -> Tags:
    """The single numbers and texts of one TIFF directory, the first by default."""
    if len(block) < 8:
        return {}
    order = "<" if block[:2] == b"II" else ">"
    at = struct.unpack_from(order + "I", block, 4)[0] if at is None else at
    tags: Tags = {}
    for i in range(struct.unpack_from(order + "H", block, at)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", block, at + 2 + 12 * i)
        size = SIZES.get(kind, 0) * count
        place = at + 10 + 12 * i if size <= 4 else struct.unpack_from(order + "I", block, at + 10 + 12 * i)[0]
        if size and place + size <= len(block):
            tags[tag] = value(block, order, kind, count, place)
    return tags


def value(block: bytes, order: str, kind: int, count: int, at: int) -> float | str | bytes:
    """One value: text as str, the first of numbers as float, anything else as bytes."""
    if kind == 2:
        return block[at : at + count].split(b"\0")[0].decode("ascii", "replace")
    if kind in (3, 4, 9):
        return float(struct.unpack_from(order + {3: "H", 4: "I", 9: "i"}[kind], block, at)[0])
    if kind in (5, 10):
        above, below = struct.unpack_from(order + ("II" if kind == 5 else "ii"), block, at)
        return float(above / below)
    return block[at : at + count]
