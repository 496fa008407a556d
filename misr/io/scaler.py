"""FFmpeg's own scaler as a stage: the baseline that every speed table has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import av

from misr.frame import Frame
from misr.io.encoder import Encoding
from misr.io.planes import Repacker, from_frame, planar_name, to_frame


def swscale(frames: Iterable[Frame], to: Encoding, kernel: str = "LANCZOS") -> Iterator[Frame]:
    """Frames enlarged by libswscale, in the encoding's colour; size and pixel format as it says."""
    repack, scaler = Repacker(), av.video.reformatter.VideoReformatter()
    for frame in frames:
        source = from_frame(frame, planar_name(frame.color), repack)
        big = scaler.reformat(source, to.width, to.height, planar_name(to.color), interpolation=kernel, threads=1)
        yield to_frame(big, replace(to.color, range=frame.color.range), frame.time, frame.duration, repack)
