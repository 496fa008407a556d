"""What the codecs here can do, found by using them: an encoder counts as working when it has encoded a frame."""

from __future__ import annotations

import os
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av

from misr.frame import Color
from misr.io.choice import default_codec
from misr.io.opening import reason
from misr.machine import scheduling_kept

SOFTWARE = (
    "libx264",
    "libx264rgb",
    "libx265",
    "libsvtav1",
    "libvpx-vp9",
    "prores_ks",
    "dnxhd",
    "ffv1",
    "utvideo",
    "mpeg2video",
    "mpeg4",
    "mjpeg",
    "png",
    "gif",
    "apng",
    "libwebp_anim",
)
HARDWARE = (
    "h264_nvenc",
    "hevc_nvenc",
    "av1_nvenc",
    "h264_qsv",
    "hevc_qsv",
    "av1_qsv",
    "h264_amf",
    "hevc_amf",
    "av1_amf",
    "h264_videotoolbox",
    "hevc_videotoolbox",
    "h264_v4l2m2m",
    "h264_vaapi",
    "hevc_vaapi",
)
FORMAT = {
    "libx264rgb": "rgb24",
    "prores_ks": "yuv422p10le",
    "dnxhd": "yuv422p",
    "mjpeg": "yuvj420p",
    "png": "rgb24",
    "gif": "rgb8",
    "apng": "rgb24",
    "h264_qsv": "nv12",
    "hevc_qsv": "nv12",
    "av1_qsv": "nv12",
}
TOLD = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}, "dnxhd": {"b": "36M"}}
WIDTH, HEIGHT = 256, 144  # NVENC refuses less than 145 x 49 or so
HD = {"dnxhd": (1920, 1080)}  # it knows broadcast sizes only


def versions() -> dict[str, str]:
    """PyAV's version, and those of the FFmpeg libraries inside it, by name."""
    return {"PyAV": av.__version__} | {name: ".".join(map(str, v)) for name, v in sorted(av.library_versions.items())}


def encoder_fault(name: str) -> str:
    """Why an encoder does not work here, in a few words; empty when it encoded a frame."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes a page to stderr unless told to keep to errors
    try:
        codec = av.Codec(name, "w")
    except ValueError:
        return "not in this build"
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = HD.get(name, (WIDTH, HEIGHT))
    context.pix_fmt = FORMAT.get(name, "yuv420p")
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = dict(TOLD.get(name, {}))
    frame = av.VideoFrame(context.width, context.height, context.pix_fmt)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts = 0
    try:
        with scheduling_kept():
            packets = [*context.encode(frame), *context.encode(None)]
    except (av.error.FFmpegError, ValueError, NotImplementedError) as e:
        return reason(e)
    return "" if any(p.size for p in packets) else "gave no packet"


def encoders(names: tuple[str, ...]) -> dict[str, str]:
    """The fault of each encoder, in order; empty strings for those that work."""
    return {name: encoder_fault(name) for name in names}


def hardware_decoders() -> list[str]:
    """Kinds of devices that this FFmpeg could decode on, were they here."""
    from av.codec.hwaccel import hwdevices_available

    return sorted(hwdevices_available())


def usual_encoder(container: str, depth: int = 8) -> str:
    """The encoder that an ordinary 4:2:0 clip gets in a container (FFmpeg's name) when none is asked for."""
    source: Any = SimpleNamespace(codec="h264")  # of a ClipInfo, only the codec matters here
    return default_codec(container, source, Color("yuv", depth, (2, 2)))
