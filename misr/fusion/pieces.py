"""What a scene is fused in: a tile of one band, with the views there; and what a method makes of it, wherever that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from misr.errors import ModelError
from misr.fusion.choose import Method
from misr.fusion.job import Job
from misr.fusion.tiles import Tile, tiles
from misr.nets.lattice import Fused, Stack
from misr.upscaler import DTYPES, out_of_memory


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A tile, one of its bands, and the views there; number: its place in the order in which a scene is written."""

    number: int
    tile: Tile
    band: int
    stack: Stack


def pieces(job: Job, first: int) -> Iterator[Piece]:
    """Each tile from number `first` on, and of each all bands."""
    ready, bands = job.ready, job.ready.bands
    grid = tiles(ready.width, ready.height, size=job.tile, halo=job.method.halo, multiple=job.multiple)
    for tile in grid:
        if tile.number >= first:
            for band in range(bands):
                yield Piece(tile.number * bands + band, tile, band, ready.stack(*tile.window, band))


def nothing(job: Job, piece: Piece) -> bool:
    """Whether no view knows anything of a piece and a code says so: then nothing is computed."""
    return not bool(piece.stack.valid.any()) and job.burst.views[job.ready.reference].nodata is not None


def blank(job: Job, tile: Tile) -> Fused:
    """The codes of such a piece."""
    zeros = torch.zeros(1, 1, job.method.scale * tile.height, job.method.scale * tile.width)
    return Fused(zeros, zeros, zeros)


def core(method: Method, tile: Tile, stack: Stack, size: int) -> Fused:
    """What a method makes of a tile's views: its core (1, 1, s*h, s*w), on the host; size: LR pixels of whole tiles."""
    try:
        return Fused(*(tile.core(x, method.scale).cpu() for x in fused(method, stack)))
    except (RuntimeError, MemoryError) as e:
        if not out_of_memory(e):
            raise
        raise ModelError(f"{method.name}: too little memory for tiles of {size} px; give --tile {size // 2}") from None


def fused(method: Method, stack: Stack) -> Fused:
    """The method's answer to a stack of one whole window; once more in fp32 where half precision broke it."""
    stack = Stack(*(x.to(method.device, non_blocking=True) for x in stack))
    for precision in dict.fromkeys((method.precision, "fp32")):
        half = precision != "fp32"
        with (
            torch.autocast(method.device.type, dtype=DTYPES[precision]) if half else nullcontext(),
            torch.inference_mode(),
        ):
            got = method.net.fuse(stack)  # type: ignore[operator]
        if bool(got.picture.isfinite().all()):
            return Fused(*(x.float() for x in got))
    raise ModelError(f"{method.name} gave numbers that are not finite; fuse with -m map")


def in_codes(job: Job, band: int, it: Fused) -> Fused:
    """A piece as floats in [0, 1], in codes."""
    return Fused(job.ready.codes(it.picture, band), job.ready.codes_sigma(it.sigma, band), it.count)
