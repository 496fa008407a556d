"""Shift and pool: features of every view splatted onto the fine grid and pooled (HDR-DSP: Nguyen et al., CVPR 2022).

A view is parted into base (Gaussian) and detail. A net encodes the detail beside the view itself, whose brightness tells it how
noisy the detail is; the features are splatted along the motion, the mean, maximum and deviation over views are decoded to the
picture's detail, and the views' bases, brought to the fine grid, are its base. Kept from the paper: all of that, and its sizes.
Changed: exposures are undone before (`Stack.views` are in the reference's light), so a base's weight is the inverse variance of
its view, which is what exposure stood for. The grid is area-aligned. Masks count by the pixel, samples out of the picture are
dropped, one view is enough, and no number of views is built in.
"""

from collections.abc import Iterable, Iterator
from math import ceil

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.lattice import UNSEEN, Fused, Splat, Stack, filled, fine_places, places, registered
from misr.nets.motion import fetch

TAPS, BLUR = 11, 1.0  # the Gaussian between base and detail, LR pixels
QUIETEST = 1e-3  # noise below which views are equally good
TOGETHER = 4  # views encoded at once: many are no quicker, and the features of all would fill the memory
FLAT = 1e-6  # added to a variance, whose root has a slope then


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = conv(width, width), conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(F.relu(self.one(x)))


class ShiftAndPool(nn.Module):
    """A stack of registered views to a picture, whatever their number and order. Published: x2, and the numbers below.

    width            channels of a view's features
    before, after    residual blocks of the encoder, and of the decoder on the fine grid
    """

    bursts = True

    def __init__(self, *, scale: int = 2, width: int = 64, before: int = 4, after: int = 10) -> None:
        super().__init__()
        self.scale, self.width = scale, width
        self.encode = nn.Sequential(conv(2, width), *(Block(width) for _ in range(before)), conv(width, width))
        self.decode = nn.Sequential(conv(3 * width + 1, width), *(Block(width) for _ in range(after)), conv(width, 1))
        self.halo = TAPS // 2 + 2 + 2 * before + 1 + ceil((2 + 2 * after) / scale)

    def features(self, views: Tensor, known: Tensor, base: Tensor) -> Iterator[Tensor]:
        """What the encoder makes of one view after another, (b, width, h, w); of an unknown pixel it sees the base."""
        b, *_ = views.shape
        raw = torch.where(known, views, base)
        for some in torch.cat([raw - base, raw], 2).split(TOGETHER, 1):
            x = self.encode(rearrange(some, "b t c h w -> (b t) c h w"))
            yield from rearrange(x, "(b t) c h w -> t b c h w", b=b)

    def fuse(self, stack: Stack) -> Fused:
        """Picture, sigma and count. sigma is what the views' noise leaves in the base; the net knows nothing of its own error."""
        known = stack.valid > UNSEEN
        with torch.autocast(stack.views.device.type, enabled=False):
            stack = stack._replace(views=torch.where(known, stack.views.float(), 0), valid=stack.valid.float() * known)
            base = blurred(stack.views, stack.valid)
            ground, sigma, count = grounded(stack, base, self.scale)
        features = self.features(stack.views, known, base)
        pool = pooled(features, stack, width=self.width, scale=self.scale)
        return Fused(ground + self.decode(pool).float(), sigma, count)

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Pictures of the centres (b, n, 1, s*h, s*w), the same for each; registered views."""
        picture = self.fuse(registered(views, valid, centres)).picture
        return picture[:, None].expand(-1, len(centres), -1, -1, -1)


def conv(channels: int, width: int) -> nn.Conv2d:
    """3x3, the picture mirrored at its border."""
    return nn.Conv2d(channels, width, 3, padding=1, padding_mode="reflect")


def blurred(views: Tensor, valid: Tensor) -> Tensor:
    """Views (b, t, 1, h, w) without detail: the Gaussian mean of what is valid around, from farther away where nothing is."""
    b, *_ = views.shape
    at = torch.arange(TAPS, device=views.device) - TAPS // 2
    line = torch.exp(-at.square() / (2 * BLUR * BLUR))
    line = line / line.sum()

    def soft(x: Tensor) -> Tensor:
        x = F.conv2d(rearrange(x, "b t 1 h w -> (b t) 1 h w"), line[None, None, None], padding=(0, TAPS // 2))
        return F.conv2d(x, line[None, None, :, None], padding=(TAPS // 2, 0))

    total = soft(valid)
    mean = soft(views * valid) / total.clamp(min=UNSEEN)
    return rearrange(filled(mean, total), "(b t) 1 h w -> b t 1 h w", b=b)


def grounded(stack: Stack, base: Tensor, scale: int) -> tuple[Tensor, Tensor, Tensor]:
    """The base of the picture, what is left of the noise in it, and effective views, all (b, 1, s*h, s*w)."""
    b, t, _, h, w = base.shape
    precision = stack.valid / (stack.sigma.square() + QUIETEST**2)
    total = base.new_zeros(b, 1, scale * h, scale * w)
    summed, squares = torch.zeros_like(total), torch.zeros_like(total)
    for n in range(t):
        at, inside = fine_places(stack.motion[:, n], (h, w), scale)
        weight = fetch(precision[:, n], at, "bilinear") * inside
        total, squares = total + weight, squares + weight.square()
        summed = summed + weight * fetch(base[:, n], at, "bicubic")
    known = total > UNSEEN
    ground = filled(summed / total.clamp(min=UNSEEN), known.to(total.dtype))
    sigma = torch.where(known, total.clamp(min=UNSEEN).rsqrt(), stack.sigma.amax((1, 2, 3, 4))[:, None, None, None])
    return ground, sigma, torch.where(known, total.square() / squares.clamp(min=UNSEEN**2), 0)


def splat(x: Tensor, motion: Tensor, scale: int) -> Tensor:
    """Planes (b, c, h, w) of a view added onto the fine grid (b, c, s*h, s*w), bilinearly; what falls out of it is dropped."""
    b, c, h, w = x.shape
    at, seen = places(motion[:, None], (h, w))
    return Splat.apply(x * seen[:, 0], at, (b, c, scale * h, scale * w))


def pooled(features: Iterable[Tensor], stack: Stack, *, width: int, scale: int) -> Tensor:
    """Mean, maximum, deviation of the views' splatted features (b, width, h, w), logarithm of 1 + their weight.

    Fine, (b, 3 * width + 1, s*h, s*w), float32. The maximum is that of weighted features and of 0, so that a view which is not
    there takes no part.
    """
    b, t, _, h, w = stack.valid.shape
    total = stack.valid.new_zeros(b, 1, scale * h, scale * w)
    summed, squares, most = (total.expand(-1, width, -1, -1) for _ in range(3))
    for x, valid, motion in zip(features, stack.valid.unbind(1), stack.motion.unbind(1), strict=True):
        with torch.autocast(x.device.type, enabled=False):
            one, weight = splat(torch.cat([x.float() * valid, valid], 1), motion, scale).split([width, 1], 1)
            total, summed, most = total + weight, summed + one, torch.maximum(most, one)
            squares = squares + one.square() / weight.clamp(min=UNSEEN)
    mean, square = (x / total.clamp(min=UNSEEN) for x in (summed, squares))
    deviation = ((square - mean.square()).clamp(min=0) + FLAT).sqrt()
    return torch.cat([mean, most, deviation, total.log1p()], 1)
