"""Fast: one view, one plane, real time on a CPU: plain 3x3 convolutions, a learned residual over the bicubic.

Trained with edge-oriented branches that collapse to one convolution each (after RepVGG, Ding et al., CVPR 2021, and ECBSR,
Zhang et al., ACM MM 2021); deployed as the collapsed stack. x2 works on a space-to-depth lattice (2x2 -> 4 channels).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import phases


class Branches(nn.Module):
    """A 3x3 convolution for training, wider than it will be deployed: 3x3 + (1x1 -> 3x3 -> 1x1) + identity."""

    def __init__(self, c_in: int, c_out: int, *, expand: int = 4) -> None:
        super().__init__()
        mid = max(c_in, c_out) * expand
        self.plain = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.first = nn.Parameter(torch.randn(mid, c_in) / c_in**0.5)
        self.middle = nn.Parameter(torch.randn(mid, mid // expand, 3, 3) * (0.3 / (mid // expand * 9) ** 0.5))
        self.last = nn.Parameter(torch.randn(c_out, mid) / mid**0.5)
        self.groups, self.identity = expand, c_in == c_out

    def collapse(self) -> tuple[Tensor, Tensor]:
        """The one convolution, weight (c_out, c_in, 3, 3) and bias, that all branches together are."""
        per = rearrange(self.first, "(g m) i -> g m i", g=self.groups)
        mid = rearrange(self.middle, "(g o) m y x -> g o m y x", g=self.groups)
        out = rearrange(self.last, "o (g m) -> o g m", g=self.groups)
        weight = self.plain.weight + torch.einsum("ogp,gpmyx,gmi->oiyx", out, mid, per)
        if self.identity:
            eye = torch.eye(weight.shape[0], device=weight.device, dtype=weight.dtype)
            weight = weight + F.pad(eye[:, :, None, None], (1, 1, 1, 1))
        assert self.plain.bias is not None
        return weight, self.plain.bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.collapse()
        return F.conv2d(x, weight.contiguous(memory_format=torch.channels_last), bias, padding=1)


class Fast(nn.Module):
    """`depth` layers of `width` channels (multiples of 16), ReLU between; width 16 is `fast`, 32 is `fast-plus`.

    `branches` builds the training form; `deploy()` returns the plain net that the shipped weights are for.
    """

    def __init__(self, *, scale: int = 2, width: int = 16, depth: int = 6, branches: bool = False) -> None:
        super().__init__()
        self.scale, self.width, self.depth = scale, width, depth
        self.lattice = 2 if scale == 2 else 1  # LR pixels per lattice cell and axis
        out = (self.lattice * scale) ** 2
        sizes = [self.lattice**2, *[width] * (depth - 1), out]
        make = Branches if branches else lambda i, o: nn.Conv2d(i, o, 3, padding=1)
        self.layers = nn.ModuleList(make(i, o) for i, o in zip(sizes, sizes[1:], strict=False))
        self.halo = (depth + 1) * self.lattice

    def deploy(self) -> "Fast":
        """The same function as plain convolutions."""
        plain = Fast(scale=self.scale, width=self.width, depth=self.depth)
        for mine, theirs in zip(self.layers, plain.layers, strict=True):
            assert isinstance(mine, Branches) and isinstance(theirs, nn.Conv2d) and theirs.bias is not None
            weight, bias = mine.collapse()
            theirs.weight.data.copy_(weight)
            theirs.bias.data.copy_(bias)
        return plain.to(next(self.parameters()).device)

    def detail(self, x: Tensor) -> Tensor:
        """What the net adds, (n, (lattice*s)^2, h/lattice, w/lattice), of planes (n, 1, h, w)."""
        x = F.pixel_unshuffle(x, self.lattice) if self.lattice > 1 else x
        *inner, last = self.layers
        for layer in inner:
            x = F.relu(layer(x), inplace=True)
        return last(x)

    def phases(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Phases (b, n, c*s*s, h, w), on the LR lattice; only where the lattice is the LR grid (not x2)."""
        raise NotImplementedError

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Sharp centres (b, n, 1, s*h, s*w); h and w even for x2."""
        b, t, c, h, w = views.shape
        x = rearrange(views[:, centres.start:centres.stop], "b n c h w -> (b n c) 1 h w")
        detail = F.pixel_shuffle(self.detail(x), self.lattice * self.scale)
        base = F.pixel_shuffle(phases(x, self.scale), self.scale)
        return rearrange(base + detail, "(b n c) 1 h w -> b n c h w", b=b, c=c)
