"""Standard input and output as FFmpeg's source and target: nothing waits longer than it must, and an end is told from a break."""

from __future__ import annotations

import io
import os
import re
import select
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from misr.errors import OutputError
from misr.io.headers import MATROSKA, SEGMENT, UNKNOWN, Y4M, clusters_at, completed, number

HEAD_BYTES = 1 << 16  # of the input, kept for what PyAV does not read of a header
PIPE_BYTES = 1 << 20  # the most Linux gives without asking
HEADER_LIMIT = 64 << 20  # fonts and pictures are in it
LINE_LIMIT = 4096  # bytes of a Y4M line
POLL_S = 0.2
TELLS_SHAPE = {"matroska", "yuv4mpegpipe"}  # the pixel aspect, written by PipeOut into the header


class Interrupted(Exception):
    """Ctrl-C inside a call from FFmpeg, where PyAV loses a KeyboardInterrupt."""


class PipeIn:
    """Standard input: read(n) gives what there is, as soon as there is some; b"" at the end, or after stop().

    head    its first bytes, for who wants to read the header
    """

    name = "standard input"

    def __init__(self) -> None:
        self._source: Any = sys.stdin.buffer
        self._fd = descriptor(self._source)
        self._stopped = False
        self._follower = Follower()
        self.head = b""
        enlarge(self._fd)
        while len(self.head) < 16 and (more := self._some(PIPE_BYTES)):
            self.head += more
        self._ahead = self.head
        self._follower.take(self.head)

    def read(self, n: int = -1) -> bytes:
        """At most n bytes."""
        n = n if n > 0 else PIPE_BYTES
        if self._ahead:
            data, self._ahead = self._ahead[:n], self._ahead[n:]
            return data
        data = self._some(n)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._follower.take(data)
        return data

    def stop(self) -> None:
        """Let a thread that waits for more see the end: nobody wants the rest."""
        self._stopped = True

    @property
    def broken(self) -> bool:
        """Whether the stream ended in the middle of a frame, as far as its container lets one tell."""
        return not self._stopped and self._follower.inside

    def _some(self, n: int) -> bytes:
        if self._fd is None:
            return bytes(self._source.read1(n))
        while not self._stopped:
            try:
                if select.select([self._fd], [], [], POLL_S)[0]:
                    return os.read(self._fd, n)
            except KeyboardInterrupt:
                raise Interrupted from None
        return b""


