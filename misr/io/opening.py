"""What FFmpeg opens and what in it is the picture; its rationals and its words for errors, made ours."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from misr.errors import InputError
from misr.io.pipes import PipeIn

ATTACHED_PICTURE = 0x400  # FFmpeg's disposition bit of cover art
CLIP_SUFFIXES = {
    ".mkv",
    ".mp4",
    ".mov",
    ".m4v",
    ".webm",
    ".avi",
    ".ts",
    ".m2ts",
    ".mts",
    ".mpg",
    ".mpeg",
    ".vob",
    ".flv",
    ".wmv",
    ".3gp",
    ".nut",
    ".y4m",
    ".mxf",
    ".gif",
    ".apng",
}
BUFFER_BYTES = 1 << 15  # what is read at once of a file object; who reads an excerpt of it asks for the same bytes
SEEK_MARGIN_S = 4  # a resume starts decoding this long before the frame it wants
PIPE_FORMATS = {b"\x1aE\xdf\xa3": "matroska", b"YUV4MPEG2": "yuv4mpegpipe", b"nut/mul": "nut"}


def rational(value: Any) -> Fraction:
    """PyAV's rationals of either version as a Fraction; 0 when absent."""
    return Fraction(value.numerator, value.denominator or 1) if value else Fraction(0)


def open_input(path: str, source: Any = None) -> av.container.InputContainer:
    """A container for reading: a file, or '-' for standard input; InputError in one sentence when it does not open.

    source    a file object with the file's bytes, where they are not to be read from the path itself
    """
    if path == "-":
        return open_pipe(PipeIn())
    if source is None:
        check_there(path)
    try:
        return av.open(path) if source is None else av.open(source, buffer_size=BUFFER_BYTES)
    except (av.error.FFmpegError, ValueError) as e:
        raise InputError(f"{path}: not a readable video or picture ({reason(e)})") from None


def check_there(path: str) -> None:
    """InputError where a path leads to nothing."""
    if not Path(path).exists() and "%" not in path and "://" not in path:
        raise InputError(f"{path}: no such file")
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def open_pipe(pipe: PipeIn) -> av.container.InputContainer:
    """Standard input, its format recognised by the first bytes; of what tells its rate, no frame is waited for to measure it."""
    if not pipe.head:
        raise InputError("standard input is empty; pipe a matroska, nut or y4m stream into misr")
    name = next((fmt for magic, fmt in PIPE_FORMATS.items() if pipe.head.startswith(magic)), None)
    try:
        return av.open(pipe, format=name, buffer_size=1 << 20)
    except (av.error.FFmpegError, ValueError) as e:
        raise InputError(f"standard input: not a readable video ({reason(e)}); matroska, nut and y4m are") from None


def reason(e: BaseException) -> str:
    """FFmpeg's own words, without the errno and the path."""
    text = str(getattr(e, "strerror", None) or e)
    return text.split("; last error log:")[-1].strip() or type(e).__name__


def main_video(container: av.container.InputContainer, path: str) -> av.VideoStream:
    """The stream to upscale: not cover art, the default one, else the largest."""
    streams = [s for s in container.streams.video if not is_cover(s)] or list(container.streams.video)
    if not streams:
        raise InputError(f"{path}: no video stream in it; misr upscales pictures, `ffmpeg -i` can copy the rest")
    if len(streams) > 1 and path.lower().endswith((".heic", ".heif")):
        raise InputError(
            f"{path}: a HEIC picture of {len(streams)} tiles, which FFmpeg does not join here; convert it to PNG or AVIF first"
        )
    usable = [s for s in streams if s.codec_context is not None]
    if not usable:
        raise InputError(f"{path}: this FFmpeg has no decoder for its video; convert it with a tool that has one")
    default = [s for s in usable if int(s.disposition) & 1]
    return max(default or usable, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index))


def decoder_for(stream: av.VideoStream) -> Any:
    """The stream's decoder, threaded; libvpx where VP8/VP9 says that it carries alpha, which FFmpeg's own decoder drops."""
    context: Any = stream.codec_context
    name = {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(context.name)
    if name and "1" in (stream.metadata.get("alpha_mode"), stream.metadata.get("ALPHA_MODE")):
        context = av.CodecContext.create(name, "r")
        context.extradata = stream.codec_context.extradata
        return context
    context.thread_type = "AUTO"
    return context


def stamp_of(packet: av.Packet) -> int | None:
    """When a packet's frame is due, in the stream's ticks; None for end marks."""
    return packet.pts if packet.pts is not None else packet.dts


def seek_before(
    container: av.container.InputContainer, stream: av.VideoStream, time: Fraction, start: Fraction, tick: Fraction
) -> bool:
    """Go to a key frame SEEK_MARGIN_S or more before `time`, both in seconds; False where the container cannot.

    start     time of the clip's first frame, before which nothing is sought
    tick      seconds of the stream's times
    """
    if stream.codec_context.name == "h264":
        meet(container, stream)
    target = max(Fraction(0), time - start - SEEK_MARGIN_S) + start
    try:
        container.seek(int(target / tick), stream=stream, backward=True)
    except av.error.FFmpegError:
        return False
    return True


def meet(container: av.container.InputContainer, stream: av.VideoStream) -> None:
    """Show a clip's first packet to its decoder: x264 tells only there which one it is, and old ones code 4:4:4 otherwise."""
    with suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            stream.codec_context.decode(packet)
            return


def clips_in(folder: str) -> list[str]:
    """The clips of a folder, sorted; [] for anything else, a folder of pictures included."""
    if not Path(folder).is_dir():
        return []
    return sorted(
        str(p) for p in Path(folder).iterdir() if p.suffix.lower() in CLIP_SUFFIXES and not p.name.startswith(".")
    )


def is_cover(stream: Any) -> bool:
    """Whether a video stream is an attached picture."""
    return bool(int(stream.disposition) & ATTACHED_PICTURE)
