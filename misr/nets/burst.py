"""A burst fused by a ConvGRU that looks, step by step, at what the views still miss in its picture.

It begins near the most probable picture, after a few steps of least squares with a total variation prior. Each step renders
what every view would see of the picture so far, spreads the differences back onto the fine grid (back-projection: Irani &
Peleg, CVGIP 1991) and pools them over views: weighted mean, spread and count, as HDR-DSP pools its features (Nguyen et al.,
2022). A convolutional GRU (Ballas et al., ICLR 2016) over the steps turns this into a correction: least squares through the
camera, unrolled, with a learned prior (Adler & Oktem, 2017). Views are weighed by their noise and by how well they agree, and
their order cannot matter.
"""

from math import log

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.classical import Map
from misr.nets.gru import Block
from misr.nets.lattice import UNKNOWN, UNSEEN, USUAL, Camera, Fused, Stack, filled, registered, trust
from misr.nets.motion import blurred

STRENGTH = 16.0  # brings detail of some hundredths to the size that convolutions like
QUIETEST = 2e-3  # noise below which views count as equally good
SOFT = 2.0  # LR pixels: sigma of the blur that tells detail from the rest
CONFIDENCE = 5  # pixels of the square over which a view's agreement is judged


class Burst(nn.Module):
    """A stack of registered views -> picture, the deviation of its error, effective views.

    width, blocks    channels of the state, residual blocks of the candidate
    steps            how often the views are looked at
    first            steps of the classical descent before, in which nothing is learned
    """

    bursts = True
    cell = 1
    calibration: Tensor

    def __init__(self, *, scale: int = 2, width: int = 32, blocks: int = 2, steps: int = 4, first: int = 12) -> None:
        super().__init__()
        self.scale, self.width, self.steps = scale, width, steps
        self.begin = Map(scale=scale, steps=first)
        fine = scale * scale
        self.encode = nn.Conv2d(5 * fine, width, 3, padding=1)
        self.fresh, self.keep, self.candidate = (nn.Conv2d(2 * width, width, 3, padding=1) for _ in range(3))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.decode = nn.Conv2d(width, fine, 3, padding=1)
        last = nn.Conv2d(width, fine, 3, padding=1)
        self.doubt = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), last)
        self.tolerance = nn.Parameter(torch.full((1,), -3.0))  # log of the disagreement at which a view counts half
        self.register_buffer("calibration", torch.ones(()))  # what the predicted deviation is multiplied by
        for parameter in (*self.decode.parameters(), *last.parameters()):
            nn.init.zeros_(parameter)

    @property
    def halo(self) -> int:
        """LR pixels a tile carries: what lies farther changes a trained net's picture by 3e-6 at most (measured at x2 and x3)."""
        return 16

    def pictures(self, stack: Stack) -> tuple[list[Tensor], Tensor, Tensor]:
        """The picture after each step (b, 1, s*h, s*w), the logarithm of its error's deviation, and effective views."""
        with torch.autocast(stack.views.device.type, enabled=False):
            camera = Camera(stack, self.scale)
            weight = trust(stack, camera.seen, QUIETEST)
            with torch.no_grad():
                picture, _ = self.begin.solved(stack, camera, weight)
        found, state = [], None
        for _ in range(self.steps):
            with torch.autocast(stack.views.device.type, enabled=False):
                seen, count = self.missed(stack, camera, weight, picture)
            state = self.update(seen, state)
            picture = picture + F.pixel_shuffle(self.decode(state).float(), self.scale) / STRENGTH
            found.append(picture)
        assert state is not None
        doubt = self.doubt(state.detach()).float() + log(USUAL)
        return found, F.pixel_shuffle(doubt, self.scale), count

    def missed(self, stack: Stack, camera: Camera, weight: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """What the views miss in a picture, on the LR lattice (b, 5 * s*s, h, w), and effective views on the fine grid."""
        off = stack.views - camera.see(picture)
        agreed = self.agreement(off.detach(), weight, stack.sigma)
        weight = weight * agreed
        planes = torch.cat([stack.valid * camera.seen * agreed, weight, weight * off, weight * off.square()], 2)
        count, total, first, second = camera.back(planes).split(1, 1)
        total = total + UNSEEN
        mean = first / total
        scatter = second / total - mean.square()
        coarse = blurred(F.avg_pool2d(picture, self.scale), SOFT)
        detail = picture - F.interpolate(coarse, scale_factor=self.scale, mode="bilinear")
        spread = (scatter.clamp(min=0) + 1e-8).sqrt()
        seen = [STRENGTH * mean, STRENGTH * detail, STRENGTH * spread, total.log() / 4, (count + 0.02).log() / 2]
        return F.pixel_unshuffle(torch.cat(seen, 1), self.scale), count

    def agreement(self, off: Tensor, weight: Tensor, sigma: Tensor) -> Tensor:
        """From 0 to 1, (b, t, 1, h, w): how far each view is to be believed, by what it misses around each pixel."""
        b = off.shape[0]
        both = rearrange(torch.stack([weight * off, weight], 2), "b t k 1 h w -> (b t k) 1 h w")
        line, reach = off.new_ones(1, 1, 1, CONFIDENCE), CONFIDENCE // 2
        sums = F.conv2d(F.conv2d(both, line, padding=(0, reach)), line.mT, padding=(reach, 0)) / CONFIDENCE**2
        total, there = rearrange(sums, "(n k) 1 h w -> k n 1 h w", k=2)
        mean = rearrange(total / (there + UNSEEN), "(b t) 1 h w -> b t 1 h w", b=b)
        allowed = (2 * self.tolerance).exp() + sigma.square()
        return 1 / (1 + (mean.square() / allowed).square())

    def update(self, seen: Tensor, state: Tensor | None) -> Tensor:
        """The new state (b, width, h, w)."""
        x = F.relu(self.encode(seen.contiguous(memory_format=torch.channels_last)))
        both = torch.cat([torch.zeros_like(x) if state is None else state, x], 1)
        candidate = F.relu(self.candidate(both)) + (0 if state is None else self.keep(both).sigmoid() * state)
        old = torch.zeros_like(x) if state is None else state
        return torch.lerp(old, self.blocks(candidate), self.fresh(both).sigmoid())

    def fuse(self, stack: Stack) -> Fused:
        """The picture, the deviation of its error and effective views, each (b, 1, s*h, s*w)."""
        made, doubt, count = self.pictures(stack)
        sigma = torch.where(count > UNSEEN, doubt.exp() * self.calibration, UNKNOWN)
        return Fused(
            filled(made[-1], count), sigma, count * self.scale**2
        )  # unseen pixels: their surroundings, no invention

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """The picture of the one centre (b, 1, 1, s*h, s*w) of views (b, t, 1, h, w) that lie on one grid."""
        return self.fuse(registered(views, valid, centres)).picture[:, None]
