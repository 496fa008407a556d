"""Learning motion alone: pairs of views whose motion is known exactly, for a camera moved between them.

Learned so on one core in 12 minutes, Motion has a median error of 0.057 px on held-out photographs at 480x270, where
OpenCV's DIS MEDIUM has 0.076.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.motion import Motion
from misr.train import camera
from misr.train.camera import Dice, blob, render
from misr.train.degrade import Plane
from misr.train.loop import Recipe, Run, train
from misr.train.scenes import Degradation, Scenes, codes, degraded

LAYER = 0.4  # share of pairs with something in front that moves apart
FAST = (0.09, 0.5, 1.4, 3.5)  # LR pixels: the spreads of shifts
SOFT = 1e-4  # square pixels below which an error no longer counts in full
EARLIER = 0.3  # what fields before the last weigh


@dataclass(frozen=True, slots=True)
class Pair:
    """here, there (n, 1, h, w) in [0, 1]; here(p) is found at there(p + flow(p)), flow (n, 2, h, w) in pixels."""

    here: Tensor
    there: Tensor
    flow: Tensor


class Pairs:
    """Endless pairs of views of `crop` x `crop` LR pixels, `many` a batch. Same seed, same pairs.

    stills: uint8 (h, w), luma 16-235
    """

    def __init__(
        self,
        stills: Sequence[Plane],
        *,
        scale: int = 4,
        crop: int = 96,
        many: int = 8,
        degradation: Degradation = "bi",
        layers: float = LAYER,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.scenes = Scenes(stills, scale=scale, crop=crop, degradation=degradation, device=device, seed=seed)
        self.many, self.layers = many, layers

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next pair."""
        return self.scenes.state()

    def restore(self, state: Tensor) -> None:
        """Go on where state() was asked."""
        self.scenes.restore(state)

    def draw(self) -> Pair:
        """The next batch."""
        pairs = [self.pair() for _ in range(self.many)]
        return Pair(*(torch.cat(side) for side in zip(*pairs, strict=True)))

    def pair(self) -> tuple[Tensor, Tensor, Tensor]:
        """One pair: here, there, flow, each (1, c, h, w)."""
        scenes, scale, m = self.scenes, self.scenes.scale, self.scenes.margin
        frames, flow_hr = self.seen()
        views = degraded(codes(frames), scale, scenes.degradation, scenes.dice).float() / 255
        here, there = rearrange(views, "t h w -> t 1 1 h w")[..., m // scale : -m // scale, m // scale : -m // scale]
        return here, there, F.avg_pool2d(flow_hr[None, :, m:-m, m:-m], scale) / scale

    def seen(self) -> tuple[Tensor, Tensor]:
        """Two sharp frames (2, side, side), code values, and the flow (2, side, side) from the first to the second."""
        scenes = self.scenes
        ground, poses = scenes.placed(way(scenes.dice, scenes.scale))
        frames, flow = render([ground], poses, scenes.side)[:, 0], between(poses, scenes.side).to(ground)
        if not scenes.dice.chance(self.layers):
            return frames, flow
        front, poses = scenes.placed(way(scenes.dice, scenes.scale))
        mask = blob(scenes.dice, front, scenes.side * scenes.dice.uniform(0.15, 0.6))
        over = render([front, mask], poses, scenes.side)
        share = over[:, 1].clamp(0, 1)
        flow = torch.where(share[0] > 0.5, between(poses, scenes.side).to(flow), flow)
        return frames.lerp(over[:, 0], share), flow


def way(dice: Dice, scale: int) -> camera.Path:
    """Two poses, some way apart: shifted, turned, zoomed and tilted."""
    at = torch.tensor([-0.5, 0.5])
    shift = scale * FAST[dice.below(len(FAST))] * dice.normal(2)
    angle = dice.uniform(-0.3, 0.3) + dice.below(4) * math.pi / 2
    log_step = math.log(dice.uniform(0.75, 1.1)) + 0.008 * float(dice.normal()) * at
    tilt = 2e-5 / scale * dice.normal(2)
    return camera.Path(
        at[:, None] * shift, angle + 0.006 * float(dice.normal()) * at, log_step.exp(), at[:, None] * tilt
    )


def between(poses: Tensor, side: int) -> Tensor:
    """Where pixels of the first pose's frame are in the second's, less where they are: (2, side, side), right and down."""
    x = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    first, second = poses.double()
    points = torch.stack([x.expand(side, side), x[:, None].expand(side, side), torch.ones(side, side)])
    seen = torch.einsum("ij,jyx->iyx", second.inverse() @ first, points)
    return (seen[:2] / seen[2:] - points[:2]).float()


def missed(net: nn.Module, pair: Pair, squares: bool = False) -> Tensor:
    """Mean distances in full-resolution pixels between all fields and the true one, the last counting most."""
    total = pair.flow.new_zeros(())
    fields = net.fields(pair.here, pair.there)  # type: ignore[operator]
    for n, field in enumerate(fields):
        ratio = pair.flow.shape[-1] // field.shape[-1]
        off = field.float() - F.avg_pool2d(pair.flow, ratio) / ratio
        error = ratio * (off.square().sum(1) + SOFT).sqrt().mean()
        total = total + error * (1 if n == len(fields) - 1 else EARLIER)
    return total


@torch.no_grad()
def error_px(net: nn.Module, pairs: Sequence[Pair]) -> tuple[float, float]:
    """Median and mean distance between a net's flow and the true one, in pixels."""
    off = torch.cat([(net(it.here, it.there) - it.flow).norm(dim=1).flatten() for it in pairs])
    return float(off.median()), float(off.mean())


def learn(
    stills: Sequence[Plane],
    held_out: Sequence[Plane],
    folder: Path,
    recipe: Recipe,
    *,
    options: dict[str, int] | None = None,
    scale: int = 4,
    crop: int = 96,
    many: int = 8,
    every: int = 250,
    device: str | torch.device = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> Motion:
    """Motion learned from scratch, or from where `folder` has it: first with one step a level, then with all of them.

    recipe    of both parts together; the first gets three sevenths
    """
    valid = Pairs(held_out, scale=scale, crop=crop, many=many, device=device, seed=recipe.seed + 1000)
    judged = [valid.draw() for _ in range(4)]

    def close(net: nn.Module) -> float:
        median, mean = error_px(net, judged)
        say(f"motion: median error {median:.3f} px, mean {mean:.3f} px")
        return -20 * math.log10(max(median, 1e-6))  # dB below a pixel

    torch.manual_seed(recipe.seed)
    net = Motion(**(options or {})).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for repeats, share in ((1, 3 / 7), (net.repeats, 4 / 7)):
        net.repeats = repeats
        part = replace(recipe, steps=round(recipe.steps * share), minutes=recipe.minutes * share, bf16=False)
        run = Run(part, net, folder / f"repeats-{repeats}", device=device)
        source = Pairs(stills, scale=scale, crop=crop, many=many, device=device, seed=recipe.seed + repeats)
        net.load_state_dict(train(run, source, missed, close, every=every).state_dict())
    return net
