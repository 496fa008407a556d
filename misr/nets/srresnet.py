"""SRResNet, the generator of SRGAN: residual blocks with batch norm and PReLU, sub-pixel (Ledig et al., CVPR 2017)."""

from typing import Literal

import torch
from torch import Tensor, nn

from misr.nets.single import Single, conv, exactly, reach_up, subpixel


class Block(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        norm = nn.BatchNorm2d
        self.layers = nn.Sequential(conv(width, width), norm(width), nn.PReLU(), conv(width, width), norm(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Srresnet(Single):
    """16 blocks of 64 channels as published; channels=3 is the paper's.

    tail, squash    "prelu" after the trunk's last convolution, and (tanh + 1) / 2 on the picture: so are well-known SRGAN
                    weights with 5 blocks
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 1,
        width: int = 64,
        blocks: int = 16,
        tail: Literal["norm", "prelu"] = "norm",
        squash: bool = False,
    ) -> None:
        super().__init__(scale, channels, (2, 3, 4, 8))
        if tail not in ("norm", "prelu"):
            raise ValueError(f"tail {tail!r}: norm or prelu")
        self.squash = squash
        self.head = nn.Sequential(conv(channels, width, 9), nn.PReLU())
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.tail = nn.Sequential(conv(width, width), nn.BatchNorm2d(width) if tail == "norm" else nn.PReLU())
        self.up = subpixel(width, self.scale, nn.PReLU)
        self.last = conv(width, channels, 9)
        self.halo = 4 + 2 * blocks + 1 + reach_up(self.scale, 4)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        x = self.head(x)
        x = exactly(self.last, self.up(x + self.tail(self.blocks(x))))
        return (torch.tanh(x) + 1) / 2 if self.squash else x