class Follower:
    """Counts a stream's bytes to know whether it is inside a frame: Y4M, and Matroska whose clusters tell their size."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame or cluster in hand
        self._head = b""  # of an element or line that is not whole
        self._kind: bytes | None = None
        self._frame_bytes = 0

    @property
    def inside(self) -> bool:
        """Whether more bytes are due; False for streams that cannot be followed."""
        return self._kind != b"" and (self._left > 0 or bool(self._head))

    def take(self, data: bytes) -> None:
        """The next bytes."""
        data = self._head + data if self._head else data
        if self._kind is None and data:
            self._kind = next((kind for kind in (MATROSKA, Y4M) if data.startswith(kind)), b"")
        at = 0
        while self._kind:
            if self._left >= len(data) - at:
                self._left -= len(data) - at
                self._head = b""
                return
            at += self._left
            head, self._left = self._element(data, at) if self._kind == MATROSKA else self._line(data, at)
            if not head:
                self._head = data[at:]
                return
            at += head

    def _element(self, data: bytes, at: int) -> tuple[int, int]:
        """(bytes of an element's head, of its payload), (0, 0) where the head is not whole; the Segment is entered."""
        try:
            name, after = number(data, at, marked=True)
            size, body = number(data, after, marked=False)
        except IndexError:
            return 0, 0
        if size == UNKNOWN and name != SEGMENT:
            self._kind = b""  # it ends where the next one begins
        return body - at, 0 if name == SEGMENT else max(0, size)

    def _line(self, data: bytes, at: int) -> tuple[int, int]:
        """The same of a line and the samples that follow it."""
        end = data.find(b"\n", at, at + LINE_LIMIT)
        if end < 0:
            self._kind = b"" if len(data) - at >= LINE_LIMIT else self._kind
            return 0, 0
        if not self._frame_bytes:
            self._frame_bytes = y4m_frame_bytes(data[at:end])
            self._kind = self._kind if self._frame_bytes else b""
            return end + 1 - at, 0
        return end + 1 - at, self._frame_bytes


def y4m_frame_bytes(line: bytes) -> int:
    """Bytes of one frame's samples after a Y4M header line; 0 for layouts that are not known here."""
    words = {w[:1]: w[1:].decode("ascii", "replace") for w in reversed(line.split(b" ")[1:]) if w[:1] in b"WHC"}
    m = re.match(r"(420|422|444|411|mono)(alpha|p?(\d+)$)?", words.get(b"C", "420"))
    if not m or not {b"W", b"H"} <= {*words}:
        return 0
    w, h = int(words[b"W"]), int(words[b"H"])
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "411": (4, 1), "mono": (1, 1)}[m[1]]
    chroma = 0 if m[1] == "mono" else 2 * (-(-w // across)) * (-(-h // down))
    samples = w * h + chroma + (w * h if m[2] == "alpha" else 0)
    return samples * (2 if m[3] and int(m[3]) > 8 else 1)


class PipeOut:
    """Standard output as a muxer's target: every write goes out at once; a closed pipe ends the run with one sentence.

    track, sar    the picture's stream, numbered from 1, and its pixel aspect, which PyAV does not tell the muxer
    colour        what else a Matroska header says of its colours (see headers.completed)
    path          a file to write in the same way
    """

    name = "standard output"

    def __init__(
        self, track: int = 1, sar: Fraction = Fraction(1), colour: bytes = b"", *, path: Path | None = None
    ) -> None:
        self._target: Any = sys.stdout.buffer if path is None else open(path, "wb", buffering=0)  # noqa: SIM115 close()
        self._path = path
        self._fd = descriptor(self._target)
        self._track, self._sar, self._colour = track, sar, colour
        self._header: bytes | None = b"" if sar != 1 or colour else None
        self._over = False
        enlarge(self._fd)

    def write(self, data: bytes) -> int:
        """All of it."""
        if self._header is None:
            self._send(data)
            return len(data)
        self._header += data
        end = header_end(self._header)
        if end >= 0 or len(self._header) > HEADER_LIMIT:
            self._release(max(end, 0))
        return len(data)

    def give_up(self) -> None:
        """Nothing more is sent: what follows would make a broken stream look finished."""
        self._over = True

    def finish(self) -> None:
        """What was kept of a header goes out; a file is whole."""
        if self._header:
            self._release(len(self._header))
        if self._path:
            self._target.close()

    def _release(self, end: int) -> None:
        whole, self._header = self._header or b"", None
        self._send(completed(whole[:end], self._track, self._sar, self._colour) + whole[end:])

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and not self._over:
                rest = rest[os.write(self._fd, rest) if self._fd is not None else self._target.write(rest) :]
        except BrokenPipeError:
            self._over = True
            raise OutputError("the program reading standard output closed it; nothing more was written") from None
        except KeyboardInterrupt:
            raise Interrupted from None
        except OSError as e:
            raise OutputError(
                f"{self._path or self.name} cannot be written ({e.strerror}); free some space and run again"
            ) from None


def header_end(data: bytes) -> int:
    """Where the header of a Matroska or Y4M stream ends; 0 for other streams, -1 while it is not whole."""
    if data.startswith(MATROSKA):
        return clusters_at(data)
    return data.find(b"\n") + 1 or -1 if data.startswith(Y4M) else 0


def descriptor(stream: Any) -> int | None:
    """The number of a stream of the system; None for one in memory, and where select does not take pipes."""
    if sys.platform == "win32":
        return None
    try:
        return int(stream.fileno())
    except (OSError, AttributeError, io.UnsupportedOperation):
        return None


def enlarge(fd: int | None) -> None:
    """Room for a third of a 1080p frame in a pipe instead of 64 KiB, where the system lets us."""
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        if fd is not None:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
