"""Windows by number: a batch is a function of the seed and its number alone, so that many processes can make them ahead."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from misr.train.camera import Dice
from misr.train.loop import Loss
from misr.train.scenes import Batch, Scenes
from misr.train.video import supervised

AHEAD = 4  # batches a process may be ahead


@dataclass(frozen=True, slots=True)
class Codes:
    """views (b, t, h, w) and sharp (b, t, s*h, s*w), uint8: a quarter of the bytes on their way to a device."""

    views: Tensor
    sharp: Tensor

    def pin_memory(self) -> "Codes":
        """The same where a device can fetch it itself."""
        return Codes(self.views.pin_memory(), self.sharp.pin_memory())


class Numbered(Dataset[Codes]):
    """Batch n: about `frames` views in windows whose length depends on n alone.

    scenes     on the CPU
    lengths    (first batch, views a window) of every phase, in order
    """

    def __init__(self, scenes: Scenes, *, frames: int, lengths: Sequence[tuple[int, int]], seed: int = 0) -> None:
        self.scenes, self.frames, self.lengths, self.seed = scenes, frames, tuple(lengths), seed

    def __getitem__(self, n: int) -> Codes:
        """The n-th batch."""
        t = self.length(n)
        self.scenes.dice = Dice((self.seed * 1_000_003 + n) % 2**32)
        views, sharp = zip(*(self.scenes.window(t) for _ in range(max(1, self.frames // t))), strict=True)
        return Codes(torch.stack(views), torch.stack(sharp))

    def length(self, n: int) -> int:
        """Views a window in batch n."""
        return [t for first, t in self.lengths if n >= first][-1]


class Crew:
    """A source of numbered batches on a device, made ahead by processes; without them, made when asked for.

    waited_s    how long batches were waited for
    """

    def __init__(self, numbered: Numbered, *, workers: int, device: torch.device) -> None:
        self.numbered, self.workers, self.device = numbered, workers, device
        self.next, self.waited_s = 0, 0.0
        self.coming: Iterator[Codes] | None = None

    def draw(self) -> Codes:
        """The next batch."""
        if self.coming is None:
            self.coming = iter(self.loader())
        began = time.monotonic()
        batch = next(self.coming)
        self.waited_s += time.monotonic() - began
        self.next += 1
        return Codes(*(x.to(self.device, non_blocking=True) for x in (batch.views, batch.sharp)))

    def loader(self) -> DataLoader[Codes]:
        """All batches from the next one on."""
        return DataLoader(
            self.numbered,
            batch_size=None,
            sampler=range(self.next, 2**40),
            num_workers=self.workers,
            prefetch_factor=AHEAD if self.workers else None,
            pin_memory=self.device.type == "cuda",
        )

    def state(self) -> int:
        """The number of the next batch."""
        return self.next

    def restore(self, state: Any) -> None:
        """Go on with this batch."""
        self.next, self.coming = int(state), None


def loss(net: nn.Module, batch: Codes, squares: bool, kind: Loss = "smooth-l1") -> Tensor:
    """video.supervised on integers, which become floats on their device."""
    return supervised(net, Batch(*(x[:, :, None].float() / 255 for x in (batch.views, batch.sharp))), squares, kind)
