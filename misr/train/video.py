"""Training a net on windows: pictures of every view, past to present, held against the sharp frames."""

from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.train.loop import Loss, distance
from misr.train.scenes import Batch, Scenes


def supervised(net: nn.Module, batch: Batch, squares: bool, kind: Loss = "smooth-l1") -> Tensor:
    """Mean distance between the pictures of all views of a window, before the shuffle, and the sharp frames."""
    b, t, *_ = batch.views.shape
    made = unshuffled(net, batch.views)
    ratio = batch.sharp.shape[-1] // made[0].shape[-1]
    wanted = F.pixel_unshuffle(rearrange(batch.sharp, "b t c h w -> (b t) c h w"), ratio)
    wanted = rearrange(wanted, "(b t) p h w -> t b p h w", b=b)
    losses = [distance(one, sharp, squares=squares, kind=kind) for one, sharp in zip(made, wanted, strict=True)]
    return sum(losses[1:], losses[0]) / t


def unshuffled(net: nn.Module, views: Tensor) -> list[Tensor]:
    """Pictures (b, r*r, h/cell, w/cell) of every view of windows (b, t, 1, h, w), before the shuffle."""
    b, t, *_ = views.shape
    if hasattr(net, "unroll"):
        return list(net.unroll(views, None, range(t)))  # type: ignore[operator]
    return list(net.phases(views, views.new_ones(b, t, 1, 1, 1), range(t)).unbind(1))  # type: ignore[operator]


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
