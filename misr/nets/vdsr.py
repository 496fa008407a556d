"""VDSR: twenty convolutions that add to the bicubic enlargement (Kim et al., CVPR 2016)."""

from math import ceil

import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import BICUBIC, Single, begin_at_zero, bicubic, chain


class Vdsr(Single):
    """`depth` layers of `width` channels, ReLU between; bias=False for published weights that have none.

    Weights begin as in He et al. 2015, as published, but the last at zero, so that the net begins as the bicubic.
    """

    def __init__(
        self, *, scale: int = 2, channels: int = 1, width: int = 64, depth: int = 20, bias: bool = True
    ) -> None:
        super().__init__(scale, channels)
        layers = chain((3,) * depth, (width,) * (depth - 1), (channels, channels), bias=bias)
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        begin_at_zero(layers[-1])
        self.layers = nn.ModuleList(layers)
        self.halo = ceil(depth / scale + BICUBIC)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        base = x = bicubic(x, self.scale)
        *inner, last = self.layers
        for layer in inner:
            x = F.relu(layer(x), inplace=True)
        return base + last(x)
