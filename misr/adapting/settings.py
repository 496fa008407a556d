"""What a user may say of an adaptation, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

MINUTES = 5.0


@dataclass(frozen=True, slots=True)
class Adapting:
    """How to learn from a clip; None and 0 mean "misr decides".

    model           where learning starts: a name or a directory, as `misr train --start` takes
    steps, minutes  one of them: how long; 5 minutes when neither is given. Looking at what was learned counts, too
    start, end      seconds of the clip to learn from, on its own clock
    optics          of the camera: sigma of its Gaussian in LR pixels, 0 for antialiased bicubic, which the shipped models learned
                    from; None: fitted to the clip, for a lens that is known to be soft: soft contents look the same
    crop, frames    LR pixels of a side and views of a batch
    rate            of learning
    memory          GiB of pixels
    restart         throw away what a stopped or finished adaptation left in the directory
    """

    model: str = "video-x2"
    steps: int = 0
    minutes: float = 0
    start: Fraction | None = None
    end: Fraction | None = None
    optics: float | None = 0.0
    crop: int = 64
    frames: int = 0
    rate: float = 0
    seed: int = 0
    memory: float = 1.0
    device: str | None = None
    threads: int = 0
    restart: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """One measure on frames that neither fit nor choice has seen, in dB, means over them.

    start, adapted   of the models; gain: how much more, frame by frame
    margin           what a gain must exceed to be no chance: two standard errors, and never nothing
    """

    start_db: float
    adapted_db: float
    gain_db: float
    margin_db: float
    frames: int

    @property
    def clear(self) -> bool:
        """Whether the gain is more than chance."""
        return self.gain_db > self.margin_db


@dataclass(frozen=True, slots=True)
class Adapted:
    """The model directory, whether its weights are the adapted ones, and why; the same, and more, stands in adapt.json.

    heldout    predicting hidden frames through motion and camera: detail, in dB
    shrunk     making the frames themselves of the clip shrunk once more: luma PSNR, in dB
    """

    folder: Path
    adopted: bool
    why: str
    promise: str
    heldout: Gain
    shrunk: Gain
    baselines_db: dict[str, float]
    told: dict[str, Any]
    lines: tuple[str, ...]
