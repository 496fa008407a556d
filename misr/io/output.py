"""The finished clip: our packets and the source's other streams, interleaved into one container."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from misr.errors import MisrError, OutputError
from misr.io.carried import Audio, Copy, Text, packet_time
from misr.io.encoder import Encoding, configure
from misr.io.opening import open_input, rational, reason
from misr.io.pipes import PIPE_BYTES, PipeOut
from misr.io.reader import ClipInfo
from misr.io.streams import KEEPS_ROTATION, StreamPlan, codec_name, kept_tags
from misr.machine import scheduling_kept

STANDARD_TAGS = {
    "title",
    "artist",
    "album",
    "album_artist",
    "comment",
    "genre",
    "date",
    "copyright",
    "description",
    "synopsis",
    "track",
    "composer",
    "show",
    "episode_id",
    "network",
    "lyrics",
    "encoder",
    "language",
    "timecode",
}
APART_S = 10  # as far as FFmpeg waits for a stream that is behind
LIVE = {
    "flush_packets": "1",
    "max_interleave_delta": "1",
}  # streams come in order; raw pictures must not pile up in a queue


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of the source that is wanted, in seconds on its own clock; start becomes zero when given."""

    start: Fraction | None = None
    end: Fraction | None = None

    @property
    def origin(self) -> Fraction:
        """What is subtracted from every time."""
        return self.start or Fraction(0)

    def holds(self, time: Fraction) -> bool:
        """Whether a packet of another stream at this time belongs to the output."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


class Output:
    """A container being written. Give it packets of the picture in decoding order; the others follow by time.

    others   packets of the source's other streams, in file order (they are pulled as the picture advances)
    """

    def __init__(
        self,
        target: Any,
        fmt: str,
        encoding: Encoding,
        info: ClipInfo,
        plans: Iterable[StreamPlan],
        source: av.container.InputContainer | None,
        *,
        span: Span,
        others: Iterator[av.Packet] | None = None,
    ) -> None:
        self.span, self._encoding = span, encoding
        self._others = others if others is not None else iter(())
        self._held: deque[av.Packet] = deque()
        self._written = Fraction(0)
        self._lock = threading.Lock()  # a pipe's sound arrives in the decoder's thread
        self._copies: dict[int, Copy] = {}
        try:
            options = muxer_options(fmt, source, encoding)
            if isinstance(target, PipeOut):
                self._container = av.open(target, "w", format=fmt, options=options | LIVE, buffer_size=PIPE_BYTES)
            else:
                self._container = av.open(target, "w", format=fmt, options=options)
            self._build(fmt, info, list(plans), source)
            with scheduling_kept():  # this opens every stream's encoder, once more
                self._container.start_encoding()
        except MisrError:
            raise
        except (av.error.FFmpegError, ValueError, OSError) as e:
            raise OutputError(
                f"{fmt} refuses this set of streams ({reason(e)}); write .mkv, or drop streams with -sn or -an"
            ) from None

    def _build(
        self, fmt: str, info: ClipInfo, plans: list[StreamPlan], source: av.container.InputContainer | None
    ) -> None:
        out = self._container
        for plan in plans:
            stream = source.streams[plan.index] if source is not None else None
            if plan.action == "picture":
                self._picture = self._add_picture(fmt, info, stream)
            elif plan.action == "copy":
                self._copies[plan.index] = Copy(out, stream)
            elif plan.action == "convert":
                self._copies[plan.index] = (Audio if plan.kind == "audio" else Text)(out, stream, plan.codec)
        if source is None:
            return
        for plan in plans:
            if plan.action == "attach":
                attach(out, source, plan.index)
        out.metadata.update(kept_tags(dict(source.metadata)))
        if chapters := self._chapters(source):
            out.set_chapters(chapters)

    def _add_picture(self, fmt: str, info: ClipInfo, stream: Any) -> Any:
        picture = self._container.add_stream(
            self._encoding.codec, rate=self._encoding.rate, options=dict(self._encoding.options)
        )
        configure(picture, self._encoding)
        if stream is not None:
            picture.metadata.update(kept_tags(dict(stream.metadata), fmt))
            picture.disposition = stream.disposition
        picture.time_base = self._encoding.time_base
        if info.rotation and fmt in KEEPS_ROTATION:
            picture.set_display_rotation(info.rotation)
        return picture

    def _chapters(self, source: av.container.InputContainer) -> list[Any]:
        """The source's chapters, cut to the span."""
        kept = []
        for chapter in source.chapters():
            base = Fraction(chapter["time_base"])
            start, end = chapter["start"] * base, chapter["end"] * base
            if (self.span.end is not None and start >= self.span.end) or (
                self.span.start is not None and end <= self.span.start
            ):
                continue
            start = max(start, self.span.start or start) - self.span.origin
            end = min(end, self.span.end or end) - self.span.origin
            kept.append({**chapter, "start": round(start / base), "end": round(end / base)})
        return kept

    def picture(self, packet: av.Packet) -> None:
        """Write a packet of the picture (times already from the output's zero), after everything that comes before it."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        with self._lock:
            self._written = Fraction(stamp or 0) * rational(packet.time_base)
            self._advance(self._written)
            packet.stream = self._picture
            self._mux(packet)

    def other(self, packet: av.Packet) -> None:
        """Offer a packet of another stream that was read along with the picture (a pipe), from any thread.

        It waits for its place among the pictures, but not for one that is more than APART_S behind: the picture may be over.
        """
        with self._lock:
            self._held.append(packet)
            at = packet_time(packet)
            if at is not None and at - self.span.origin > self._written + APART_S:
                self._advance(at - self.span.origin - APART_S)

    def _advance(self, time: Fraction | None) -> None:
        """Write the other streams' packets up to a time; all of them with None."""
        while True:
            packet = self._held.popleft() if self._held else next(self._others, None)
            if packet is None:
                return
            copy = self._copies.get(packet.stream.index)
            at = packet_time(packet)
            if copy is None or (at is not None and not self.span.holds(at)):
                continue
            if time is not None and at is not None and at - self.span.origin > time:
                self._held.appendleft(packet)
                return
            for out in copy.packets(packet, self.span.origin):
                self._mux(out)

    def _mux(self, packet: av.Packet) -> None:
        try:
            self._container.mux(packet)
        except (av.error.FFmpegError, OSError, ValueError) as e:
            raise OutputError(f"writing failed ({reason(e)}); free some space and run the same command again") from e

    def close(self) -> None:
        """Write what is left of the other streams, and the trailer."""
        self._advance(None)
        for copy in self._copies.values():
            for packet in copy.flush():
                self._mux(packet)
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as e:
            raise OutputError(
                f"finishing the file failed ({reason(e)}); free some space and run the same command again"
            ) from e

    def abandon(self) -> None:
        """Let go of the target without a trailer's promise."""
        with suppress(av.error.FFmpegError, OSError, ValueError):  # the target is thrown away
            self._container.close()


