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
from misr.io.planes import side_data, side_data_names

HDR_KINDS = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")


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
    turned: int = 0  # degrees, as rotation: by so many the pictures are turned upright, and these facts with them


def facts_of(
    path: str,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    frames: list[av.VideoFrame],
    *,
    color: Color,
    interlaced: Literal["", "tff", "bff"],
    counted: Fraction | None,
) -> ClipInfo:
    """The facts of an open clip, its first frames given. counted: frames per second, where their own times do not count."""
    first = frames[0]
    tick = rational(stream.time_base) or Fraction(1, 90000)
    rate = nominal_rate(stream, frames, tick)
    duration = stream.duration * tick if stream.duration else None
    if duration is None and container.duration:
        duration = Fraction(container.duration, av.time_base)
    if duration is not None and not 0 < duration < 10**6:
        duration = None  # one file in the wild claims 136 years
    count = stream.frames or (round(duration * rate) if duration else 0)
    if counted:  # the frames are these, their times are not
        rate, tick, duration = counted, 1 / counted, count / counted if count else None
    return ClipInfo(
        path=path,
        container=container.format.name,
        codec=stream.codec_context.name,
        width=first.width,
        height=first.height,
        color=color,
        pix_fmt=first.format.name,
        time_base=tick,
        rate=rate,
        frames=count,
        duration=duration,
        start=first.pts * (rational(first.time_base) or tick) if first.pts is not None else Fraction(0),
        sar=rational(stream.sample_aspect_ratio) or Fraction(1),
        rotation=int(first.rotation or 0),
        interlaced=interlaced,
        hdr=tuple((kind, data) for kind in HDR_KINDS if (data := side_data(first, kind)) is not None),
        side_data=tuple(side_data_names(first)),
        video_index=stream.index,
        bit_rate=stream.codec_context.bit_rate or 0,
        woven=bool(first.interlaced_frame),
    )


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
    info = replace(info, rotation=0, turned=info.rotation)
    if info.turned % 180 == 0:
        return info
    fx, fy = info.color.subsampling
    color = replace(info.color, subsampling=(fy, fx))
    return replace(info, width=info.height, height=info.width, sar=1 / info.sar, color=color)


def header(container: av.container.InputContainer, path: str, pipe: PipeIn | None, source: Any = None) -> bytes:
    """The first bytes of a container that tells there where its chroma sits; none of others. source: as open_input takes it."""
    if pipe:
        return pipe.head
    if not container.format.name.startswith(("matroska", "yuv4mpegpipe")):
        return b""
    if source is not None:
        source.seek(0)
        return bytes(source.read(HEAD_BYTES))
    if not Path(path).is_file():
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
