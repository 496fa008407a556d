"""Learning from small pictures that have no sharp ones: a net is to do the same to a picture however that is turned.

Transformation consistency regularisation (Mustafa and Mantiuk, ECCV 2020): to the loss on pictures with labels a weight times
|f(T(x)) - T(f(x))|^2 is added, on pictures x without; both sides of it learn. Not followed: the authors turn by up to 20 degrees
and move by up to 6 pixels, which interpolates, so that f is also asked for what no camera saw. Here T are the symmetries of the
square and moves by whole pixels, which are exact on the area-aligned grid: f(T(x)) and T(f(x)) have the same truth, but for what
a net sees beyond the edges of crops, which are left out. As in the authors' code for enlarging, the distance is that of the loss
with labels: here smooth L1, then squares (squares from the start would outweigh it). The weight grows over the first part of a
run, as is usual for such terms (Laine and Aila, ICLR 2017): what a net makes that has learned nothing is nothing to agree on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.errors import InputError
from misr.train import alone
from misr.train.degrade import Plane
from misr.train.footage import Footage
from misr.train.loop import Source, distance
from misr.train.video import unshuffled

if TYPE_CHECKING:
    from misr.train.fit import Training
    from misr.train.lessons import Lesson

WEIGHT = 0.1
GROWN = 0.3  # share of a run by which the weight is whole
FARTHEST = 4  # small pixels that a picture is moved by at most, along each axis


@dataclass(frozen=True, slots=True)
class Turn:
    """A symmetry of the square, 0 to 7, and a move: what lies at (y + down, x + right) comes to (y, x), before the symmetry."""

    way: int
    down: int = 0
    right: int = 0

    def __call__(self, pictures: Tensor, side: int, ratio: int = 1) -> Tensor:
        """Pictures (n, c, h, w), moved by ratio times as many pixels, cut to side x side and turned."""
        y, x = self.down * ratio, self.right * ratio
        return symmetric(pictures[..., y : y + side, x : x + side], self.way)


@dataclass(frozen=True, slots=True)
class Loose:
    """Small pictures (n, 1, side, side), in [0, 1], that have no labels, and how they are turned."""

    views: Tensor
    turn: Turn


def check(wanted: Training) -> None:
    """Refuse what contradicts --unlabelled, or wants it."""
    given = wanted.consistency
    if given is not None and not wanted.unlabelled:
        raise InputError(
            f"--consistency {given:g}: it is learned on pictures without labels; give --unlabelled PICTURES"
        )
    if given is not None and not 0 < given < math.inf:
        raise InputError(f"--consistency {given:g}: a weight above 0 is wanted; without --unlabelled there is none")
    if not wanted.unlabelled:
        return
    if wanted.labels != "hr":
        raise InputError(
            f"--unlabelled, --labels {wanted.labels}: hidden views are learned from DATA itself; leave one of them out"
        )
    if wanted.unpaired:
        raise InputError("--unlabelled, --unpaired: both are small pictures without sharp ones; leave one of them out")


def gather(wanted: Training, net: nn.Module, sharp: Callable[[], Footage], say: Callable[[str], None]) -> Footage:
    """What sharp() reads, with the small pictures of --unlabelled as they are; InputError where there are none.

    A net that takes several pictures is refused before anything is read.
    """
    if hasattr(net, "unroll") or getattr(net, "bursts", False):
        raise InputError(
            "--unlabelled: the net fuses several views, and single pictures are turned; choose a net of one view"
        )
    known, half = sharp(), int(wanted.memory * 2**29)
    found = alone.gather("--unlabelled", wanted.unlabelled, crop=side(wanted, net) + FARTHEST, most_bytes=half, say=say)
    return replace(known, notes=(*known.notes, *found.notes, found.told), alone=found.planes)


def side(wanted: Training, net: nn.Module) -> int:
    """Small pixels along a side of what is compared: --crop, in whole cells of the net."""
    cell = max(1, int(getattr(net, "cell", 1)))
    return wanted.crop // cell * cell


def weight(wanted: Training, done: float) -> float:
    """The weight with `done` of 1 of the run behind: it grows as exp(-5 (1 - t)^2) until t = done / GROWN is 1."""
    t = min(1.0, done / GROWN)
    return (wanted.consistency or WEIGHT) * math.exp(-5 * (1 - t) ** 2)


def lesson(
    wanted: Training,
    study: Lesson,
    net: nn.Module,
    there: Footage,
    device: torch.device,
    *,
    seed: int,
    done: Callable[[], float],
) -> Lesson:
    """A lesson with labels, and beside each of its batches one of as many small pictures without; the log says both losses."""
    lost: list[Tensor] = []
    beside = Beside(study.source, there.alone, side(wanted, net), wanted.frames or 16, device, seed)

    def loss(net: nn.Module, batch: tuple[Any, Loose], squares: bool) -> Tensor:
        labelled, loose = batch
        value = inconsistency(net, loose, done(), squares=squares)
        lost.append(value.detach())
        return study.loss(net, labelled, squares) + weight(wanted, done()) * value

    def also(net: nn.Module) -> dict[str, float]:
        mean = float(torch.stack(lost).mean()) if lost else 0.0
        lost.clear()
        return study.also(net) | {"consistency": mean}

    how = (
        f"{len(there.alone)} small pictures without labels by transformation consistency, weight {weight(wanted, 1):g}"
    )
    note = f"{study.note}; learned from {how}, too" if study.note else f"learned from {how}, too"
    return replace(study, source=beside, loss=loss, also=also, note=note)


class Beside:
    """A source of batches with labels, each beside a batch of crops without."""

    def __init__(
        self, labelled: Source, planes: Sequence[Plane], side: int, frames: int, device: torch.device, seed: int
    ) -> None:
        self.labelled, self.side, self.frames, self.device = labelled, side, frames, device
        self.planes = [torch.from_numpy(np.ascontiguousarray(p)) for p in planes]
        self.rng = np.random.default_rng(seed)

    def draw(self) -> tuple[Any, Loose]:
        """The next two batches."""
        wide = self.side + FARTHEST
        crops = [self.crop(self.planes[int(n)], wide) for n in self.rng.integers(len(self.planes), size=self.frames)]
        way, down, right = (int(n) for n in self.rng.integers((8, FARTHEST + 1, FARTHEST + 1)))
        if not way:
            down = max(1, down)  # a picture that stays as it is teaches nothing
        views = torch.stack(crops)[:, None].to(self.device).float() / 255
        return self.labelled.draw(), Loose(views, Turn(way, down, right))

    def crop(self, plane: Tensor, wide: int) -> Tensor:
        """A random piece (wide, wide) of a picture (h, w)."""
        y, x = (int(self.rng.integers(n - wide + 1)) for n in plane.shape)
        return plane[y : y + wide, x : x + wide]

    def state(self) -> dict[str, Any]:
        """What restore() needs to draw the same batches again."""
        return {"labelled": self.labelled.state(), "loose": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where state() was taken."""
        self.labelled.restore(state["labelled"])
        self.rng.bit_generator.state = state["loose"]


def inconsistency(net: nn.Module, loose: Loose, done: float = 1.0, *, squares: bool = True) -> Tensor:
    """f(T(x)) - T(f(x)), as the loop's distance has it: smooth L1, or squares; the mean over the levels of a net."""
    n, _, wide, _ = loose.views.shape
    side = wide - FARTHEST
    plain = pictures(net, loose.views[..., :side, :side], done)
    turned = pictures(net, loose.turn(loose.views, side), done)
    edge = min(int(net.halo), (side - FARTHEST) // 4)  # type: ignore[arg-type]
    those = zip(plain, turned, strict=True)
    return torch.stack([apart(one, other, loose.turn, side, edge, squares) for one, other in those]).mean()


def apart(plain: Tensor, turned: Tensor, turn: Turn, side: int, edge: int, squares: bool) -> Tensor:
    """The distance of f(x) and f(T(x)) (n, 1, r*side, r*side), where both show the same, `edge` small pixels inside of that."""
    ratio = plain.shape[-1] // side
    common = (side - FARTHEST) * ratio
    ours = replace(turn, way=0)(plain.float(), common, ratio)
    theirs = symmetric(turned.float(), inverse(turn.way))
    inner = slice(edge * ratio, common - edge * ratio)
    return distance(ours[..., inner, inner], theirs[..., inner, inner], squares=squares)


def pictures(net: nn.Module, x: Tensor, done: float) -> list[Tensor]:
    """All pictures that a net makes of small ones (n, 1, h, w): those of its levels that learn by now, or the one."""
    if hasattr(net, "levels"):
        return net.levels(x, net.grown(done)) if hasattr(net, "grown") else net.levels(x)  # type: ignore[operator]
    (cells,) = unshuffled(net, x[:, None])
    return [F.pixel_shuffle(cells, round(int(net.scale) * x.shape[-1] / cells.shape[-1]))]  # type: ignore[arg-type]


def symmetric(x: Tensor, way: int) -> Tensor:
    """One of the 8 symmetries of the square: mirrored across for bit 0, down for bit 1, then transposed for bit 2."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if way & bit]
    x = x.flip(axes) if axes else x
    return x.transpose(-1, -2) if way & 4 else x


def inverse(way: int) -> int:
    """The symmetry that undoes one."""
    return way if way in (0, 1, 2, 3, 4, 7) else {5: 6, 6: 5}[way]
