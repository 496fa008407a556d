"""PyAV: frames of a decoder pushed through the filter, and pulled out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from misr_pyav import Upscale

import misr
from tests.hosts import Shown, shown


class PyAV:
    """`misr_pyav.Upscale` in a decoding loop."""

    name = "pyav"
    formats: tuple[str, ...] = ("yuv420p", "yuv420p10le", "yuv422p", "yuv444p16le", "gray", "gray10le", "gbrp")
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(0)
    codes = 0
    error: type[BaseException] = ValueError  # what av.filter.Graph.add says of an unknown filter

    def missing(self) -> str:
        return ""

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        upscale = Upscale(model)
        with av.open(str(clip)) as source:
            return [shown(misr.from_av(frame)) for frame in upscale.process(source.decode(video=0))]


HOST = PyAV()
