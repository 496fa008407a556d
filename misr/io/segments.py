"""Packets on disk between rendering and joining: nothing of an encoder's output is lost, not even dts.

A segment file is written whole under a temporary name, then renamed: if it exists, it is complete. Containers were tried for
this and forget something each (MKV and NUT drop dts, MP4 rounds a start and does not take every codec), so the layout is
our own: an 8-byte magic, a JSON header (frame times, encoder header), then one record per packet, and a checksum at the end.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from misr.errors import OutputError

MAGIC = b"misrseg1"
RECORD = struct.Struct("<qqqBI")  # pts, dts, duration, flags, size
KEYFRAME, NO_DTS = 1, 2


@dataclass(frozen=True, slots=True)
class Segment:
    """What a finished segment file says of itself; times are seconds on the source's clock, one per frame."""

    path: Path
    first: int
    times: tuple[Fraction, ...]
    pts: tuple[int, ...]  # of its packets, in decoding order
    time_base: Fraction
    extradata: bytes


def write_segment(
    path: Path, first: int, times: list[Fraction], packets: Iterable[av.Packet], time_base: Fraction, extradata: bytes
) -> None:
    """Store a segment's packets durably; the name appears last. Of two processes that store the same one, both do."""
    body = bytearray()
    stamps = []
    for packet in packets:
        data = bytes(packet)
        flags = (KEYFRAME if packet.is_keyframe else 0) | (NO_DTS if packet.dts is None else 0)
        body += RECORD.pack(packet.pts or 0, packet.dts or 0, packet.duration or 0, flags, len(data)) + data
        stamps.append(packet.pts or 0)
    header = json.dumps(
        {
            "first": first,
            "times": [str(t) for t in times],
            "pts": stamps,
            "time_base": str(time_base),
            "extradata": extradata.hex(),
        }
    ).encode()
    whole = MAGIC + struct.pack("<I", len(header)) + header + bytes(body)
    store(path, whole + struct.pack("<I", zlib.crc32(whole)))


def store(path: Path, whole: bytes) -> None:
    """A segment's file, durably, under its name only when it is whole. OutputError where the disk does not take it."""
    part = own_part(path)
    try:
        with open(part, "wb") as f:
            f.write(whole)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except OSError as e:
        raise OutputError(
            f"{path.parent}: writing failed ({e.strerror}); finished segments are kept, free some space and run the "
            "same command again"
        ) from e
    finally:
        part.unlink(missing_ok=True)


def own_part(path: Path) -> Path:
    """A name beside a file under which no other process writes it; hidden, as what a killed one leaves there would be."""
    return path.with_name(f".misr-{os.getpid()}-{secrets.token_hex(4)}.part")


def read_segment(path: Path) -> Segment | None:
    """The header of a finished segment; None when it is missing or damaged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    if len(whole) < 16 or whole[:8] != MAGIC or struct.unpack("<I", whole[-4:])[0] != zlib.crc32(whole[:-4]):
        return None
    size = struct.unpack("<I", whole[8:12])[0]
    h = json.loads(whole[12 : 12 + size])
    return Segment(
        path,
        h["first"],
        tuple(Fraction(t) for t in h["times"]),
        tuple(h["pts"]),
        Fraction(h["time_base"]),
        bytes.fromhex(h["extradata"]),
    )


def segment_packets(segment: Segment) -> Iterator[av.Packet]:
    """The packets as the encoder gave them."""
    whole = segment.path.read_bytes()
    at = 12 + struct.unpack("<I", whole[8:12])[0]
    while at < len(whole) - 4:
        pts, dts, duration, flags, size = RECORD.unpack_from(whole, at)
        at += RECORD.size
        packet = av.Packet(whole[at : at + size])
        at += size
        packet.pts, packet.dts, packet.duration = pts, None if flags & NO_DTS else dts, duration
        packet.time_base, packet.is_keyframe = segment.time_base, bool(flags & KEYFRAME)
        yield packet


def decoding_times(pts: list[int]) -> list[int]:
    """dts for packets in decoding order: increasing, never after pts. Encoders of short runs return garbage (x265), and segments
    must fit together, so the one consistent answer is computed: the sorted pts, delayed by the deepest reordering.
    """
    ranks = {p: i for i, p in enumerate(sorted(pts))}
    depth = max((i - ranks[p] for i, p in enumerate(pts)), default=0)
    line = sorted(pts)
    step = max(1, line[1] - line[0]) if len(line) > 1 else 1
    return [line[i - depth] if i >= depth else line[0] - (depth - i) * step for i in range(len(pts))]
