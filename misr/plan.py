"""From what a user says to a Job: model, sizes, codec, streams; everything that can fail is found here, before frame 1."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from misr import __version__
from misr.errors import InputError, OutputError
from misr.frame import Retag
from misr.io.choice import encodes_odd, plan_encoding, squared
from misr.io.encoder import Encoder, Encoding
from misr.io.excerpt import Excerpt
from misr.io.opening import open_input
from misr.io.output import Output, Span
from misr.io.pictures import (
    PICTURE_CODEC,
    AnimationReader,
    SequenceReader,
    is_picture,
    is_sequence,
    numbered,
    picture_suffix,
)
from misr.io.pipes import TELLS_SHAPE
from misr.io.reader import ClipInfo, Reader
from misr.io.repeatable import repeatable
from misr.io.streams import KEEPS_ROTATION, StreamPlan, format_for, plan_streams
from misr.journal import journal_path, signature, told
from misr.pipeline import AnyReader, Job, Progress, run
from misr.settings import Settings, as_json
from misr.summary import outcome
from misr.upscaler import Upscaler
from misr.zoo import card, choose, device_of

HEIGHTS = {
    "480p": 480,
    "576p": 576,
    "720p": 720,
    "1080p": 1080,
    "1440p": 1440,
    "2160p": 2160,
    "4k": 2160,
    "4320p": 4320,
    "8k": 4320,
}
LOSSY = {  # codecs whose pictures come worn; of the rest (PNG, FFV1, ProRes ...) every code is to be believed
    "h264",
    "hevc",
    "vvc",
    "vp8",
    "vp9",
    "av1",
    "libdav1d",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "msmpeg4v3",
    "h263",
    "flv1",
    "theora",
    "wmv1",
    "wmv2",
    "wmv3",
    "vc1",
    "rv40",
    "mjpeg",
}
LARGEST = 65535  # pixels along a side; no encoder here takes more


@dataclass(frozen=True, slots=True)
class Result:
    """What was done: frames written, where, and what a user should know."""

    target: str
    frames: int
    notes: tuple[str, ...]


def upscale(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    model: str | None = None,
    scale: float | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Result:
    """The whole main job: source (clip, picture, sequence, "-") upscaled into target; model and scale win over settings."""
    wanted = settings or Settings()
    wanted = replace(wanted, model=model or wanted.model, scale=scale or wanted.scale)
    job, reader, up = plan(str(source), str(target), wanted)
    try:
        frames = run(job, reader, up, progress=progress, say=say or (lambda line: None))
    finally:
        reader.close()
    return Result(str(target), frames, outcome(job, reader, up))


def plan(source: str, target: str, wanted: Settings, *, kind: str | None = None) -> tuple[Job, AnyReader, Upscaler]:
    """Decide everything and prove that it can be written, without rendering a frame.

    kind    "cpu" or "cuda": of other machines' devices that will render; this one, which only plans and joins, may have none such
    """
    check_target(source, target, wanted.overwrite)
    span = span_of(wanted)
    stills = target != "-" and (is_picture(target) or is_sequence_target(target)) and not wanted.fmt
    webp = target.lower().endswith(".webp") and not wanted.fmt and not is_sequence_target(target)
    fmt = "webp" if webp else "image2" if stills else format_for(target, wanted.fmt)
    far = kind not in (None, "cpu")
    reader = open_reader(source, span, wanted, upright=fmt not in KEEPS_ROTATION)
    fmt = animated(fmt, target, reader.info)
    if fmt == "avi" and span.start is None:
        span = replace(
            span, start=reader.info.start
        )  # it has no late start: the first frame is at zero, and the sound moves along
    name, why = chosen(reader.info, wanted, kind or device_of(wanted.device).type)
    it = card(name, scale=factor(reader.info, wanted))
    size, sar = picture_size(reader.info, wanted, it.scale)
    encoding, streams = encode_plan(reader, fmt, target, size, sar, wanted)
    up = Upscaler(
        name,
        scale=factor(reader.info, wanted),
        device="cpu" if kind else wanted.device,
        precision="fp32" if far else wanted.precision,
        tile=wanted.tile,
        batch=wanted.batch,
        strength=wanted.strength,
    )
    job = Job(
        source=source,
        target=target,
        fmt=fmt,
        info=reader.info,
        encoding=encoding,
        streams=tuple(streams),
        span=span,
        why=why,
    )
    if job.resumable and fmt != "image2":
        job = replace(job, encoding=repeatable(encoding, begun_with=threads_of(target, encoding.codec)))
    decides = identity(job, up, wanted)
    if far:
        decides |= {"device": kind, "precision": wanted.precision}
    return replace(job, identity=decides, asked=asked(job, name, wanted)), reader, up


def chosen(info: ClipInfo, wanted: Settings, kind: str) -> tuple[str, str]:
    """The model's name, and why it is that one; no reason for what the user named."""
    if wanted.model:
        return wanted.model, ""
    return choose(factor(info, wanted), compressed=info.codec in LOSSY, moving=several(info), device=kind)


