"""The nets: pure torch, one paper one file one class, and the one table that names them.

Contract:   net(views (b, t, c, h, w) in [0, 1], valid (b, t, 1, h | 1, w | 1), centres) -> (b, n, c, s*h, s*w), n = len(centres)
Optional:   net.phases(the same) -> (b, n, r*r, h/cell, w/cell), r = s*cell, for one plane: the same pictures before their pixel
            shuffle, for a caller that rounds to integers first and shuffles bytes (2 ms less per 1080p frame on two CPU cores).
            net.cell says how many LR pixels a cell spans along an axis; 0 or absent: no phases().
A net is built with keyword options only, `scale` first among them, keeps no state between calls, and never looks at a view
whose valid is 0. `net.halo` is how many LR pixels around a pixel can change its result (what a tile must carry).
"""

from torch import nn

from misr.nets.fast import Fast
from misr.nets.gru import Gru
from misr.nets.interpolate import Interpolate

NETS: dict[str, type[nn.Module]] = {
    "interpolate": Interpolate,
    "fast": Fast,
    "gru": Gru,
}

__all__ = ["NETS", "Fast", "Gru", "Interpolate"]
