"""Where batches come from, beside the windows of video: crops of single pictures, mixtures, batches drawn ahead."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from misr.metrics import bd
from misr.train.data import Pair, Sampler, pairs, worn_pairs
from misr.train.degrade import Plane, bi, blurred, imaged, rounded
from misr.train.loop import Source
from misr.train.scenes import Batch


@dataclass(slots=True)
class Crops:
    """Windows of one view: crops of pictures as they are, which no camera path has softened."""

    sampler: Sampler
    frames: int
    device: torch.device

    def draw(self) -> Batch:
        """The next batch."""
        soft, cells = (x.to(self.device) for x in self.sampler.batch(self.frames))
        return Batch(soft[:, None], F.pixel_shuffle(cells, round(cells.shape[1] ** 0.5))[:, None])

    def state(self) -> Any:
        """What restore() needs to draw the same batches again."""
        return self.sampler.rng.bit_generator.state

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        self.sampler.rng.bit_generator.state = state


def pairs_of(
    planes: Sequence[Plane], degradation: str | float, scale: int, cell: int, crop: int, seed: int
) -> list[Pair]:
    """Pictures with their views; `codec` adds compressed, noisy, blurred ones to the clean; a number is a camera's optics."""
    ratio, rng = scale * cell, np.random.default_rng(seed)
    whole = [p[: p.shape[0] // ratio * ratio, : p.shape[1] // ratio * ratio] for p in planes]
    ways: dict[str, Callable[[Plane], Plane]] = {
        "bi": lambda p: bi(p, scale),
        "codec": lambda p: bi(p, scale),
        "bd": lambda p: bd(torch.from_numpy(p.copy()), scale).to(torch.uint8).numpy(),
        "mixed": lambda p: blurred(p, scale, rng),
    }
    fit = [p for p in whole if min(p.shape) >= crop * scale]
    if isinstance(degradation, float):
        seen = partial(imaged, scale=scale, optics=degradation)
        as_tensor = lambda p: torch.from_numpy(p.copy())[None, None].float()  # noqa: E731
        return pairs(fit, lambda p: rounded(seen(as_tensor(p))[0, 0]), ratio, crop // cell)
    made = pairs(fit, ways[degradation], ratio, crop // cell)
    if degradation == "codec":
        made += worn_pairs([p for p in fit if min(p.shape) >= crop * scale + 24], scale, ratio, crop // cell, seed=seed)
    return made


@dataclass(slots=True)
class Mixture:
    """Two sources; `share` of the batches come from the second, evenly spread."""

    first: Source
    second: Source
    share: float
    drawn: int = 0

    def draw(self) -> Any:
        """The next batch."""
        n, self.drawn = self.drawn, self.drawn + 1
        second = int((n + 1) * self.share) > int(n * self.share)
        return (self.second if second else self.first).draw()

    def state(self) -> Any:
        """What restore() needs."""
        return {"drawn": self.drawn, "first": self.first.state(), "second": self.second.state()}

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        self.drawn = state["drawn"]
        self.first.restore(state["first"])
        self.second.restore(state["second"])


class Ahead:
    """A source whose next batch is made in a thread while the last one is learned from (encoders let go of Python)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.worker = ThreadPoolExecutor(1)
        self.next: Future[tuple[Any, Any]] | None = None
        self.last = source.state()

    def draw(self) -> Any:
        """The next batch."""
        batch, self.last = (self.next or self.worker.submit(self._make)).result()
        self.next = self.worker.submit(self._make)
        return batch

    def _make(self) -> tuple[Any, Any]:
        return self.source.draw(), self.source.state()

    def state(self) -> Any:
        """The state after the last batch that was handed out."""
        return self.last

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        if self.next:
            self.next.result()
        self.next, self.last = None, state
        self.source.restore(state)
