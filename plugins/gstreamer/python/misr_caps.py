"""Caps of one size as caps of another: what may come in for what may go out, and the other way round."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402
from misr_raw import FORMATS  # noqa: E402

LARGEST = 2**31 - 1
SIZES = f"width=[ 1, {LARGEST} ], height=[ 1, {LARGEST} ], framerate=[ 0/1, {LARGEST}/1 ]"
ANY_SIZE = f"video/x-raw, format={{ {FORMATS} }}, {SIZES}"


def possible(pad: Gst.Pad, there: Gst.Caps, scale: float) -> Gst.Caps:
    """What caps a pad can have, by those of what is linked to the other pad: the same formats, of other sizes.

    scale     the model's; 0 while there is none

    Upstream is told first the size that becomes what downstream wants, then any: so a size that cannot be is refused at
    the CAPS event, in words, and not by a source that finds no caps and does not say why.
    """
    there = there.intersect(pad.get_pad_template_caps())
    if pad.get_direction() == Gst.PadDirection.SRC:
        return resized(there, scale) if scale else any_size(there)
    fitting = resized(there, 1 / scale) if scale else Gst.Caps.new_empty()
    fitting.append(any_size(there))
    return fitting


def resized(caps: Gst.Caps, scale: float) -> Gst.Caps:
    """The caps with widths and heights times `scale`; what has no whole size there is left out."""
    out = Gst.Caps.new_empty()
    for n in range(caps.get_size()):
        structure = caps.get_structure(n).copy()
        sizes = {name: times(structure.get_value(name), scale) for name in ("width", "height")}
        if None not in sizes.values():
            for name, value in sizes.items():
                structure.set_value(name, value)
            out.append_structure_full(structure, caps.get_features(n).copy())
    return out


def any_size(caps: Gst.Caps) -> Gst.Caps:
    """The caps with all sizes there are."""
    out = caps.copy()
    for name in ("width", "height"):
        out.set_value(name, Gst.IntRange(range(1, LARGEST)))
    return out


def times(size: Any, scale: float) -> Any:
    """A size of caps (a number, a range, a list of them) times `scale`; None where that is no size."""
    if isinstance(size, Gst.ValueList):
        kept = [value for value in (times(one, scale) for one in size) if value is not None]
        return Gst.ValueList(kept) if kept else None
    if isinstance(size, Gst.IntRange):
        low, high = max(1, ceil(size.range.start * scale)), min(LARGEST, floor(size.range.stop * scale))
        return None if low > high else low if low == high else Gst.IntRange(range(low, high))
    value = round(size * scale)
    return value if 1 <= value <= LARGEST and (scale > 1 or round(value / scale) == size) else None


def enlarged(caps: Gst.Caps, scale: float) -> Gst.Caps:
    """Fixed caps of a stream, of the picture `scale` times as large; its colours are read as before.

    Untold colorimetry GStreamer takes from the number of lines: where more lines change it, it is told.
    """
    out = resized(caps, scale)
    before, after = (GstVideo.VideoInfo.new_from_caps(c) for c in (caps, out))
    if not before.colorimetry.is_equal(after.colorimetry):
        out.set_value("colorimetry", before.colorimetry.to_string())
    return out
