"""How good a net is by frames it has not learned from: hidden ones predicted, and the clip remade from itself shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from misr.adapting.settings import Gain
from misr.train import proxy, valid
from misr.train.camera import Dice
from misr.train.degrade import Plane
from misr.train.heldout import Flow, Hidden
from misr.train.valid import Trial

LEAST_DB = 0.05  # a smaller gain on hidden frames was at times a loss by the truth
ERRORS = 2.0  # standard errors that a gain must exceed


class Asks(Protocol):
    """Questions of two kinds about one portion, the same to every net."""

    @property
    def sample(self) -> Tensor:
        """Views (1, t, 1, h, w) by which precisions are tried."""

    def both_db(self, net: nn.Module) -> tuple[list[float], list[float]]:
        """How well a net predicts what it is not shown, and remakes what it is shown smaller, dB each, question by question."""


@dataclass(frozen=True, slots=True)
class Exam:
    """Always the same questions of a portion.

    hidden     windows with one view hidden; of which block each is
    shrunk     windows of the clip shrunk once more, with the frames as the truth
    """

    hidden: list[Hidden]
    blocks: list[int]
    shrunk: list[Trial]
    flow: Flow
    optics: float

    @property
    def sample(self) -> Tensor:
        """A piece of some views (1, t, 1, h, w)."""
        return self.hidden[0].views[..., :64, :64]

    def hidden_db(self, predict: proxy.Predict) -> list[float]:
        """dB of the hidden frames' detail, window by window."""
        return [proxy.score_db(predict, [it], self.flow, self.optics) for it in self.hidden]

    def shrunk_db(self, net: nn.Module) -> list[float]:
        """Luma PSNR of the frames remade, window by window."""
        return [valid.psnr_db(net, [it]) for it in self.shrunk]

    def both_db(self, net: nn.Module) -> tuple[list[float], list[float]]:
        """Of a net: hidden frames predicted, and frames remade."""
        return self.hidden_db(proxy.of_net(net)), self.shrunk_db(net)


def exam(
    stacks: Sequence[Plane], *, scale: int, multiple: int, flow: Flow, optics: float, device: torch.device, most: int
) -> Exam:
    """Up to `most` windows of each kind."""
    hidden, blocks = [], []
    for n, stack in enumerate(valid.spread(stacks, most)):
        for it in proxy.sights([stack], multiple, device):
            hidden.append(it)
            blocks.append(n)
    keep = valid.spread(range(len(hidden)), most)
    side = 2 * scale * multiple
    small = [valid.middle(s, valid.SIDE, side) for s in valid.spread(stacks, max(1, most // 2))]
    trials = [valid.trial(torch.from_numpy(s.copy()).to(device), scale, float(optics), Dice(7)) for s in small]
    return Exam([hidden[k] for k in keep], [blocks[k] for k in keep], trials, flow, optics)


def gain(
    start: Sequence[float],
    adapted: Sequence[float],
    blocks: Sequence[int],
    *,
    least_db: float = LEAST_DB,
    spots: Sequence[int] = (),
) -> Gain:
    """The paired gain, its margin with frames of one block counted as one.

    spots    of a scene that stands still, where each question is asked: what differs from spot to spot is the scene, no chance
    """
    off = np.subtract(adapted, start)
    with np.errstate(invalid="ignore"):  # of nets that give no numbers; their gain is none, and never clear
        error = chance(off, spots) / len(set(blocks)) ** 0.5
    margin = max(least_db, ERRORS * error)
    return Gain(float(np.mean(start)), float(np.mean(adapted)), float(off.mean()), margin, len(off))


def chance(off: np.ndarray, spots: Sequence[int]) -> float:
    """Standard deviation of gains; beside those of the same spot, where there are several."""
    at = np.asarray(spots)
    groups = [off[at == k] for k in dict.fromkeys(spots)]
    groups = [g for g in groups if len(g) > 1] or ([off] if len(off) > 1 else [])
    within = sum(float(np.square(g - g.mean()).sum()) for g in groups)
    return float((within / max(1, sum(len(g) - 1 for g in groups))) ** 0.5)
