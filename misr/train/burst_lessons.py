"""What it means to learn to fuse bursts: from synthetic ones of sharp stills, from hidden views of real ones, or from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from misr.errors import InputError
from misr.nets import NETS
from misr.nets.lattice import Stack
from misr.train import bursts, revisits
from misr.train.degrade import Plane
from misr.train.footage import Footage
from misr.train.lessons import Lesson
from misr.train.sources import Ahead, Mixture
from misr.zoo import METHODS

if TYPE_CHECKING:
    from misr.train.fit import Training

REPLAY = 0.4  # share of synthetic bursts where hidden views are labels too
EACH = 8  # of the frames of clips, every n-th is a still
JUDGED = 16  # pieces of bursts that validate, about
SIDE, LEAST, TRIALS = 96, 16, 8  # LR pixels of a side of what validates, the least there may be, and how many bursts
WITHIN = 0.95  # share of errors that 1.96 predicted deviations are to cover


def lesson(wanted: Training, net: nn.Module, footage: Footage, device: torch.device, *, seed: int) -> Lesson:
    """All that a kind of labels needs; InputError where the material is too small for it."""
    return (from_truth if wanted.labels == "hr" else from_hidden)(wanted, net, footage, device, seed)


def from_truth(wanted: Training, net: nn.Module, footage: Footage, device: torch.device, seed: int) -> Lesson:
    """Sharp stills, and what a satellite would make of them."""
    it = footage.material
    stills = [*it.stills, *(frame for clip in it.clips for frame in clip[::EACH])]
    judges = [*it.valid_stills, *(clip[len(clip) // 2] for clip in it.valid_clips)]
    source = synthetic(wanted, int(net.scale), stills, device, seed)  # type: ignore[arg-type]
    those = trials(judges, int(net.scale), device)  # type: ignore[arg-type]
    plain = {name: bursts.psnr_db(method(name, net), those) for name in METHODS}
    best = max(plain, key=lambda name: plain[name])
    return Lesson(
        source,
        bursts.supervised,
        lambda it: bursts.psnr_db(fusing(it), those),
        plain[best],
        best,
        those[0].stack.views[..., :64, :64],
        settle=partial(calibrate, those=trials(judges, int(net.scale), device, usual=False)),  # type: ignore[arg-type]
    )


def from_hidden(wanted: Training, net: nn.Module, footage: Footage, device: torch.device, seed: int) -> Lesson:
    """Views hidden from the net; with `both`, a share of synthetic bursts of the views themselves, taken as sharp.

    By those it also learns how far off it is, where the views are large enough for any.
    """
    scale, stills = int(net.scale), revisits.stills(footage.places)  # type: ignore[arg-type]
    samples, longest = wanted.frames or bursts.SAMPLES, wanted.views or bursts.MOST
    source: Any = revisits.Revisits(
        footage.places, crop=wanted.crop, samples=samples, longest=longest, device=device, seed=seed
    )
    learned: Any = revisits.loss
    if wanted.labels == "both":
        source, learned = Mixture(source, again(wanted, scale, stills, device, seed + 1), REPLAY), either
    places = [moved(p, device) for p in footage.places[:: -(-len(footage.places) // JUDGED)]]
    plain = {name: revisits.score_db(method(name, net), places) for name in METHODS}
    best = max(plain, key=lambda name: plain[name])
    sample = places[0].stack.views[..., :64, :64]
    study = Lesson(source, learned, lambda it: revisits.score_db(fusing(it), places), plain[best], best, sample)
    if room(stills, scale) < LEAST:
        return study
    return replace(study, settle=partial(calibrate, those=trials(stills, scale, device, usual=False)))


def again(wanted: Training, scale: int, stills: Sequence[Plane], device: torch.device, seed: int) -> Ahead:
    """Synthetic bursts of views taken as sharp, so small that they fit them."""
    crop = max(8, min(wanted.crop, room(stills, scale)))
    return synthetic(replace(wanted, crop=crop), scale, stills, device, seed)


def synthetic(wanted: Training, scale: int, stills: Sequence[Plane], device: torch.device, seed: int) -> Ahead:
    """Synthetic bursts of stills, made while the last ones are learned from."""
    source = bursts.Bursts(
        stills, scale=scale, crop=wanted.crop, device=device, seed=seed,
        samples=wanted.frames or bursts.SAMPLES, longest=wanted.views or bursts.MOST,
    )  # fmt: skip
    if not source.stills:
        raise InputError(
            f"no picture has {source.side} pixels along its short side; give larger ones or a smaller --crop"
        )
    return Ahead(source)


def room(stills: Sequence[Plane], scale: int) -> int:
    """LR pixels of a side of the largest synthetic bursts that stills give, an even number."""
    return (max((min(p.shape) for p in stills), default=0) // scale - 2 * bursts.MARGIN) // 2 * 2


def trials(judges: Sequence[Plane], scale: int, device: torch.device, *, usual: bool = True) -> list[bursts.Known]:
    """Bursts to measure with; of any conditions where not `usual`."""
    side = min(SIDE, room(judges, scale))
    if side < LEAST:
        raise InputError(f"what is held out for validation is too small for x{scale}; add larger clips or pictures")
    return bursts.trials(judges, scale=scale, crop=side, count=TRIALS, device=device, usual=usual)


def fusing(net: nn.Module) -> revisits.Fuse:
    """The pictures that a net makes of stacks."""
    return lambda stack: net.fuse(stack).picture  # type: ignore[operator]


def method(name: str, net: nn.Module) -> revisits.Fuse:
    """A method without weights, at the scale of a net."""
    return fusing(NETS[name](scale=int(net.scale)))  # type: ignore[arg-type]


def moved(place: revisits.Place, device: torch.device) -> revisits.Place:
    """A place on a device."""
    return replace(place, stack=Stack(*(part.to(device) for part in place.stack)))


def either(net: nn.Module, batch: Any, squares: bool) -> Tensor:
    """The loss of a batch whose label is a view, or the truth."""
    return (bursts.supervised if isinstance(batch, bursts.Known) else revisits.loss)(net, batch, squares)


@torch.no_grad()
def calibrate(net: nn.Module, *, those: Sequence[bursts.Known]) -> None:
    """Scale the deviations that a net predicts so that 1.96 of them cover 95 % of its errors on bursts it has not seen."""
    if isinstance(factor := getattr(net, "calibration", None), Tensor):
        factor *= covering(net, those)


@torch.no_grad()
def covering(net: nn.Module, those: Sequence[bursts.Known]) -> float:
    """By how much larger than predicted deviations must be so that 1.96 of them cover 95 % of the errors."""
    ratios = []
    for it in those:
        made = net.fuse(it.stack)  # type: ignore[operator]
        ratios.append(((made.picture - it.truth).abs() / made.sigma).flatten())
    found = torch.cat(ratios).cpu().numpy()
    return float(np.quantile(found, WITHIN)) / 1.96
