"""Early stopping: looks at the watching portion now and then, and keeps the best net on disk for who goes on.

What is looked at, and kept, lies half way between the start's weights and the learned ones (Wortsman et al., CVPR 2022: robust
fine-tuning). Most of the gain on hidden frames is there already, and little of what a clip's labels teach wrongly.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from misr.adapting.judge import Asks

WAY = 0.5  # from the start to what was learned; why, and what else was tried: scripts/README.md
PATIENCE = 6  # looks without anything better after which more learning is no use


class Watch:
    """The best net so far. Its score is the smaller of two gains over the start: so neither is bought with the other."""

    def __init__(self, those: Asks, start: nn.Module, path: Path) -> None:
        self.exam, self.path = those, path
        self.first, self.start = start, self.measured(start)
        self.best_step, self.score, self.looks_since = 0, 0.0, 0
        if path.is_file():
            state = torch.load(path, weights_only=True, map_location="cpu")
            self.best_step, self.score, self.looks_since = state["step"], state["score"], state["looks_since"]

    def measured(self, net: nn.Module) -> tuple[Tensor, Tensor]:
        """What is hidden predicted, and what is shrunk remade, dB each."""
        hidden, shrunk = self.exam.both_db(net)
        return torch.tensor(hidden), torch.tensor(shrunk)

    def look(self, net: nn.Module, step: int) -> float:
        """The score of half the way to a net, in dB over the start, at a step; the best is kept."""
        net = between(self.first, net)
        score = min(float((a - b).mean()) for a, b in zip(self.measured(net), self.start, strict=True))
        if score > self.score:
            self.best_step, self.score, self.looks_since = step, score, 0
            self._keep(net.state_dict())
        else:
            self.looks_since += 1
            self._keep(torch.load(self.path, weights_only=True)["net"] if self.path.is_file() else {})
        return score

    def _keep(self, weights: dict[str, Tensor]) -> None:
        state = {"step": self.best_step, "score": self.score, "looks_since": self.looks_since, "net": weights}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def best(self, like: nn.Module) -> nn.Module:
        """The best net; half the way to this one where none was better than the start, for the judge to say so."""
        net = between(self.first, like)
        if self.best_step:
            net.load_state_dict(torch.load(self.path, weights_only=True, map_location="cpu")["net"])
        return net


@torch.no_grad()
def between(first: nn.Module, learned: nn.Module, way: float = WAY) -> nn.Module:
    """A net so far on the way from the first one's weights to the learned ones."""
    net = copy.deepcopy(learned)
    for there, here in zip(net.parameters(), first.parameters(), strict=True):
        there.copy_(here.to(there).lerp(there, way))
    return net
