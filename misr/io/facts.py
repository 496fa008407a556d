"""What is known of a clip before its first frame is shown, and where that is looked up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av

from misr.errors import InputError
from misr.frame import Color
from misr.io.opening import rational
from misr.io.pipes import HEAD_BYTES, PipeIn


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What is known of a clip before the first frame is shown. Times in seconds, sizes in pixels as stored."""

    path: str
    container: str
    codec: str
    width: int
    height: int
    color: Color
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    frames: int  # an estimate; 0 when the file does not tell
    duration: Fraction | None
    start: Fraction
    sar: Fraction
    rotation: int  # degrees, counter-clockwise, as the display matrix says
    interlaced: Literal["", "tff", "bff"]
    hdr: tuple[tuple[str, bytes], ...]
    side_data: tuple[str, ...]
    video_index: int
    bit_rate: int
    woven: bool = False  # its frames are flagged as interlaced, whatever is done about it


def nominal_rate(stream: av.VideoStream, frames: list[av.VideoFrame], tick: Fraction) -> Fraction:
    """Frames per second for encoders and estimates; measured where the header talks nonsense (600 or 1000 in some mkv)."""
    told = rational(stream.average_rate) or rational(stream.guessed_rate)
    times = [f.pts for f in frames if f.pts is not None]
    if len(times) > 2 and times[-1] > times[0]:
        seen = Fraction(len(times) - 1) / ((times[-1] - times[0]) * tick)
        if not told or told > 4 * seen or told > 300:
            told = seen.limit_denominator(1001)
    return told if told and told < 1000 else Fraction(25)


def turned(info: ClipInfo) -> ClipInfo:
    """The facts of a clip whose pictures are turned upright."""
    if info.rotation % 180 == 0:
        return replace(info, rotation=0)
    fx, fy = info.color.subsampling
    color = replace(info.color, subsampling=(fy, fx))
    return replace(info, rotation=0, width=info.height, height=info.width, sar=1 / info.sar, color=color)


def header(container: av.container.InputContainer, path: str, pipe: PipeIn | None) -> bytes:
    """The first bytes of a container that tells there where its chroma sits; none of others."""
    if pipe:
        return pipe.head
    if not container.format.name.startswith(("matroska", "yuv4mpegpipe")) or not Path(path).is_file():
        return b""
    with open(path, "rb") as f:
        return f.read(HEAD_BYTES)


def refuse_misread(context: Any, packet: av.Packet) -> None:
    """Raw pictures of another size than the format's own are another format: FFmpeg 5's NUT calls float RGB rgb555."""
    if context.name != "rawvideo" or not packet.size or not context.format:
        return
    w, h = -(-context.width // 4) * 4, -(-context.height // 4) * 4  # lines may be padded, chroma is rounded up
    due = w * h * context.format.padded_bits_per_pixel // 8
    if packet.size > 1.2 * due:
        raise InputError(
            f"standard input: raw pictures of {packet.size} bytes called {context.format.name}, which would be {due}; "
            "the container has no name for what they are, send them in matroska as gbrp16le or yuv444p16le"
        )
