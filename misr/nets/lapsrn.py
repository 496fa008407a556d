"""LapSRN: a Laplacian pyramid, twice as large at each level, every level a picture (Lai et al., CVPR 2017; TPAMI 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import Single, begin_at_zero, conv, exactly

SLOPE = 0.2  # of the leaky ReLU below zero
TENT = torch.tensor([0.25, 0.75, 0.75, 0.25])  # bilinear enlargement by 2, on the area-aligned grid


def twice(wide: int, to: int, *, bias: bool) -> nn.ConvTranspose2d:
    """A deconvolution 4x4 by 2, even about every pixel."""
    return nn.ConvTranspose2d(wide, to, 4, 2, padding=1, bias=bias)


class Features(nn.Module):
    """`depth` convolutions, then twice as large; a leaky ReLU after each."""

    def __init__(self, width: int, depth: int, bias: bool) -> None:
        super().__init__()
        layers = [conv(width, width, bias=bias) for _ in range(depth)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, SLOPE)
        self.layers, self.up = nn.ModuleList(layers), twice(width, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.layers, self.up):
            x = F.leaky_relu(layer(x), SLOPE, inplace=True)
        return x


class Lapsrn(Single):
    """`depth` = 10 layers of 64 channels a level, as published. Scales 2, 4 and 8: 1, 2 and 3 levels.

    shared    one set of weights for all levels, as in 2019
    bias      False for published weights that have none
    The deconvolution of the picture begins as the bilinear enlargement, as published; the detail at zero.
    Meant for `--loss charbonnier`, which the levels share.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 1,
        width: int = 64,
        depth: int = 10,
        shared: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(scale, channels, (2, 4, 8))
        self.count = self.scale.bit_length() - 1
        own = 1 if shared else self.count
        self.head = conv(channels, width, bias=bias)
        self.features = nn.ModuleList(Features(width, depth, bias) for _ in range(own))
        enlarge = [twice(channels, channels, bias=bias) for _ in range(own)]
        detail = [conv(width, channels, bias=bias) for _ in range(own)]
        for layer in detail:
            begin_at_zero(layer)
        with torch.no_grad():
            for up in enlarge:
                begin_at_zero(up)
                up.weight[range(channels), range(channels)] = torch.outer(TENT, TENT)
        self.enlarge, self.detail = nn.ModuleList(enlarge), nn.ModuleList(detail)
        reach = 1
        for _ in range(self.count):
            reach = reach // 2 + 1 + depth  # from pixels of a level to those of the level below
        self.halo = 1 + reach

    def levels(self, x: Tensor) -> list[Tensor]:
        """Pictures twice, four times ... as large as (n, c, h, w); the last is picture(x)."""
        made: list[Tensor] = []
        wide = F.leaky_relu(self.head(x), SLOPE, inplace=True)
        for n in range(self.count):
            n %= len(self.features)
            wide = self.features[n](wide)
            x = exactly(self.enlarge[n], x) + self.detail[n](wide)
            made.append(x)
        return made

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        return self.levels(x)[-1]
