"""Frames out of anything FFmpeg opens: every frame, in order, with its own time, deinterlaced where it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from misr.errors import DecodeError, InputError
from misr.frame import Color, Frame, Retag
from misr.io.excerpt import Excerpt, leading, promised
from misr.io.facts import ClipInfo, facts_of, header, refuse_misread, turned
from misr.io.filters import field_order, filtered
from misr.io.headers import siting_told
from misr.io.opening import decoder_for, main_video, open_input, open_pipe, rational, reason, seek_before, stamp_of
from misr.io.pipes import PipeIn
from misr.io.planes import Repacker, read_color, to_frame

Deinterlace = Literal["auto", "on", "off"]
OnError = Literal["stop", "repeat"]
PROBE_FRAMES = 48  # looked at before the first frame is promised anything
PROBE_LIVE = (
    8  # of a pipe, where they keep a viewer waiting; one when nobody asks about fields and the stream tells its rate
)
TURNS = {
    90: "transpose=cclock",
    180: "hflip,vflip",
    270: "transpose=clock",
}  # display matrix degrees, counter-clockwise


class Reader:
    """A clip: `info`, and frames() as often as wanted (once for a pipe).

    start, end     seconds on the clip's own clock; frames with start <= time < end are given
    deinterlace    auto: by flags, then by looking (idet); interlaced frames go through bwdif, one frame out per frame in
    on_error       what a frame that does not decode becomes: an error, or the frame before it once more
    upright        turn pictures as their display matrix says, for outputs that cannot carry one
    retag          what is known of its colour better than the clip does; InputError where that cannot be
    rate           frames per second, instead of the times that the clip tells
    excerpt        what is read in place of the file, for the frames that it was cut for
    info           what another reader with the same arguments found out about the clip, which is not looked at again
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        deinterlace: Deinterlace = "auto",
        on_error: OnError = "stop",
        upright: bool = False,
        retag: Retag | None = None,
        rate: Fraction | None = None,
        excerpt: Excerpt | None = None,
        info: ClipInfo | None = None,
    ) -> None:
        self.path = str(path)
        self.name = "standard input" if self.path == "-" else self.path
        self.start, self.end, self.on_error = start, end, on_error
        self._retag, self.rate, self._excerpt = retag or Retag(), rate, excerpt
        self._pipe = PipeIn() if self.path == "-" else None
        self._repack = Repacker()
        self._held: list[tuple[av.Packet, list[av.VideoFrame]]] = []  # a pipe's beginning, read while probing
        self._open()
        self.on_packet: Callable[[av.Packet], None] | None = None  # receives the packets of other streams
        self.damaged: list[Fraction] = []
        self._guessed = False  # frames so far had no times of their own, or the same
        self._broken = False  # a packet did not decode, and what it should have shown is not yet known
        self.info = info or self._probe(deinterlace)
        self._siting = self._told_siting()
        if upright and self.info.rotation:
            self.info = turned(self.info)
        self._turn = TURNS.get(self.info.turned % 360, "")

    def _open(self) -> None:
        source = self._excerpt.opened() if self._excerpt else None
        self._container = open_pipe(self._pipe) if self._pipe else open_input(self.path, source)
        self._stream = main_video(self._container, self.name)
        self._decoder = decoder_for(self._stream)

    @property
    def container(self) -> av.container.InputContainer:
        """The open container, for who plans the other streams."""
        return self._container

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def stop(self) -> None:
        """Let frames() end soon, in whatever thread it waits for a pipe."""
        if self._pipe:
            self._pipe.stop()

    @property
    def broken_off(self) -> bool:
        """Whether a pipe ended in the middle of a frame, once frames() has."""
        return self._pipe is not None and self._pipe.broken

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, after: Fraction | None = None) -> Iterator[Frame]:
        """All frames, or those from the one shown exactly at `after` seconds; seeks when that is safe.

        Of an excerpt those that it was cut for, whose first is `after`; Wanting where it has not all of them.
        """
        if self._excerpt:
            yield from self._excerpted(self._excerpt, after)
            return
        if after is None:
            yield from self._all()
            return
        found = self._from(after, seek=True) or self._from(after, seek=False)
        if found is None:
            raise InputError(
                f"{self.name}: the frame at {float(after):.3f} s is gone; the source changed under a resumed run"
            )
        yield from found

    def _excerpted(self, excerpt: Excerpt, after: Fraction | None) -> Iterator[Frame]:
        """The frames of an excerpt, from `after` on."""
        found = None
        if excerpt.since is None:
            found = self._all() if after is None else self._from(after, seek=False)
        elif after == excerpt.since:
            found = self._from(after, seek=True)
        yield from promised(excerpt, found, after or self.info.start)

    def _all(self) -> Iterator[Frame]:
        """All frames, from the clip's beginning."""
        if self.path != "-":
            self._container.close()
            self._open()
        return self._selected(self._timed(self._decoded()))

    def near(self, time: Fraction) -> Iterator[Frame]:
        """Frames from some seconds before `time` on, or from the clip's beginning where it cannot be sought safely."""
        found = self._sought(time)
        first = next(found, None) if found is not None else None
        if found is None or first is None or first.time > max(time, self.info.start):  # landed late, or nowhere
            yield from self.frames()
        else:
            yield from _chain(first, found)

    def _sought(self, time: Fraction) -> Iterator[Frame] | None:
        """All frames from where a seek to SEEK_MARGIN_S before `time` lands; None when the container cannot seek."""
        if self.rate:
            return None  # frames are counted from the beginning
        self._container.close()
        self._open()
        if not seek_before(self._container, self._stream, time, self.info.start, self.info.time_base):
            return None
        return self._selected(self._timed(self._decoded()))

    def _from(self, after: Fraction, *, seek: bool) -> Iterator[Frame] | None:
        """Frames from `after` on, or None when it is not met exactly (a seek that landed late)."""
        if seek:
            sought = self._sought(after) if after != self.info.start else None
            if sought is None:
                return None
            frames = sought
        else:
            frames = self._all()
        for i, frame in enumerate(frames):
            if seek and self._guessed:
                return None  # times follow from those before, which were passed over
            if frame.time == after and (i > 0 or not seek):
                return _chain(frame, frames)
            if frame.time > after:
                return None
        return None

    def _selected(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if self.start is not None and frame.time < self.start:
                continue
            if self.end is not None and frame.time >= self.end:
                return
            yield frame

    def _timed(self, decoded: Iterator[av.VideoFrame]) -> Iterator[Frame]:
        """Frames with strictly increasing times; a frame without one follows its neighbour at the nominal rate."""
        tick, last, self._guessed = self.info.time_base, None, False
        for n, f in enumerate(decoded):
            base = rational(f.time_base) or tick
            if self.rate:
                time = self.info.start + n / self.rate
            elif f.pts is not None:
                time = f.pts * base
            else:
                time, self._guessed = last + 1 / self.info.rate if last is not None else self.info.start, True
            if last is not None and time <= last:
                time, self._guessed = last + tick, True
            last = time
            duration = Fraction(f.duration or 0) * base
            color = self._color(f)
            frame = to_frame(f, color, time, duration, self._repack)
            yield (
                replace(frame, source=None) if self._turn else frame
            )  # its side data (EXIF) would have it turned once more

    def _color(self, frame: av.VideoFrame) -> Color:
        """How a frame is to be read: its own tags, the header's word on siting where PyAV gives none, the user's over all."""
        color = read_color(frame, self._stream.codec_context.name)
        if self._siting and not color.siting and color.model == "yuv" and color.subsampling != (1, 1):
            color = replace(color, siting=self._siting)
        return self._retag(color)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        frames = self._raw()
        if self.info.interlaced:
            frames = filtered(frames, f"bwdif=mode=send_frame:parity={self.info.interlaced}:deint=all")
        return filtered(frames, self._turn) if self._turn else frames

    def _raw(self) -> Iterator[av.VideoFrame]:
        """Every frame the decoder gives, its tail included; other streams' packets go to on_packet."""
        held, self._held = self._held, []
        for packet, frames in held:
            if packet.stream.index != self._stream.index:
                self._hand_on(packet)
            yield from frames
        last: av.VideoFrame | None = None
        waiting: list[int] = []  # stamps of packets whose frames have not come; decoders run several packets behind
        for packet in self._packets():
            if packet.stream.index != self._stream.index:
                self._hand_on(packet)
                continue
            waiting += [] if (stamp := stamp_of(packet)) is None else [stamp]
            for frame in self._decode(packet, waiting):
                yield from self._repeats(last or frame, waiting, frame.pts)
                last = frame
                yield frame
        if last is not None:
            yield from self._repeats(last, waiting, None)

    def _packets(self) -> Iterator[av.Packet]:
        try:
            packets = self._container.demux() if self.on_packet else self._container.demux(self._stream)
            yield from leading(packets, self._stream, self._excerpt.packets) if self._excerpt else packets
        except av.error.FFmpegError as e:
            if self.on_error == "stop":
                raise DecodeError(
                    f"{self.name}: reading broke off ({reason(e)}); repair the file, or use --on-error repeat "
                    "to keep what was read"
                ) from None

    def _hand_on(self, packet: av.Packet) -> None:
        if self.on_packet and (packet.size or packet.pts is not None):
            self.on_packet(packet)

    def _repeats(self, shown: av.VideoFrame, waiting: list[int], until: int | None) -> Iterator[av.VideoFrame]:
        """A frame once more in place of those before `until` that will not come any more because of a damaged packet."""
        missing = sorted(stamp for stamp in waiting if until is None or stamp < until)
        waiting[:] = [stamp for stamp in waiting if until is not None and stamp > until]
        if missing and self._broken:
            self._broken = False
            for stamp in missing:
                self.damaged.append(stamp * rational(self._stream.time_base))
                again = self._repack(shown, shown.format.name, (shown.width, shown.height))
                again.pts, again.time_base = stamp, self._stream.time_base
                yield again

    def _decode(self, packet: av.Packet, waiting: list[int]) -> Iterator[av.VideoFrame]:
        try:
            yield from self._frames_of(packet)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as e:
            time = min(waiting, default=0) * rational(self._stream.time_base)
            if self.on_error == "stop":
                raise DecodeError(
                    f"{self.name}: the frame at {float(time):.3f} s does not decode ({reason(e)}); "
                    "use --on-error repeat to show the frame before it again",
                    time=time,
                ) from None
            self._broken = True

    def _frames_of(self, packet: av.Packet) -> list[av.VideoFrame]:
        """What the decoder gives for a packet; the empty one at the end drains it, and its frames come without a time base."""
        frames: list[av.VideoFrame] = list(self._decoder.decode(packet if packet.size else None))
        for frame in frames:
            if not frame.time_base:
                frame.time_base = self._stream.time_base
        return frames

    def _probe(self, deinterlace: Deinterlace) -> ClipInfo:
        stream, frames = self._stream, self._first_frames(deinterlace)
        if not frames:
            raise InputError(f"{self.name}: not one video frame decodes; nothing to upscale")
        first = frames[0]
        codec = stream.codec_context.name
        self._siting = self._told_siting()
        color = self._color(first)
        if color.model != "yuv" and (self._retag.matrix is not None or self._retag.siting is not None):
            raise InputError(
                f"{self.name}: a matrix and a siting are of YUV, and these pictures are {first.format.name}; leave them out"
            )
        if codec == "mjpeg" and len(first.planes) == 4:
            raise InputError(f"{self.name}: a CMYK JPEG, whose black FFmpeg takes for alpha; convert it to RGB first")
        kind = "" if deinterlace == "off" else field_order(frames) or ("tff" if deinterlace == "on" else "")
        return facts_of(self.path, self._container, stream, frames, color=color, interlaced=kind, counted=self.rate)

    def _told_siting(self) -> int:
        return siting_told(header(self._container, self.path, self._pipe, self._excerpt and self._excerpt.opened()))

    def _first_frames(self, deinterlace: Deinterlace) -> list[av.VideoFrame]:
        """The beginning of the clip, decoded; a pipe's is kept, since it cannot be read again."""
        found: list[av.VideoFrame] = []
        told = self.rate or self._stream.average_rate
        wanted = PROBE_FRAMES if self.path != "-" else 1 if deinterlace == "off" and told else PROBE_LIVE
        try:
            for packet in self._container.demux():
                frames: list[av.VideoFrame] = []
                if packet.stream.index == self._stream.index:
                    try:
                        frames = self._frames_of(packet)
                    except av.error.FFmpegError as e:
                        if self.path == "-" and self.on_error == "stop":  # a pipe's frames are not read again
                            raise DecodeError(
                                f"standard input: the beginning does not decode ({reason(e)}); use --on-error "
                                "repeat to go on with what does"
                            ) from None
                if self.path == "-":
                    self._held.append((packet, frames))
                    refuse_misread(self._stream.codec_context, packet)
                found += frames
                if len(found) >= wanted:
                    break
        except av.error.FFmpegError:
            pass  # what decodes is judged by what was found
        return found


def _chain(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest
