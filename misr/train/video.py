"""Training a net on windows: pictures of every view, past to present, held against the sharp frames."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import resample
from misr.train.loop import distance
from misr.train.losses import Kind, Objective
from misr.train.scenes import Batch, Scenes


def supervised(
    net: nn.Module,
    batch: Batch,
    squares: bool,
    kind: Kind = "smooth-l1",
    done: Callable[[], float] = lambda: 1.0,
) -> Tensor:
    """Mean distance between the pictures of all views of a window, before the shuffle, and the sharp frames.

    A sum of terms sees pictures, so those are shuffled first; it is the same sum to the end of a run.
    done() says how much of the run is behind, to nets whose levels grow one after the other.
    """
    if hasattr(net, "levels"):
        return by_levels(net, batch, squares, kind, done())
    b, t, *_ = batch.views.shape
    made = unshuffled(net, batch.views)
    ratio = batch.sharp.shape[-1] // made[0].shape[-1]
    if isinstance(kind, Objective):
        return kind(F.pixel_shuffle(torch.cat(made), ratio), rearrange(batch.sharp, "b t c h w -> (t b) c h w"))
    wanted = F.pixel_unshuffle(rearrange(batch.sharp, "b t c h w -> (b t) c h w"), ratio)
    wanted = rearrange(wanted, "(b t) p h w -> t b p h w", b=b)
    losses = [distance(one, sharp, squares=squares, kind=kind) for one, sharp in zip(made, wanted, strict=True)]
    return sum(losses[1:], losses[0]) / t


def by_levels(net: nn.Module, batch: Batch, squares: bool, kind: Kind, done: float) -> Tensor:
    """Mean over the levels of a net of one view: each picture against the sharp frames, shrunk to its size."""
    x, sharp = (rearrange(x, "b t c h w -> (b t) c h w") for x in (batch.views, batch.sharp))
    made = net.levels(x, net.grown(done)) if hasattr(net, "grown") else net.levels(x)  # type: ignore[operator]
    with torch.autocast(sharp.device.type, enabled=False):
        wanted = [resample(sharp, (level.shape[-2], level.shape[-1])) for level in made]
    if isinstance(kind, Objective):
        return kind.over(made, wanted)
    those = zip(made, wanted, strict=True)
    return torch.stack([distance(level, truth, squares=squares, kind=kind) for level, truth in those]).mean()


def unshuffled(net: nn.Module, views: Tensor) -> list[Tensor]:
    """Pictures (b, r*r, h/cell, w/cell) of every view of windows (b, t, 1, h, w), before the shuffle; r = 1 where none is."""
    b, t, *_ = views.shape
    if hasattr(net, "unroll"):
        return list(net.unroll(views, None, range(t)))  # type: ignore[operator]
    make = net.phases if hasattr(net, "phases") and getattr(net, "cell", True) else net
    return list(make(views, views.new_ones(b, t, 1, 1, 1), range(t)).unbind(1))  # type: ignore[operator]


@dataclass(slots=True)
class Windows:
    """A source of batches of about `frames` views in windows that grow from `shortest` to `longest` along the run.

    Every fifth batch has windows of a random length from 1, as clips begin and cuts come.
    """

    scenes: Scenes
    frames: int = 40
    shortest: int = 4
    longest: int = 12
    grown: int = 3000  # batches until windows are longest
    drawn: int = 0

    def draw(self) -> Batch:
        """The next batch."""
        length = self.shortest + (self.longest - self.shortest) * min(1, self.drawn / self.grown)
        t = round(length)
        if self.drawn % 5 == 4:
            t = 1 + self.drawn // 5 * 7 % t
        self.drawn += 1
        return self.scenes.batch(max(1, self.frames // t), t)

    def state(self) -> dict[str, object]:
        """What restore() needs to draw the same batches again."""
        return {"drawn": self.drawn, "scenes": self.scenes.state()}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from where state() was taken."""
        self.drawn = int(state["drawn"])  # type: ignore[call-overload]
        self.scenes.restore(state["scenes"])  # type: ignore[arg-type]