def span_of(wanted: Settings) -> Span:
    """-ss, -to and -t as a stretch of the clip's clock; -to and -t together are a contradiction."""
    if wanted.end is not None and wanted.duration is not None:
        raise InputError("-to and -t say the same thing in two ways; give one of them")
    end = wanted.end
    if wanted.duration is not None:
        end = (wanted.start or Fraction(0)) + wanted.duration
    if end is not None and end <= (wanted.start or 0):
        raise InputError(
            f"the end ({float(end):g} s) is not after the start ({float(wanted.start or 0):g} s); check -ss, -to and -t"
        )
    return Span(wanted.start, end)


def check_target(source: str, target: str, overwrite: bool) -> None:
    """Refuse what would lose something: an output that is the input, or exists without -y."""
    if target == "-":
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; make it first")
    there = numbered(target) if is_sequence(target) else []
    same = source != "-" and Path(source).exists() and path.exists() and path.samefile(source)
    if same or (there and source != "-" and is_sequence(source) and {*there} & {*numbered(source)}):
        raise OutputError(f"{target} is the input itself; give the output another name")
    exists = bool(there) if "%" in path.name else path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if (
        exists and not overwrite and not (there and (journal_path(target) / "complete").exists())
    ):  # stopped while moving pictures
        raise OutputError(f"{target} exists; -y overwrites it")


def is_sequence_target(target: str) -> bool:
    """A %05d pattern, a folder, or a name without extension, which becomes a folder."""
    return is_sequence(target) or target.endswith("/") or Path(target).suffix == ""


def open_reader(
    source: str,
    span: Span,
    wanted: Settings,
    *,
    upright: bool,
    excerpt: Excerpt | None = None,
    info: ClipInfo | None = None,
) -> AnyReader:
    """The reader for a source: clip, sequence, or one of the animations that only OpenCV reads; excerpt, info: as of Reader."""
    if is_picture(source) and wanted.retag != Retag():
        raise InputError(f"{source}: --color-* are for clips; pictures say themselves how they are to be read")
    if source != "-" and is_sequence(source):
        return SequenceReader(source, start=span.start, end=span.end, rate=wanted.framerate or Fraction(25))
    try:
        return Reader(
            source,
            start=span.start,
            end=span.end,
            deinterlace=wanted.deinterlace,
            on_error=wanted.on_error,
            upright=upright,
            retag=wanted.retag,
            rate=wanted.framerate,
            excerpt=excerpt,
            info=info,
        )
    except InputError:
        if Path(source).suffix.lower() not in (".webp", ".tif", ".tiff", ".jpg", ".jpeg"):
            raise
    return AnimationReader(source, start=span.start, end=span.end)


