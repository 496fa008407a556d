"""An ffmpeg pipe: matroska with raw pictures into `misr filter`, a process, and what it writes, read back."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import misr
from tests.hosts import HostError, Shown, read


class Pipe:
    """`misr filter` between two pipes."""

    name = "pipe"
    formats: tuple[str, ...] = (
        "yuv420p",
        "yuv420p10le",
        "yuv422p12le",
        "yuv444p16le",
        "gray",
        "gray16le",
        "gbrp10le",
        "yuva420p",
    )
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(1, 1000)  # Matroska's
    codes = 0
    error: type[BaseException] = HostError

    def missing(self) -> str:
        return ""

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        raw, out = folder / f"{clip.stem}-raw.mkv", folder / f"{clip.stem}-filtered.mkv"
        misr.upscale(clip, raw, misr.Settings(model="nearest", scale=1, codec="rawvideo", deinterlace="off"))
        with raw.open("rb") as sent, out.open("wb") as got:
            words = [sys.executable, "-m", "misr", "filter", "-m", model]
            done = subprocess.run(words, stdin=sent, stdout=got, stderr=subprocess.PIPE, text=True, timeout=120)
        if done.returncode:
            raise HostError(done.stderr)
        return read(out)


HOST = Pipe()
