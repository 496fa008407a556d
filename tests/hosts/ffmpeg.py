"""ffmpeg: `misr-ffmpeg`, a process with ffmpeg on both sides of misr, encoding FFV1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from tests.hosts import ROOT, HostError, Shown, read
from tests.hosts.pipe import Pipe


class FFmpeg:
    """`misr-ffmpeg -i CLIP -m MODEL -- -c:v ffv1 OUT`."""

    name = "ffmpeg"
    formats = Pipe.formats  # what raw Matroska carries
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(2, 1000)  # Matroska counts in milliseconds, and then the encoder in a little more
    codes = 0
    error: type[BaseException] = HostError

    def missing(self) -> str:
        return "" if shutil.which("ffmpeg") else "no ffmpeg on the PATH"

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        out = folder / f"{clip.stem}-{model}.mkv"
        done = misr_ffmpeg("-i", clip, "-m", model, "--", "-y", "-c:v", "ffv1", out)
        if done.returncode:
            raise HostError(done.stderr)
        return read(out)


def misr_ffmpeg(*args: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The command as it is installed, run from the checkout."""
    words = [sys.executable, "-m", "misr_ffmpeg", *(str(a) for a in args)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "ffmpeg")])
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": paths, **more}
    )


HOST = FFmpeg()
