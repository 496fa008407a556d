"""Registered views of one place, the fine grid they share, and the camera between them.

A view's pixel u shows the reference's place r = u - motion, on the fine grid q = s * r + (s - 1) / 2 (area-aligned). It is the
mean of the picture over the pixel's box, seen through optics whose point spread is a Gaussian: y(u) = sum over q of
K(q - q_u) x(q), K = box of s fine pixels * Gaussian. The least squares of that model are those of Irani & Peleg (CVGIP 1991)
and Hardie et al. (IEEE TIP 1997); its adjoint is what they call back-projection.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from misr.nets.motion import fetch, warp
from misr.nets.motion import places as on_grid

OPTICS = 0.27  # LR pixels: with the pixel's box an MTF of 0.44 at Nyquist, amid the 0.35 to 0.55 of real cameras
SHARPEST = 0.12  # LR pixels: a narrower Gaussian falls between the samples of the fine grid
USUAL = 0.01  # noise of a sample whose weight is 1
UNKNOWN = 0.3  # deviation of what no view saw: that of pictures themselves
UNSEEN = 1e-6  # weight below which a fine pixel counts as not seen


class Stack(NamedTuple):
    """Views of one plane, in the light of the first, which is the reference: its grid is the picture's.

    Its own motion is 0, but for a band that lies apart from the one the grid is of.

    views     (b, t, 1, h, w), about 0 to 1; anything finite where valid is 0
    valid     (b, t, 1, h, w), 0 to 1
    motion    (b, t, 2, h, w), or (b, t, 2, 1, 1) for shifts: LR pixels, dx and dy; the reference's p lies in view t at p + motion
    sigma     (b, t, 1, h | 1, w | 1), standard deviation of the noise, in the unit of views
    optics    (b,), sigma of the optics' Gaussian in LR pixels
    """

    views: Tensor
    valid: Tensor
    motion: Tensor
    sigma: Tensor
    optics: Tensor


class Fused(NamedTuple):
    """What became of a stack, all (b, 1, s*h, s*w): the picture, the standard deviation of its error, effective views."""

    picture: Tensor
    sigma: Tensor
    count: Tensor  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs here


def registered(views: Tensor, valid: Tensor, centres: range, *, sigma: float = USUAL) -> Stack:
    """The stack of a window (b, t, 1, h, w) whose views lie on one grid already, its centre put first."""
    b, t, _, h, w = views.shape
    order = [centres.start, *(n for n in range(t) if n != centres.start)]
    valid = valid[:, order].expand(b, t, 1, h, w).float()
    views = torch.where(valid > 0, views[:, order].float(), torch.zeros_like(valid))
    return Stack(views, valid, views.new_zeros(b, t, 2, 1, 1), views.new_full((b, t, 1, 1, 1), sigma),
                 views.new_full((b,), OPTICS))  # fmt: skip


def part(stack: Stack, views: Sequence[int]) -> Stack:
    """Some views of a stack, in this order."""
    those = list(views)
    return Stack(
        stack.views[:, those], stack.valid[:, those], stack.motion[:, those], stack.sigma[:, those], stack.optics
    )


def inverse(motion: Tensor) -> Tensor:
    """From where the reference's pixels lie in a view to where the view's lie in the reference: (n, 2, h, w) -> the same."""
    if motion.shape[-2:] == (1, 1):
        return -motion
    back = -motion
    for _ in range(4):
        back = -warp(motion, back)
    return back


class Camera:
    """What every view of a stack sees of a picture on the fine grid, and the way back.

    seen (b, t, 1, h, w) is 1 where a view's pixel lies on the picture, else 0. Shifts are seen exactly, by one small matrix
    for each view and axis; fields of motion by blurring first and sampling then, bicubically.
    """

    def __init__(self, stack: Stack, scale: int) -> None:
        self.scale, self.stack = scale, stack
        b, t, _, h, w = stack.views.shape
        self.shifts = stack.motion.shape[-2:] == (1, 1)
        if self.shifts:
            dx, dy = stack.motion[:, :, 0, 0, 0], stack.motion[:, :, 1, 0, 0]
            self.across, in_x = axis(w, -dx, scale, stack.optics)
            self.down, in_y = axis(h, -dy, scale, stack.optics)
            self.seen = (in_y[..., None] * in_x[..., None, :])[:, :, None]
        else:
            self.at, self.seen = places(stack.motion, (h, w))

    def see(self, picture: Tensor) -> Tensor:
        """What the views show of a picture (b, 1, s*h, s*w): (b, t, 1, h, w)."""
        if self.shifts:
            return (self.down @ picture @ self.across.mT)[:, :, None]
        soft = spread(picture, self.scale, self.stack.optics)
        return rearrange(fetch(soft, self.at, "bicubic"), "b 1 (t h) w -> b t 1 h w", t=self.stack.views.shape[1])

    def back(self, views: Tensor) -> Tensor:
        """The adjoint of see: (b, t, c, h, w) spread out on the fine grid and summed, (b, c, s*h, s*w).

        Of fields that of bilinear sampling: a sum of weights that is not all positive makes means of the edges of holes explode.
        """
        b, t, c, h, w = views.shape
        if self.shifts:
            rows = rearrange(views @ self.across[:, :, None], "b t c h q -> b (t h) (c q)")
            return rearrange(rearrange(self.down, "b t h q -> b q (t h)") @ rows, "b p (c q) -> b c p q", c=c)
        flat = rearrange(views, "b t c h w -> b c (t h) w").contiguous()
        return spread(Splat.apply(flat, self.at, (b, c, self.scale * h, self.scale * w)), self.scale, self.stack.optics)


def places(motion: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where the views' pixels lie on the reference, of size (h, w), as grid_sample counts, and 1 where that is on it.

    motion (b, t, 2, h | 1, w | 1) -> (b, t*h, w, 2), the same for the reference's grid and the fine one, and (b, t, 1, h, w).
    """
    b = motion.shape[0]
    at = on_grid(inverse(rearrange(motion, "b t d h w -> (b t) d h w")).expand(-1, -1, *size))
    on = (at.abs().amax(1, keepdim=True) <= 1).to(at.dtype)
    return rearrange(at, "(b t) d h w -> b (t h) w d", b=b), rearrange(on, "(b t) 1 h w -> b t 1 h w", b=b)


