"""Clips on trial whose truth is known, since we made them smaller: antialiased bicubic, as papers do, luma alone, lossless.

For scripts/adapt_all and scripts/outlook_all, which go on where they were stopped: what is done of a clip lies in its folder.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from misr.evaluation import Measure
from misr.evaluation.items import frames_of
from misr.evaluation.trial import reference, shrunk
from misr.frame import Frame
from misr.io.encoder import Encoding
from misr.io.writer import write_clip
from misr.metrics import luma_psnr_db
from misr.upscaler import Upscaler

RATE = Fraction(25)  # of the clips that we make


@dataclass(frozen=True)
class Case:
    """A clip on trial: where it is, and the folder of what comes of it."""

    path: Path
    folder: Path

    @property
    def name(self) -> str:
        """As the table has it."""
        return self.path.stem

    def done(self, kind: str) -> dict[str, Any] | None:
        """What is known of one trial, such as `own` or `small`; None before it was made."""
        file = self.folder / f"{kind}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def keep(self, kind: str, facts: dict[str, Any]) -> None:
        """Remember it, whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{kind}.part"
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        part.replace(self.folder / f"{kind}.json")


def cases(given: Iterable[Path], place: Path, only: str = "") -> list[Case]:
    """The clips, those of folders in the order of their names, whose names have `only` in them."""
    paths = [p for f in given for p in (sorted(f.iterdir()) if f.is_dir() else [f]) if only in p.name]
    return [Case(p, place / p.stem) for p in paths if p.is_file()]


def truth(path: Path, scale: int, most: int) -> Iterator[Frame]:
    """The first frames of a clip as luma of 8 bits, as misr eval takes references."""
    how = Measure(scale=scale)
    for n, frame in enumerate(islice(frames_of(str(path)), most)):
        plain = reference(frame, how, in_rgb=False)
        yield Frame(plain.planes, plain.color, n / RATE, 1 / RATE)


def smaller(frames: Iterable[Frame], scale: int) -> Iterator[Frame]:
    """The same frames as models are to see them."""
    return (shrunk(frame, scale, "bi") for frame in frames)


def make_small(case: Case, scale: int, frames: Iterable[Frame]) -> Path:
    """The clip of these true frames made smaller; where it is there already, as it is."""
    out = case.folder / "small.mkv"
    if not out.is_file():
        case.folder.mkdir(parents=True, exist_ok=True)
        views = list(smaller(frames, scale))
        it, part = views[0], case.folder / "part.mkv"
        write_clip(part, views, Encoding("ffv1", "gray", it.color, it.width, it.height, 1 / RATE, RATE, Fraction(1)))
        part.replace(out)
    return out


def true_db(
    views: Iterable[Frame],
    frames: Iterable[Frame],
    model: str | tuple[nn.Module, Any],
    scale: int,
    device: str | None = None,
) -> float:
    """Mean luma PSNR of what a model makes of the views, against the true frames, as misr eval --model has it."""
    made = Upscaler(model, scale=scale, device=device).stream(views)
    pairs = ((torch.from_numpy(f.planes[0]).double() for f in pair) for pair in zip(made, frames, strict=True))
    found = [luma_psnr_db(*pair, scale) for pair in pairs]
    return sum(found) / len(found)


def say(line: str) -> None:
    """For people."""
    print(line, file=sys.stderr, flush=True)
