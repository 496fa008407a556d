"""Sparse coding on the bicubic enlargement (Yang, Wright, Huang, Ma, TIP 2010), simplified as by Zeyde, Elad, Protter (2010).

Each LR pixel has a patch of 3x3 of them. The first and second derivatives of the bicubic there, projected onto their
principal components, are written as a sparse sum of `low` atoms; the same sum of `high` atoms is what the bicubic lacks
there. Where patches overlap their mean is taken. From Yang et al.: the features, the coupled atoms, l1 codes of patches of
unit length. From Zeyde et al.: what is added to the bicubic in place of patches without their mean, the principal components,
and `high` fitted to the codes that `low` alone gives. Ours: a fixed number of steps of FISTA (Beck, Teboulle, 2009) in place
of a solver that stops by itself, so that a pixel is the same in every tile. There is no back-projection.
misr.train.dictionary learns it.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.single import Single, bicubic

PATCH = 3  # LR pixels of a side
REACH = 2  # HR pixels around a patch that its derivatives see
CHUNK = 4096  # patches coded at once: their codes stay in the cache
FAINT = 4 / 255  # length of features below which a patch counts as flat, and its detail fades
DERIVATIVES = (
    (-1.0, 0.0, 1.0),
    (0.5, 0.0, -1.0, 0.0, 0.5),
)  # along rows and along columns; Yang et al. halve the second too


class Sparse(Single):
    """256 atoms of 30 features by default, where the papers have 1000; `sparsity` is the weight of l1 beside half the square.

    look   (features, 1, k, k): from the bicubic, k = 3 s + 4, to the features of a patch
    low    (atoms, features), of unit length; high (atoms, 3 s * 3 s): what each adds to the bicubic
    pace   what a step of FISTA goes by: 1 over the largest eigenvalue of low' low
    Before it has learned, `look` and `low` are random and `high` is zero: it is the bicubic.
    """

    halo = 5  # a patch farther 1, its other pixels 1, their derivatives 1, the bicubic of those 2
    pace: Tensor
    dictionary = True  # learned by misr.train.dictionary, without gradients

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        atoms: int = 256,
        features: int = 30,
        sparsity: float = 0.1,
        steps: int = 20,
    ) -> None:
        super().__init__(scale, channels)
        if min(atoms, features, steps) < 1 or not 0 < sparsity < 1:
            raise ValueError(
                f"atoms {atoms}, features {features}, steps {steps} are 1 or more, sparsity {sparsity} in between 0 and 1"
            )
        side = PATCH * self.scale
        if features > (most := 4 * side * side):
            raise ValueError(f"features {features}: a patch has {most}")
        self.sparsity, self.steps = sparsity, steps
        self.look = nn.Parameter(torch.randn(features, 1, side + 2 * REACH, side + 2 * REACH) / side)
        self.low = nn.Parameter(F.normalize(torch.randn(atoms, features), dim=1))
        self.high = nn.Parameter(torch.zeros(atoms, side * side))
        self.register_buffer("pace", longest_step(self.low.detach()))

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        with torch.autocast(x.device.type, enabled=False):
            return self.enlarged(x.float())

    def enlarged(self, x: Tensor) -> Tensor:
        """The bicubic, and the mean over patches of what it lacks. Beyond the picture is its edge, repeated, patches too."""
        n, c, h, w = x.shape
        base, seen = self.seen(rearrange(x, "n c h w -> (n c) 1 h w"))
        patches = rearrange(seen, "n f h w -> (n h w) f")
        parts = [patches] if torch.jit.is_tracing() else patches.split(CHUNK)  # a trace must not count them
        detail = torch.cat([self.detail(part) for part in parts])
        detail = rearrange(detail, "(n h w) p -> n p h w", n=seen.shape[0], h=seen.shape[2])
        side, s = PATCH * self.scale, self.scale
        place = torch.eye(side * side, device=x.device).reshape(side * side, 1, side, side)
        added = F.conv_transpose2d(detail, place, stride=s, padding=2 * s) / PATCH**2
        return rearrange(base + added, "(n c) 1 h w -> n c h w", c=c)

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The bicubic (n, 1, s*h, s*w) of planes (n, 1, h, w), and features (n, f, h + 2, w + 2), one beyond edges too."""
        s, beyond = self.scale, 3
        wide = bicubic(F.pad(x, (beyond,) * 4, mode="replicate"), s)
        near = s - REACH  # of what is beyond, more than the outermost patches see
        return F.pad(wide, (-beyond * s,) * 4), F.conv2d(F.pad(wide, (-near,) * 4), self.look, stride=s)

    def detail(self, features: Tensor) -> Tensor:
        """What the bicubic lacks in patches (m, 3 s * 3 s), by features (m, f)."""
        unit, length = directions(features)
        return (self.codes(unit) @ self.high) * length

    def codes(self, unit: Tensor) -> Tensor:
        """Codes (m, atoms) of features (m, f) of unit length: FISTA on |y - z low|^2 / 2 + sparsity |z|_1, from zero."""
        pace = self.pace
        least = pace * self.sparsity
        now = shrunk(unit @ self.low.T * pace, least)
        ahead, t = now, 1.0
        for _ in range(self.steps - 1):
            last, now = now, shrunk(ahead + (unit - ahead @ self.low) @ self.low.T * pace, least)
            t, before = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
            ahead = torch.lerp(last, now, 1 + (before - 1) / t)
        return now


def directions(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features (m, f) of unit length, and the lengths (m, 1); flat patches are left short."""
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True).clamp(min=FAINT)
    return features / length, length


def shrunk(codes: Tensor, by: Tensor) -> Tensor:
    """Codes brought nearer to zero."""
    return codes - torch.minimum(torch.maximum(codes, -by), by)


def longest_step(low: Tensor) -> Tensor:
    """1 over the largest eigenvalue of low' low, a number: how far a step may go."""
    return 1 / torch.linalg.matrix_norm(low, 2).square().clamp(min=1e-6)


def derivatives(planes: Tensor) -> Tensor:
    """First and second derivatives (n, 4, h - 4, w - 4) of planes (n, 1, h, w), along rows and columns."""
    lines = [F.pad(planes.new_tensor(d), (REACH - len(d) // 2,) * 2) for d in DERIVATIVES]
    still = F.pad(planes.new_ones(1), (REACH, REACH))
    kernels = [torch.outer(*pair) for line in lines for pair in ((still, line), (line, still))]
    return F.conv2d(planes, torch.stack(kernels)[:, None])
