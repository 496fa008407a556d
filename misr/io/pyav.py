"""PyAV's frames as ours and back, for hosts that hold them: the pixels untouched, time, tags and side data kept."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av

from misr.frame import Frame
from misr.io.opening import rational
from misr.io.planes import Repacker, from_frame, planar_name, read_color, to_frame

REPACK = Repacker()


def from_av(frame: av.VideoFrame) -> Frame:
    """A PyAV frame as a Frame: planes view its memory, `source` is the frame itself, a frame without pts is at time 0.

    InputError for pixel formats outside YUV, gray and RGB of 8 to 16 bits or float.
    """
    base = rational(frame.time_base)
    ours = to_frame(frame, read_color(frame), (frame.pts or 0) * base, (frame.duration or 0) * base, REPACK)
    return replace(ours, source=frame)


def to_av(frame: Frame, pix_fmt: str | None = None, *, time_base: Fraction | None = None) -> av.VideoFrame:
    """A Frame as a PyAV frame of pix_fmt (planar as it is by default), with colour tags, and its source's side data.

    time_base   of the new frame's pts; by default the source's, else the finest that holds the time exactly
    """
    out = from_frame(frame, pix_fmt or planar_name(frame.color), REPACK)
    theirs = rational(frame.source.time_base) if isinstance(frame.source, av.VideoFrame) else Fraction(0)
    base = time_base or theirs or Fraction(1, frame.time.denominator)
    out.time_base, out.pts = base, round(frame.time / base)
    out.duration = round(frame.duration / base)
    return out
