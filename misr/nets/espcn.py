"""ESPCN: convolutions on the small grid, and the sub-pixel shuffle (Shi et al., CVPR 2016)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import Layer, Single, chain, exactly

ACTIVATIONS: dict[str, Layer] = {"tanh": torch.tanh, "relu": F.relu}
SQUASHES: dict[str, Layer] = {"": nn.Identity(), "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class Espcn(Single):
    """5-3-3 with 64 and 32 channels and tanh, as published.

    activation    tanh or relu between layers
    squash        tanh or sigmoid on the picture itself, "" for neither. OpenCV's weights: relu, tanh; others: tanh, sigmoid
    """

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        kernels: Sequence[int] = (5, 3, 3),
        widths: Sequence[int] = (64, 32),
        activation: Literal["tanh", "relu"] = "tanh",
        squash: Literal["", "tanh", "sigmoid"] = "",
    ) -> None:
        super().__init__(scale, channels)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation {activation!r}: {' or '.join(ACTIVATIONS)}")
        if squash not in SQUASHES:
            raise ValueError(f"squash {squash!r}: {', '.join(map(repr, SQUASHES))}")
        self.activation, self.squash = activation, squash
        self.layers = nn.ModuleList(chain(kernels, widths, (channels, channels * self.scale**2)))
        self.halo = sum(k // 2 for k in kernels)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        *inner, last = self.layers
        for layer in inner:
            x = ACTIVATIONS[self.activation](layer(x))
        x = F.pixel_shuffle(exactly(last, x), self.scale)
        return SQUASHES[self.squash](x)
