"""Small clips of raw pictures, and `misr filter` between two pipes."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.command import clip, in_child

FILTER = [sys.executable, "-m", "misr", "filter", "-m", "bilinear"]


def raw(folder: Path, n: int = 12, *, suffix: str = "mkv", pix_fmt: str = "yuv420p", **more: Any) -> Path:
    """A small clip of raw pictures, as an ffmpeg before the pipe writes it."""
    options = {} if suffix == "nut" else {"strict": "-1"}
    even: Any = {"pts": range(n), "time_base": Fraction(1, 25)} if suffix == "y4m" else {}
    return clip(
        folder / f"in.{suffix}", n, codec="rawvideo", pix_fmt=pix_fmt, container_options=options, **(even | more)
    )


def filtered(folder: Path, source: Path, *more: str) -> tuple[Path, str]:
    """The clip through `misr filter`, by its standard input and output; what it said."""
    (folder / "sent").write_bytes(source.read_bytes())
    code, said = in_child(folder, "-", "-", *more, command="filter")
    assert code == 0, said
    out = folder / f"out{source.suffix}"
    (folder / "got").rename(out)
    return out, said


def first(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as c:
        return next(c.decode(video=0))
