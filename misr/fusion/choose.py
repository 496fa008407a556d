"""Which method fuses a burst: what was asked for, or the best there is for the number of views."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from einops import repeat
from torch import Tensor, nn

from misr import zoo
from misr.card import ModelCard
from misr.errors import ModelError
from misr.nets.lattice import Fused, Stack, filled
from misr.upscaler import Precision, pick_precision

ENOUGH = 2  # views that can be fused; fewer are enlarged


@dataclass(frozen=True, slots=True)
class Method:
    """A net on its device, ready to fuse stacks.

    why      it is this one, where misr chose; "" where it was asked for
    alone    it looks at one view
    model    the name or directory that it was built from
    """

    name: str
    why: str
    card: ModelCard
    net: nn.Module
    device: torch.device
    precision: str
    alone: bool
    model: str = ""

    @property
    def scale(self) -> int:
        """Fine pixels per LR pixel."""
        return int(self.card.scale)

    @property
    def halo(self) -> int:
        """LR pixels that a tile carries around itself."""
        return max(self.card.halo, int(getattr(self.net, "halo", 0) or 0))


def checked(name: str, scale: int | None) -> ModelCard:
    """The card of a method or model that was asked for; ModelError where it does not do this scale, or no bursts at all."""
    card = zoo.card(name, scale=scale)
    if card.scale != int(card.scale) or card.scale < 1:
        raise ModelError(
            f"{card.name} enlarges x{card.scale:g}; bursts are fused at whole scales, choose another -m or -s"
        )
    if scale is not None and card.scale != scale:
        raise ModelError(f"{card.name} is made for x{card.scale:g}, not x{scale}; leave -s out, or choose another -m")
    if card.channels != 1:
        raise ModelError(
            f"{card.name} takes {card.channels} channels at once; bursts are fused band by band, choose another -m"
        )
    if not zoo.fuses(card) and (card.before or card.after):
        raise ModelError(f"{card.name} is a model of video; for a burst choose -m map, or leave -m out")
    return card


def best(views: int, scale: int) -> tuple[str, str]:
    """The name of the best there is for a number of usable views and a scale, and why."""
    there = zoo.names()
    if views < ENOUGH:
        single = zoo.BEST.get(scale, "")
        if single in there:
            return single, "one usable view: enlarged, there is nothing to fuse it with"
        return (
            ("best", "one usable view, and nothing to enlarge")
            if scale == 1
            else ("map", "one usable view: sharpened alone")
        )
    if (learned := zoo.BURST.get(scale, "")) in there:
        return learned, f"the best there is for {views} views at x{scale}"
    return "map", f"no trained burst model is made for x{scale}; of the others it is the sharpest"


def method(
    name: str | None, views: int, scale: int | None, *, device: str | None = None, precision: Precision = "auto"
) -> Method:
    """The method for a burst of so many usable views: by name, or the best; x2 where neither it nor `scale` says more."""
    name, why = (name, "") if name else best(views, scale or 2)
    card = checked(name, scale if why == "" else scale or 2)
    made = placed(zoo.build(name, scale=card.scale), device=device, precision=precision)
    return replace(made, why=why, alone=made.alone or views < ENOUGH, model=name)


def placed(built: tuple[nn.Module, ModelCard], *, device: str | None = None, precision: Precision = "auto") -> Method:
    """A net and its card as a method on a device."""
    net, card = built
    place = zoo.device_of(device)
    alone = not zoo.fuses(card)
    net = (Alone(net, int(card.scale)) if alone else net).to(place).eval()
    return Method(card.name, "", card, net, place, pick_precision(precision, card, place), alone)


class Alone(nn.Module):
    """A single-image net as a fuser: it enlarges the reference; the other views are not looked at.

    The error it states is the noise of the view alone; what a net invents has no number here.
    """

    def __init__(self, net: nn.Module, scale: int) -> None:
        super().__init__()
        self.net, self.scale = net, scale

    def fuse(self, stack: Stack) -> Fused:
        """The reference, enlarged; pixels that are not valid take what lies around them."""
        b, t, _, h, w = stack.views.shape
        view, valid = filled(stack.views[:, 0], stack.valid[:, 0]), stack.valid[:, 0]
        picture = self.net(view[:, None], torch.ones_like(valid[:, None]), range(1))[:, 0].float()
        return Fused(picture, finer(stack.sigma[:, 0].expand(b, 1, h, w), self.scale), finer(valid, self.scale))


def finer(plane: Tensor, scale: int) -> Tensor:
    """Each LR pixel (b, c, h, w) as its s x s fine ones."""
    return repeat(plane, "b c h w -> b c (h i) (w j)", i=scale, j=scale)
