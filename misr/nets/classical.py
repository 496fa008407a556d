"""Fusing without learning: the best single view, the mean of all, shift and add, and the most probable picture.

Mean: Irani & Peleg (CVGIP 1991), weighed by inverse variance. Shift and add: Elad & Hel-Or (IEEE TIP 2001), with the normalised
convolution of Knutsson & Westin (CVPR 1993) between samples. Map: least squares through the camera with a smoothed total
variation prior and robust residuals (Hardie et al., IEEE TIP 1997; Farsiu et al., IEEE TIP 2004).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.lattice import (
    UNKNOWN,
    UNSEEN,
    USUAL,
    Camera,
    Fused,
    Splat,
    Stack,
    filled,
    fine_places,
    part,
    places,
    pooled,
    registered,
    trust,
)
from misr.nets.motion import blurred, fetch
from misr.resample import resample

HALO = 8  # LR pixels; interpolation and small blurs


class Classical(nn.Module):
    """What the methods share: `fuse` is theirs, and views that lie on one grid already are a stack without motion."""

    bursts = True
    cell = 0
    halo = HALO
    lost = 0.0  # deviation of the detail that a method cannot bring back, in slopes of the picture, for each scale beyond 1

    def __init__(self, *, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale

    def fuse(self, stack: Stack) -> Fused:
        """Picture, deviation and effective views, each (b, 1, s*h, s*w)."""
        raise NotImplementedError

    def doubt(self, picture: Tensor, noise: Tensor, count: Tensor) -> Tensor:
        """The deviation of a picture's error: noise, and detail that is not there; where no view saw, that of any picture.

        How much detail is lost (`lost`) was measured once for each method, on training photographs at 40 dB, so that 1.96
        deviations cover 95 % of the errors there. At other scenes, optics and noise it is a rough guess.
        """
        dx, dy = (
            F.pad(picture[..., 1:] - picture[..., :-1], (0, 1)),
            F.pad(picture[..., 1:, :] - picture[..., :-1, :], (0, 0, 0, 1)),
        )
        slope = blurred(dx.square() + dy.square(), 1.0).clamp(min=0)
        return torch.where(
            count > UNSEEN, (noise.square() + (self.lost * (self.scale - 1)) ** 2 * slope).sqrt(), UNKNOWN
        )

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """The picture of the one centre (b, 1, 1, s*h, s*w) of views (b, t, 1, h, w)."""
        return self.fuse(registered(views, valid, centres)).picture[:, None]


class Best(Classical):
    """The reference alone, bicubic: what several views have to beat. Where it has nothing, the mean of the others stands in."""

    lost = 1.35

    def fuse(self, stack: Stack) -> Fused:
        """Picture, deviation (the view's noise) and effective views (1 or 0)."""
        if bool(stack.motion[:, 0].any()):  # a band that lies apart
            return Mean(scale=self.scale).fuse(part(stack, [0]))
        valid = stack.valid[:, 0]
        view = filled(stack.views[:, 0], valid)
        h, w = (self.scale * n for n in view.shape[-2:])
        count = resample(valid, (h, w), kernel="nearest")
        noise = resample(stack.sigma[:, 0].expand_as(view).contiguous(), (h, w), kernel="nearest")
        picture = resample(view, (h, w))
        made = Fused(picture, self.doubt(picture, noise, count), count)
        if bool((valid > 0).all()) or stack.views.shape[1] == 1:
            return made
        others = Mean(scale=self.scale).fuse(stack)
        return Fused(*(torch.where(count > 0, ours, theirs) for ours, theirs in zip(made, others, strict=True)))


class Mean(Classical):
    """All views, each interpolated to the fine grid along its motion, weighed by inverse variance: less noise, no more detail."""

    lost = 1.42

    def fuse(self, stack: Stack) -> Fused:
        """Picture, standard error of the mean, and effective views."""
        b, t, _, h, w = stack.views.shape
        weight = trust(stack, torch.ones_like(stack.valid))
        views = filled(
            rearrange(stack.views, "b t 1 h w -> (b t) 1 h w"), rearrange(stack.valid, "b t 1 h w -> (b t) 1 h w")
        )
        at, inside = fine_places(rearrange(stack.motion, "b t d h w -> (b t) d h w"), (h, w), self.scale)
        there = fetch(rearrange(weight, "b t 1 h w -> (b t) 1 h w"), at, "bilinear") * inside
        there = there * (fetch(rearrange(stack.valid, "b t 1 h w -> (b t) 1 h w"), at, "bilinear") > 0.99)
        made, there = (rearrange(x, "(b t) 1 h w -> b t h w", b=b) for x in (fetch(views, at, "bicubic"), there))
        total = there.sum(1, keepdim=True)
        picture = filled((there * made).sum(1, keepdim=True) / total.clamp(min=UNSEEN), total)
        scatter = (there * (made - picture).square()).sum(1, keepdim=True) / total.clamp(min=UNSEEN)
        count = (there > UNSEEN).sum(1, keepdim=True).to(total.dtype)
        return Fused(picture, self.doubt(picture, error(scatter, count, total), count), count)


class ShiftAndAdd(Classical):
    """Every sample where it belongs on the fine grid, shared out over four pixels, and normalised convolution between them.

    reach    sigma of the convolution's Gaussian, in fine pixels
    """

    lost = 1.2

    def __init__(self, *, scale: int = 2, reach: float = 0.5) -> None:
        super().__init__(scale=scale)
        self.reach = reach

    def fuse(self, stack: Stack) -> Fused:
        """Picture, standard error, and effective views."""
        b, t, _, h, w = stack.views.shape
        at, seen = places(stack.motion, (h, w))
        weight = trust(stack, seen)
        planes = torch.stack([weight, weight * stack.views, weight * stack.views.square(), stack.valid * seen], 2)
        flat = rearrange(planes, "b t k 1 h w -> b k (t h) w")
        sums = Splat.apply(flat, at, (b, 4, self.scale * h, self.scale * w))
        sums = rearrange(blurred(rearrange(sums, "b k h w -> (b k) 1 h w"), self.reach), "(b k) 1 h w -> b k h w", b=b)
        total, first, second, count = sums.split(1, 1)
        mean = first / total.clamp(min=UNSEEN)
        scatter = (second / total.clamp(min=UNSEEN) - mean.square()).clamp(min=0)
        count = count * self.scale**2
        picture = filled(mean, total)
        return Fused(picture, self.doubt(picture, error(scatter, count, total * self.scale**2), count), count)


class Map(Classical):
    """The most probable picture: what the camera makes of it agrees with the views, and edges are few.

    steps      of a preconditioned accelerated descent
    grain      mean gradient of pictures, white = 1: the smaller, the smoother the result
    edge       gradient below which the prior is quadratic
    """

    halo = 16
    lost = 0.36

    def __init__(self, *, scale: int = 2, steps: int = 80, grain: float = 0.03, edge: float = 0.01) -> None:
        super().__init__(scale=scale)
        self.steps, self.prior, self.edge = steps, USUAL**2 / grain, edge

    def fuse(self, stack: Stack) -> Fused:
        """Picture, deviation by the curvature at the solution, and effective views."""
        camera = Camera(stack, self.scale)
        picture, curved = self.solved(stack, camera, trust(stack, camera.seen))
        count = camera.back(stack.valid * camera.seen) * self.scale**2
        return Fused(picture, self.doubt(picture, USUAL * (curved + UNSEEN).rsqrt(), count), count)

    def solved(self, stack: Stack, camera: Camera, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The picture (b, 1, s*h, s*w) after all steps, and the curvature there, from shift and add on (Nesterov 1983)."""
        x, total = pooled(stack, camera, weight)
        ahead, pace, curved = x, 1.0, total
        for _ in range(self.steps):
            off = camera.see(ahead) - stack.views
            slope = camera.back(weight * self.robust(off, stack.sigma) * off)
            rough, bend = self.variation(ahead)
            curved = total + self.prior * bend
            new = ahead - (slope + self.prior * rough) / (curved + UNSEEN)
            faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
            ahead, x, pace = new + (pace - 1) / faster * (new - x), new, faster
        return x, curved

    @staticmethod
    def robust(off: Tensor, sigma: Tensor) -> Tensor:
        """Weights of residuals (b, t, 1, h, w): 1 within the noise, falling beyond three of its deviations (Cauchy)."""
        return 1 / (1 + off.square() / (9 * sigma.square() + 0.02**2))

    def variation(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the total variation of pictures (b, 1, h, w), and a bound of its curvature."""
        dx, dy = F.pad(x[..., 1:] - x[..., :-1], (0, 1)), F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
        edge = (dx.square() + dy.square() + self.edge**2).rsqrt()
        dx, dy = edge * dx, edge * dy
        rough = F.pad(dx, (1, 0))[..., :-1] - dx + F.pad(dy, (0, 0, 1, 0))[..., :-1, :] - dy
        bend = 2 * (2 * edge + F.pad(edge, (1, 0))[..., :-1] + F.pad(edge, (0, 0, 1, 0))[..., :-1, :])
        return rough, bend


def error(scatter: Tensor, count: Tensor, total: Tensor) -> Tensor:
    """Standard error of a weighted mean: by the scatter of its samples, and never below what noise alone makes."""
    return torch.maximum(USUAL * (total + UNSEEN).rsqrt(), (scatter / (count - 1).clamp(min=0.5)).sqrt())
