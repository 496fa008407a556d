"""EDSR: residual blocks without batch norm, sub-pixel (Lim et al., CVPRW 2017)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import Single, conv, exactly, reach_up, subpixel

DIV2K = (0.4488, 0.4371, 0.4040)  # mean red, green and blue of DIV2K, which the paper takes off


class Block(nn.Module):
    """x + part * conv(relu(conv(x)))."""

    def __init__(self, width: int, part: float) -> None:
        super().__init__()
        self.one, self.two, self.part = conv(width, width), conv(width, width), part

    def forward(self, x: Tensor) -> Tensor:
        return x + self.part * self.two(F.relu(self.one(x), inplace=True))


class Edsr(Single):
    """The baseline, 16 blocks of 64 channels; blocks=32, width=256, part=0.1 is the large one. channels=3 is the paper's.

    part    of a block's result that is added, the paper's residual scaling
    mean    taken off every channel and put back: by default of DIV2K for RGB, of a plane nothing
    """

    mean: Tensor

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        width: int = 64,
        blocks: int = 16,
        part: float = 1.0,
        mean: Sequence[float] | None = None,
    ) -> None:
        super().__init__(scale, channels)
        self.register_buffer("mean", mean_of(channels, mean), persistent=False)
        self.head = conv(channels, width)
        self.blocks = nn.Sequential(*(Block(width, part) for _ in range(blocks)))
        self.tail = conv(width, width)
        self.up = subpixel(width, self.scale)
        self.last = conv(width, channels)
        self.halo = 1 + 2 * blocks + 1 + reach_up(self.scale, 1)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        x = self.head(x - self.mean)
        return exactly(self.last, self.up(x + self.tail(self.blocks(x)))) + self.mean


def mean_of(channels: int, mean: Sequence[float] | None) -> Tensor:
    """The means (c, 1, 1) to take off: as given, or what the paper takes; ValueError where they are not one a channel."""
    if mean is None:
        mean = DIV2K if channels == 3 else (0.0,)
    if len(mean) != channels:
        raise ValueError(f"mean {list(mean)}: one number for each of {channels} channels is wanted")
    return torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1)
