"""What is learned from a burst without a sharp picture: its hidden views, itself shrunk once more, its stills under a camera.

Shrunk once more, the burst keeps its own motion, noise and masks, and any of its views may be the truth: the others and that
view itself are seen through the camera once more, and the net is to give the view back as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from misr.adapting.lesson import Study
from misr.adapting.settings import Adapting
from misr.errors import InputError
from misr.nets.lattice import Camera, Stack, inverse, part
from misr.nets.motion import warp
from misr.train import burst_lessons, bursts, revisits
from misr.train.burst_lessons import either
from misr.train.fit import Training
from misr.train.revisits import Place, Revisits
from misr.train.sources import Mixture

HELD = 0.6  # share of batches whose labels are hidden views
FILMED = 0.5  # of the others, share that are the burst itself, shrunk; the rest are its stills under a virtual camera
LEAST = 8  # LR pixels of a side that can be learned from
SURE = 0.999  # share of a shrunk pixel that must be valid


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What the net is shown, s times as coarse, and the view (b, 1, h, w) that its first one was made of, where it is known."""

    shown: Stack
    truth: Tensor
    known: Tensor

    def missed(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The detail of the view that a picture lacks, and how far each pixel is to be believed, (b, 1, h, w) both."""
        return revisits.detail(picture, self.truth, self.known)


def rebased(stack: Stack, order: Sequence[int]) -> Stack:
    """Some views of a stack on the grid of the first of them.

    Its pixel u shows the reference's u + back, which lies in view t at u + back + motion there.
    """
    chosen = part(stack, order)
    if order[0] == 0:
        return chosen
    b, t, _, h, w = chosen.motion.shape
    back = repeat(inverse(chosen.motion[:, 0]), "b d h w -> (b t) d h w", t=t)
    theirs = rearrange(chosen.motion, "b t d h w -> (b t) d h w")
    moved = rearrange(back + (theirs if (h, w) == (1, 1) else warp(theirs, back)), "(b t) d h w -> b t d h w", t=t)
    moved[:, 0] = 0
    return chosen._replace(motion=moved)


def shrunk(stack: Stack, scale: int) -> Shrunk:
    """A stack whose sides are multiples of the scale, seen through its own camera once more; its first view is the truth."""
    b, t, _, h, w = stack.views.shape
    coarse = stack.views.new_zeros(b * t, 1, 1, h // scale, w // scale)
    camera = Camera(
        Stack(coarse, coarse, coarse.new_zeros(b * t, 1, 2, 1, 1), coarse, repeat(stack.optics, "b -> (b t)", t=t)),
        scale,
    )
    weight = camera.see(rearrange(stack.valid, "b t c h w -> (b t) c h w"))
    seen = camera.see(rearrange(stack.views * stack.valid, "b t c h w -> (b t) c h w"))
    valid = (weight > SURE).to(weight)
    views = torch.where(valid > 0, seen / weight.clamp(min=SURE), torch.full_like(seen, 0.5))
    views, valid = (rearrange(x, "(b t) 1 c h w -> b t c h w", t=t) for x in (views, valid))
    shown = Stack(views, valid, coarser(stack.motion, scale) / scale, coarser(stack.sigma, scale) / scale, stack.optics)
    return Shrunk(shown, stack.views[:, 0], stack.valid[:, 0])


def coarser(field: Tensor, scale: int) -> Tensor:
    """A field (b, t, c, h, w) on a grid `scale` times as coarse; a constant (.., 1, 1) as it is."""
    if field.shape[-2:] == (1, 1):
        return field
    b = field.shape[0]
    return rearrange(F.avg_pool2d(rearrange(field, "b t c h w -> (b t) c h w"), scale), "(b t) c h w -> b t c h w", b=b)


class Shrinking:
    """Endless batches of windows of places, shrunk, crop x crop pixels then; any view that may be learned from is the truth."""

    def __init__(
        self,
        places: Sequence[Place],
        *,
        scale: int,
        crop: int,
        samples: int,
        longest: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self.scale, self.longest = scale, longest
        self.views = Revisits(places, crop=scale * crop, samples=samples, longest=longest, device=device, seed=seed)

    def draw(self) -> Shrunk:
        """The next batch: one place, the same views for all its windows."""
        dice, places = self.views.dice, self.views.places
        place = places[dice.below(len(places))]
        order = torch.randperm(len(place.learned), generator=dice.source).tolist()
        shown = [place.learned[n] for n in order[: 1 + dice.below(min(len(order), self.longest))]]
        b = max(1, min(8, self.views.samples // len(shown)))
        windows = [self.views.window(place.stack) for _ in range(b)]
        stack = Stack(*(torch.cat(parts).to(self.views.device) for parts in zip(*windows, strict=True)))
        return shrunk(rebased(stack, shown), self.scale)

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next batch."""
        return self.views.state()

    def restore(self, state: Tensor) -> None:
        """Go on from where state() was taken."""
        self.views.restore(state)


def study(
    net: nn.Module,
    places: Sequence[Place],
    how: Adapting,
    wanted: Training,
    device: torch.device,
    *,
    held: float = HELD,
) -> Study:
    """Where batches come from; stills only where they are large enough for a camera to move on them.

    InputError for views too small to learn from.
    """
    scale = int(net.scale)  # type: ignore[arg-type]
    short = max(min(p.stack.views.shape[-2:]) for p in places)
    crop, small = min(how.crop, short // 2 * 2), min(how.crop, short // scale // 2 * 2)
    if small < LEAST:
        raise InputError(
            f"its views are {short} pixels along the short side, too few to shrink x{scale} and learn from"
        )
    samples, seed = how.frames or bursts.SAMPLES, how.seed + 1
    hiding = Revisits(places, crop=crop, samples=samples, longest=bursts.MOST, device=device, seed=seed)
    other: Any = Shrinking(
        places, scale=scale, crop=small, samples=samples, longest=bursts.MOST, device=device, seed=seed + 1
    )
    told = f"hidden views ({100 * held:.0f} %)"
    stills = revisits.stills(places)
    if burst_lessons.room(stills, scale) >= LEAST:
        other = Mixture(other, burst_lessons.again(wanted, scale, stills, device, seed + 2), 1 - FILMED)
        told += ", the burst shrunk once more, and its stills under a virtual camera"
    else:
        told += " and the burst shrunk once more"
    return Study(Mixture(hiding, other, 1 - held), either, told)
