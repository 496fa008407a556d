"""ProSR: densely connected levels, twice as large at each, learned one after the other (Wang et al., CVPRW 2018)."""

from collections.abc import Sequence
from math import ceil
from typing import cast

import torch
from torch import Tensor, nn

from misr.nets.single import BICUBIC, Single, begin_at_zero, bicubic, subpixel

BLENDED = ((0.12, 0.25), (0.45, 0.6))  # between which shares of the run the second and the third level are blended in


def conv(wide: int, to: int) -> nn.Conv2d:
    """A convolution 3x3 that repeats the edge."""
    return nn.Conv2d(wide, to, 3, padding=1, padding_mode="replicate")


class Dense(nn.Module):
    """x beside what a 1x1 and a 3x3 convolution make of it (DenseNet's bottleneck, without batch norm)."""

    def __init__(self, wide: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(wide, 4 * growth, 1), nn.ReLU(True), conv(4 * growth, growth))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


class Level(nn.Module):
    """Blocks of dense layers, compressed between, then the sub-pixel step up; `wide` channels come in, `width` go out."""

    def __init__(self, wide: int, blocks: Sequence[int], growth: int, squeeze: float, first: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if not first:
            layers.append(nn.Conv2d(wide, wide // 2, 1, bias=False))
            wide //= 2
        for n, count in enumerate(blocks):
            layers += [Dense(wide + i * growth, growth) for i in range(count)]
            wide += count * growth
            if n + 1 < len(blocks):
                layers.append(nn.Conv2d(wide, int(squeeze * wide), 1, bias=False))
                wide = int(squeeze * wide)
        self.layers = nn.Sequential(*layers, conv(wide, wide))
        self.up = subpixel(wide, 2, nn.ReLU)
        self.width, self.reach = wide, sum(blocks) + 2  # of convolutions 3x3, before the step up

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.up(self.layers(x)))


class Prosr(Single):
    """ProSR_s: 24 channels, growth 12, blocks of 6 dense layers: 4 at the first level, 2, and 1. Scales 2, 4 and 8.

    blocks     the dense layers of every block, by level
    squeeze    of its channels, what a block hands on
    The published net begins with a convolution for each scale, because it learns all of them at once; here there is one.
    Every level adds to the bicubic, and begins at zero.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 1,
        width: int = 24,
        growth: int = 12,
        blocks: Sequence[Sequence[int]] = ((6, 6, 6, 6), (6, 6), (6,)),
        squeeze: float = 0.4,
    ) -> None:
        super().__init__(scale, channels, (2, 4, 8))
        count = self.scale.bit_length() - 1
        if len(blocks) < count:
            raise ValueError(f"blocks has {len(blocks)} levels; x{self.scale} takes {count}")
        self.head = conv(channels, width)
        parts: list[Level] = []
        for n in range(count):
            parts.append(Level(parts[-1].width if parts else width, blocks[n], growth, squeeze, n == 0))
        last = [conv(part.width, channels) for part in parts]
        for layer in last:
            begin_at_zero(layer)
        self.parts, self.detail = nn.ModuleList(parts), nn.ModuleList(last)
        reach = 1
        for part in reversed(parts):
            reach = ceil(reach / 2) + part.reach
        self.halo = max(ceil(BICUBIC), 1 + reach)

    def grown(self, done: float) -> float:
        """How many levels learn when so much of the run (0 to 1) is behind; between whole numbers the next is blended in."""
        parts = ((done - begin) / (end - begin) for begin, end in BLENDED[: len(self.parts) - 1])
        return 1 + sum(min(1.0, max(0.0, part)) for part in parts)

    def levels(self, x: Tensor, grown: float | None = None) -> list[Tensor]:
        """Pictures twice, four times ... as large as (n, c, h, w), of as many levels as have `grown` (all by default).

        Of one that has grown in part, its detail is blended with that of the level below, enlarged.
        """
        grown = len(self.parts) if grown is None else grown
        made: list[Tensor] = []
        wide = self.head(x)
        below: Tensor | None = None
        for n, (part, last) in enumerate(zip(self.parts[: ceil(grown)], self.detail, strict=False)):
            wide = part(wide)
            detail = last(wide).float()
            if below is not None and grown < n + 1:
                detail = torch.lerp(
                    nn.functional.interpolate(below, scale_factor=2, mode="bilinear"), detail, grown - n
                )
            below = detail
            made.append(bicubic(x, 2 ** (n + 1)) + detail)
        return made

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        wide = self.head(x)
        for part in self.parts:
            wide = part(wide)
        return bicubic(x, self.scale) + self.detail[-1](wide)
