"""How far pictures look from the truth to a net of features, where dB say only how far they are from it.

Maps are compared as LPIPS does (Zhang et al., CVPR 2018) without its learned weights: each place's channels as a direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from misr.train.features import Features
from misr.train.valid import Trial

SIDE = 128  # sharp pixels along a side of what is looked at: VGG19 is slow
LEAST = 1e-6  # of the length of a direction, so that a place without features has none


def perceptual(features: Features, made: Tensor, truth: Tensor) -> Tensor:
    """Squared distance of the directions that channels have, mean over places, over a batch (b, 1, h, w), and over layers.

    0 where they are alike, 2 at most; of each stage of the net its last layer.
    """
    stages = {name.partition("_")[0]: name for name in features.layers}
    layers = set(stages.values())
    ours, theirs = features(made, layers), features(truth, layers)
    apart = [(direction(ours[k]) - direction(theirs[k])).square().sum(1).mean() for k in sorted(layers)]
    return torch.stack(apart).mean()


def direction(maps: Tensor) -> Tensor:
    """Maps (b, c, h, w) whose channels have length 1 at every place that has any."""
    return maps / maps.norm(dim=1, keepdim=True).clamp(min=LEAST)


@dataclass(frozen=True, slots=True)
class Looks:
    """The middles of held-out windows, at their last view, and the features by which they are compared."""

    features: Features
    those: Sequence[Trial]

    @torch.no_grad()
    def __call__(self, net: nn.Module) -> float:
        """The perceptual distance of a net's pictures from the truth, mean over windows."""
        found = []
        for views, sharp in (middle(it) for it in self.those):
            t = views.shape[1]
            made = net(views, views.new_ones(1, t, 1, 1, 1), range(t - 1, t))[:, 0].float()
            found.append(float(perceptual(self.features, made.clamp(0, 1), sharp)))
        return sum(found) / len(found)


def middle(it: Trial) -> tuple[Tensor, Tensor]:
    """Views (1, t, 1, h, w) of the middle, and its last sharp frame (1, 1, s*h, s*w) in [0, 1]."""
    h, w = it.views.shape[-2:]
    scale = it.sharp.shape[-1] // w
    high, wide = (min(n, max(8, SIDE // scale // 8 * 8)) for n in (h, w))
    y, x = ((n - m) // 2 for n, m in ((h, high), (w, wide)))
    sharp = it.sharp[-1:, scale * y : scale * (y + high), scale * x : scale * (x + wide)]
    return it.views[..., y : y + high, x : x + wide], sharp[None] / 255