def animated(fmt: str, target: str, info: ClipInfo) -> str:
    """The muxer when one name can be a still or an animation: .png becomes APNG, .webp an animation, for several frames."""
    if (
        fmt == "image2"
        and not is_sequence_target(target)
        and info.frames != 1
        and target.lower().endswith(".png")
        and several(info)
    ):
        return "apng"
    if fmt == "webp" and not several(info):
        return "image2"
    return fmt


def several(info: ClipInfo) -> bool:
    """Whether a source holds more than one picture; unknown counts as several for moving formats only."""
    moving = info.container not in (
        "image2",
        "png_pipe",
        "jpeg_pipe",
        "webp_pipe",
        "tiff_pipe",
        "bmp_pipe",
        "ppm_pipe",
        "pgm_pipe",
        "exr_pipe",
    )
    return info.frames > 1 or (info.frames == 0 and moving)


def factor(info: ClipInfo, wanted: Settings) -> float:
    """The scale that is asked for, by -s or by what --size comes to; the model's when neither is given."""
    if wanted.scale is not None and not 0 < wanted.scale < math.inf:
        raise InputError(f"-s {wanted.scale:g} makes no picture; give a factor such as 2, 4 or 1.5")
    if wanted.size:
        w, h = asked_size(info, wanted.size)
        return max(w / info.width, h / info.height)
    if wanted.scale is not None:
        return int(wanted.scale) if wanted.scale == int(wanted.scale) else wanted.scale
    return card(wanted.model).scale if wanted.model else 2


def asked_size(info: ClipInfo, text: str) -> tuple[int, int]:
    """--size in pixels (width, height): 1080p, 1920x1080, 1920x-2 (the other side keeps the aspect, even)."""
    if text.lower() in HEIGHTS:
        text = f"-2x{HEIGHTS[text.lower()]}"
    m = re.fullmatch(r"(-?\d+)[x:](-?\d+)", text)
    if not m or all(int(v) <= 0 for v in m.groups()):
        raise InputError(f"--size {text}: not a size; write 1080p, 1920x1080 or 1920x-2")
    w, h = int(m[1]), int(m[2])
    if max(w, h) > LARGEST:
        raise InputError(f"--size {text}: a side ends at {LARGEST} pixels")
    if w <= 0:
        w = to_multiple(h * info.width / info.height, -w if w < -1 else 1)
    if h <= 0:
        h = to_multiple(w * info.height / info.width, -h if h < -1 else 1)
    return w, h


def to_multiple(x: float, of: int) -> int:
    """The nearest positive multiple."""
    return max(of, round(x / of) * of)


def picture_size(info: ClipInfo, wanted: Settings, model_scale: float) -> tuple[tuple[int, int], Fraction]:
    """The output's (width, height), and the pixel aspect ratio that leaves the display aspect as it was."""
    if wanted.size:
        w, h = asked_size(info, wanted.size)
        same = abs(w / h / (info.width / info.height) - 1) < 0.005
        return (w, h), info.sar if same else (info.sar * info.width * h / (info.height * w)).limit_denominator(10000)
    s = factor(info, wanted)
    w, h = round(info.width * s), round(info.height * s)
    if not (0 < w <= LARGEST and 0 < h <= LARGEST):
        raise InputError(f"-s {s:g} makes {w}x{h} of {info.width}x{info.height}; give a factor such as 2, 4 or 1.5")
    return (w, h), info.sar


