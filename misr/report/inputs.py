"""What is put side by side: clips, pictures and sequences, upright, with their facts and the times of their frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from misr.errors import InputError
from misr.frame import Frame
from misr.io.output import Span
from misr.io.pictures import is_sequence
from misr.io.reader import ClipInfo, Reader
from misr.pipeline import AnyReader
from misr.plan import Settings, open_reader
from misr.summary import tags

Role = Literal["before", "after", "reference"]
TRANSFERS = {16: "PQ", 18: "HLG"}  # H.273: what an SDR page cannot show as it is meant


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to look at.

    info      of the pictures turned upright; rotation is the angle they were turned by, in degrees
    shift     seconds added to its times to come to BEFORE's clock
    told      the path that is shown, where it is not its own
    """

    path: str
    name: str
    role: Role
    reader: AnyReader
    info: ClipInfo
    rotation: int = 0
    shift: Fraction = Fraction(0)
    told: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in its own pixels, upright."""
        return self.info.width, self.info.height

    @property
    def shape(self) -> tuple[int, int]:
        """(width, height) as players show it: pixels that are not square are widened or made taller, never shrunk."""
        w, h, sar = *self.size, self.info.sar
        return (round(w * sar), h) if sar >= 1 else (w, round(h / sar))

    def frames(self, begin: Fraction, end: Fraction | None = None) -> Iterator[Frame]:
        """The frames shown from `begin` to before `end`, timed on BEFORE's clock; seeks where the file allows it."""
        own = begin - self.shift
        near = self.reader.near(own) if isinstance(self.reader, Reader) else self.reader.frames(own)
        for frame in near:
            time = frame.time + self.shift
            if end is not None and time >= end:
                return
            if time < begin:
                continue
            if (frame.width, frame.height) != self.size:
                w, h = self.size
                raise InputError(
                    f"{self.path}: the frame at {float(frame.time):.3f} s is {frame.width}x{frame.height}, the clip began "
                    f"at {w}x{h}; split it at the change"
                )
            yield replace(frame, time=time)

    def facts(self) -> dict[str, str]:
        """What there is to know of it, in words, by name."""
        i, (w, h), (shown_w, shown_h) = self.info, self.size, self.shape
        shown = [f"{w}×{h}"]
        if (shown_w, shown_h) != (w, h):
            shown.append(f"shown as {shown_w}×{shown_h} (pixel aspect {i.sar})")
        if self.rotation:
            shown.append(f"turned upright by {self.rotation}°")
        if i.interlaced:
            shown.append("deinterlaced by bwdif")
        length = f"{float(i.duration):.2f} s" if i.duration else "not told"
        return {
            "picture": ", ".join(shown),
            "codec": f"{i.codec}, {i.pix_fmt}, in {i.container.split(',')[0]}",
            "colour (H.273)": tags(i.color)
            + (f": {TRANSFERS[i.color.transfer]}" if i.color.transfer in TRANSFERS else ""),
            "rate": f"{float(i.rate):.3f} per second",
            "length": f"{length}, {i.frames or 'unknown number of'} frames",
            "bit rate": f"{i.bit_rate / 1e6:.2f} Mbit/s" if i.bit_rate else "not told",
            "file": file_size(self.path),
        }


def opened(path: str, role: Role, *, name: str = "", how: Settings | None = None) -> Input:
    """An input, its pictures upright, read as told: see misr.Settings. InputError in one sentence."""
    if path == "-":
        raise InputError("standard input can be read only once; compare files")
    if not is_sequence(path) and not Path(path).exists():
        raise InputError(f"{path}: no such file")
    how = how or Settings()
    reader = open_reader(path, Span(), how, upright=False)
    rotation = reader.info.rotation % 360
    if rotation:
        reader.close()
        reader = open_reader(path, Span(), how, upright=True)
    return Input(path, name or Path(path).resolve().name, role, reader, reader.info, rotation)


def file_size(path: str) -> str:
    """The size of a file in words."""
    if not Path(path).is_file():
        return "a sequence of pictures" if is_sequence(path) else "not told"
    size = Path(path).stat().st_size
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
