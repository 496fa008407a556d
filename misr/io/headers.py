"""What PyAV 18 neither reads nor writes of a header: siting, a pixel's shape, HDR metadata; Matroska (EBML, RFC 9559) and Y4M.

A header is the bytes before the first frame. Elements of EBML are an id, a size, and a payload; masters hold further elements.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

from misr.frame import CENTER, LEFT, TOP, TOPLEFT

SEGMENT, CLUSTER, TRACKS, TRACK, VIDEO, COLOUR = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0, 0x55B0
SEEK_HEAD, VOID, CRC = 0x114D9B74, 0xEC, 0xBF
NUMBER, KIND, DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0xD7, 0x83, 0x54B0, 0x54BA, 0x54B2
PIXEL_WIDTH, PIXEL_HEIGHT, ACROSS, DOWN = 0xB0, 0xBA, 0x55B7, 0x55B8
MAX_LIGHT, AVERAGE_LIGHT, MASTERING, PRIMARY = 0x55BC, 0x55BD, 0x55D0, 0x55D1
RATIO = 3  # a display unit
UNKNOWN = -1  # size of an element that ends where the stream does
MATROSKA, Y4M = b"\x1aE\xdf\xa3", b"YUV4MPEG2"
Y4M_SITING = {b"C420": CENTER, b"C420jpeg": CENTER, b"C420mpeg2": LEFT, b"C420paldv": TOPLEFT}
MATROSKA_SITING = {(1, 2): LEFT, (2, 2): CENTER, (1, 1): TOPLEFT, (2, 1): TOP}  # 1 with the luma sample, 2 half way


def number(data: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """An EBML number at `at` and where it ends; ids keep their length marker. IndexError where the bytes run out."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise IndexError
    value = int.from_bytes(data[at : at + length], "big")
    if marked:
        return value, at + length
    ones = (1 << 7 * length) - 1
    return (UNKNOWN if value & ones == ones else value & ones), at + length


def elements(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(id, begin, payload's begin, payload's end) of elements in a row, as far as whole ones go; a Segment is entered."""
    end = len(data) if end is None else end
    while at < end:
        try:
            name, after = number(data, at, marked=True)
            size, body = number(data, after, marked=False)
        except IndexError:
            return
        yield name, at, body, (end if size == UNKNOWN or name == SEGMENT else body + size)
        at = body if name == SEGMENT else body + size if size != UNKNOWN else end


def clusters_at(data: bytes) -> int:
    """Where the first Cluster of a Matroska stream begins: the end of its header; -1 while it is not there."""
    return next((at for name, at, _, _ in elements(data) if name == CLUSTER), -1)


def held(data: bytes, path: list[int]) -> Iterator[tuple[int, int]]:
    """(begin, end) of the payloads found by following ids from the top."""
    spans = [(0, len(data))]
    for step in path:
        spans = [
            (body, end)
            for a, b in spans
            for name, _, body, end in elements(data, a, b)
            if name == step and end <= len(data)
        ]
    yield from spans


def siting_told(head: bytes) -> int:
    """The chroma location (as misr.Color.siting) that a Matroska or Y4M header tells; 0 when it tells none."""
    if head.startswith(Y4M):
        return next((Y4M_SITING[w] for w in head.split(b"\n", 1)[0].split(b" ") if w in Y4M_SITING), 0)
    if not head.startswith(MATROSKA):
        return 0
    for begin, end in held(head, [TRACKS, TRACK, VIDEO, COLOUR]):
        told = {name: int.from_bytes(head[a:b], "big") for name, _, a, b in elements(head, begin, end)}
        return MATROSKA_SITING.get((told.get(ACROSS, 0), told.get(DOWN, 0)), 0)
    return 0


def element(name: int, payload: bytes) -> bytes:
    """An element as bytes."""
    label = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return label + (1 << 56 | len(payload)).to_bytes(8, "big") + payload


def unsigned(name: int, value: int) -> bytes:
    """An element that holds a number."""
    return element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def hdr(display: list[float] | None, light: tuple[int, int] | None) -> bytes:
    """Children of Colour: the mastering display (r, g, b, white as x, y; min, max cd/m2), and content light (max, average)."""
    told = unsigned(MAX_LIGHT, light[0]) + unsigned(AVERAGE_LIGHT, light[1]) if light else b""
    if not display:
        return told
    values = [*display[:8], display[9], display[8]]  # here the brightest comes first
    return told + element(MASTERING, b"".join(element(PRIMARY + n, struct.pack(">d", v)) for n, v in enumerate(values)))


def completed(head: bytes, track: int, sar: Fraction, colour: bytes = b"") -> bytes:
    """A whole header that tells the pixel aspect of a track (numbered from 1), Y4M or Matroska; others come back as they are.

    colour  further children of a Matroska track's Colour. DisplayWidth and DisplayHeight take the place of "display unit
            unknown". The index of a stream that cannot be sought (SeekHead) goes, since places move
    """
    if head.startswith(Y4M):
        line, rest = head.split(b"\n", 1)
        words = [b"A%d:%d" % sar.as_integer_ratio() if w[:1] == b"A" else w for w in line.split(b" ")]
        return b" ".join(words) + b"\n" + rest
    if not head.startswith(MATROSKA):
        return head
    out = b""
    for name, begin, body, end in elements(head):
        if name == SEGMENT:
            out += head[begin:body]
        elif name == TRACKS:
            tracks = (_track(head, *span, track, sar, colour) for span in elements(head, body, end))
            out += element(TRACKS, b"".join(tracks))
        elif name not in (SEEK_HEAD, VOID):
            out += head[begin:end]
    return out


def _track(head: bytes, name: int, begin: int, body: int, end: int, track: int, sar: Fraction, colour: bytes) -> bytes:
    """One child of Tracks, its checksum dropped, its picture told about if it is the wanted track."""
    if name != TRACK:
        return b"" if name == CRC else head[begin:end]
    parts = list(elements(head, body, end))
    found = {part: int.from_bytes(head[a:b], "big") for part, _, a, b in parts if part in (NUMBER, KIND)}
    if found.get(NUMBER) != track or found.get(KIND) != 1:
        return head[begin:end]
    inner = b"".join(_video(head, a, b, sar, colour) if part == VIDEO else head[at:b] for part, at, a, b in parts)
    return element(TRACK, inner)


def _video(head: bytes, begin: int, end: int, sar: Fraction, colour: bytes) -> bytes:
    """The picture's element with display size for pixel size, and a fuller Colour."""
    parts = {part: (at, a, b) for part, at, a, b in elements(head, begin, end)}
    width, height = (int.from_bytes(head[parts[p][1] : parts[p][2]], "big") for p in (PIXEL_WIDTH, PIXEL_HEIGHT))
    if sar != 1:  # as FFmpeg: the height stays; in a ratio where the width would be rounded off
        fine = (width * sar).denominator
        for gone in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT):
            parts.pop(gone, None)
        shape = unsigned(DISPLAY_WIDTH, int(width * sar * fine)) + unsigned(DISPLAY_HEIGHT, height * fine)
        shape += unsigned(DISPLAY_UNIT, RATIO) if fine > 1 else b""
    else:
        shape = b""
    if colour:
        _, a, b = parts.pop(COLOUR, (0, 0, 0))
        colour = element(COLOUR, head[a:b] + colour)
    return element(VIDEO, b"".join(head[at:b] for at, _, b in parts.values()) + shape + colour)
