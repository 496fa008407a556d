"""SwinIR: residual Swin transformer blocks, attention in windows that shift (Liang et al., ICCVW 2021)."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.edsr import mean_of
from misr.nets.single import Single, conv, exactly, reach_up, subpixel, whole

LAST = 64  # features of the picture's grid, where up is "classical"
APART = -100.0  # added to what attention must not mix: pixels that a shift brought together from opposite edges


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is kept must be of use to training too
def between(window: int) -> Tensor:
    """Which entry of the table of biases each pair of a window's pixels takes: (window^4,)."""
    at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    off = at[:, :, None] - at[:, None, :] + window - 1
    return (off[0] * (2 * window - 1) + off[1]).flatten()


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)  # what is kept must be of use to training too
def seams(h: int, w: int, window: int, shift: int, device: torch.device) -> Tensor:
    """What is added to attention in shifted windows (h/window * w/window, 1, window^2, window^2)."""
    part = [(torch.arange(n) >= n - window).long() + (torch.arange(n) >= n - shift).long() for n in (h, w)]
    region = rearrange(3 * part[0][:, None] + part[1], "(y i) (x j) -> (y x) (i j)", i=window, j=window)
    mask = (region[:, :, None] != region[:, None, :]).float() * APART
    return mask[:, None].to(device)


class Attention(nn.Module):
    """Attention among the pixels (n, h, w, c) of each window, with a bias for every displacement."""

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.ask, self.give = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def added(self, x: Tensor) -> Tensor:
        """What is added to attention: (1 or windows of a picture, heads, window^2, window^2)."""
        index = between(self.window).to(x.device)
        bias = rearrange(self.bias[index], "(a b) k -> 1 k a b", a=self.window**2)
        if not self.shift:
            return bias
        return bias + seams(x.shape[1], x.shape[2], self.window, self.shift, x.device)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        size = {"i": self.window, "j": self.window}
        asked = rearrange(self.ask(x), "n (y i) (x j) (t k d) -> t n (y x) k (i j) d", **size, t=3, k=self.heads)
        query, key, value = asked.unbind(0)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=self.added(x).to(asked.dtype))
        x = rearrange(x, "n (y x) k (i j) d -> n (y i) (x j) (k d)", **size, y=h // self.window)
        x = self.give(x)
        return x.roll((self.shift, self.shift), (1, 2)) if self.shift else x


def kept(x: Tensor, drop: float) -> Tensor:
    """What is added to pictures (n, ...), for each of them nothing at all with a chance of `drop`, else as much larger.

    Stochastic depth (Huang et al., ECCV 2016), drawn from torch's own generator; the mean over chances is x.
    """
    keep = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - drop)
    return x * (keep / (1 - drop))


class Layer(nn.Module):
    """Attention and two linear layers, each added to what it was given, normalised; while it learns as `kept` says."""

    def __init__(self, width: int, heads: int, window: int, ratio: float, shift: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.one, self.attention = nn.LayerNorm(width), Attention(width, heads, window, shift)
        hidden = int(ratio * width)
        self.two = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.some(self.attention(self.one(x)))
        return x + self.some(self.mix(self.two(x)))

    def some(self, x: Tensor) -> Tensor:
        """All of it, but while learning."""
        return kept(x, self.drop) if self.training and self.drop else x


class Block(nn.Module):
    """An RSTB: layers whose windows shift in turns, a convolution, and what came in."""

    def __init__(self, width: int, heads: int, window: int, ratio: float, drops: Sequence[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(width, heads, window, ratio, window // 2 * (n % 2), drop) for n, drop in enumerate(drops)
        )
        self.conv = conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y)
        return x + rearrange(self.conv(rearrange(y, "n h w c -> n c h w")), "n c h w -> n h w c")


class Swinir(Single):
    """The lightweight net: 60 channels, 4 blocks of 6 layers, 6 heads, windows of 8. channels=3 is the paper's.

    depths, ratio    layers of every block; channels inside the two linear layers for one outside
    up        "direct": one sub-pixel convolution; "classical", with width=180 and depths=[6, 6, 6, 6, 6, 6]: step by step
    mean      taken off and put back: by default of DIV2K for RGB, of a plane nothing
    drop_path   chance that the last layer is left out of a step of learning, picture by picture; from 0 at the first it grows
              evenly. 0.1 is what the authors' code has; what a net gives when it has learned does not depend on it
    Weights begin as published, linear ones with a deviation of 0.02.
    """

    mean: Tensor

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        width: int = 60,
        depths: Sequence[int] = (6, 6, 6, 6),
        heads: int = 6,
        window: int = 8,
        ratio: float = 2,
        up: Literal["direct", "classical"] = "direct",
        mean: Sequence[float] | None = None,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__(scale, channels, (2, 3, 4, 8))
        if not 0 <= drop_path < 1:
            raise ValueError(f"drop_path {drop_path} is a chance, from 0 to below 1")
        if width % heads or up not in ("direct", "classical"):
            raise ValueError(f"width {width} is to be a multiple of heads {heads}, and up {up!r} direct or classical")
        self.multiple = window
        self.register_buffer("mean", mean_of(channels, mean), persistent=False)
        self.head, self.first = conv(channels, width), nn.LayerNorm(width)
        drops = iter(torch.linspace(0, drop_path, sum(depths)).tolist())
        self.blocks = nn.ModuleList(Block(width, heads, window, ratio, list(islice(drops, depth))) for depth in depths)
        self.last, self.tail = nn.LayerNorm(width), conv(width, width)
        if up == "direct":
            self.up = nn.Sequential(conv(width, channels * self.scale**2), nn.PixelShuffle(self.scale))
        else:
            grow = [conv(width, LAST), nn.LeakyReLU(inplace=True), *subpixel(LAST, self.scale)]
            self.up = nn.Sequential(*grow, conv(LAST, channels))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        ends = 1 if up == "direct" else 1 + reach_up(self.scale, 1)
        self.halo = 1 + reach(depths, window, ends + 1)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        h, w = x.shape[-2:]
        x = self.head(whole(x, self.multiple) - self.mean)
        y = self.first(rearrange(x, "n c h w -> n h w c"))
        for block in self.blocks:
            y = block(y)
        y = exactly(self.up, x + self.tail(rearrange(self.last(y), "n h w c -> n c h w"))) + self.mean
        return y[..., : self.scale * h, : self.scale * w]


def reach(depths: Sequence[int], window: int, after: int) -> int:
    """Pixels around one that reach it through blocks of these depths and, behind them, convolutions of so many pixels."""
    found = 0
    for at in range(window):
        low, high = at - after, at + after
        for depth in reversed(depths):
            low, high = low - 1, high + 1
            for n in reversed(range(depth)):
                shift = window // 2 * (n % 2)
                low, high = ((v - shift) // window * window + shift for v in (low, high))
                high += window - 1
        found = max(found, at - low, high - at)
    return found
