"""DBPN: up and down again, each time corrected by what the way back shows to be missing (Haris et al., CVPR 2018)."""

import torch
from torch import Tensor, nn

from misr.nets.single import Single, conv, exactly


class Turn(nn.Module):
    """A projection unit: there, back, and the error of that there once more; `up`, from LR to HR, or down."""

    def __init__(self, width: int, scale: int, up: bool) -> None:
        super().__init__()

        def way(to_hr: bool) -> nn.Sequential:
            kind = nn.ConvTranspose2d if to_hr else nn.Conv2d
            return nn.Sequential(kind(width, width, scale + 4, scale, padding=2), nn.PReLU())

        self.there, self.back, self.again = way(up), way(not up), way(up)

    def forward(self, x: Tensor) -> Tensor:
        y = self.there(x)
        z: Tensor = self.again(self.back(y) - x)
        return y + z


class Dbpn(Single):
    """D-DBPN as published: 7 stages of 64 channels, 256 features first, every unit fed by all before it.

    channels=3 is the paper's. stages=2, features=128, width=32, dense=False is DBPN-S. The kernels, 6, 7, 8 and 12 for x2, x3, x4
    and x8, lie evenly about the grid.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        channels: int = 1,
        features: int = 256,
        width: int = 64,
        stages: int = 7,
        dense: bool = True,
    ) -> None:
        super().__init__(scale, channels, (2, 3, 4, 8))
        self.head = nn.Sequential(conv(channels, features), nn.PReLU(), nn.Conv2d(features, width, 1), nn.PReLU())
        self.ups = nn.ModuleList(Turn(width, self.scale, True) for _ in range(stages))
        self.downs = nn.ModuleList(Turn(width, self.scale, False) for _ in range(stages - 1))
        counts = range(1, stages)
        self.narrow_up = nn.ModuleList(narrow(n * width, width, dense) for n in counts)
        self.narrow_down = nn.ModuleList(narrow(n * width, width, dense) for n in counts)
        self.last = conv(stages * width, channels)
        self.halo = 1 + 3 * (2 * stages - 1) + 1

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        low: list[Tensor] = []
        high: list[Tensor] = [self.ups[0](self.head(x))]
        for up, down, to_high, to_low in zip(self.ups[1:], self.downs, self.narrow_up, self.narrow_down, strict=True):
            low.append(down(fed(high, to_low)))
            high.append(up(fed(low, to_high)))
        return exactly(self.last, torch.cat(high, 1))


def narrow(wide: int, width: int, dense: bool) -> nn.Module:
    """All maps before to the width of one; where there is one, or only the last one counts, as it is."""
    return nn.Sequential(nn.Conv2d(wide, width, 1), nn.PReLU()) if dense and wide > width else nn.Identity()


def fed(maps: list[Tensor], narrowed: nn.Module) -> Tensor:
    """What a unit sees of the maps before it."""
    if isinstance(narrowed, nn.Identity):
        return maps[-1]
    x: Tensor = narrowed(torch.cat(maps, 1))
    return x
