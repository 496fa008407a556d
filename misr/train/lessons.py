"""What a kind of labels means: where batches come from, what is lost on them, and how good the net is by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from misr import zoo
from misr.errors import InputError
from misr.nets import Interpolate
from misr.resample import resample
from misr.train import adversary, heldout, proxy, valid
from misr.train.data import Material, Sampler
from misr.train.heldout import Hiding
from misr.train.looks import Looks
from misr.train.loop import Loss, Partner, Run, Source
from misr.train.losses import Kind, Objective, Tally
from misr.train.scenes import Scenes
from misr.train.sources import Ahead, Crops, Mixture, pairs_of
from misr.train.video import Windows, supervised

if TYPE_CHECKING:
    from misr.train.fit import Training

REPLAY = 0.4  # share of batches with sharp frames, where hidden views are labels too
EACH = 8  # of the frames of clips, every n-th is a picture to a net of one view


@dataclass(frozen=True, slots=True)
class Lesson:
    """A source, its loss(net, batch, squares), check(net) in dB, what a baseline has there; sample: views to try a net on.

    settle(net)    what is done to the net when it has learned
    partner        what learns beside it; also(net): more that a line of the log says
    update         a step of a net that does not learn by gradients of the loss
    told           what a user who weighs terms should know; note: what the card of what comes of it should say
    for_looks      dB do not say how good it is, so that they do not decide what is kept
    """

    source: Source
    loss: Callable[[nn.Module, Any, bool], Tensor]
    check: Callable[[nn.Module], float]
    baseline_db: float
    baseline: str
    sample: Tensor
    settle: Callable[[nn.Module], None] = lambda net: None
    told: str = ""
    note: str = ""
    for_looks: bool = False
    partner: Partner | None = None
    also: Callable[[nn.Module], dict[str, float]] = lambda net: {}
    update: Callable[[Run, Any], Tensor] | None = None


def lesson(
    wanted: Training,
    net: nn.Module,
    material: Material,
    device: torch.device,
    *,
    seed: int,
    kind: Kind = "smooth-l1",
    done: Callable[[], float] = lambda: 1.0,
) -> Lesson:
    """All that a kind of labels needs; InputError where the material is too small for it.

    kind      what is made small: of hidden views one of the loop's losses
    done()    says how much of the run is behind
    """
    if wanted.labels == "hr":
        return from_truth(wanted, net, material, device, seed, kind, done)
    assert not isinstance(kind, Objective), "a sum of terms wants sharp frames"
    return from_hidden(wanted, net, material, device, seed, kind)


def from_hidden(
    wanted: Training, net: nn.Module, material: Material, device: torch.device, seed: int, kind: Loss
) -> Lesson:
    """Views hidden from the net as labels; with `both`, a share of supervision by the material, shrunk once more."""
    scale, cell = int(net.scale), max(1, int(net.cell))  # type: ignore[arg-type]
    flow = known_flow(wanted, device)
    longest = (wanted.views or 12) if hasattr(net, "unroll") else 2
    source: Source = Hiding(
        material.clips, crop=wanted.crop, frames=wanted.frames or 40, longest=longest, device=device, seed=seed
    )
    those = proxy.sights(material.valid_clips, cell, device)
    if not source.clips:  # type: ignore[attr-defined]
        raise InputError(
            f"--labels {wanted.labels} needs clips of {wanted.crop} pixels or more; add some, or a smaller --crop"
        )
    if not those:
        raise InputError(f"no held-out shot has {proxy.VIEWS} frames to judge by; give longer clips, or more of them")
    learned = partial(heldout.loss, flow=flow, optics=wanted.optics, kind=kind)
    if wanted.labels == "both":
        source = Mixture(source, again(wanted, net, material, device, seed + 1), REPLAY)
        learned = partial(either, hidden=learned, kind=kind)

    def score(predict: proxy.Predict) -> float:
        return proxy.score_db(predict, those, flow, wanted.optics)

    simple = {"bicubic": score(proxy.of_one(scale)), "motion-compensated mean": score(proxy.of_mean(scale, flow))}
    best = max(simple, key=lambda name: simple[name])
    return Lesson(
        source, learned, lambda it: score(proxy.of_net(it)), simple[best], best, those[0].views[..., :64, :64]
    )


def known_flow(wanted: Training, device: torch.device) -> heldout.Flow:
    """The motion that the model has from which the net starts; the classical one where there is none."""
    if model := wanted.motion or wanted.start:
        motion = getattr(zoo.build(model)[0], "motion", None)
        if motion is not None:
            return heldout.steady(motion.to(device))
    return heldout.steady(heldout.dis)


def again(wanted: Training, net: nn.Module, material: Material, device: torch.device, seed: int) -> Source:
    """Supervision without sharp frames: what there is, shrunk once more, as windows or as crops."""
    scale, cell = int(net.scale), max(1, int(net.cell))  # type: ignore[arg-type]
    shortest = max(min(c.shape[1:]) for c in material.clips)
    crop = min(wanted.crop, shortest // scale // (2 * cell) * 2 * cell)
    smaller = replace(wanted, crop=crop)
    stills = [*material.stills, *(c[len(c) // 2] for c in material.clips)]
    material = replace(material, stills=stills)
    if hasattr(net, "unroll"):
        return moving(smaller, scale, material, device, seed)
    return single(smaller, scale, cell, material, device, seed)


def either(net: nn.Module, batch: Any, squares: bool, *, hidden: Callable[..., Tensor], kind: Loss) -> Tensor:
    """The loss of a batch with hidden views, or with sharp frames."""
    return hidden(net, batch, squares) if isinstance(batch, heldout.Hidden) else supervised(net, batch, squares, kind)


def from_truth(
    wanted: Training,
    net: nn.Module,
    material: Material,
    device: torch.device,
    seed: int,
    kind: Kind,
    done: Callable[[], float],
) -> Lesson:
    """Sharp frames as labels."""
    scale, fuses, cell = int(net.scale), hasattr(net, "unroll"), max(1, int(net.cell))  # type: ignore[arg-type]
    source = (
        moving(wanted, scale, material, device, seed) if fuses else single(wanted, scale, cell, material, device, seed)
    )
    those = valid.trials(
        material, scale=scale, fuses=fuses, degradation=wanted.degradation, multiple=cell, device=device
    )
    if not those:
        raise InputError(f"what is held out for validation is too small for x{scale}; add larger clips or pictures")
    study = Lesson(
        source,
        partial(supervised, kind=kind, done=done),
        lambda it: valid.psnr_db(it, those),
        valid.psnr_db(Interpolate(scale=scale), those),
        "bicubic",
        those[0].views[..., :64, :64],
    )
    return summed(study, kind, those, wanted, device, done)


def summed(
    study: Lesson,
    kind: Kind,
    those: Sequence[valid.Trial],
    wanted: Training,
    device: torch.device,
    done: Callable[[], float],
) -> Lesson:
    """A lesson by a sum of terms: told what they come to, with those who judge as partner, and how pictures look in its log.

    those    what is held out
    A lesson by one of the loop's losses stays as it is.
    """
    if not isinstance(kind, Objective):
        return study
    kind, partner = adversary.met(kind, device, seed=wanted.seed, width=wanted.discriminator, done=done)
    told, tally = weighed(kind, those[0]), Tally()
    looks = Looks(kind.features, those) if kind.features else None
    return replace(
        study,
        loss=partial(supervised, kind=replace(kind, tally=tally), done=done),
        told=told,
        note=f"learned to look true, by {kind}, which costs dB: judge it by eye" if kind.for_looks else "",
        for_looks=kind.for_looks,
        partner=partner,
        also=lambda it: tally.figures() | ({"perceptual": looks(it)} if looks else {}),
    )


@torch.no_grad()
def weighed(kind: Objective, trial: valid.Trial) -> str:
    """What each term comes to where a net begins: of a bicubic enlargement, by the first held-out view."""
    view, sharp = trial.views[:, 0], trial.sharp[None, :1] / 255
    made = resample(view, (sharp.shape[-2], sharp.shape[-1]))
    parts = zip(kind.terms, kind.parts(made, sharp), strict=True)
    return f"--loss of the bicubic: {', '.join(f'{one} {float(part):.3g}' for one, part in parts)}"


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
