"""PyAV: frames of a decoder pushed through the filter, and pulled out."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import av.logging
from misr_pyav import Upscale

import misr
from tests.hosts import Shown, shown


def sar_of(frame: av.VideoFrame) -> Fraction:
    """The shape of a frame's pixels, which PyAV does not show: as FFmpeg's own showinfo reads it off the frame."""
    graph = av.filter.Graph()
    args = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1"
    graph.link_nodes(graph.add("buffer", args), graph.add("showinfo", "checksum=0"), graph.add("buffersink"))
    graph.configure()
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    with av.logging.Capture() as logs:
        graph.push(frame)
        graph.pull()
    av.logging.set_level(level)
    num, den = re.findall(r" sar:(\d+)/(\d+)", "".join(line for _, _, line in logs))[0]
    return Fraction(int(num), int(den))


class PyAV:
    """`misr_pyav.Upscale` in a decoding loop."""

    name = "pyav"
    formats: tuple[str, ...] = (
        "yuv420p",
        "yuv420p10le",
        "yuv422p",
        "yuv444p16le",
        "gray",
        "gray10le",
        "bgr0",
        "gbrp10le",
    )
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(0)
    codes = 0
    error: type[BaseException] = ValueError  # what av.filter.Graph.add says of an unknown filter

    def missing(self) -> str:
        return ""

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        upscale = Upscale(model)
        with av.open(str(clip)) as source:
            return [shown(misr.from_av(f), sar_of(f) or Fraction(1)) for f in upscale.process(source.decode(video=0))]


HOST = PyAV()
