"""Buffers, events and queries on their way through a session of misr: n buffers in, n buffers out, in order.

Models of several frames hold buffers back. These are told as latency, given out before EOS, and forgotten by a flush; events
that travel with buffers keep their place among them.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402
from misr_caps import enlarged, possible  # noqa: E402
from misr_raw import Raw, shell_of  # noqa: E402

UNKNOWN_RATE = Fraction(25)  # frames per second by which latency is told where the caps give no rate
# What follows these events is no neighbour of what came before, or someone waits for what is held
DRAINING = "stream-start", "segment", "gap", "eos", "segment-done", "stream-group-done"


class Stream(Gst.Element):
    """A sink pad and a src pad of the same format, the latter of `up.card.scale` times the size; `up` is a misr.Upscaler."""

    def __init__(self) -> None:
        super().__init__()
        self.sinkpad, self.srcpad = (Gst.Pad.new_from_template(t, t.name_template) for t in self.__gsttemplates__)
        self.sinkpad.set_chain_function_full(self.chain, None)
        self.sinkpad.set_event_function_full(self.event, None)
        for pad in (self.sinkpad, self.srcpad):
            pad.set_query_function_full(self.answer, None)
            self.add_pad(pad)
        self.up: Any = None
        self.stop()

    def stop(self) -> None:
        """Forget the stream."""
        self.caps: Gst.Caps | None = None
        self.taken: Raw | None = None
        self.made: Raw | None = None
        self.forget()

    def forget(self) -> None:
        """Forget what is held; the next buffer begins a session of its own."""
        self.session: Any = None
        self.held: deque[Any] = deque()  # a shell for each buffer inside the session, and events from between them

    def chain(self, pad: Gst.Pad, parent: Any, buffer: Gst.Buffer) -> Gst.FlowReturn:
        """Take a buffer; push what became ready by it."""
        try:
            if self.taken is None or self.made is None:
                raise ValueError("a buffer came before its caps; put a capsfilter before misrupscale")
            if buffer.has_flags(Gst.BufferFlags.DISCONT) and (flow := self.drain()) != Gst.FlowReturn.OK:
                return flow  # what is lost between two buffers makes them no neighbours
            frame = self.taken.read(buffer)
            self.session = self.session or self.up.session()
            self.held.append(shell_of(buffer))
            return self.give(self.session.push(frame))
        except Exception as e:
            return self.fail(e)

    def drain(self) -> Gst.FlowReturn:
        """Push all that is held."""
        session, self.session = self.session, None
        try:
            return self.give(session.flush() if session else [])
        except Exception as e:
            return self.fail(e)

    def give(self, frames: list[Any]) -> Gst.FlowReturn:
        """Push finished pictures, after each the events that came after it."""
        for frame in frames:
            assert self.made is not None  # there are frames only after caps
            flow = self.srcpad.push(self.made.write(frame, self.held.popleft()))
            while self.held and isinstance(self.held[0], Gst.Event):
                self.srcpad.push_event(self.held.popleft())
            if flow != Gst.FlowReturn.OK:
                self.forget()
                return flow
        return Gst.FlowReturn.OK

    def event(self, pad: Gst.Pad, parent: Any, event: Gst.Event) -> bool:
        """An event from upstream."""
        if event.type == Gst.EventType.FLUSH_STOP:
            events = [e for e in self.held if isinstance(e, Gst.Event)]
            self.forget()
            passed = pad.event_default(parent, event)
            for e in events:
                if Gst.EventType.get_flags(e.type) & Gst.EventTypeFlags.STICKY:  # tags outlive a flush
                    self.srcpad.push_event(e)
            return passed
        if not Gst.EventType.get_flags(event.type) & Gst.EventTypeFlags.SERIALIZED:
            return pad.event_default(parent, event)
        if event.type == Gst.EventType.CAPS:
            try:
                return self.begin(event.parse_caps())
            except Exception as e:
                self.fail(e)
                return False
        if event.type.value_nick in DRAINING:
            self.drain()
        if event.type == Gst.EventType.STREAM_START:
            self.caps = None  # a stream tells its caps anew, also when they are the same
        if self.held:
            self.held.append(event)
            return True
        return pad.event_default(parent, event)

    def begin(self, caps: Gst.Caps) -> bool:
        """New caps, after all that is held of the old; ValueError for those that misr, or what follows, does not take."""
        if self.caps is not None and caps.is_equal(self.caps):
            return True
        if self.drain() != Gst.FlowReturn.OK:
            return False
        taken, out = Raw(caps), enlarged(caps, self.up.card.scale)
        made = Raw(out)
        if self.srcpad.is_linked() and not self.srcpad.peer_query_accept_caps(out):
            sizes = [f"{raw.width}x{raw.height}" for raw in (made, taken)]
            wanted = self.srcpad.peer_query_caps(None).to_string()
            raise ValueError(
                f"{self.model} makes {sizes[0]} of {sizes[1]}, and what follows takes only {wanted}; "
                "put videoscale after misrupscale"
            )
        self.caps, self.taken, self.made = caps, taken, made
        self.post_message(Gst.Message.new_latency(self))
        return self.srcpad.push_event(Gst.Event.new_caps(out))

    def answer(self, pad: Gst.Pad, parent: Any, query: Gst.Query) -> bool:
        """A query from either side."""
        upstream = pad == self.sinkpad
        if query.type == Gst.QueryType.CAPS:
            other, scale = self.srcpad if upstream else self.sinkpad, self.up.card.scale if self.up else 0
            caps = possible(pad, other.peer_query_caps(None), scale)
            wanted = query.parse_caps()
            query.set_caps_result(wanted.intersect_full(caps, Gst.CapsIntersectMode.FIRST) if wanted else caps)
            return True
        if query.type == Gst.QueryType.ACCEPT_CAPS:  # of a size that cannot be, begin() speaks in words
            query.set_accept_caps_result(query.parse_accept_caps().can_intersect(pad.get_pad_template_caps()))
            return True
        if query.type == Gst.QueryType.ALLOCATION and upstream:
            query.add_allocation_meta(GstVideo.video_meta_api_get_type(), None)
            return True
        if query.type == Gst.QueryType.LATENCY and not upstream and self.sinkpad.peer_query(query):
            live, least, most = query.parse_latency()
            rate = self.taken.fps if self.taken and self.taken.fps else UNKNOWN_RATE
            ours = int(self.up.latency * Gst.SECOND / rate) if self.up else 0  # for the sake of frames that follow
            query.set_latency(live, least + ours, most if most == Gst.CLOCK_TIME_NONE else most + ours)
            return True
        if query.type == Gst.QueryType.DRAIN and upstream:
            self.drain()
        return pad.query_default(parent, query)
