"""Bursts whose truth is known: stills seen through the nets' own camera from many sub-pixel places, as satellites see.

Every batch has one number of views and one size; its bursts differ in optics, noise, light, clouds and quantisation. What a
net is told is what registration would tell it: motion with an error, noise within a fifth, optics known or taken as usual.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.lattice import OPTICS, Camera, Stack
from misr.train.camera import Dice
from misr.train.degrade import Plane
from misr.train.loop import distance
from misr.train.scenes import FLAT, TRIES

MARGIN = 6  # LR pixels around a crop that its views see beyond it
SAMPLES = 80  # views a batch, about
MOST = 16  # views of the longest burst
USUAL = 9  # and of a third of all
SURPRISE = 0.01  # weight of the deviation's likelihood; nothing but its own head learns from it


@dataclass(frozen=True, slots=True)
class Conditions:
    """What bursts are like; each a range from which every burst, or view, draws.

    optics     sigma of the Gaussian in LR pixels: with the pixel's box an MTF at Nyquist of 0.58 to 0.28
    noise      standard deviation, white = 1
    off        standard deviation of the error of motion, LR pixels
    far        LR pixels that views are apart, at most
    plain      nothing but shifts and white noise: what is measured with
    """

    optics: tuple[float, float] = (0.14, 0.41)
    noise: tuple[float, float] = (7e-4, 0.04)
    off: tuple[float, float] = (2e-3, 0.05)
    far: float = 1.2
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A stack (b, t, 1, n, n) and the sharp picture (b, 1, s*n, s*n) it shows."""

    stack: Stack
    truth: Tensor


