"""How good a net is on windows no training sees: mean luma PSNR, and bicubic's on the same frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

from misr.metrics import luma_psnr_db
from misr.train.camera import Dice
from misr.train.data import Material
from misr.train.degrade import Plane
from misr.train.scenes import Degradation, Scenes, degraded

MOST_CLIPS, MOST_STILLS, MOST_SCENES, LONGEST = 6, 12, 4, 12
SIDE = 384  # sharp pixels along a side of a clip's middle, 512 of a still's
T = TypeVar("T")
WARM = 4  # views before the first that counts


@dataclass(frozen=True, slots=True)
class Trial:
    """A window: views (1, t, 1, h, w) in [0, 1], and the sharp frames (t, s*h, s*w) in code values."""

    views: Tensor
    sharp: Tensor


def trials(
    material: Material, *, scale: int, fuses: bool, degradation: Degradation, multiple: int, device: torch.device
) -> list[Trial]:
    """Windows of the held-out material, always the same: middles of clips, and stills, moving where the net fuses views."""
    dice, cell = Dice(7), scale * multiple * 2
    clips = spread(material.valid_clips, MOST_CLIPS)
    stacks = [middle(c[: LONGEST if fuses else 1], SIDE, cell) for c in clips]
    if not fuses:
        stacks += [middle(p[None], 512, cell) for p in spread(material.valid_stills, MOST_STILLS)]
    made = [trial(torch.from_numpy(s.copy()).to(device), scale, degradation, dice) for s in stacks if min(s.shape) > 0]
    if fuses and material.valid_stills:
        crop = max(2 * multiple, min(80, min(max(p.shape) for p in material.valid_stills) // (2 * cell) * 2 * multiple))
        batch = Scenes(
            material.valid_stills, scale=scale, crop=crop, degradation=degradation, device=device, seed=7
        ).batch(MOST_SCENES, LONGEST)
        made += [Trial(v[None], (255 * s[:, 0]).round()) for v, s in zip(batch.views, batch.sharp, strict=True)]
    return made


def trial(sharp: Tensor, scale: int, degradation: Degradation | float, dice: Dice) -> Trial:
    """Frames (t, h, w), uint8, and their views."""
    views = degraded(sharp, scale, degradation, dice).float() / 255
    return Trial(rearrange(views, "t h w -> 1 t 1 h w"), sharp.float())


def spread(those: Sequence[T], most: int) -> list[T]:
    """At most so many of them, evenly spread."""
    k = min(most, len(those))
    return [those[(2 * i + 1) * len(those) // (2 * k)] for i in range(k)]


def middle(stack: Plane, side: int, cell: int) -> Plane:
    """The middle (t, <= side, <= side) of a stack, its sides multiples of cell."""
    _, h, w = stack.shape
    high, wide = (min(side, n) // cell * cell for n in (h, w))
    return stack[:, (h - high) // 2 :, (w - wide) // 2 :][:, :high, :wide]


@torch.no_grad()
def psnr_db(net: nn.Module, those: Sequence[Trial]) -> float:
    """Mean over windows of the mean over their frames, the first ones of a long window aside."""
    found = []
    for it in those:
        t = it.views.shape[1]
        scale = it.sharp.shape[-1] // it.views.shape[-1]
        made = 255 * net(it.views, it.views.new_ones(1, t, 1, 1, 1), range(t))[0, :, 0].float()
        dbs = [luma_psnr_db(made[n].cpu(), it.sharp[n].cpu(), scale) for n in range(min(WARM, t - 1), t)]
        found.append(sum(dbs) / len(dbs))
    return sum(found) / len(found)
