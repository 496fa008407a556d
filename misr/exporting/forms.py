"""What leaves misr: nets wrapped so that tensors alone go in and come out, any height and width.

A picture model takes pictures (n, c, h, w). A window model is one step over the views of a window, which a file runs from the
first view to the last. R'G'B' goes through nets of one plane as in `misr upscale`: the sharp luma, and bicubic colour around it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.card import ModelCard
from misr.color import KR_KB
from misr.errors import ModelError
from misr.nets import Gru, Interpolate
from misr.nets.gru import Memory

BT709 = 1  # H.273


class Picture(nn.Module):
    """Pictures (n, c, h, w) in [0, 1] -> (n, c, s*h, s*w) of a net that looks at one view; padding is inside."""

    def __init__(self, net: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.net, self.scale, self.multiple = net, int(card.scale), card.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Sharp pictures."""
        n, _, h, w = x.shape
        if self.multiple > 1:
            x = F.pad(x, (0, -w % self.multiple, 0, -h % self.multiple), mode="replicate")
        out = self.net(x[:, None], x.new_ones(n, 1, 1, 1, 1), range(1))[:, 0]
        out = out[..., : self.scale * h, : self.scale * w] if self.multiple > 1 else out
        return out.contiguous()  # for FFmpeg, as in Colour


class Colour(nn.Module):
    """R'G'B' (n, 3, h, w) and its sharp luma (n, 1, s*h, s*w) -> sharp R'G'B' (n, 3, s*h, s*w), contiguous.

    Colour differences are enlarged by bicubic interpolation. As that is linear, and to_rgb() too, it is the same to add what is
    new in the luma to each of R', G', B'.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale=scale, kernel="bicubic")

    def luma(self, rgb: Tensor) -> Tensor:
        """BT.709 luma (n, 1, h, w)."""
        kr, kb = KR_KB[BT709]
        r, g, b = rgb.split(1, 1)
        return kr * r + (1 - kr - kb) * g + kb * b

    def forward(self, rgb: Tensor, luma: Tensor, sharp: Tensor) -> Tensor:
        """Sharp R'G'B'."""
        planes = torch.cat([rgb, luma], 1)[:, None]
        base = self.enlarge(planes, planes.new_ones(planes.shape[0], 1, 1, 1, 1), range(1))[:, 0]
        return (base[:, :3] + (sharp - base[:, 3:])).contiguous()  # FFmpeg reads memory, whatever the strides say


class Rgb(nn.Module):
    """R'G'B' pictures (n, 3, h, w) in [0, 1] -> (n, 3, s*h, s*w) by a Picture of one plane."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture, self.colour = picture, Colour(picture.scale)

    def forward(self, rgb: Tensor) -> Tensor:
        """Sharp R'G'B'."""
        luma = self.colour.luma(rgb)
        return self.colour(rgb, luma, self.picture(luma))


class Step(nn.Module):
    """One view of a window through a Gru: what is remembered, a view (n, c, h, w), whether it is real (n) -> the same, and sharp.

    Remembered: the last picture (n, 1, s*h, s*w), the state (n, width, h, w), whether there was a real view (n, 1, 1, 1), the
    last real luma (n, 1, h, w); all 0 at first. sharp is (n, c, s*h, s*w); c = 3 is R'G'B'.
    """

    def __init__(self, net: Gru, *, rgb: bool) -> None:
        super().__init__()
        self.net = net
        self.colour = Colour(net.scale) if rgb else None

    def forward(
        self, picture: Tensor, state: Tensor, there: Tensor, last: Tensor, view: Tensor, valid: Tensor
    ) -> tuple[Tensor, ...]:
        """What is then remembered, and the sharp picture."""
        real = valid[:, None, None, None]
        view = torch.where(real > 0, view, 0)
        luma = self.colour.luma(view) if self.colour else view
        old = Memory(picture, state, there)
        cells, new = self.net.step(luma, old, self.net.flow(luma, last))
        sharp = F.pixel_shuffle(cells, self.net.scale)
        memory = self.net.remember(sharp, new, real, old)
        return *memory, torch.where(real > 0, luma, last), self.colour(view, luma, sharp) if self.colour else sharp


def form(net: nn.Module, card: ModelCard, *, rgb: bool) -> Picture | Rgb | Step:
    """The net as it is exported; ModelError when it cannot be."""
    if getattr(net, "bursts", False):
        raise ModelError(
            f"{card.name} fuses pictures of one place, however many and wherever they lie, and no export holds that; "
            "use it with `misr fuse`"
        )
    if card.scale != int(card.scale) or card.scale < 2:
        raise ModelError(f"{card.name} at scale {card.scale:g} cannot be exported; choose a whole one, -s 2 or more")
    if isinstance(net, Gru):
        return Step(net, rgb=rgb).eval()
    if (card.before, card.emit, card.after) != (0, 1, 0):
        raise ModelError(f"{card.name} looks at several views with a {card.net}, which no export knows; export a gru")
    picture = Picture(net, card)
    return (Rgb(picture) if rgb and card.channels == 1 else picture).eval()