class Bursts:
    """Endless batches of synthetic bursts, crop x crop LR pixels, x scale, from stills (uint8 luma, 16-235)."""

    def __init__(
        self,
        stills: Sequence[Plane],
        *,
        scale: int,
        crop: int,
        device: torch.device,
        seed: int,
        views: int = 0,
        longest: int = MOST,
        samples: int = SAMPLES,
        conditions: Conditions | None = None,
    ) -> None:
        self.scale, self.crop, self.device, self.views, self.samples = scale, crop, device, views, samples
        self.longest = longest
        side = self.side = scale * (crop + 2 * MARGIN)
        self.stills = [torch.from_numpy(p) for p in stills if min(p.shape) >= side]
        self.ends = np.cumsum([math.sqrt(p.numel()) for p in self.stills])
        self.conditions = conditions or Conditions()
        self.dice = Dice(seed)

    def draw(self) -> Known:
        """The next batch."""
        usual = self.dice.chance(1 / 3)
        t = self.views or (min(USUAL, self.longest) if usual else 1 + self.dice.below(self.longest))
        b = max(3, min(12, self.samples // t))
        truth = torch.stack([self.still() for _ in range(b)])[:, None]
        return made(truth, t, self.scale, self.conditions, self.dice)

    def still(self) -> Tensor:
        """A piece (side, side) of some still, with detail, somehow lit, 0 to 1."""
        for _ in range(TRIES):
            plane = self.stills[int(np.searchsorted(self.ends, self.dice.uniform(0, float(self.ends[-1]) - 1e-6)))]
            y, x = (self.dice.below(n - self.side + 1) for n in plane.shape)
            piece = plane[y : y + self.side, x : x + self.side]
            if piece[::2, ::2].float().std() >= FLAT:
                break
        piece = ((piece.to(self.device).float() - 16) / 219).clamp(0, 1)
        axes = [a for a in (0, 1) if self.dice.chance(0.5)]
        piece = piece.flip(axes) if axes else piece
        piece = piece.T.contiguous() if self.dice.chance(0.5) else piece
        if self.conditions.plain or self.dice.chance(0.4):
            return piece
        contrast = self.dice.uniform(0.3, 1.2)
        return contrast * (piece - piece.mean()) + self.dice.uniform(0.2, 0.7)

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next batch."""
        return self.dice.source.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from where state() was taken."""
        self.dice.source.set_state(state.cpu())


def made(truth: Tensor, t: int, scale: int, how: Conditions, dice: Dice) -> Known:
    """Bursts of t views of pictures (b, 1, H, W), whose outer MARGIN * scale pixels only the views see."""
    b, device = truth.shape[0], truth.device
    h, w = (n // scale for n in truth.shape[-2:])
    motion = how.far * uniform(dice, -1, 1, b, t, 2, 1, 1).to(device)
    motion[:, 0] = 0
    optics = uniform(dice, *how.optics, b).to(device)
    blank = truth.new_zeros(b, t, 1, h, w)
    clean = Camera(Stack(blank, blank, motion, blank, optics), scale).see(truth)
    level = between(dice, how.noise, b, 1, 1, 1, 1).to(device)
    sigma = level.expand(b, t, 1, 1, 1)
    if how.plain:
        views, valid = clean + sigma * dice.normal(*clean.shape).to(device), torch.ones_like(clean)
    else:
        sigma = sigma * torch.exp(0.25 * dice.normal(b, t, 1, 1, 1)).to(device)
        views, valid, sigma = worn(clean, sigma, dice)
        sigma = sigma * uniform(dice, 0.8, 1.2, b, t, 1, 1, 1).to(device)
    off = between(dice, how.off, b, 1, 1, 1, 1)
    told = motion + (off * dice.normal(b, t, 2, 1, 1)).to(device)
    told[:, 0] = 0
    usual = (uniform(dice, 0, 1, b) < (1.0 if how.plain else 0.5)).to(device)
    inner = (..., slice(MARGIN, h - MARGIN), slice(MARGIN, w - MARGIN))
    m = MARGIN * scale
    stack = Stack(views[inner].contiguous(), valid[inner].contiguous(), told, sigma, torch.where(usual, OPTICS, optics))
    return Known(stack, truth[..., m:-m, m:-m].contiguous())


def worn(clean: Tensor, sigma: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, light that registration left over, clouds, masks and quantisation on views (b, t, 1, h, w).

    Gives the views, which samples are valid, and the noise (b, t, 1, 1, 1).
    """
    b, t, _, h, w = clean.shape
    light = 1 + 0.01 * dice.normal(b, t, 1, 1, 1), 0.003 * dice.normal(b, t, 1, 1, 1)
    light[0][:, 0], light[1][:, 0] = 1, 0
    views = light[0].to(clean) * clean + light[1].to(clean)
    shot = uniform(dice, 0, 1, b, 1, 1, 1, 1).to(clean)  # share of the noise that grows with the signal
    each = sigma * (1 - shot + shot * 2 * views.clamp(0, 1)).sqrt()
    views = views + each * dice.normal(*views.shape).to(clean)
    valid = torch.ones_like(views)
    if t > 1 and dice.chance(0.3):  # clouds that a mask tells, with anything beneath
        cloud = blobs(dice, b * t, h, w).to(clean).reshape(views.shape)
        valid = 1 - cloud
        views = torch.where(cloud > 0, 0.5 + dice.normal(b, t, 1, 1, 1).to(clean), views)
    if t > 3 and dice.chance(0.25):  # and some that none tells, in one view
        cloud = blobs(dice, b, h, w).to(clean).reshape(b, 1, h, w)
        number = 1 + dice.below(t - 1)
        brighter = views[:, number] + cloud * uniform(dice, -0.3, 0.6, b, 1, 1, 1).to(clean)
        views = torch.cat([views[:, :number], brighter[:, None], views[:, number + 1 :]], 1)
    steps = 2 ** (8 + 2 * dice.below(5)) - 1
    return (views * steps).round() / steps, valid, (sigma.square() + 1 / 12 / steps**2).sqrt()


def blobs(dice: Dice, n: int, h: int, w: int) -> Tensor:
    """Soft-edged shapes that cover a part of each of n planes (n, h, w), 0 or 1."""
    coarse = dice.normal(n, 1, max(2, h // 12), max(2, w // 12))
    fine = F.interpolate(coarse, (h, w), mode="bicubic")
    return (fine[:, 0] > uniform(dice, 0.3, 2.0, n, 1, 1)).float()


def uniform(dice: Dice, low: float, high: float, *shape: int) -> Tensor:
    """Numbers between low and high, of a shape."""
    return low + (high - low) * torch.rand(shape, generator=dice.source)


def between(dice: Dice, ends: tuple[float, float], *shape: int) -> Tensor:
    """Positive numbers between two, as many in every octave."""
    return torch.exp(uniform(dice, math.log(ends[0]), math.log(ends[1]), *shape))


def supervised(net: nn.Module, batch: Known, squares: bool) -> Tensor:
    """How far the pictures after each step are from the truth, the last ones most, and the surprise at the error's size."""
    if not hasattr(net, "pictures"):
        return missed(net.fuse(batch.stack).picture, batch.truth, squares)  # type: ignore[operator]
    found, doubt, _ = net.pictures(batch.stack)  # type: ignore[operator]
    shares = [0.5 ** (len(found) - 1 - n) for n in range(len(found))]
    total = sum(s * missed(p, batch.truth, squares) for s, p in zip(shares, found, strict=True))
    off = (found[-1].detach() - batch.truth).square()
    surprise = (
        off * (-2 * doubt).exp() / 2 + doubt - math.log(1e-4)
    ).mean()  # so long as no error is below 1e-4, positive
    return total + SURPRISE * surprise


def missed(picture: Tensor, truth: Tensor, squares: bool) -> Tensor:
    """How far pictures (b, 1, h, w) are off, each beside its own usual error: clean bursts count as much as noisy ones.

    The mean of their logarithms is what a mean of decibels is.
    """
    off = picture.float() - truth
    usual = off.detach().square().mean((1, 2, 3), keepdim=True).sqrt() + 2e-3
    return distance(off / usual / 32, torch.zeros_like(off), squares=squares)


def psnr_db(fuse: Callable[[Stack], Tensor], trials: Sequence[Known], border: int = 4) -> float:
    """Mean PSNR of fused pictures over bursts, `border` fine pixels left out at each side."""
    each = []
    for it in trials:
        with torch.inference_mode():
            off = (fuse(it.stack).clamp(0, 1) - it.truth)[..., border:-border, border:-border].double()
        each += (-10 * rearrange(off, "b 1 h w -> b (h w)").square().mean(1).log10()).tolist()
    return sum(each) / len(each)


def trials(
    stills: Sequence[Plane],
    *,
    scale: int,
    crop: int,
    count: int,
    views: int = USUAL,
    device: torch.device | None = None,
    usual: bool = True,
    seed: int = 7,
) -> list[Known]:
    """Fixed bursts to measure with: 40 dB below white, MTF 0.35 to 0.55, motion known to 0.01 px; not `usual`: of any kind."""
    how = Conditions(optics=(0.172, 0.348), noise=(0.01, 0.01), off=(0.01, 0.01), far=0.5, plain=True)
    it = Bursts(
        stills,
        scale=scale,
        crop=crop,
        device=device or torch.device("cpu"),
        seed=seed,
        views=views if usual else 0,
        samples=views,
        conditions=how if usual else None,
    )
    return [it.draw() for _ in range(count)]
