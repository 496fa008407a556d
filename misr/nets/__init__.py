"""The nets: pure torch, one paper one file one class, and the one table that names them.

Contract:   net(views (b, t, c, h, w) in [0, 1], valid (b, t, 1, h | 1, w | 1), centres) -> (b, n, c, s*h, s*w), n = len(centres)
            in evaluation mode, as zoo.build() gives it; nets with batch norm differ while they train.
Optional:   net.phases(the same) -> (b, n, r*r, h/cell, w/cell), r = s*cell, for one plane: the same pictures before their pixel
            shuffle, for a caller that rounds to integers first and shuffles bytes (2 ms less per 1080p frame on two CPU cores).
            net.cell says how many LR pixels a cell spans along an axis; 0 or absent: no phases().
A net is built with keyword options only, `scale` first among them (ValueError for one it cannot have), keeps no state between
calls, and never looks at a view whose valid is 0. `net.halo` is how many LR pixels around a pixel can change its result (what a
tile must carry). Optional: `net.channels`, 3 for nets of RGB; `net.multiple`, where pixels are treated alike only so far apart.

Most nets of one view are a single.Single: picture(x) is the paper's net, and levels(x) all pictures that learning compares with
the truth, at any size; where net.grown(done) is, levels(x, grown) are those that learn with `done` of 1 of the run behind.

Nets whose class says `dictionary = True` learn by steps of their own (misr.train.dictionary), not by gradients.

Nets whose class says `bursts = True` fuse views of one place that lie on different grids:
            net.fuse(stack: lattice.Stack) -> lattice.Fused, a picture with its uncertainty on the grid of the stack's first view
The contract above holds for them too, of views that lie on one grid already.
"""

from torch import nn

from misr.nets.burst import Burst
from misr.nets.cincgan import Cincgan
from misr.nets.classical import Best, Map, Mean, ShiftAndAdd
from misr.nets.dbpn import Dbpn
from misr.nets.edsr import Edsr
from misr.nets.espcn import Espcn
from misr.nets.fast import Fast
from misr.nets.fsrcnn import Fsrcnn
from misr.nets.gru import Gru
from misr.nets.hourglass import StackedHourglass
from misr.nets.interpolate import Interpolate
from misr.nets.johnson import Johnson
from misr.nets.lapsrn import Lapsrn
from misr.nets.misr_gru import MisrGru
from misr.nets.prosr import Prosr
from misr.nets.shift_and_pool import ShiftAndPool
from misr.nets.spandrel import Spandrel
from misr.nets.sparse import Sparse
from misr.nets.srcnn import Srcnn
from misr.nets.srresnet import Srresnet
from misr.nets.swinir import Swinir
from misr.nets.vdsr import Vdsr

NETS: dict[str, type[nn.Module]] = {
    "interpolate": Interpolate,
    "fast": Fast,
    "gru": Gru,
    "sparse": Sparse,
    "srcnn": Srcnn,
    "vdsr": Vdsr,
    "fsrcnn": Fsrcnn,
    "espcn": Espcn,
    "srresnet": Srresnet,
    "edsr": Edsr,
    "johnson": Johnson,
    "swinir": Swinir,
    "lapsrn": Lapsrn,
    "prosr": Prosr,
    "dbpn": Dbpn,
    "hourglass": StackedHourglass,
    "cincgan": Cincgan,
    "spandrel": Spandrel,
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
    "Cincgan",
    "Dbpn",
    "Edsr",
    "Espcn",
    "Fast",
    "Fsrcnn",
    "Gru",
    "Interpolate",
    "Johnson",
    "Lapsrn",
    "Map",
    "Mean",
    "MisrGru",
    "Prosr",
    "ShiftAndAdd",
    "ShiftAndPool",
    "Spandrel",
    "Sparse",
    "Srcnn",
    "Srresnet",
    "StackedHourglass",
    "Swinir",
    "Vdsr",
]
