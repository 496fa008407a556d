"""Pipelines with `misrupscale` in them, as tests/gstreamer_streams.py runs them: every function of PIPELINES gives values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

FRAME = Gst.SECOND // 25
PLANAR = {
    "I420": "YV12 NV12 NV21",
    "Y42B": "NV16 NV61 YUY2 UYVY YVYU VYUY",
    "Y444": "NV24 v308 IYU2",
    "YUV9": "YVU9",
    "A420": "AV12",
    "AYUV": "VUYA",
    "I420_10LE": "P010_10LE",
    "I420_12LE": "P012_LE",
    "GBR": "RGB BGR RGBx BGRx xRGB xBGR RGBP BGRP",
    "GBRA": "RGBA BGRA ARGB ABGR",
    "ARGB64": "RGBA64_LE BGRA64_LE ARGB64_LE ABGR64_LE",
}


def formats() -> Any:
    """Of every format, whether one colour stays it, and many colours become what they do in a planar format."""
    element = Gst.ElementFactory.find("misrupscale").get_static_pad_templates()[0].get_caps()
    return {name: [plain(name), many(name)] for name in element.get_structure(0).get_value("format")}


def plain(name: str) -> bool:
    """One colour, enlarged by us, against the same drawn at twice the size."""
    source = "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff4080c0"
    source += f" ! video/x-raw,format={name},chroma-site=mpeg2"
    ours = f"{source},width=32,height=16 ! misrupscale model=nearest ! appsink name=a"
    theirs = f"{source},width=64,height=32 ! appsink name=a"
    a, b = (run(pipeline, "a")[0] for pipeline in (ours, theirs))
    return a == b


def many(name: str) -> bool | None:
    """Enlarged and then repacked, against repacked and then enlarged; None where GStreamer has no planar form of the format."""
    planar = next((to for to, packed in PLANAR.items() if name in packed.split()), None)
    if planar is None:
        return None
    convert = f"videoconvert chroma-mode=none dither=none matrix-mode=none ! video/x-raw,format={planar}"
    a, b = run(
        f"videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format={name},width=32,height=16,chroma-site=mpeg2 "
        f"! tee name=t ! queue ! misrupscale ! {convert} ! appsink name=a t. ! queue ! {convert} ! misrupscale ! appsink name=b",
        "ab",
    )
    return a == b and len(set(a)) > 20


def run(pipeline: str, sinks: str) -> list[bytes]:
    """The one buffer that comes to each sink."""
    made = Gst.parse_launch(pipeline)
    made.set_state(Gst.State.PLAYING)
    buffers = [made.get_by_name(sink).emit("pull-sample").get_buffer() for sink in sinks]
    made.set_state(Gst.State.NULL)
    return [b.extract_dup(0, b.get_size()) for b in buffers]


def sought() -> Any:
    """Frames that reach a sink after a seek to frame 10 of 30, made when the sink has its first frame."""
    made = Gst.parse_launch(
        "videotestsrc num-buffers=30 ! video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1 "
        "! misrupscale model=video-x2 batch=1 ! appsink name=a sync=false"
    )
    made.set_state(Gst.State.PAUSED)
    made.get_state(20 * Gst.SECOND)
    made.seek(1, Gst.Format.TIME, Gst.SeekFlags.FLUSH, Gst.SeekType.SET, 10 * FRAME, Gst.SeekType.SET, 18 * FRAME)
    made.set_state(Gst.State.PLAYING)
    sink, found = made.get_by_name("a"), []
    while sample := sink.emit("pull-sample"):
        found.append(sample.get_buffer().pts // FRAME)
    made.set_state(Gst.State.NULL)
    return found


def from_a_camera() -> Any:
    """How many frames of a live source come to a sink that keeps time, and the latency of it all in frames."""
    made = Gst.parse_launch(
        "videotestsrc is-live=true num-buffers=20 ! video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1 "
        "! misrupscale model=video-x2 batch=1 ! fakesink name=a sync=true qos=true max-lateness=0"
    )
    made.set_state(Gst.State.PLAYING)
    made.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    query = Gst.Query.new_latency()
    made.query(query)
    stats = made.get_by_name("a").get_property("stats")
    made.set_state(Gst.State.NULL)
    return [stats.get_value("rendered") + stats.get_value("dropped"), query.parse_latency().min_latency // FRAME]


PIPELINES: tuple[Callable[[], Any], ...] = (formats, sought, from_a_camera)
