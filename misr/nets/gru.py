"""ConvGRU fusion of the views of a window, past to present, with its last result fed back on the HR grid.

A convolutional GRU (Ballas et al., ICLR 2016) whose state is warped along the motion (Sajjadi et al., CVPR 2018, feed back
the last HR estimate in the same way). The last picture, warped at HR and less the bicubic base of the present view, keeps the
sub-pixel detail that a warped LR state smears.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.motion import Motion, inside, warp, warp_cells
from misr.resample import phases

TOGETHER = 4  # pairs of views whose motion is searched for at once


class Memory(NamedTuple):
    """What the last valid view left: its picture (b, 1, s*h, s*w), the state (b, width, h, w).

    there (b, 1, 1, 1) is 1 once there was such a view.
    """

    picture: Tensor
    state: Tensor
    there: Tensor


class Block(nn.Module):
    """x + conv(relu(conv(x))), width to width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.two(F.relu(self.one(x)))


class Gru(nn.Module):
    """Views (b, t, 1, h, w) of a window -> pictures of its centres; a view with valid = 0 changes nothing.

    width, blocks    channels of the state, residual blocks of the candidate
    motion           options of Motion
    """

    cell = 1

    def __init__(
        self, *, scale: int = 4, width: int = 16, blocks: int = 4, motion: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.scale, self.width = scale, width
        self.fed = max(16, scale * scale)  # channels of the fed-back picture: fewer than 16 are no cheaper
        self.motion = Motion(**(motion or {}))
        self.encode = nn.Conv2d(1, width, 3, padding=1)
        seen = self.fed + 2 * width
        self.fresh, self.keep, self.candidate = (nn.Conv2d(seen, width, 3, padding=1) for _ in range(3))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.decode = nn.Conv2d(width, scale * scale, 3, padding=1)
        for parameter in self.decode.parameters():
            nn.init.zeros_(parameter)

    @property
    def halo(self) -> int:
        """LR pixels a tile carries around itself: the convolutions of a few steps, and the reach of the motion search."""
        return 64

    def flow(self, here: Tensor, there: Tensor) -> Tensor:
        """Motion from views to those remembered, both (n, 1, h, w): (n, 2, h, w)."""
        return self.motion(here, there)

    def flows(self, views: Tensor, real: Tensor | None) -> Iterator[Tensor]:
        """Motion (b, 2, h, w) from every view but the first to the last real one before it; real (b, t), None for all.

        A few at a time, so that small planes keep all threads busy; always the same few, so that windows agree to the bit.
        """
        b, t, *_ = views.shape
        number = torch.arange(t, device=views.device).expand(b, t)
        before = number if real is None else torch.where(real > 0, number, 0).cummax(1).values
        window = torch.arange(b, device=views.device)[:, None]
        for start in range(1, t, TOGETHER):
            stop = min(start + TOGETHER, t)
            here, there = views[:, start:stop], views[window, before[:, start - 1 : stop - 1]]
            found = self.flow(*(rearrange(x, "b t c h w -> (t b) c h w") for x in (here, there)))
            yield from rearrange(found, "(t b) d h w -> t b d h w", b=b)

    def aligned(self, flow: Tensor, base: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The memory brought along a flow: what its picture adds to the base (b, s*s, h, w), and its state."""
        seen = inside(flow) * memory.there
        state = warp(memory.state, flow) * seen
        return (warp_cells(memory.picture, flow, self.scale) - base) * seen, state

    def update(self, view: Tensor, added: Tensor | None, state: Tensor | None) -> Tensor:
        """The new state (b, width, h, w) of a view (b, 1, h, w), from what is left of the past, if there was any."""
        x = F.relu(self.encode(view.contiguous(memory_format=torch.channels_last)))
        b, _, h, w = x.shape
        if added is None or state is None:
            added, state = x.new_zeros(b, 0, h, w), torch.zeros_like(x)
        parts = (added, x.new_zeros(b, self.fed - added.shape[1], h, w), state)
        added, unused, state = (p.to(x.dtype, memory_format=torch.channels_last) for p in parts)
        seen = torch.cat([p for p in (added, unused, state, x) if p.shape[1]], 1)
        candidate = F.relu(self.candidate(seen)) + self.keep(seen).sigmoid() * state
        return torch.lerp(state, self.blocks(candidate), self.fresh(seen).sigmoid())

    def step(self, view: Tensor, memory: Memory | None, flow: Tensor | None) -> tuple[Tensor, Tensor]:
        """One view (b, 1, h, w): its picture as phases (b, s*s, h, w), float32, and the new state."""
        base = phases(view.float(), self.scale)
        added, state = (None, None) if memory is None or flow is None else self.aligned(flow, base, memory)
        state = self.update(view, added, state)
        return base + self.decode(state).float(), state

    def remember(self, picture: Tensor, state: Tensor, real: Tensor | None, old: Memory | None) -> Memory:
        """The memory after a view; where the view is not real (b, 1, 1, 1), the old one."""
        there = picture.new_ones(picture.shape[0], 1, 1, 1)
        if real is None:
            return Memory(picture, state, there)
        if old is None:
            old = Memory(torch.zeros_like(picture), torch.zeros_like(state), torch.zeros_like(there))
        picture, state = (
            torch.where(real > 0, a, b.to(a.dtype)) for a, b in ((picture, old.picture), (state, old.state))
        )
        return Memory(picture, state, torch.where(real > 0, there, old.there))

    def phases(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Pictures of the centres before the shuffle, float32 (b, n, s*s, h, w), channels last."""
        b, _, _, h, w = views.shape
        made = views.new_empty(b, len(centres), h, w, self.scale**2, dtype=torch.float32)
        whole = None if bool(valid.all()) else valid
        for n, picture in enumerate(self.unroll(views, whole, centres)):
            made[:, n] = rearrange(picture, "b p h w -> b h w p")
        return rearrange(made, "b n h w p -> b n p h w")

    def unroll(self, views: Tensor, valid: Tensor | None, centres: range) -> Iterator[Tensor]:
        """The pictures that phases() stacks, one by one; valid None says that every view is real."""
        real = None
        if valid is not None:
            real = valid.amax((-3, -2, -1))  # (b, t)
            views = torch.where(real[..., None, None, None] > 0, views, 0)
        memory, flows = None, chain([None], self.flows(views, real))
        for n in range(centres.stop):
            picture, state = self.step(views[:, n], memory, next(flows))
            if n >= centres.start:
                yield picture
            if n + 1 < centres.stop:
                now = None if real is None else real[:, n, None, None, None]
                memory = self.remember(F.pixel_shuffle(picture, self.scale), state, now, memory)

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Pictures of the centres (b, n, 1, s*h, s*w)."""
        b, *_ = views.shape
        x = rearrange(self.phases(views, valid, centres), "b n p h w -> (b n) p h w")
        return rearrange(F.pixel_shuffle(x, self.scale), "(b n) 1 h w -> b n 1 h w", b=b)
