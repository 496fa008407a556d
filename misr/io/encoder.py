"""An encoder and what it is opened with: frames in, packets out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from misr.errors import OutputError
from misr.frame import Color, Frame
from misr.io.opening import reason
from misr.io.planes import Repacker, from_frame, planar_name
from misr.machine import scheduling_kept

SITED = {"matroska", "yuv4mpegpipe"}  # where raw pictures say where their chroma sits


@dataclass(frozen=True, slots=True)
class Encoding:
    """Everything an encoder is opened with. color is what frames must arrive in; pix_fmt what the encoder gets."""

    codec: str
    pix_fmt: str
    color: Color
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    sar: Fraction
    options: tuple[tuple[str, str], ...] = ()
    bit_rate: int = 0
    threads: int = 0
    global_header: bool = False
    counted: bool = False  # frames are stamped by their number, 1 / rate apart
    notes: tuple[str, ...] = ()


def find_encoder(name: str) -> av.Codec:
    """The encoder of that name; OutputError lists likely ones."""
    try:
        codec = av.Codec(name, "w")
    except ValueError:
        raise OutputError(
            f"no encoder {name!r} here; `misr doctor` lists them (libx264, libx265, libsvtav1, prores_ks, ffv1 ...)"
        ) from None
    if codec.type != "video":
        raise OutputError(f"{name} does not encode video; -c:v wants a video encoder such as libx264")
    return codec


def check_options(codec: av.Codec, options: dict[str, str]) -> None:
    """FFmpeg ignores options an encoder does not know; misr does not."""
    known = {"qscale"} | supported(av.CodecContext.create(codec.name, "w"))
    for name in options:
        if name not in known:
            raise OutputError(f"{codec.name} has no option {name!r}; it would be ignored silently, so it is refused")


def supported(context: Any) -> set[str]:
    """Names of the options an encoder declares."""
    found = context.supported_options
    names = set()
    for group in ("private", "generic"):
        names |= {o.name for o in getattr(found, group, [])}
    return names


def configure(target: Any, it: Encoding) -> None:
    """Put an Encoding on a codec context or on a stream's."""
    context = getattr(target, "codec_context", target)
    options = dict(it.options)
    qscale = options.pop("qscale", None)
    context.width, context.height, context.pix_fmt = it.width, it.height, it.pix_fmt
    context.time_base, context.framerate = it.time_base, it.rate
    context.colorspace, context.color_range = it.color.matrix, it.color.range
    context.color_primaries, context.color_trc = it.color.primaries, it.color.transfer
    context.sample_aspect_ratio = it.sar
    if it.bit_rate:
        context.bit_rate = it.bit_rate
    if qscale:
        context.flags |= 2  # AV_CODEC_FLAG_QSCALE
        context.global_quality = int(float(qscale) * 118)  # FF_QP2LAMBDA
    if it.threads:
        context.thread_count = it.threads
    if it.global_header:
        context.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
    if it.color.siting and it.codec == "rawvideo":
        options["chroma_sample_location"] = str(it.color.siting)  # PyAV 18 has no attribute for it
    context.options = options


class Palette:
    """256 colours chosen anew for every frame, dithered: what GIF has to offer (FFmpeg's palettegen and paletteuse)."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in pal8."""
        if self._graph is None:
            self._graph = self._built(frame)
        self._graph.push(frame)
        out = self._graph.pull()
        assert isinstance(out, av.VideoFrame)
        return out

    def _built(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1",
        )
        form, split = graph.add("format", "pix_fmts=bgra"), graph.add("split")
        pick, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1:dither=sierra2_4a")
        source.link_to(form)
        form.link_to(split)
        split.link_to(pick, 0, 0)
        split.link_to(use, 1, 0)
        pick.link_to(use, 0, 1)
        use.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


class Encoder:
    """One run of an encoder: push(frame) and flush() give packets with exact pts in the Encoding's time base."""

    def __init__(self, it: Encoding) -> None:
        os.environ.setdefault("SVT_LOG", "1")
        self.it, self._repack, self._count = it, Repacker(), 0
        self._palette = Palette() if it.pix_fmt == "pal8" else None
        self._context: Any = av.CodecContext.create(it.codec, "w")
        configure(self._context, it)
        try:
            with scheduling_kept():
                self._context.open()
        except (av.error.FFmpegError, ValueError) as e:
            raise OutputError(
                f"{it.codec} does not open for {it.width}x{it.height} {it.pix_fmt} ({reason(e)}); "
                "try another -c:v, -pix_fmt or -s"
            ) from None

    @property
    def extradata(self) -> bytes:
        """The encoder's global header."""
        return bytes(self._context.extradata or b"")

    def push(self, frame: Frame, *, origin: Fraction = Fraction(0)) -> list[av.Packet]:
        """Packets that became ready; the frame is stamped with its time minus origin."""
        f = from_frame(frame, planar_name(frame.color) if self._palette else self.it.pix_fmt, self._repack)
        f = self._palette(f) if self._palette else f
        due = self._count if self.it.counted else round((frame.time - origin) / self.it.time_base)
        f.pts, f.time_base = due, self.it.time_base
        self._count += 1
        f.pict_type = 0
        if frame.duration:
            f.duration = round(frame.duration / self.it.time_base)
        return list(self._context.encode(f))

    def flush(self) -> list[av.Packet]:
        """The encoder's tail."""
        return list(self._context.encode(None))
