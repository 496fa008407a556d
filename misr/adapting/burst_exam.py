"""How good a way to fuse is by views that it has not learned from: hidden ones predicted, and remade from the burst shrunk.

Each view is asked about in the quarters of every piece of the scene, so that a few views still tell what is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log10

import torch
from torch import Tensor, nn

from misr.adapting.burst_lesson import rebased, shrunk
from misr.adapting.burst_views import Dealt
from misr.errors import InputError
from misr.nets import NETS
from misr.nets.lattice import Stack
from misr.train.burst_lessons import fusing, moved
from misr.train.revisits import Fuse, Labelled, Place, hidden
from misr.train.valid import spread
from misr.zoo import METHODS

Question = tuple[int, Sequence[int], Sequence[Labelled]]  # a piece, views, and each as a label; all of one picture
LEAST = 0.1  # share of a quarter that must be believed for it to be asked about


@dataclass(frozen=True, slots=True)
class Asked:
    """Labels of one picture, and the quarters of each that count."""

    labels: tuple[Labelled, ...]
    quarters: tuple[tuple[int, ...], ...]

    def answers_db(self, fuse: Fuse) -> list[float]:
        """dB of the labels' detail, quarter by quarter; -inf for what is no number."""
        picture = fuse(self.labels[0].shown).float()
        found = []
        for label, some in zip(self.labels, self.quarters, strict=True):
            error, belief = label.missed(picture)
            each = list(zip(quartered(error * belief), quartered(belief), strict=True))
            found += [decibels(*(float(x.square().sum()) for x in each[k])) for k in some]
        return found


@dataclass(frozen=True, slots=True)
class BurstExam:
    """Always the same questions about the views of a portion.

    blocks, spots    of every hidden view's answer: of which time the view is, and which quarter of which piece; small_*: the
                     same of the shrunk
    """

    hidden: tuple[Asked, ...]
    shrunk: tuple[Asked, ...]
    blocks: tuple[int, ...]
    spots: tuple[int, ...]
    small_blocks: tuple[int, ...]
    small_spots: tuple[int, ...]

    @property
    def sample(self) -> Tensor:
        """A piece of some views (1, t, 1, h, w)."""
        return self.hidden[0].labels[0].shown.views[..., :64, :64]

    @torch.no_grad()
    def hidden_db(self, fuse: Fuse) -> list[float]:
        """dB of the hidden views' detail."""
        return [x for it in self.hidden for x in it.answers_db(fuse)]

    @torch.no_grad()
    def both_db(self, net: nn.Module) -> tuple[list[float], list[float]]:
        """Of a net: hidden views predicted, and views remade."""
        return self.hidden_db(fusing(net)), [x for it in self.shrunk for x in it.answers_db(fusing(net))]

    def baselines_db(self, scale: int) -> dict[str, float]:
        """Of the methods without learning: hidden views predicted."""
        found = {name: self.hidden_db(fusing(NETS[name](scale=scale))) for name in METHODS}
        return {name: sum(dbs) / len(dbs) for name, dbs in found.items()}


def exam(
    places: Sequence[Place], views: Sequence[int], parts: Dealt, *, scale: int, device: torch.device, most: int
) -> BurstExam:
    """About these views, on up to `most` pieces; InputError where the scene does not look the same in them anywhere."""
    whole: list[Question] = []
    again: list[Question] = []
    for number, place in enumerate(spread(places, most)):
        stack, shown = moved(place, device).stack, [n for n in place.learned if n]
        whole.append((number, views, [hidden(stack, shown, n) for n in views]))
        fit = even(stack, scale)
        again += [(number, (n,), [shrunk(rebased(fit, [n, 0, *shown]), scale)]) for n in views]
    (one, *told), (two, *small) = (counted(some, parts.times, scale) for some in (whole, again))
    if not one or not two:
        raise InputError("its views nowhere show the same, so there is nothing to judge by")
    return BurstExam(one, two, *told, *small)


def even(stack: Stack, scale: int) -> Stack:
    """A stack whose sides are multiples of the scale."""
    h, w = (n // scale * scale for n in stack.views.shape[-2:])
    return Stack(*(x if x.dim() < 2 or x.shape[-2:] == (1, 1) else x[..., :h, :w] for x in stack))


def counted(
    those: Sequence[Question], times: Sequence[int], scale: int
) -> tuple[tuple[Asked, ...], tuple[int, ...], tuple[int, ...]]:
    """Questions with the quarters of theirs that count, and for every such quarter the time of its view and where it is."""
    single = fusing(NETS["best"](scale=scale))
    asked, blocks, spots = [], [], []
    for number, views, labels in those:
        quarters = tuple(sound(label, single) for label in labels)
        if any(quarters):
            asked.append(Asked(tuple(labels), quarters))
            blocks += [times[n] for n, some in zip(views, quarters, strict=True) for _ in some]
            spots += [4 * number + k for some in quarters for k in some]
    return tuple(asked), tuple(blocks), tuple(spots)


@torch.no_grad()
def sound(label: Labelled, single: Fuse) -> tuple[int, ...]:
    """The quarters of a label where it looks as the place does in one view, enlarged."""
    belief = label.missed(single(label.shown).float())[1]
    return tuple(k for k, x in enumerate(quartered(belief)) if float(x.mean()) > LEAST)


def quartered(plane: Tensor) -> list[Tensor]:
    """The quarters of planes (b, c, h, w), row by row."""
    return [q for row in plane.chunk(2, -2) for q in row.chunk(2, -1)]


def decibels(wrong: float, right: float) -> float:
    """Of a sum of squared errors beside that of their weights; -inf for what is no number."""
    return -10 * log10(max(wrong, 1e-9) / max(right, 1e-9)) if isfinite(wrong) and isfinite(right) else -inf
