"""The plainest way to a file: frames and an encoding in, a video out. For samples and tests; jobs go through pipeline.py."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av

from misr.frame import Frame
from misr.io.encoder import Encoding, configure
from misr.io.planes import Repacker, from_frame
from misr.machine import scheduling_kept


def write_clip(path: Path, frames: Iterable[Frame], encoding: Encoding) -> None:
    """Frames as a file of one video stream; the container is the extension's."""
    repack = Repacker()
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoding.codec, rate=encoding.rate, options=dict(encoding.options))
        configure(stream, encoding)
        with scheduling_kept():
            stream.codec_context.open()
        for frame in frames:
            f = from_frame(frame, encoding.pix_fmt, repack)
            f.pts, f.time_base, f.pict_type = round(frame.time / encoding.time_base), encoding.time_base, 0
            out.mux(stream.encode(f))
        out.mux(stream.encode(None))
