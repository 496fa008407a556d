"""Whether whole pictures fit in memory with a model, and in which tiles they do. Linux takes more than it has, and then kills."""

from __future__ import annotations

import torch

from misr import machine
from misr.zoo import card

BYTES = {
    "interpolate": (100, 0),
    "fast": (100, 20),
    "gru": (1400, 110),
}  # a source pixel, by net: so many, and for each made of it
UNKNOWN = 3000, 200  # the same of any other net
ROOM = 0.5  # of free memory that a window may take
TILES = (1024, 768, 512, 384, 256, 128)  # source pixels a side


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; None where the system does not tell. A container has what its limit leaves."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return machine.free_bytes()


def tile(model: str, size: tuple[int, int], free: int | None) -> int:
    """Side of the tiles in source pixels with which a model fits in memory; 0 where whole pictures do, or nothing is known.

    The table is resident memory of a session at 1280x720 less that at 640x360, which misr keeps within 20 %.
    """
    if free is None:
        return 0
    it = card(model)
    base, each = BYTES.get(it.net, UNKNOWN)
    pixels = ROOM * free / (base + each * it.scale**2)
    if pixels >= size[0] * size[1]:
        return 0
    return next((side for side in TILES if (side + 2 * it.halo) ** 2 <= pixels), TILES[-1])
