"""Programs that load misr, each driven the same way: a clip goes in, what came out of the host comes back as frames.

A driver is one file of this folder with one object, listed in `every()`; tests/test_hosts.py runs one contract over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

import misr

ROOT = Path(__file__).resolve().parent.parent.parent
DRIVERS: tuple[str, ...] = (  # files of this folder
    "ffmpeg",
    "pyav",
    "pipe",
    "vapoursynth",
    "gstreamer",
    "comfyui",
)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One frame as a host gave it: code values as in `misr.Frame`, time in seconds, and what it says of its colours."""

    planes: tuple[np.ndarray, ...]
    time: Fraction
    tags: tuple[int, int, int, int]  # matrix, range, primaries, transfer (H.273; range 1 limited, 2 full)
    sar: Fraction = Fraction(1)


class HostError(Exception):
    """A host that is a process failed; the message is what it wrote to standard error."""


class Host(Protocol):
    """How to drive one host."""

    name: str
    formats: tuple[str, ...]  # pixel formats (FFmpeg's names) that go in and come out as they are
    keeps: frozenset[str]  # of "time", "tags", "sar": what frames of this host carry at all
    tick: Fraction  # how finely the host counts time, seconds; 0: exactly
    codes: int  # by how many code values pixels may be off because of how the host holds them
    error: type[BaseException]  # what a bad model name ends in; HostError for processes

    def missing(self) -> str:
        """Why the host cannot be run here; "" when it can."""

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        """The clip's frames through misr inside the host, enlarged by the model's scale; `folder` is for files on the way."""


def every() -> list[Host]:
    """All drivers."""
    return [import_module(f"tests.hosts.{name}").HOST for name in DRIVERS]


def read(path: Path) -> list[Shown]:
    """A clip's frames as misr's own reader gives them."""
    reader = misr.open(path, deinterlace="off")
    frames = [shown(frame, reader.info.sar) for frame in reader]
    reader.close()
    return frames


def shown(frame: misr.Frame, sar: Fraction = Fraction(1)) -> Shown:
    """A misr Frame as the contract looks at it; planes are copied."""
    c = frame.color
    tags = c.matrix, c.range, c.primaries, c.transfer
    return Shown(tuple(np.array(p) for p in frame.planes), frame.time, tags, sar)


def upscaled(clip: Path, *, model: str, folder: Path) -> list[Shown]:
    """The frames of `misr upscale`, in FFV1."""
    out = folder / f"{clip.stem}-reference.mkv"
    misr.upscale(clip, out, misr.Settings(model=model, codec="ffv1", deinterlace="off"))
    return read(out)