def fine_places(motion: Tensor, size: tuple[int, int], scale: int) -> tuple[Tensor, Tensor]:
    """Where the fine pixels lie in a view of size (h, w), as grid_sample counts, and 1 where that is in it.

    motion (n, 2, h | 1, w | 1) -> (n, s*h, s*w, 2) and (n, 1, s*h, s*w).
    """
    h, w = size
    if motion.shape[-2:] != (1, 1):
        motion = F.interpolate(motion, scale_factor=scale, mode="bilinear")
    x = (torch.arange(scale * w, device=motion.device) + 0.5) / scale + motion[:, 0]
    y = (torch.arange(scale * h, device=motion.device)[:, None] + 0.5) / scale + motion[:, 1]
    x, y = torch.broadcast_tensors(x * (2 / w) - 1, y * (2 / h) - 1)
    at = torch.stack([x, y], -1)
    return at, (at.abs().amax(-1) <= 1 + 1e-5).to(at.dtype)[:, None]


def axis(n: int, shift: Tensor, scale: int, optics: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (b, t, n, s*n), rows summing to 1, of n pixels shifted by (b, t) LR pixels; 1 (b, t, n) where on the picture."""
    at = shift[..., None] + torch.arange(n, device=shift.device)  # (b, t, n) in the reference's pixels
    inside = ((at > -0.5 - 1e-4) & (at < n - 0.5 + 1e-4)).to(at.dtype)
    q = scale * at + (scale - 1) / 2
    sigma = scale * optics.clamp(min=SHARPEST)[:, None, None, None]
    reach = ceil(scale / 2 + 3.5 * float(sigma.max()))
    index = q.floor().long()[..., None] + torch.arange(-reach, reach + 2, device=shift.device)
    a = (index - q[..., None]) / (sqrt(2) * sigma)
    half = scale / 2 / (sqrt(2) * sigma)
    weight = torch.erf(a + half) - torch.erf(a - half)
    weight = weight * ((index >= 0) & (index < scale * n))
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-6)
    out = at.new_zeros(*at.shape, scale * n)
    return out.scatter_add_(-1, index.clamp(0, scale * n - 1), weight), inside


def spread(picture: Tensor, scale: int, optics: Tensor) -> Tensor:
    """Pictures (b, c, H, W) under the pixel's box and the optics; its own adjoint but for the border."""
    b, c, *_ = picture.shape
    sigma = scale * optics.clamp(min=SHARPEST)[:, None]
    reach = ceil(scale / 2 + 3.5 * float(sigma.max()))
    a = torch.arange(-reach, reach + 1, device=picture.device) / (sqrt(2) * sigma)
    half = scale / 2 / (sqrt(2) * sigma)
    line = torch.erf(a + half) - torch.erf(a - half)
    line = line / line.sum(1, keepdim=True)
    x = F.pad(rearrange(picture, "b c h w -> c b h w"), (reach,) * 4, mode="replicate")
    x = F.conv2d(F.conv2d(x, line[:, None, None, :], groups=b), line[:, None, :, None], groups=b)
    return rearrange(x, "c b h w -> b c h w")


class Splat(torch.autograd.Function):
    """The adjoint of bilinear sampling at places (n, h, w, 2): samples (n, c, h, w) -> planes of a size (n, c, H, W).

    Every sample is shared out over the four pixels around its place.
    """

    @staticmethod
    def forward(ctx: Any, samples: Tensor, at: Tensor, size: tuple[int, ...]) -> Tensor:
        """The sums."""
        ctx.save_for_backward(at)
        back = torch.ops.aten.grid_sampler_2d_backward  # 0: bilinear, 1: border
        return back(samples.contiguous(), samples.new_zeros(size), at, 0, 1, False, [True, False])[0]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        """Sampling is the adjoint's adjoint."""
        (at,) = ctx.saved_tensors
        return fetch(slope, at, "bilinear"), None, None


def trust(stack: Stack, seen: Tensor, floor: float = 0.0) -> Tensor:
    """Weights (b, t, 1, h, w): the inverse variance of each sample, 1 at USUAL noise, 0 where there is no sample.

    They depend on a sample alone, so that tiles agree. floor is a deviation that is added to every sample's.
    """
    return stack.valid * seen * (USUAL**2 / (stack.sigma.square() + floor**2))


def filled(picture: Tensor, weight: Tensor) -> Tensor:
    """A picture (b, 1, h, w) whose unseen pixels take the mean of what lies around, from ever farther away (push and pull)."""
    known = (weight > UNSEEN).to(picture.dtype)
    if bool(known.all()):
        return picture
    h, w = picture.shape[-2:]
    if h <= 2 or w <= 2:
        return (picture * known).sum((-2, -1), keepdim=True) / known.sum((-2, -1), keepdim=True).clamp(
            min=1
        ) + 0 * picture
    total = F.avg_pool2d(known, 2, ceil_mode=True)
    mean = F.avg_pool2d(picture * known, 2, ceil_mode=True) / total.clamp(min=1e-6)
    around = F.interpolate(filled(mean, total), scale_factor=2, mode="bilinear")[
        ..., :h, :w
    ]  # the same in every window
    return torch.where(known > 0, picture, around)


def pooled(stack: Stack, camera: Camera, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and add with the camera's own spread: the picture (b, 1, s*h, s*w), holes filled, and the weight it has."""
    total, summed = camera.back(torch.cat([weight, weight * stack.views], 2)).split(1, 1)
    picture = summed / total.clamp(min=UNSEEN)
    return filled(picture, total), total
