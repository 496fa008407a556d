"""The bytes of a clip that a stretch of its frames needs, to be sent to who does not see the file.

What travels is what the demuxer reads, byte for byte and where it stands in the file; the receiver opens the same container over
a file with holes. So colour tags, rotation, side data, time stamps and edit lists are what they are beside the whole file, which
no rewriting into another container would leave them. It rests on this: a demuxer that opens, seeks and reads as it did before,
through buffers of the same size, asks for the same bytes. A hole reads as the file's end, so that nobody searches through it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from misr.errors import InputError
from misr.frame import Frame
from misr.io.facts import header
from misr.io.opening import main_video, open_input, rational, seek_before, stamp_of

if TYPE_CHECKING:
    from misr.io.reader import Reader

AHEAD = 34  # packets: H.264 and HEVC reorder 16 frames at most, bwdif looks at one more, and each may be of two fields
SEVERAL = {"concat", "dash", "hls", "imf"}  # formats whose file names others, where the pictures are
Piece = tuple[int, bytes]  # where in the file, and what stands there


class Wanting(InputError):
    """An excerpt holds less than was asked of it; who sent it can cut another from the clip's beginning on."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Pieces of a file, and what they are for: the frames from `since` to `until`, both with them. To be pickled.

    name      the file's path where it was cut
    size      bytes of the whole file
    pieces    in order, apart from each other
    since     time in seconds to which to seek, by Reader's rules; None: read on from the clip's beginning
    until     time in seconds of the last frame; None: as far as the packets go
    packets   how many of the picture's are whole, from there on; None: all to the end of the clip
    """

    name: str
    size: int
    pieces: tuple[Piece, ...]
    since: Fraction | None = None
    until: Fraction | None = None
    packets: int | None = None

    @property
    def bytes(self) -> int:
        """How much it carries."""
        return sum(len(data) for _, data in self.pieces)

    def opened(self) -> Holes:
        """The file, with holes, for av.open."""
        return Holes(self)

    def without(self, head: Excerpt) -> Excerpt:
        """The same, less the bytes that `head` has: head + excerpt.without(head) is the excerpt again, and what else head has."""
        held = [(at, at + len(data)) for at, data in head.pieces]
        return replace(self, pieces=tuple(left for piece in self.pieces for left in outside(piece, held)))

    def __add__(self, own: Excerpt) -> Excerpt:
        """The pieces of both, for the frames that `own` is for."""
        assert self.size == own.size, "excerpts of two files"
        return replace(own, pieces=joined([*self.pieces, *own.pieces]))


def outside(piece: Piece, spans: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    """What of a piece lies outside of spans (begin, end), which are in order."""
    start, data = piece
    at, end = start, start + len(data)
    for a, b in spans:
        if a < end and b > at:
            if a > at:
                yield at, data[at - start : a - start]
            at = b
    if at < end:
        yield at, data[at - start :]


def joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Pieces in order, those that touch or overlap made one."""
    runs: list[tuple[int, bytearray]] = []
    for at, data in sorted(pieces, key=lambda piece: piece[0]):
        if runs and at <= (end := runs[-1][0] + len(runs[-1][1])):
            runs[-1][1].extend(data[end - at :])
        else:
            runs.append((at, bytearray(data)))
    return tuple((at, bytes(data)) for at, data in runs)


class Holes:
    """A file of which only pieces are there, as av.open reads one: where one is missing, it ends."""

    def __init__(self, excerpt: Excerpt) -> None:
        self.name = excerpt.name
        self._size, self._pieces, self._at = excerpt.size, excerpt.pieces, 0
        self._begins = [at for at, _ in excerpt.pieces]

    def read(self, n: int) -> bytes:
        """At most n bytes; b"" in a hole and at the end."""
        i = bisect_right(self._begins, self._at) - 1
        if i < 0:
            return b""
        begin, data = self._pieces[i]
        found = data[self._at - begin : self._at - begin + n]
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """To a place of the whole file, holes or not; from its beginning, from here or from its end."""
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        """Where it is read next."""
        return self._at


class Recording:
    """A file that remembers what was read of it. A context manager."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._file = open(path, "rb")  # noqa: SIM115 closed by the context
        self._spans: list[tuple[int, int]] = []

    def read(self, n: int) -> bytes:
        """At most n bytes; InputError, which PyAV hands on, where the disk fails."""
        at = self._file.tell()
        try:
            data = self._file.read(n)
        except OSError as e:
            raise InputError(f"{self.name}: reading broke off ({e.strerror}); check the disk that it is on") from None
        self._spans.append((at, at + len(data)))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """As files do."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is read next."""
        return self._file.tell()

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._file.seek(0, 2)

    def pieces(self) -> Iterator[Piece]:
        """All that was read so far, in order."""
        runs: list[list[int]] = []
        for a, b in sorted(self._spans):
            if runs and a <= runs[-1][1]:
                runs[-1][1] = max(runs[-1][1], b)
            elif a < b:
                runs.append([a, b])
        for a, b in runs:
            self._file.seek(a)
            yield a, self._file.read(b - a)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def head(reader: Reader) -> Excerpt:
    """What every stretch of the clip needs: its header, its index where that is read at once, all that tells its streams.

    Nothing can be decoded of it alone. InputError where the clip is no single file.
    """
    check_single(reader)
    with Recording(reader.path) as source, open_input(reader.path, source) as container:
        return finished(source, container, Excerpt(reader.path, 0, (), packets=0))


