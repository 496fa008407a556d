"""What is learned from a clip without sharp frames: its hidden frames, itself shrunk once more, its stills under a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from misr.adapting.optics import sharpest
from misr.adapting.portions import Portions
from misr.adapting.settings import Adapting
from misr.errors import InputError
from misr.train import heldout
from misr.train.data import Sampler
from misr.train.heldout import Flow, Hiding
from misr.train.lessons import EACH, either
from misr.train.loop import Source
from misr.train.scenes import Scenes
from misr.train.sources import Crops, Mixture, pairs_of
from misr.train.video import Windows, supervised

HELD = 0.6  # share of batches whose labels are hidden frames; 0 and 0.3 gave less by the truth, see scripts/README.md
FILMED = 0.9  # of the others, share of windows that are the clip itself; the rest are its stills under a virtual camera
VIEWS, FRAMES, FRAMES_OF_ONE = 6, 20, 16  # of the longest window; views a batch, and of nets of one view
LEAST = 8  # pixels of a side that can be learned from


@dataclass(frozen=True, slots=True)
class Study:
    """Where batches come from, and what is lost on them; `told` is what they are, in words."""

    source: Source
    loss: Callable[[nn.Module, Any, bool], Tensor]
    told: str


def study(
    net: nn.Module,
    parts: Portions,
    how: Adapting,
    flow: Flow,
    optics: float,
    device: torch.device,
    *,
    held: float = HELD,
) -> Study:
    """Of a net that fuses views: all three; of one that looks at one view: the clip shrunk once more."""
    scale, cell = int(net.scale), int(getattr(net, "cell", 1) or 1)  # type: ignore[arg-type]
    short = max(min(c.shape[1:]) for c in parts.learn)
    crop = min(how.crop, short // 2 * 2)
    small = min(crop, short // scale // (2 * cell) * 2 * cell)
    if small < LEAST:
        raise InputError(
            f"its frames are {short} pixels along the short side, too few to shrink x{scale} and learn from"
        )
    if not hasattr(net, "unroll"):
        planes = [frame for clip in parts.learn for frame in (sharpest(clip), *clip[::EACH])]
        made = pairs_of(planes, float(optics), scale, cell, small, how.seed + 1)
        if not made:
            raise InputError("nothing in it has detail to learn from; the frames are flat")
        source = Crops(Sampler(made, small // cell, seed=how.seed + 1), how.frames or FRAMES_OF_ONE, device)
        return Study(source, supervised, "the clip shrunk once more")
    frames = how.frames or FRAMES
    hiding = Hiding(parts.learn, crop=crop, frames=frames, longest=VIEWS, device=device, seed=how.seed + 1)
    scenes = Scenes(
        [sharpest(c) for c in parts.learn],
        parts.learn,
        scale=scale,
        crop=small,
        degradation=float(optics),
        clip_share=FILMED,
        device=device,
        seed=how.seed + 2,
    )
    loss = partial(either, hidden=partial(heldout.loss, flow=flow, optics=optics), kind="smooth-l1")
    told = f"hidden frames ({100 * held:.0f} %), the clip shrunk once more, and its stills under a virtual camera"
    if not hiding.clips:
        return Study(Windows(scenes, frames, min(2, VIEWS), VIEWS, 1), loss, "the clip shrunk once more and its stills")
    return Study(Mixture(hiding, Windows(scenes, frames, min(2, VIEWS), VIEWS, 1), 1 - held), loss, told)
