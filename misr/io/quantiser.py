"""How coarsely a clip was compressed: the quantiser its encoder used, as the stream itself says it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice

import av

from misr.io.opening import main_video, open_input

TELLING = {"h264"}  # of codecs whose decoders tell it, the one whose scale is known by every editor: that of -crf
PER_PLACE = 6  # frames, of several kinds


def quantiser(path: str, times: Sequence[Fraction]) -> float | None:
    """Mean quantiser (0 to 51, about what -crf was) of a few frames after each time, seconds from the clip's beginning.

    None where the codec does not tell, or nothing decodes.
    """
    found: list[float] = []
    with open_input(path) as container:
        stream = main_video(container, path)
        if stream.codec_context.name not in TELLING:
            return None
        stream.codec_context.options = {"export_side_data": "venc_params"}
        for time in times:
            try:
                start = stream.start_time or 0
                container.seek(start + int(time / (stream.time_base or Fraction(1))), stream=stream)
                found += [q for f in islice(container.decode(stream), PER_PLACE) if (q := of_frame(f)) is not None]
            except av.error.FFmpegError:
                continue  # a damaged place tells nothing
    return sum(found) / len(found) if found else None


def of_frame(frame: av.VideoFrame) -> float | None:
    """Mean quantiser of a decoded frame's blocks."""
    told = frame.side_data.get("VIDEO_ENC_PARAMS")
    if told is None:
        return None
    try:
        return float(told.qp_map().mean()) if told.nb_blocks else float(told.qp)
    except RuntimeError:  # blocks of other shapes than PyAV counts on: fields, pictures with a border
        return float(told.qp)
