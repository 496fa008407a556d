"""The pieces of a scene, fused by a crew. The driver reads the views and writes the picture; workers need neither.

Answers come in any order, and are given on in that of the pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from misr.ahead import prefetch
from misr.fusion.choose import Method, placed
from misr.fusion.job import Job, Progress
from misr.fusion.pieces import Piece, blank, core, in_codes, nothing, pieces
from misr.fusion.tiles import Tile
from misr.nets.lattice import UNSEEN, Fused, Stack
from misr.spread.crew import Crew, Held, Seat, let_go
from misr.spread.model import Model
from misr.upscaler import Precision

AHEAD = 4  # pieces for each slot, some MB each, that are out or wait for one before them
Array = np.ndarray[Any, Any]
Result = tuple[Array, Array | None, Array]  # of a task: see PieceTask.run


def seated(job: Job, crew: Crew | None) -> Job:
    """The job with a crew's kind of device in its method, where the driver's own is another; workers then find the precision."""
    if crew is None or crew.kind == job.method.device.type:
        return job
    return replace(job, method=replace(job.method, device=torch.device(crew.kind), precision=job.how.precision))


@dataclass(frozen=True, slots=True)
class Order:
    """What all pieces of a scene have in common.

    precision   of all workers; "auto": each the best for its device
    size        LR pixels of whole tiles
    sigma       whether the error is wanted too
    """

    model: Model
    precision: Precision
    size: int
    sigma: bool

    @staticmethod
    def of(job: Job) -> Order:
        """A job's."""
        precision: Any = job.method.precision
        return Order(Model.of(job.method.model, job.method.scale), precision, job.tile, job.how.sigma)

    def method(self, seat: Seat) -> Method:
        """The method at a worker's place, built by the first task there that wants it."""
        return seat.keep(
            ("fuse", self.model.key, self.precision),
            lambda: placed(self.model.build(), device=seat.device, precision=self.precision),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PieceTask:
    """Fuse a piece; the stack travels as arrays, of which pickle keeps no more than is seen of them."""

    order: Held[Order]
    name: str
    number: int
    tile: Tile
    band: int
    stack: tuple[Array, ...]

    @staticmethod
    def of(order: Held[Order], job: Job, piece: Piece) -> PieceTask:
        """The task of a job's piece."""
        band = f", band {piece.band + 1}" if job.ready.bands > 1 else ""
        stack = tuple(lean(x.contiguous().numpy()) for x in piece.stack)
        return PieceTask(
            order, f"{job.out}, tile {piece.tile.number + 1}{band}", piece.number, piece.tile, piece.band, stack
        )

    def run(self, seat: Seat, tell: Callable[[int], None]) -> Result:
        """The core's picture, in [0, 1], error and effective views, (1, 1, s*h, s*w) each.

        Where the error is not wanted there is none, and instead of how many views only whether there is one.
        """
        order = self.order.value()
        got = core(order.method(seat), self.tile, Stack(*map(whole, self.stack)), order.size)
        picture, sigma, known = (x.contiguous().numpy() for x in got)
        return (picture, sigma, known) if order.sigma else (picture, None, known > UNSEEN)


def spread_out(crew: Crew, job: Job, first: int, total: int, progress: Progress) -> Generator[tuple[Tile, Fused]]:
    """The tiles from number `first` on, of `total`, each of its bands in codes, in order; progress counts them as they end."""
    order, bands = crew.hold(Order.of(job)), job.ready.bands
    ended: dict[int, tuple[Tile, int, Result | None]] = {}  # tile and band, by number; None: nothing is known there
    turn, out, over = first * bands, 0, False
    count = turn

    def end(it: Piece | PieceTask, result: Result | None) -> None:
        nonlocal count
        ended[it.number] = it.tile, it.band, result
        count += 1
        progress("fusing", count, total * bands)

    def next_task() -> PieceTask | None:
        nonlocal out, over
        while out < AHEAD * max(1, crew.slots):
            if (piece := next(made, None)) is None:
                over = True
                return None
            if not nothing(job, piece):
                out += 1
                return PieceTask.of(order, job, piece)
            end(piece, None)
        return None  # the first of those that are out is waited for

    def in_turn() -> Iterator[tuple[Tile, Fused]]:
        nonlocal turn, out
        while turn in ended:
            tile, band, result = ended.pop(turn)
            turn, out = turn + 1, out - (result is not None)
            yield tile, blank(job, tile) if result is None else in_codes(job, band, unpacked(result))

    with closing(prefetch(pieces(job, first), depth=2)) as made:
        outcomes = crew.give(next_task, lambda task, units: None)
        try:
            for outcome in outcomes:
                if outcome.error:
                    raise outcome.error
                end(outcome.task, outcome.result)
                yield from in_turn()
            yield from in_turn()
        finally:
            let_go(outcomes)  # what is still out is of no use to anybody
    assert over and turn == total * bands, (turn, total, bands)


def unpacked(result: Result) -> Fused:
    """What a task came to; the error is not a number where it was not wanted."""
    picture, sigma, known = result
    return Fused(whole(picture), whole(np.full_like(picture, np.nan) if sigma is None else sigma), whole(known))


def lean(x: Array) -> Array:
    """An array to be sent: floats that are nothing but 0 and 1, as weights are where no cloud has an edge, take a byte each."""
    return x.astype(bool) if x.dtype == np.float32 and ((x == 0) | (x == 1)).all() else x


def whole(x: Array) -> Tensor:
    """What arrived, as a tensor; a copy, as it may be read-only."""
    return torch.from_numpy(np.array(x, np.float32 if x.dtype == bool else x.dtype))
