"""Which frames a clip has, by their times, found without decoding where the container can be believed."""

from __future__ import annotations

from fractions import Fraction

import av

from misr.io.opening import main_video, open_input, rational
from misr.io.pictures import AnimationReader, SequenceReader
from misr.io.reader import Reader


def frame_times(reader: Reader | SequenceReader | AnimationReader, *, decode: bool = False) -> tuple[Fraction, ...]:
    """Times in seconds, on the clip's own clock, of all frames that reader.frames() gives, in order.

    They are those of the packets, where each has one of its own; else, or with `decode`, every frame is decoded to be counted. A
    packet may hold no frame, or two: who relies on the packets' times compares them with the frames that come.
    """
    if isinstance(reader, Reader):
        stamps = None if decode else packet_times(reader)
        if stamps:  # pictures that lead the first key frame of a cut stream have lost what they build on
            stamps = [t for t in stamps if t >= reader.info.start] or None
        if stamps and reader.rate:
            stamps = [reader.info.start + n / reader.rate for n in range(len(stamps))]
    else:
        stamps = [n / reader.rate for n in range(len(reader.files))] if isinstance(reader, SequenceReader) else None
    if stamps is None:
        return tuple(frame.time for frame in reader.frames())
    return tuple(
        t for t in stamps if (reader.start is None or t >= reader.start) and (reader.end is None or t < reader.end)
    )


def packet_times(reader: Reader) -> list[Fraction] | None:
    """The packets' times, sorted; None where one has none, two have the same, or the container does not read to its end."""
    with open_input(reader.path) as container:
        stream = main_video(container, reader.name)
        tick = rational(stream.time_base)
        stamps: list[int] = []
        try:
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    return None
                stamps.append(packet.pts)
        except av.error.FFmpegError:
            return None
    if not stamps or len(set(stamps)) < len(stamps) or not tick:
        return None
    return [stamp * tick for stamp in sorted(stamps)]
