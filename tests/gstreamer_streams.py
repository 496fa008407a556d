"""Streams pushed through `misrupscale` by hand, buffer by buffer. GStreamer's Python runs it; what came of them is JSON.

tests/test_gstreamer.py says what should have come of them. Every function of STREAMS is one stream or a few.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, GObject, Gst, GstVideo  # noqa: E402
from gstreamer_pipelines import FRAME, PIPELINES  # noqa: E402

VIDEO = {"model": "video-x2", "batch": 1}  # windows of 16 frames and 4 after
SMALL = "video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1"


class Line:
    """An element between two pads of ours; `got` is what came out: (pts in frames, caps' width) or the name of an event."""

    def __init__(self, caps: str = SMALL, **properties: Any) -> None:
        self.got: list[Any] = []
        self.buffers: list[Gst.Buffer] = []
        self.element = Gst.ElementFactory.make("misrupscale")
        for name, value in properties.items():
            self.element.set_property(name, value)
        self.bus = Gst.Bus.new()
        self.element.set_bus(self.bus)
        self.feed = Gst.Pad.new("feed", Gst.PadDirection.SRC)
        anything = Gst.PadTemplate.new("out", Gst.PadDirection.SINK, Gst.PadPresence.ALWAYS, Gst.Caps.new_any())
        self.out = Gst.Pad.new_from_template(anything, "out")
        self.out.set_chain_function_full(self.chain, None)
        self.out.set_event_function_full(self.event, None)
        assert self.feed.link(self.element.get_static_pad("sink")) == Gst.PadLinkReturn.OK
        assert self.element.get_static_pad("src").link(self.out) == Gst.PadLinkReturn.OK
        self.start(caps)
        self.got.clear()

    def start(self, caps: str) -> None:
        """Begin a stream."""
        for pad in (self.feed, self.out):
            pad.set_active(True)
        self.element.set_state(Gst.State.PLAYING)
        self.feed.push_event(Gst.Event.new_stream_start("one"))
        self.caps(caps)
        self.segment()

    def segment(self) -> None:
        """Times from 0 on."""
        segment = Gst.Segment()
        segment.init(Gst.Format.TIME)
        self.feed.push_event(Gst.Event.new_segment(segment))

    def chain(self, pad: Gst.Pad, parent: Any, buffer: Gst.Buffer) -> Gst.FlowReturn:
        """Note a buffer."""
        self.got.append([buffer.pts // FRAME, self.out.get_current_caps().get_structure(0).get_value("width")])
        self.buffers.append(buffer)
        return Gst.FlowReturn.OK

    def event(self, pad: Gst.Pad, parent: Any, event: Gst.Event) -> bool:
        """Note an event."""
        self.got.append(event.type.value_nick)
        return pad.event_default(parent, event)

    def caps(self, caps: str) -> bool:
        """Say what comes from now on."""
        self.now = Gst.Caps.from_string(caps)
        return self.feed.push_event(Gst.Event.new_caps(self.now))

    def push(
        self, n: int, *, flags: Any = 0, data: bytes | None = None, dress: Callable[[Any], Any] | None = None
    ) -> int:
        """Buffer number n; its flow."""
        size = GstVideo.VideoInfo.new_from_caps(self.now).size
        buffer = Gst.Buffer.new_wrapped(data or bytes((7 * i + 31 * n) % 200 for i in range(size)))
        buffer.pts, buffer.duration, buffer.offset = n * FRAME, FRAME, n
        buffer.set_flags(Gst.BufferFlags(flags))
        if dress:
            dress(buffer)
        return int(self.feed.push(buffer))

    def many(self, numbers: range) -> Line:
        """Several of them."""
        for n in numbers:
            self.push(n)
        return self

    def end(self) -> list[Any]:
        """What came out, to the end."""
        self.feed.push_event(Gst.Event.new_eos())
        self.element.set_state(Gst.State.NULL)
        return self.got

    def errors(self) -> list[str]:
        """The element's error messages."""
        found = []
        while message := self.bus.pop_filtered(Gst.MessageType.ERROR):
            found.append(message.parse_error()[0].message)
        return found


def numbers(got: list[Any]) -> list[Any]:
    """Buffers by number alone."""
    return [g[0] if isinstance(g, list) else g for g in got]


def times() -> Any:
    """22 buffers, and their times, durations, offsets and flags."""
    line = Line(**VIDEO)
    line.push(0, flags=Gst.BufferFlags.DISCONT | Gst.BufferFlags.MARKER)
    got = numbers(line.many(range(1, 22)).end())
    return [
        got,
        [[b.pts // FRAME, b.duration // FRAME, b.offset] for b in line.buffers],
        int(line.buffers[0].get_flags()),
    ]


def tag_between() -> Any:
    """A tag after buffer 7, a custom event after buffer 9."""
    line = Line(**VIDEO).many(range(8))
    tags = Gst.TagList.new_empty()
    tags.add_value(Gst.TagMergeMode.REPLACE, "title", "t")
    line.feed.push_event(Gst.Event.new_tag(tags))
    line.many(range(8, 10)).feed.push_event(
        Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, Gst.Structure.from_string("mark")[0])
    )
    before = list(line.got)
    return [before, numbers(line.many(range(10, 12)).end())]


def gap_between() -> Any:
    """A gap after buffer 4: what had come out by then."""
    line = Line(**VIDEO).many(range(5))
    line.feed.push_event(Gst.Event.new_gap(5 * FRAME, FRAME))
    return [numbers(line.got), numbers(line.many(range(6, 8)).end())]


def lost_data() -> Any:
    """Buffer 5 after a discontinuity: what it makes come out, and the pixels of 5 to 7 beside those of a stream of their own."""
    line = Line(**VIDEO).many(range(5))
    line.push(5, flags=Gst.BufferFlags.DISCONT)
    at_once = numbers(line.got)
    line.many(range(6, 8)).end()
    own = Line(**VIDEO).many(range(5, 8))
    own.end()
    return [at_once, pixels(line)[5:] == pixels(own), pixels(Line(**VIDEO).many(range(8)), end=True)[5:] == pixels(own)]


def pixels(line: Line, *, end: bool = False) -> list[bytes]:
    """What all buffers hold."""
    if end:
        line.end()
    return [b.extract_dup(0, b.get_size()) for b in line.buffers]


def flushed() -> Any:
    """A flush after 6 buffers with a tag between, then 3 more."""
    line = Line(**VIDEO).many(range(6))
    line.feed.push_event(Gst.Event.new_tag(Gst.TagList.new_empty()))
    line.feed.push_event(Gst.Event.new_flush_start())
    line.feed.push_event(Gst.Event.new_flush_stop(True))
    line.segment()
    return numbers(line.many(range(50, 53)).end())


def other_size() -> Any:
    """4 buffers, the same caps again, 3 of another size."""
    line = Line(**VIDEO).many(range(2))
    line.caps(SMALL)
    line.many(range(2, 4)).caps(SMALL.replace("width=16", "width=20"))
    return [line.many(range(4, 7)).end(), line.errors()]


def another_stream() -> Any:
    """3 buffers, and 2 of another stream of the same caps."""
    line = Line(**VIDEO).many(range(3))
    line.start(SMALL)
    return numbers(line.many(range(3, 5)).end())


def told() -> Any:
    """What the latency query says, by rate; and messages that it has changed."""
    found = []
    for caps in (SMALL, SMALL.replace("25/1", "50/1"), SMALL.replace("25/1", "0/1")):
        line = Line(caps, **VIDEO)
        line.feed.set_query_function_full(live, None)
        query = Gst.Query.new_latency()
        assert line.out.peer_query(query)
        found.append([bool(line.bus.pop_filtered(Gst.MessageType.LATENCY)), *query.parse_latency()])
    return found


def live(pad: Gst.Pad, parent: Any, query: Gst.Query) -> bool:
    """A live source of 1 to 2 seconds."""
    if query.type == Gst.QueryType.LATENCY:
        query.set_latency(True, Gst.SECOND, 2 * Gst.SECOND)
        return True
    return pad.query_default(parent, query)


def caps_out() -> Any:
    """Caps in, caps out: what is added or changed."""
    found = {}
    for extra in (
        "format=I420,width=64,height=48",
        "format=I420,width=64,height=300",
        "format=I420,width=64,height=300,colorimetry=2:4:16:3,chroma-site=jpeg,pixel-aspect-ratio=12/11",
        "format=RGB,width=65,height=300,multiview-mode=left,interlace-mode=progressive",
    ):
        line = Line(f"video/x-raw,framerate=25/1,{extra}", model="bicubic", scale=2)
        found[extra] = line.out.get_current_caps().to_string()
    return found


def rows_of_other_lengths() -> Any:
    """A picture in rows padded as its meta says, planes out of order, against the plain one."""
    caps = "video/x-raw,format=I420,width=6,height=4,framerate=25/1"
    y, u, v = bytes(range(0, 240, 10)), bytes(range(50, 56)), bytes(range(90, 96))
    info = GstVideo.VideoInfo.new_from_caps(Gst.Caps.from_string(caps))
    plain = bytearray(info.size)
    padded = bytearray(b"\xee" * 200)
    for rows, width, height, at, stride, plane in ((y, 6, 4, 100, 16, 0), (u, 3, 2, 40, 7, 1), (v, 3, 2, 5, 9, 2)):
        for r in range(height):
            row = rows[r * width : (r + 1) * width]
            start = info.offset[plane] + r * info.stride[plane]
            plain[start : start + width] = row
            padded[at + r * stride : at + r * stride + width] = row
    a, b = Line(caps, model="bicubic"), Line(caps, model="bicubic")
    a.push(0, data=bytes(plain))
    layout = GstVideo.VideoFrameFlags.NONE, GstVideo.VideoFormat.I420, 6, 4, 3, [100, 40, 5, 0], [16, 7, 9, 0]
    b.push(0, data=bytes(padded), dress=lambda x: GstVideo.buffer_add_video_meta_full(x, *layout))
    return [len(pixels(a)), pixels(a) == pixels(b), len(set(pixels(a)[0])) > 20]


def metas() -> Any:
    """Captions and a time code ride along, through a wait; regions of the picture do not."""

    def dress(buffer: Gst.Buffer) -> None:
        GstVideo.buffer_add_video_caption_meta(buffer, GstVideo.VideoCaptionType.CEA708_RAW, b"\xfc\x94\x2c")
        day = GLib.DateTime.new_utc(2001, 2, 3, 0, 0, 0)
        code = GstVideo.VideoTimeCode.new(25, 1, day, GstVideo.VideoTimeCodeFlags.NONE, 1, 2, 3, 4, 0)
        GstVideo.buffer_add_video_time_code_meta(buffer, code)
        for x in (1, 2):
            GstVideo.buffer_add_video_region_of_interest_meta(buffer, "face", x, 2, 3, 4)

    line = Line(**VIDEO)
    line.push(0, dress=dress)
    line.many(range(1, 3)).end()
    apis = ("GstVideoCaptionMetaAPI", "GstVideoTimeCodeMetaAPI", "GstVideoRegionOfInterestMetaAPI")
    return [[b.get_n_meta(GObject.GType.from_name(api)) for api in apis] for b in line.buffers]


def interlaced_by_the_buffer() -> Any:
    """Mixed caps: a progressive buffer, then a field-coded one."""
    line = Line(SMALL + ",interlace-mode=mixed", model="bicubic")
    flows = [line.push(0), line.push(1, flags=int(GstVideo.VideoBufferFlags.INTERLACED))]
    return [flows, numbers(line.got), line.errors()]


def refused() -> Any:
    """Error messages by property, of the way to READY; and of interlaced caps."""
    found = {}
    for name, value in (
        ("model", "burst-x2"),
        ("precision", "fp12"),
        ("scale", 3.0),
        ("scale", 0.5),
        ("device", "abacus"),
    ):
        element, bus = Gst.ElementFactory.make("misrupscale"), Gst.Bus.new()
        element.set_bus(bus)
        element.set_property(name, value)
        state = element.set_state(Gst.State.READY)
        error, detail = bus.pop_filtered(Gst.MessageType.ERROR).parse_error()
        found[f"{name}={value}"] = [state.value_nick, error.domain, error.message, "Traceback" in detail]
    interlaced = Line(SMALL + ",interlace-mode=interleaved", model="bicubic")
    found["interlaced"] = [interlaced.push(0), interlaced.errors()[0]]
    return found


def too_few_bytes() -> Any:
    """A buffer that is too short for its caps."""
    line = Line(model="bicubic")
    return [line.push(0, data=b"short"), line.errors()]


def settings_again() -> Any:
    """Widths out before and after the scale is changed in READY."""
    line = Line(model="bicubic", scale=2)
    line.push(0)
    line.element.set_state(Gst.State.READY)
    line.element.set_property("scale", 3.0)
    for pad in (line.feed, line.out):
        pad.set_active(False)
    line.start(SMALL)
    line.push(1)
    return [g[1] for g in line.got if isinstance(g, list)]


def memory() -> Any:
    """Peak memory in kB after 100 and 800 buffers of 320x240."""
    line = Line("video/x-raw,format=I420,width=320,height=240,framerate=25/1", model="bicubic")
    found = []
    for n in range(800):
        line.push(n, data=bytes(320 * 240 * 3 // 2))
        line.buffers.clear()
        if n + 1 in (100, 800):
            found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return found


STREAMS: tuple[Callable[[], Any], ...] = (
    times,
    tag_between,
    gap_between,
    lost_data,
    flushed,
    other_size,
    another_stream,
    told,
    caps_out,
    rows_of_other_lengths,
    metas,
    interlaced_by_the_buffer,
    refused,
    too_few_bytes,
    settings_again,
    *PIPELINES,
    memory,
)

if __name__ == "__main__":
    Gst.init(None)
    asked = sys.argv[1:]
    print(json.dumps({stream.__name__: stream() for stream in STREAMS if not asked or stream.__name__ in asked}))
