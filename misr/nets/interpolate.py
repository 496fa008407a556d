"""Plain interpolation of the centre view: the baseline of every table, exact and without weights."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import RADIUS, Kernel, phases, resample


class Interpolate(nn.Module):
    """nearest, bilinear, bicubic (Keys, a = -1/2) or lanczos (3 lobes), area-aligned, any scale."""

    def __init__(self, *, scale: float = 2, kernel: Kernel = "bicubic") -> None:
        super().__init__()
        self.scale, self.kernel = scale, kernel
        self.halo = int(RADIUS[kernel] / min(scale, 1) + 0.5) + 1
        self.cell = 1 if scale == int(scale) and scale > 1 else 0

    def phases(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Phases (b, n, c*s*s, h, w) of the enlarged centres; whole scales only."""
        b, t, c, h, w = views.shape
        x = rearrange(views[:, centres.start : centres.stop], "b n c h w -> (b n c) 1 h w")
        x = phases(x, int(self.scale), self.kernel)
        return rearrange(x, "(b n c) p h w -> b n (c p) h w", b=b, c=c)

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """The centres, enlarged: (b, n, c, s*h, s*w)."""
        b, t, c, h, w = views.shape
        if self.cell:
            x = rearrange(self.phases(views, valid, centres), "b n cp h w -> (b n) cp h w")
            return rearrange(F.pixel_shuffle(x, int(self.scale)), "(b n) c h w -> b n c h w", b=b)
        size = round(h * self.scale), round(w * self.scale)
        return resample(views[:, centres.start : centres.stop], size, (self.scale, self.scale), kernel=self.kernel)
