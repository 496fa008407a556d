"""Windows: T views of one scene, which of them are real, and which get a sharp picture.

Chunks lie on a fixed grid of frame numbers, a cut splits the chunk it falls in, and what lies beyond a clip's end or a
cut is padding with valid = 0. So a window depends only on frame numbers and cuts, never on where a host began to read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """views (T, C, H, W) in [0, 1]; valid (T, 1, H | 1, W | 1), 1 = real; centres = positions among the views."""

    views: Tensor
    valid: Tensor
    centres: range


class Sliding:
    """Cuts a stream of views (C, H, W) into windows of before + emit + after views, `emit` apart.

    `first` is the number, in the clip, of the first view that will be pushed; `begin` the first whose picture is wanted
    (views before it only serve as neighbours). push() and flush() return the windows that became complete, in order.
    """

    def __init__(
        self,
        *,
        before: int = 0,
        emit: int = 1,
        after: int = 0,
        first: int = 0,
        begin: int | None = None,
        end: int | None = None,
    ) -> None:
        self.before, self.emit, self.after = before, emit, after
        self._shot = first  # number of the first view of the current shot
        self._next = first if begin is None else begin  # number of the next centre to hand out
        self._end = end  # number of the first centre that is not wanted
        self._kept: list[Tensor] = []
        self._kept_from = first  # number of self._kept[0]

    def push(self, view: Tensor, *, cut: bool = False) -> list[Window]:
        """Take the next view; `cut` says it begins a new shot."""
        windows = self.flush() if cut else []
        if cut:
            self._shot = self._kept_from = self._kept_from + len(self._kept)
            self._kept = []
        self._kept.append(view)
        windows += self._ready(final=False)
        self._forget()
        return windows

    def flush(self) -> list[Window]:
        """The windows that were waiting for views which will not come."""
        return self._ready(final=True)

    def _ready(self, *, final: bool) -> list[Window]:
        windows = []
        have = self._kept_from + len(self._kept)
        while self._next < have:
            stop = (self._next // self.emit + 1) * self.emit
            stop = stop if self._end is None else min(stop, self._end)
            if stop <= self._next or (stop + self.after > have and not final):
                break
            stop = min(stop, have)
            windows.append(self._window(self._next, stop))
            self._next = stop
            self._forget()
        return windows

    def _window(self, start: int, stop: int) -> Window:
        """Views start - before .. stop + after of this shot, padded to the one length every window has."""
        grid = (start // self.emit) * self.emit
        numbers = range(grid - self.before, grid + self.emit + self.after)
        have = self._kept_from + len(self._kept)
        real = [self._shot <= n < have and start - self.before <= n < stop + self.after for n in numbers]
        blank = torch.zeros_like(self._kept[0])
        views = [self._kept[n - self._kept_from] if r else blank for n, r in zip(numbers, real, strict=True)]
        valid = torch.tensor(real, dtype=blank.dtype, device=blank.device).reshape(-1, 1, 1, 1)
        return Window(torch.stack(views), valid, range(start - numbers[0], stop - numbers[0]))

    def _forget(self) -> None:
        """Let go of views no window will want, also while waiting for `begin` and past `end`."""
        have = self._kept_from + len(self._kept)
        done = self._end is not None and self._next >= self._end
        keep_from = have if done else max(self._kept_from, min(self._next - self.before, have))
        del self._kept[: keep_from - self._kept_from]
        self._kept_from = keep_from