def encode_plan(
    reader: AnyReader, fmt: str, target: str, size: tuple[int, int], sar: Fraction, wanted: Settings
) -> tuple[Encoding, list[StreamPlan]]:
    """The encoder's settings and every stream's fate, tried on an output in memory: what cannot be written fails here."""
    codec = wanted.codec
    if fmt == "image2":
        suffix = picture_suffix(target, getattr(reader, "files", []))
        codec = codec or PICTURE_CODEC.get(suffix, "png")
    encoding = plan_encoding(
        reader.info,
        fmt,
        size,
        codec=codec,
        pix_fmt=wanted.pix_fmt,
        options=wanted.options,
        bit_rate=wanted.bit_rate,
        threads=wanted.threads,
        sar=sar,
    )
    if fmt != "image2":
        if fmt not in TELLS_SHAPE or (target != "-" and encoding.codec != "rawvideo"):  # else PipeOut tells it
            encoding = squared(encoding, fmt, fixed=bool(wanted.size))
        size = encoding.width, encoding.height
    if not encodes_odd(encoding.codec, encoding.color) and (size[0] % 2 or size[1] % 2):
        encoding = replace(
            encoding,
            width=size[0] + size[0] % 2,
            height=size[1] + size[1] % 2,
            notes=(*encoding.notes, f"size: {encoding.codec} wants even sides, {size[0]}x{size[1]} is rounded up"),
        )
    Encoder(encoding)
    if fmt == "image2":
        return global_header(encoding, fmt), []
    if not isinstance(reader, Reader):
        streams = [StreamPlan(0, "video", reader.info.codec, "picture")]
        encoding = global_header(encoding, fmt)
        Output(io.BytesIO(), fmt, encoding, reader.info, streams, None, span=Span()).abandon()
        return encoding, streams
    source = reader.container if reader.path == "-" else open_input(reader.path)
    streams = plan_streams(source, reader.info.video_index, fmt, audio=wanted.audio, without=wanted.without)
    encoding = global_header(encoding, fmt)
    if fmt == "yuv4mpegpipe":  # its header tells a rate, and its frames have no times
        encoding = replace(encoding, time_base=1 / encoding.rate, counted=True)
    Output(io.BytesIO(), fmt, encoding, reader.info, streams, source, span=Span()).abandon()
    return encoding, streams


def threads_of(target: str, codec: str) -> int:
    """With how many threads an interrupted run of an output encodes; 0 where there is none, or it had another encoder."""
    begun = told(journal_path(target)).get("encoding", {})
    count = str(begun.get("threads")) if isinstance(begun, dict) and begun.get("codec") == codec else ""
    return int(count) if count.isdigit() else 0


def global_header(encoding: Encoding, fmt: str) -> Encoding:
    """Whether the encoder's header goes to the container instead of into the stream."""
    return replace(encoding, global_header=fmt in ("mp4", "mov", "matroska", "webm", "flv", "3gp", "nut", "asf", "mxf"))


def identity(job: Job, up: Upscaler, wanted: Settings) -> dict[str, Any]:
    """Everything that decides the output, for the journal of an interrupted run."""
    info = job.info
    encoding = asdict(job.encoding)
    return {
        "misr": __version__,
        "source": signature(job.source),  # not where it is: on other machines a shared disk has other paths
        "model": {"name": up.card.name, "sha256": up.card.sha256, "scale": up.card.scale},
        "precision": up.precision,
        "device": up.device.type,
        "strength": up.strength,
        "encoding": {k: str(v) for k, v in encoding.items() if k != "notes"},
        "container": job.fmt,
        "start": str(job.span.start),
        "end": str(job.span.end),
        "deinterlace": info.interlaced,
        "on_error": wanted.on_error,
        "retag": str(wanted.retag),
        "framerate": str(wanted.framerate),
    }


def asked(job: Job, model: str, wanted: Settings) -> dict[str, Any]:
    """What planning the job anew takes, in any folder and on any machine: the source, and settings with model and scale."""
    named = Path(model)
    given = (named / "card.json").is_file() or named.name == "card.json"
    scale = None if wanted.size else factor(job.info, wanted)
    settings = replace(wanted, model=os.path.abspath(model) if given else model, scale=scale)
    local = job.source != "-" and "://" not in job.source
    return {"source": os.path.abspath(job.source) if local else job.source, "settings": as_json(settings)}


__all__ = ["Result", "Settings", "plan", "upscale"]
