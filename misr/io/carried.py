"""The source's other streams on their way into the finished clip: copied, or made into what the container holds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from misr.errors import OutputError
from misr.io.opening import rational
from misr.io.streams import codec_name, kept_tags

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class Copy:
    """A stream whose packets pass untouched."""

    def __init__(self, out: av.container.OutputContainer, stream: Any) -> None:
        self.stream = out.add_stream_from_template(stream, opaque=True)
        self.stream.metadata.update(kept_tags(dict(stream.metadata), out.format.name))
        self.stream.disposition = stream.disposition
        self._last: int | None = None
        self._hidden: av.Packet | None = None
        self._own_gaps = codec_name(stream) == "mov_text" and out.format.name in ("mp4", "mov", "3gp")
        self._plays_all = stream.type == "audio" and out.format.name not in ("mp4", "mov", "3gp")

    def packets(self, packet: av.Packet, origin: Fraction) -> Iterator[av.Packet]:
        """The packet as the output wants it; of sound that an edit list hides, at most the last one, which primes decoders."""
        if self._plays_all and packet.is_discard and packet.size:
            self._hidden = packet
            return
        if self._own_gaps and packet.size == 2:
            return  # a cue without text, which is how MP4 spells a gap: the muxer writes those anew
        if self._hidden is not None:
            yield from self._passed(self._hidden, origin)
            self._hidden = None
        yield from self._passed(packet, origin)

    def _passed(self, packet: av.Packet, origin: Fraction) -> Iterator[av.Packet]:
        if packet.dts is None and packet.pts is None:
            if not packet.size:
                return  # the demuxer's end mark
            packet.pts = packet.dts = round(origin / rational(packet.time_base))  # cover art carries no time
        if origin:
            shift = round(origin / rational(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.dts is not None and self._last is not None and packet.dts <= self._last and packet.pts is not None:
            packet.dts = min(self._last + 1, max(packet.pts, packet.dts))  # a stumbling source clock
        self._last = packet.dts
        packet.stream = self.stream
        yield packet

    def flush(self) -> Iterator[av.Packet]:
        """What is left at the end: nothing."""
        return iter(())


class Audio(Copy):
    """A stream decoded, resampled as the encoder wants, and encoded anew."""

    def __init__(self, out: av.container.OutputContainer, stream: Any, codec: str) -> None:
        try:
            encoder = av.Codec(codec, "w")
        except ValueError:
            raise OutputError(
                f"no encoder {codec!r} here; -c:a copy, aac, libopus, flac, ac3 and pcm_s16le are"
            ) from None
        rates = [int(r) for r in encoder.audio_rates or []]
        source = stream.codec_context
        if source is None or encoder.type != "audio":
            raise OutputError(f"audio stream {stream.index} cannot become {codec}; leave -c:a out or write .mkv")
        rate = (
            source.sample_rate
            if not rates or source.sample_rate in rates
            else min(rates, key=lambda r: abs(r - source.sample_rate))
        )
        formats = [f.name for f in encoder.audio_formats or []]
        if source.layout.name.endswith("channels"):  # PCM in MKV does not say which; the usual ones, as ffmpeg guesses
            source.layout = LAYOUTS.get(source.layout.nb_channels, source.layout.name)
        self.stream = out.add_stream(codec, rate=rate)
        context = self.stream.codec_context
        context.layout = source.layout.name
        context.format = source.format.name if not formats or source.format.name in formats else formats[0]
        context.time_base = Fraction(1, rate)
        self.stream.metadata.update(kept_tags(dict(stream.metadata), out.format.name))
        self.stream.disposition = stream.disposition
        self._resampler = av.AudioResampler(format=context.format.name, layout=context.layout.name, rate=rate)
        self._origin = Fraction(0)

    def packets(self, packet: av.Packet, origin: Fraction) -> Iterator[av.Packet]:
        """What became ready of the sound, encoded anew."""
        self._origin = origin
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = []  # a damaged packet of sound: its time stays silent
        for frame in frames:
            yield from self._encoded(frame)

    def _encoded(self, frame: av.AudioFrame | None) -> Iterator[av.Packet]:
        if frame is not None and self._origin and frame.pts is not None:
            frame.pts -= round(self._origin / rational(frame.time_base))
        for ready in self._resampler.resample(frame):
            yield from self.stream.encode(ready)

    def flush(self) -> Iterator[av.Packet]:
        """The encoder's tail."""
        yield from self._encoded(None)
        yield from self.stream.encode(None)


class Text(Copy):
    """Text subtitles carried over to another codec by FFmpeg's own decoder and encoder."""

    def __init__(self, out: av.container.OutputContainer, stream: Any, codec: str) -> None:
        self._decoder = stream.codec_context
        self.stream = out.add_stream(codec)
        self._encoder = self.stream.codec_context
        header = self._decoder.subtitle_header or (
            codec_name(stream) in ("ass", "ssa") and self._decoder.extradata
        )  # styles
        self._encoder.subtitle_header = header if header else ASS_HEADER
        self._encoder.time_base = Fraction(1, 1000)
        self.stream.metadata.update(kept_tags(dict(stream.metadata), out.format.name))
        self.stream.disposition = stream.disposition

    def packets(self, packet: av.Packet, origin: Fraction) -> Iterator[av.Packet]:
        """The words in the output's way of writing them; nothing for an empty packet."""
        at = packet_time(packet)
        if at is None or not packet.size:
            return
        duration = round((packet.duration or 0) * rational(packet.time_base) * 1000)
        found = self._decoder.decode2(packet)
        if found is None:
            return
        found.pts = round((at - origin) * av.time_base)
        out = self._encoder.encode_subtitle(found)
        out.time_base = Fraction(1, 1000)
        out.pts = out.dts = round((at - origin) * 1000)
        out.duration = duration
        out.stream = self.stream
        yield out


ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, \
ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def packet_time(packet: av.Packet) -> Fraction | None:
    """When a packet is due, in seconds of the source's clock; None for end marks and cover art."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return None if stamp is None else stamp * rational(packet.time_base)
