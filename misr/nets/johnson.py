"""The perceptual-loss network: residual blocks, then resize and convolve (Johnson et al., ECCV 2016; Odena et al., 2016).

The paper goes up by convolutions of stride 1/2; nearest neighbours and a convolution do the same work without their
checkerboard. The loss that gave it its name is a matter of training.
"""

from math import ceil

import torch
from torch import Tensor, nn

from misr.nets.single import Single, conv, exactly, steps


def normed(wide: int, to: int, kernel: int = 3) -> list[nn.Module]:
    """A convolution and its batch norm."""
    return [conv(wide, to, kernel), nn.BatchNorm2d(to)]


class Block(nn.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*normed(width, width), nn.ReLU(True), *normed(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Johnson(Single):
    """4 blocks of 64 channels and 9x9 ends as published, where channels=3; (tanh + 1) / 2 makes the picture."""

    def __init__(self, *, scale: int = 4, channels: int = 1, width: int = 64, blocks: int = 4) -> None:
        super().__init__(scale, channels, (2, 3, 4, 8))
        self.head = nn.Sequential(*normed(channels, width, 9), nn.ReLU(True))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.up = nn.Sequential()
        reach = 4
        for factor in steps(self.scale):
            self.up.extend([nn.Upsample(scale_factor=factor), *normed(width, width), nn.ReLU(True)])
        for factor in reversed(steps(self.scale)):
            reach = ceil((reach + 1) / factor)
        self.last = conv(width, channels, 9)
        self.halo = 4 + 2 * blocks + reach

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w), between 0 and 1."""
        return (torch.tanh(exactly(self.last, self.up(self.blocks(self.head(x))))) + 1) / 2
