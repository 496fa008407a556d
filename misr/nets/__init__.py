"""The nets: pure torch, one paper one file one class, and the one table that names them.

Contract:   net(views (b, t, c, h, w) in [0, 1], valid (b, t, 1, h | 1, w | 1), centres) -> (b, n, c, s*h, s*w), n = len(centres)
Optional:   net.phases(the same) -> (b, n, r*r, h/cell, w/cell), r = s*cell, for one plane: the same pictures before their pixel
            shuffle, for a caller that rounds to integers first and shuffles bytes (2 ms less per 1080p frame on two CPU cores).
            net.cell says how many LR pixels a cell spans along an axis; 0 or absent: no phases().
A net is built with keyword options only, `scale` first among them, keeps no state between calls, and never looks at a view
whose valid is 0. `net.halo` is how many LR pixels around a pixel can change its result (what a tile must carry).

Nets whose class says `bursts = True` fuse views of one place that lie on different grids:
            net.fuse(stack: lattice.Stack) -> lattice.Fused, a picture with its uncertainty on the grid of the stack's first view
The contract above holds for them too, of views that lie on one grid already.
"""

from torch import nn

from misr.nets.burst import Burst
from misr.nets.classical import Best, Map, Mean, ShiftAndAdd
from misr.nets.fast import Fast
from misr.nets.gru import Gru
from misr.nets.interpolate import Interpolate
from misr.nets.misr_gru import MisrGru
from misr.nets.shift_and_pool import ShiftAndPool

NETS: dict[str, type[nn.Module]] = {
    "interpolate": Interpolate,
    "fast": Fast,
    "gru": Gru,
    "best": Best,
    "mean": Mean,
    "shift-and-add": ShiftAndAdd,
    "map": Map,
    "misr_gru": MisrGru,
    "shift_and_pool": ShiftAndPool,
    "burst": Burst,
}

__all__ = [
    "NETS",
    "Best",
    "Burst",
    "Fast",
    "Gru",
    "Interpolate",
    "Map",
    "Mean",
    "MisrGru",
    "ShiftAndAdd",
    "ShiftAndPool",
]
