"""PyAV's frames as ours and back, for hosts that hold them: the pixels untouched, time, tags and side data kept."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av

from misr.errors import InputError
from misr.frame import Frame
from misr.io.opening import rational
from misr.io.planes import COARSE, Repacker, color_of, from_frame, planar_name, read_color, to_frame

REPACK = Repacker()


def from_av(frame: av.VideoFrame) -> Frame:
    """A PyAV frame as a Frame: planes view its memory, `source` is the frame itself, a frame without pts is at time 0.

    InputError for pixel formats outside YUV, gray and RGB of 8 to 16 bits or float.
    """
    base = rational(frame.time_base)
    ours = to_frame(frame, read_color(frame), (frame.pts or 0) * base, (frame.duration or 0) * base, REPACK)
    return replace(ours, source=frame)


def to_av(frame: Frame, pix_fmt: str | None = None, *, time_base: Fraction | None = None) -> av.VideoFrame:
    """A Frame as a PyAV frame of its own, tagged with its colour, with its source's side data, metadata and pixel shape.

    pix_fmt     a planar, semi-planar or packed format of the same samples; planar by default. InputError for another
    time_base   of the new frame's pts; by default the source's, else the finest that holds the time exactly

    Side data that FFmpeg knows to depend on the size, as pan and scan, is left out, as its own scaler leaves it out.
    """
    planar = planar_name(frame.color)
    theirs = color_of(pix_fmt or planar)
    if theirs is None or pix_fmt in COARSE or planar_name(theirs) != planar:
        raise InputError(f"pixel format {pix_fmt} does not hold the samples of {planar}; convert the frame afterwards")
    source = frame.source if isinstance(frame.source, av.VideoFrame) else None
    out = from_frame(replace(frame, source=source), pix_fmt or planar, REPACK)
    base = time_base or (rational(source.time_base) if source else 0) or Fraction(1, frame.time.denominator)
    out.time_base, out.pts = base, round(frame.time / base)
    out.duration = round(frame.duration / base)
    return out
