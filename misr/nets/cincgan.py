"""CinCGAN's two parts in a row: one cleans a small picture, the other enlarges it (Yuan et al., CVPRW 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.single import Single, begin_at_zero, conv, exactly, whole

SLOPE = 0.2  # of leaky ReLUs below zero


class Block(nn.Module):
    """x + conv(leaky(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = conv(width, width), conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(F.leaky_relu(self.one(x), SLOPE))


class Cleaner(nn.Module):
    """From a picture to one of another kind: three convolutions, the first 7x7, `blocks` residual blocks, three, the last 7x7.

    So are G1 and G2 of the paper, of 64 channels and 6 blocks, by memory of it and by code that others wrote after it. This
    differs in two things: there is no batch norm, as in EDSR, and the last convolution begins at zero and is added to the
    picture, so that a cleaner begins as what changes nothing.
    """

    def __init__(self, *, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        if width < 1 or blocks < 0:
            raise ValueError(f"width {width}, blocks {blocks}: it takes a channel or more, and no fewer than no blocks")
        self.head = nn.ModuleList([conv(1, width, 7), conv(width, width), conv(width, width)])
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.tail = nn.ModuleList([conv(width, width), conv(width, width)])
        self.last = conv(width, 1, 7)
        begin_at_zero(self.last)
        self.halo = 3 + 2 + 2 * blocks + 2 + 3

    def forward(self, x: Tensor) -> Tensor:
        """Pictures of the size of base(x), float32, of pictures (n, 1, h, w)."""
        base = self.base(x)
        for layer in self.head:
            x = F.leaky_relu(layer(x), SLOPE)
        x = self.blocks(x)
        for layer in self.tail:
            x = F.leaky_relu(layer(x), SLOPE)
        return base + exactly(self.last, x)

    def base(self, x: Tensor) -> Tensor:
        """What is added to: the picture itself."""
        return x.float()


class Cincgan(Single):
    """back(front(x)): the front cleans, the back is any net of one view that enlarges clean luma.

    front    options of Cleaner: width, blocks
    back     its name in NETS, and back_options its own; ValueError for what cannot be a back
    """

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        front: Mapping[str, Any] | None = None,
        back: str = "fast",
        back_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(scale, channels)
        if channels != 1:
            raise ValueError("channels 3: front and back see a plane")
        self.front = Cleaner(**front or {})
        self.back = enlarger(back, self.scale, back_options or {})
        self.multiple = int(getattr(self.back, "multiple", 0) or getattr(self.back, "cell", 1) or 1)
        self.halo = self.front.halo + int(cast(Any, self.back.halo))

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, 1, s*h, s*w)."""
        return self.enlarged(self.front(x))

    def enlarged(self, x: Tensor) -> Tensor:
        """Clean pictures (n, 1, h, w) by the back alone: (n, 1, s*h, s*w)."""
        h, w = x.shape[-2:]
        x = whole(x, self.multiple)[:, None]
        out: Tensor = self.back(x, x.new_ones(len(x), 1, 1, 1, 1), range(1))[:, 0]
        return out[..., : self.scale * h, : self.scale * w]


def enlarger(name: str, scale: int, options: Mapping[str, Any]) -> nn.Module:
    """A net that can be the back; ValueError for one that fuses views, wants RGB, learns nothing or has a front already."""
    from misr.nets import NETS  # which has Cincgan in it

    if name not in (able := backs()):
        raise ValueError(f"back {name!r}: a net of one view is wanted; there is {', '.join(able)}")
    net = NETS[name](scale=scale, **options)
    if int(cast(Any, getattr(net, "channels", 1))) != 1:
        raise ValueError(f"back {name!r} has {net.channels} channels; one of a plane is wanted")
    return net


def backs() -> list[str]:
    """The names of nets that can be a back."""
    from misr.nets import NETS

    other = (Cincgan, NETS["sparse"])  # the latter learns without gradients
    return [n for n, net in NETS.items() if n == "fast" or (issubclass(net, Single) and not issubclass(net, other))]
