"""Fast: one view, one plane, real time on a CPU: 3x3 convolutions with ReLU, a learned detail on top of the bicubic.

Sub-pixel convolution after ESPCN (Shi et al., CVPR 2016). Cells of 2x2 LR pixels as input (`cell` = 2) are a quarter of
the work, but at x2 and width 16 they lost 1 dB on held-out photographs after 6,000 steps.
Branches that collapse after training (RepVGG, ECBSR) were tried and removed: see misr.train.soap for what helps more.
"""

from itertools import pairwise

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import phases


class Fast(nn.Module):
    """`depth` layers of `width` channels (multiples of 16), ReLU between, on cells of `cell` x `cell` LR pixels."""

    def __init__(self, *, scale: int = 2, width: int = 16, depth: int = 6, cell: int = 1) -> None:
        super().__init__()
        self.scale, self.cell = scale, cell
        sizes = [cell**2, *[width] * (depth - 1), (cell * scale) ** 2]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(sizes))
        self.halo = (depth + 1) * cell

    def detail(self, x: Tensor) -> Tensor:
        """What the net adds, (n, (cell*s)^2, h/cell, w/cell), to planes (n, 1, h, w)."""
        x = F.pixel_unshuffle(x, self.cell)
        *inner, last = self.layers
        for layer in inner:
            x = F.relu(layer(x), inplace=True)
        return last(x)

    def base(self, x: Tensor) -> Tensor:
        """The bicubic enlargement of planes (n, 1, h, w), laid out as `detail`; float32, as 8 bits show bf16."""
        return phases(x.float(), self.scale, cell=self.cell)

    def phases(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Sharp centres before the shuffle, float32 (b, n, (cell*s)^2, h/cell, w/cell); h, w multiples of the cell."""
        x = rearrange(views[:, centres.start : centres.stop], "b n 1 h w -> (b n) 1 h w")
        return rearrange(self.base(x).add_(self.detail(x)), "(b n) p h w -> b n p h w", b=views.shape[0])

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Sharp centres (b, n, 1, s*h, s*w); h and w multiples of the cell."""
        cells = rearrange(self.phases(views, valid, centres), "b n p h w -> (b n) p h w")
        return rearrange(F.pixel_shuffle(cells, self.cell * self.scale), "(b n) 1 h w -> b n 1 h w", b=views.shape[0])
