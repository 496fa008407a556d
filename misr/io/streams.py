"""What becomes of every stream that is not the picture: copied, converted, dropped with a word, or refused before frame 1."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from misr.errors import OutputError
from misr.io.opening import is_cover

Action = Literal["picture", "copy", "convert", "attach", "drop"]
FORMATS = {  # file extension -> FFmpeg muxer
    ".mkv": "matroska",
    ".mka": "matroska",
    ".webm": "webm",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".qt": "mov",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".avi": "avi",
    ".nut": "nut",
    ".y4m": "yuv4mpegpipe",
    ".flv": "flv",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".vob": "vob",
    ".3gp": "3gp",
    ".mxf": "mxf",
    ".wmv": "asf",
    ".gif": "gif",
    ".apng": "apng",
}
TEXT_SUBTITLES = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
SUBTITLE_TARGET = {"mp4": "mov_text", "mov": "mov_text", "3gp": "mov_text", "matroska": "subrip", "webm": "webvtt"}
AUDIO_TARGET = {
    "webm": "libopus",
    "avi": "mp3",
    "flv": "aac",
    "mpeg": "mp2",
    "vob": "ac3",
    "mxf": "pcm_s16le",
    "asf": "mp3",
}
PICTURES_ONLY = {"gif", "apng", "yuv4mpegpipe", "webp", "avif"}
ATTACHES = {"matroska"}
KEEPS_ROTATION = {"mp4", "mov", "3gp", "matroska", "webm"}
UNLISTED = {  # muxers whose own list in FFmpeg is empty, and what they take
    "mpegts": {
        "mp2",
        "mp3",
        "aac",
        "aac_latm",
        "ac3",
        "eac3",
        "dts",
        "truehd",
        "opus",
        "pcm_bluray",
        "dvb_subtitle",
        "dvb_teletext",
        "hdmv_pgs_subtitle",
        "h264",
        "hevc",
        "vvc",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "cavs",
    },
    "mpeg": {"mp2", "mp3", "ac3", "dts", "pcm_dvd", "dvd_subtitle", "mpeg1video", "mpeg2video"},
}
UNLISTED["vob"] = UNLISTED["mpeg"]
STALE = (
    "encoder",
    "duration",
    "number_of_frames",
    "number_of_bytes",
    "bps",
    "_statistics",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "handler_name",
    "vendor_id",
)  # true of the old file, not of the new

MACINTOSH = {  # QuickTime's languages are a list; FFmpeg spells these of it otherwise, and forgets what it does not find
    "deu": "ger",
    "nld": "dut",
    "swe": "sve",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "fas": "iri",
    "per": "iri",
    "sqi": "alb",
    "rum": "ron",
    "cze": "ces",
    "slo": "slk",
    "mkd": "mac",
    "hye": "arm",
    "kat": "geo",
    "bod": "tib",
    "mya": "bur",
    "msa": "may",
    "wel": "cym",
    "eus": "baq",
    "fre": "fra",
}


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One source stream and its fate; `codec` is the target's where it is converted, `note` a sentence for people."""

    index: int
    kind: str
    source: str
    action: Action
    codec: str = ""
    note: str = ""


def format_for(path: str, asked: str | None = None) -> str:
    """The FFmpeg muxer for an output: by name where asked, by extension, matroska for a pipe."""
    if asked:
        return FORMATS.get("." + asked, asked)
    if path == "-":
        return "matroska"
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"{path}: no container is known by the extension {suffix or '(none)'!r}; use one of {' '.join(sorted(FORMATS))}, "
            "a picture (.png .jpg .webp .tif .avif), or a folder"
        )
    return FORMATS[suffix]


def plan_streams(
    source: av.container.InputContainer,
    picture: int,
    fmt: str,
    *,
    audio: str | None = None,
    without: frozenset[str] = frozenset(),
) -> list[StreamPlan]:
    """The fate of every stream of a source when it goes into muxer `fmt`.

    audio     None: copy where the container can, else convert; "copy"; or an encoder's name
    without   kinds the user gives up: audio, subtitle, data, attachment
    """
    able = capable(fmt)
    return [fate(s, picture, fmt, able, audio, without) for s in source.streams]


def track_number(plans: Iterable[StreamPlan]) -> int:
    """The picture's number among the output's streams, from 1."""
    made = [p.action for p in plans if p.action in ("picture", "copy", "convert")]
    return made.index("picture") + 1 if "picture" in made else 1


def capable(fmt: str) -> frozenset[str]:
    """Names of codecs the muxer says it can hold."""
    try:
        with av.open(io.BytesIO(), "w", format=fmt) as probe:
            listed = set(probe.supported_codecs)
    except (av.error.FFmpegError, ValueError) as e:
        raise OutputError(f"this FFmpeg cannot write {fmt!r} ({e})") from None
    listed |= UNLISTED.get(fmt, set())
    return frozenset(listed | {canonical(name) for name in listed})


def canonical(name: str) -> str:
    """The codec that an encoder or decoder is for: dvdsub is dvd_subtitle, libopus is opus."""
    for mode in ("r", "w"):
        try:
            return str(av.Codec(name, mode).canonical_name)
        except ValueError:
            continue
    return name


