"""Stacked hourglasses (Newell et al., ECCV 2016), made for super-resolution: each gives a picture, and reads the last one's.

The paper finds joints of people. Kept: the hourglass (pool, go down, come up by nearest neighbours, add what was kept at each
size), its bottleneck blocks, several in a row, every one judged by the truth. Changed: no batch norm (EDSR shows what it costs),
no shrinking before the first, 4 of 2 sizes with 64 channels in place of 8 of 4 with 256, and in place of heat maps a sub-pixel
detail that is added to the bicubic; the last picture's detail goes into the next one.
"""

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import BICUBIC, Single, begin_at_zero, bicubic, conv, whole


class Bottleneck(nn.Module):
    """x + 1x1, 3x3 and 1x1 convolutions at half the width, a ReLU before each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.layers = nn.ModuleList([conv(width, half, 1), conv(half, half), conv(half, width, 1)])

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(F.relu(y))
        return x + y


class Hourglass(nn.Module):
    """Down by 2 `depth` times and up again; what each size kept is added on the way up. Sides: multiples of 2^depth."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.kept, self.down, self.up = Bottleneck(width), Bottleneck(width), Bottleneck(width)
        self.inner = Hourglass(width, depth - 1) if depth > 1 else Bottleneck(width)
        self.reach: int = 2 * (2 + (self.inner.reach if isinstance(self.inner, Hourglass) else 1)) + 1

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as it was given."""
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        y: Tensor = self.kept(x)
        return y + F.interpolate(low, scale_factor=2)


class Stage(nn.Module):
    """An hourglass, and its detail as phases."""

    def __init__(self, width: int, depth: int, phases: int) -> None:
        super().__init__()
        self.glass = Hourglass(width, depth)
        self.after = nn.Sequential(Bottleneck(width), conv(width, width, 1), nn.ReLU(True))
        self.detail = conv(width, phases)
        begin_at_zero(self.detail)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, width, h, w) and detail (n, c*s*s, h, w)."""
        x = self.after(self.glass(x))
        return x, self.detail(x)


class StackedHourglass(Single):
    """`stacks` hourglasses that halve `depth` times, `width` channels."""

    def __init__(self, *, scale: int = 2, channels: int = 1, width: int = 64, stacks: int = 4, depth: int = 2) -> None:
        super().__init__(scale, channels)
        self.head = nn.Sequential(conv(channels, width), Bottleneck(width))
        phases = channels * self.scale**2
        stages = [Stage(width, depth, phases) for _ in range(stacks)]
        self.back = nn.ModuleList(conv(width + phases, width, 1) for _ in range(stacks - 1))
        self.stages, self.multiple = nn.ModuleList(stages), 2**depth
        self.halo = max(ceil(BICUBIC), 2 + stacks * (stages[0].glass.reach + 2))

    def levels(self, x: Tensor) -> list[Tensor]:
        """The picture of every hourglass, each (n, c, s*h, s*w); the last is picture(x)."""
        h, w = x.shape[-2:]
        base, made = bicubic(x, self.scale), []
        y = self.head(whole(x, self.multiple))
        for n, stage in enumerate(self.stages):
            wide, detail = stage(y)
            made.append(base + F.pixel_shuffle(detail[..., :h, :w].float(), self.scale))
            if n < len(self.back):
                y = y + self.back[n](torch.cat([wide, detail], 1))
        return made

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        return self.levels(x)[-1]