def attach(out: Any, source: av.container.InputContainer, index: int) -> None:
    """Carry an attachment, or cover art as one."""
    stream = source.streams[index]
    if stream.type == "attachment":
        out.add_attachment(
            stream.name or stream.metadata.get("filename", f"attachment{index}"),
            stream.mimetype or "application/octet-stream",
            stream.data,
        )
        return
    kind = {"png": ("png", "image/png"), "gif": ("gif", "image/gif")}.get(codec_name(stream), ("jpg", "image/jpeg"))
    with open_input(source.name) as again:
        data = next((bytes(p) for p in again.demux(again.streams[index]) if p.size), b"")
    if data:
        out.add_attachment(f"cover.{kind[0]}", kind[1], data)


def other_packets(path: str, plans: Iterable[StreamPlan], picture: int) -> Iterator[av.Packet]:
    """Packets of the streams that are kept, read from the source a second time."""
    wanted = [p.index for p in plans if p.action in ("copy", "convert")]
    if not wanted:
        return
    with open_input(path) as container:
        try:
            yield from container.demux([container.streams[i] for i in wanted])
        except av.error.FFmpegError:
            return  # a truncated source ends here; the picture says so if it matters


def muxer_options(fmt: str, source: av.container.InputContainer | None, encoding: Encoding) -> dict[str, str]:
    """What a muxer must be told to keep times and tags as they are."""
    options: dict[str, str] = {}
    if fmt in ("mp4", "mov", "3gp"):
        flags = ["faststart"]
        strange = {k.lower() for k in kept_tags(dict(source.metadata if source else {}))} - STANDARD_TAGS
        if any(not k.startswith("com.") for k in strange):
            flags.append("use_metadata_tags")
        options = {"movie_timescale": "90000", "movflags": "+".join(flags)}
        if encoding.time_base.numerator == 1 and encoding.time_base.denominator >= 1000:
            options["video_track_timescale"] = str(encoding.time_base.denominator)
    elif fmt in ("matroska", "yuv4mpegpipe") and encoding.codec == "rawvideo":
        options = {"strict": "-1"}  # else Y4M refuses more than 8 bits, and Matroska drops their tags and planar RGB's
    elif fmt == "gif":
        options = {"loop": "0"}
    elif fmt == "apng":
        options = {"plays": "0"}
    return options
