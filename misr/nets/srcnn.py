"""SRCNN: three convolutions on the bicubic enlargement (Dong et al., ECCV 2014 and TPAMI 2016)."""

from collections.abc import Sequence
from math import ceil

import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import BICUBIC, Single, bicubic, chain, exactly


class Srcnn(Single):
    """9-1-5 with 64 and 32 channels as first published; kernels=[9, 5, 5] is the better one of 2016.

    The papers draw their weights with a deviation of 0.001 and train for days; here they begin as is usual today.
    """

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        kernels: Sequence[int] = (9, 1, 5),
        widths: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__(scale, channels)
        self.layers = nn.ModuleList(chain(kernels, widths, (channels, channels)))
        self.halo = ceil(sum(k // 2 for k in kernels) / scale + BICUBIC)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        x = bicubic(x, self.scale)
        *inner, last = self.layers
        for layer in inner:
            x = F.relu(layer(x), inplace=True)
        return exactly(last, x)