def cut(reader: Reader, since: Fraction | None, until: Fraction | None, *, whole: bool = False) -> Excerpt:
    """What a Reader with this one's arguments needs for frames(since), up to the frame shown at `until`, that one with it.

    since     exact time of a frame in seconds; None: all from the clip's beginning on
    until     exact time of a frame; None: to the clip's end, or to reader.end
    whole     read on from the clip's beginning, whatever `since` is: for who found the excerpt Wanting

    A clip in which nothing can be sought is cut from its beginning in any case. InputError where it is no single file.
    """
    check_single(reader)
    seek = since is not None and since != reader.info.start and not whole and not reader.rate
    made = walked(reader, since, until) if seek else None
    made = made or walked(reader, None, until, fields=2 if whole else 1)
    assert made is not None, "only a seek can land late"
    return made


def check_single(reader: Reader) -> None:
    """InputError where the bytes of one file are not the clip."""
    kind = reader.container.format
    if kind.name in SEVERAL or kind.no_file:
        raise InputError(
            f"{reader.name}: a source of several files cannot be sent piece by piece; put it where every worker sees it, or "
            "make it one clip first"
        )
    if not Path(reader.path).is_file():
        raise InputError(f"{reader.name}: only a file can be sent piece by piece; save it as one first")


def walked(reader: Reader, since: Fraction | None, until: Fraction | None, *, fields: int = 1) -> Excerpt | None:
    """What is read from the seek, or from the beginning, until everything due by `until` has come; None where a seek lands late.

    A packet of a lower time comes at most AHEAD packets behind one of a higher. Where frames are counted (reader.rate) a packet
    is one, or with fields=2 a half.
    """
    start, last = reader.info.start, reader.end if until is None else until
    with Recording(reader.path) as source, open_input(reader.path, source) as container:
        stream = main_video(container, reader.name)
        tick, count, past, enough = rational(stream.time_base), 0, 0, False
        keyed = since is None  # decoding can begin, before the first frame that is wanted
        if since is not None and not seek_before(container, stream, since, start, reader.info.time_base):
            return None
        try:
            for packet in container.demux(stream):
                stamp = stamp_of(packet)
                time = start + count // fields / reader.rate if reader.rate else None if stamp is None else stamp * tick
                if not keyed and time is not None and since is not None and time >= since:
                    return None
                keyed, count = keyed or packet.is_keyframe, count + 1
                past = past if time is None else past + 1 if last is not None and time > last else 0
                if enough := past == AHEAD:
                    break
        except av.error.FFmpegError:
            pass  # the receiver meets it in the same place
        made = Excerpt(reader.path, 0, (), since, until, count if enough else None)
        return finished(source, container, made)


def finished(source: Recording, container: av.container.InputContainer, made: Excerpt) -> Excerpt:
    """An excerpt with all that was read of the file, and the beginning in which Reader looks for what PyAV does not tell."""
    header(container, source.name, None, source)
    return replace(made, size=source.size, pieces=tuple(source.pieces()))


def leading(packets: Iterator[av.Packet], stream: av.VideoStream, count: int | None) -> Iterator[av.Packet]:
    """As many packets of a stream, then the empty one that has its decoder give the rest; all of them where count is None."""
    yield from islice(packets, count)
    if count is not None:
        end: Any = av.Packet()
        end.stream = stream
        yield end


def promised(excerpt: Excerpt, frames: Iterator[Frame] | None, first: Fraction) -> Iterator[Frame]:
    """The frames that an excerpt was cut for; Wanting where they are not found (None) at `first`, or end before `until`.

    Where the clip itself ends before that, they end as the file's do.
    """
    last = excerpt.until
    for frame in frames or ():
        if last is None or frame.time <= last:
            yield frame
        if last is not None and frame.time >= last:
            return
    if frames is None or excerpt.packets == 0 or (last is not None and excerpt.packets is not None):
        missing = first if frames is None or last is None else last
        raise Wanting(
            f"{excerpt.name}: the frame at {float(missing):.3f} s is not in what was sent of the clip; put the clip where "
            "every worker sees it"
        )