def fate(
    stream: Any, picture: int, fmt: str, able: frozenset[str], audio: str | None, without: frozenset[str]
) -> StreamPlan:
    """One stream's plan."""
    kind, codec = stream.type, codec_name(stream)

    def plan(action: Action, target: str = "", note: str = "") -> StreamPlan:
        return StreamPlan(stream.index, kind, codec, action, target, note)

    if stream.index == picture:
        return plan("picture")
    if kind in without:
        return plan("drop", note="asked")
    if fmt in PICTURES_ONLY:
        return plan("drop", note=f"{fmt} holds pictures only")
    if kind == "video":
        return video_fate(stream, fmt, able, plan)
    if kind == "audio":
        return audio_fate(codec, fmt, able, audio, plan)
    if kind == "subtitle":
        return subtitle_fate(stream, codec, fmt, able, plan)
    if kind == "attachment":
        return plan("attach") if fmt in ATTACHES else plan("drop", note=f"{fmt} holds no attachments; .mkv does")
    if fmt in ("mp4", "mov") and "timecode" in stream.metadata:
        return plan("drop", note="its timecode is written again from the picture's tag")
    if takes_data(stream, fmt):
        return plan("copy")
    return plan("drop", note=f"{fmt} cannot be given {data_name(stream)} data")


def takes_data(stream: Any, fmt: str) -> bool:
    """Whether the muxer accepts a data stream (telemetry, KLV) as it is: tried on a file in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=fmt) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def data_name(stream: Any) -> str:
    """What a data stream is called, where FFmpeg knows."""
    return str(getattr(stream, "name", None) or "unknown")


def codec_name(stream: Any) -> str:
    """FFmpeg's name of a stream's codec, decoder or not."""
    try:
        context = stream.codec_context
        return str(context.codec.canonical_name if context is not None else getattr(stream, "name", None) or "unknown")
    except (AttributeError, ValueError):
        return "unknown"


def video_fate(stream: Any, fmt: str, able: frozenset[str], plan: Any) -> StreamPlan:
    """Cover art and further pictures: kept as they are, where the container has a place for them."""
    if is_cover(stream):
        if fmt in ATTACHES:
            return plan("attach", note="cover art")
        if fmt == "mp4":
            return plan("copy", note="cover art")
        return plan(
            "drop", note=f"{fmt} holds no cover art; .mkv and .mp4 do"
        )  # the mov muxer takes it and writes nothing
    name = codec_name(stream)
    return (
        plan("copy", note="second picture, not upscaled")
        if name in able
        else plan("drop", note=f"{fmt} cannot hold a second {name} stream")
    )


def audio_fate(codec: str, fmt: str, able: frozenset[str], asked: str | None, plan: Any) -> StreamPlan:
    """Sound is copied, or converted where the container refuses the codec or the user asks."""
    if asked and asked != "copy":
        return plan("convert", asked, "asked")
    if codec == "unknown":
        return plan("drop", note="neither its codec nor a decoder is known")
    if holds(codec, fmt, able):
        return plan("copy")
    target = AUDIO_TARGET.get(fmt, "aac")
    if asked == "copy":
        raise OutputError(f"{fmt} cannot hold {codec} audio; leave -c:a out (it becomes {target}), or write .mkv")
    return plan("convert", target, f"{fmt} cannot hold {codec}")


def subtitle_fate(stream: Any, codec: str, fmt: str, able: frozenset[str], plan: Any) -> StreamPlan:
    """Subtitles are copied, converted between text formats, or refused; never lost in silence."""
    if holds(codec, fmt, able):
        return plan("copy")
    target = SUBTITLE_TARGET.get(fmt)
    if codec in TEXT_SUBTITLES and target:
        return plan("convert", target, f"{fmt} cannot hold {codec}")
    raise OutputError(
        f"{fmt} cannot hold subtitle stream {stream.index} ({codec}); write .mkv to keep it, or drop subtitles with -sn"
    )


def holds(codec: str, fmt: str, able: frozenset[str]) -> bool:
    """Whether the muxer takes the codec as it is; the cases where FFmpeg's own list is too hopeful are spelt out."""
    if fmt in ("mp4", "mov", "3gp") and codec in TEXT_SUBTITLES:
        return codec == "mov_text"
    if fmt in ("mp4", "flv") and codec.startswith("pcm_"):
        return False  # MP4: written, but hardly a player reads it; FLV: at a few rates only
    if fmt in ("mpegts", "avi", "flv") and codec in TEXT_SUBTITLES:
        return False
    if fmt == "webm":
        return codec in ("opus", "vorbis", "webvtt")
    return codec in able


def kept_tags(metadata: dict[str, str], fmt: str = "") -> dict[str, str]:
    """Tags that are still true of the new file; languages as the muxer spells them."""
    kept = {k: v for k, v in metadata.items() if not k.lower().startswith(STALE)}
    if fmt == "mov" and kept.get("language") in MACINTOSH:
        kept["language"] = MACINTOSH[kept["language"]]
    return kept
