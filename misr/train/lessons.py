"""What a kind of labels means: where batches come from, what is lost on them, and how good the net is by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from misr.errors import InputError
from misr.nets import Interpolate
from misr.train import valid
from misr.train.data import Material, Sampler
from misr.train.loop import Source
from misr.train.scenes import Scenes
from misr.train.sources import Ahead, Crops, pairs_of
from misr.train.video import Windows, supervised

if TYPE_CHECKING:
    from misr.train.fit import Training

EACH = 8  # of the frames of clips, every n-th is a picture to a net of one view


@dataclass(frozen=True, slots=True)
class Lesson:
    """A source, its loss(net, batch, squares), check(net) in dB, what a baseline has there; sample: views to try a net on."""

    source: Source
    loss: Callable[[nn.Module, Any, bool], Tensor]
    check: Callable[[nn.Module], float]
    baseline_db: float
    baseline: str
    sample: Tensor


def lesson(wanted: Training, net: nn.Module, material: Material, device: torch.device, *, seed: int) -> Lesson:
    """All that a kind of labels needs; InputError where the material is too small for it."""
    return from_truth(wanted, net, material, device, seed)


def from_truth(wanted: Training, net: nn.Module, material: Material, device: torch.device, seed: int) -> Lesson:
    """Sharp frames as labels."""
    scale, fuses, cell = int(net.scale), hasattr(net, "unroll"), int(net.cell)  # type: ignore[arg-type]
    source = (
        moving(wanted, scale, material, device, seed) if fuses else single(wanted, scale, cell, material, device, seed)
    )
    those = valid.trials(
        material, scale=scale, fuses=fuses, degradation=wanted.degradation, multiple=cell, device=device
    )
    if not those:
        raise InputError(f"what is held out for validation is too small for x{scale}; add larger clips or pictures")
    return Lesson(
        source,
        partial(supervised, kind=wanted.loss),
        lambda it: valid.psnr_db(it, those),
        valid.psnr_db(Interpolate(scale=scale), those),
        "bicubic",
        those[0].views[..., :64, :64],
    )


def moving(wanted: Training, scale: int, material: Material, device: torch.device, seed: int) -> Source:
    """Windows of stills under a camera, and of clips."""
    if not any(min(c.shape[1:]) >= wanted.crop * scale for c in (*material.clips, *(s[None] for s in material.stills))):
        raise InputError(
            f"no clip or picture has {wanted.crop * scale} pixels along its short side; give a smaller --crop"
        )
    scenes = Scenes(
        material.stills,
        material.clips,
        scale=scale,
        crop=wanted.crop,
        degradation=wanted.degradation,
        clip_share=0.2 if len(material.stills) >= 20 else 0.5,
        device=device,
        seed=seed,
    )
    longest = wanted.views or 12
    grown = min(3000, wanted.steps // 3) if wanted.steps else 3000
    windows = Windows(scenes, wanted.frames or 40, min(4, longest), longest, max(1, grown))
    return Ahead(windows) if wanted.degradation == "codec" else windows


def single(wanted: Training, scale: int, cell: int, material: Material, device: torch.device, seed: int) -> Source:
    """Crops of stills and of frames, for nets of one view."""
    planes = [*material.stills, *(frame for clip in material.clips for frame in clip[::EACH])]
    made = pairs_of(planes, wanted.degradation, scale, cell, wanted.crop, seed)
    if not made:
        raise InputError(
            f"no picture has {wanted.crop * scale} pixels with detail along its short side; give a smaller --crop"
        )
    return Crops(Sampler(made, wanted.crop // cell, seed=seed), wanted.frames or 16, device)
