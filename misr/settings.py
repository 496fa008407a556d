"""How to upscale, as a user says it; as JSON too, so that another process or machine can be asked for the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from misr.frame import Retag
from misr.io.reader import Deinterlace, OnError
from misr.upscaler import Precision

TIMES = ("start", "end", "duration", "framerate")  # kept as fractions, which JSON has not


@dataclass(frozen=True, slots=True)
class Settings:
    """How to upscale, in ffmpeg's words where it has one; None and 0 mean "misr decides".

    scale       SR size / source size; size = WxH, Wx-2, -2xH or 1080p wins over it
    start, end  seconds on the clip's clock; the output begins at zero when start is given
    retag       what is known of the colours better than the clip's tags do; the output is tagged so
    framerate   frames per second of pictures; of a clip, instead of the times it tells
    options     further encoder options; without: kinds of streams given up (audio, subtitle, data, attachment)
    """

    model: str | None = None
    scale: float | None = None
    size: str | None = None
    strength: float = 1.0
    codec: str | None = None
    pix_fmt: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int = 0
    audio: str | None = None
    without: frozenset[str] = frozenset()
    fmt: str | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    duration: Fraction | None = None
    framerate: Fraction | None = None
    retag: Retag = field(default_factory=Retag)
    overwrite: bool = True
    device: str | None = None
    precision: Precision = "auto"
    tile: int = 0
    batch: int = 0
    threads: int = 0
    deinterlace: Deinterlace = "auto"
    on_error: OnError = "stop"


def as_json(it: Settings) -> dict[str, Any]:
    """Settings as JSON can hold them."""
    plain = asdict(it) | {"without": sorted(it.without)}
    return plain | {name: None if plain[name] is None else str(plain[name]) for name in TIMES}


def from_json(told: dict[str, Any]) -> Settings:
    """The settings that as_json() made this of; TypeError, KeyError or ValueError where they are those of another misr."""
    times = {name: None if told[name] is None else Fraction(told[name]) for name in TIMES}
    return Settings(**told | times | {"without": frozenset(told["without"]), "retag": Retag(**told["retag"])})
