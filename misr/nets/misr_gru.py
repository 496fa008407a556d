"""MISR-GRU: a recurrent net over the views of a burst (Rifat Arefin et al., CVPR Workshops 2020), as published.

Views and a reference, their median, are encoded together; a convolutional GRU of two layers reads them one by one; the mean of
its states is decoded on the fine grid. The published net takes its views as they come and knows whole views alone. Added here:
views are brought to the reference's grid in whole pixels first, masks count by the pixel, and any whole scale can be made.

The published weights (PROBA-V, x3) go in by from_published(). They expect stored 14-bit values / 65535, that is light from 0 to
0.25, registered to a pixel, the clearest views first. Their loss was blind to brightness: pictures are lighter by about 0.07.
"""

from collections.abc import Iterable, Iterator

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from misr.nets.lattice import UNSEEN, Fused, Stack, filled, registered
from misr.resample import resample

MEDIAN_OF = 9  # views that make the reference
TOGETHER = 4  # views encoded at once: many are no quicker, and the features of all would fill the memory


class Block(nn.Module):
    """x + prelu(conv(prelu(conv(x)))), width to width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*(part for _ in range(2) for part in (conv(width, width), nn.PReLU())))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Unit(nn.Module):
    """Planes (n, planes, h, w) to features (n, width, h, w)."""

    def __init__(self, planes: int, width: int, blocks: int) -> None:
        super().__init__()
        self.init_layer = nn.Sequential(conv(planes, width), nn.PReLU())
        self.res_layers = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.final = nn.Sequential(conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.final(self.res_layers(self.init_layer(x)))


class Encode(nn.Module):
    """Each view beside the reference: (b, t, 1, h, w) and (b, 1, h, w) to the features of one view after another."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.unit1 = Unit(1, width, blocks)
        self.unit2 = Unit(2 * width, width, blocks)

    def forward(self, views: Tensor, reference: Tensor) -> Iterator[Tensor]:
        b, *_ = views.shape
        beside = self.unit1(reference)
        for some in views.split(TOGETHER, 1):
            x = self.unit1(rearrange(some, "b t 1 h w -> (b t) 1 h w"))
            x = self.unit2(torch.cat([x, beside.repeat_interleave(some.shape[1], 0)], 1))
            yield from rearrange(x, "(b t) c h w -> t b c h w", b=b)


class Cell(nn.Module):
    """One layer of a convolutional GRU: features and state (b, width, h, w) to the next state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reset_gate, self.update_gate, self.out_gate = (conv(2 * width, width) for _ in range(3))

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        seen = torch.cat([x, state], 1)
        kept = self.reset_gate(seen).sigmoid() * state
        candidate = self.out_gate(torch.cat([x, kept], 1)).tanh()
        return state + self.update_gate(seen).sigmoid() * (candidate - state)


class Fuse(nn.Module):
    """Features (b, width, h, w) of the views, with weights (b, t, 1, h, w), to the mean of the last layer's states."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        self.gru_units = nn.ModuleList(Cell(width) for _ in range(layers))

    def forward(self, features: Iterable[Tensor], weight: Tensor) -> Tensor:
        b, t, _, h, w = weight.shape
        total = weight.new_zeros(b, self.width, h, w)
        states = [total for _ in self.gru_units]
        for x, share in zip(features, weight.unbind(1), strict=True):
            for n, unit in enumerate(self.gru_units):
                states[n] = torch.where(share > 0, unit(x, states[n]).float(), states[n])
                x = states[n]
            total = total + share * x
        return total / weight.sum(1).clamp(min=UNSEEN)


class Decode(nn.Module):
    """Features (b, width, h, w) to a picture (b, 1, s*h, s*w)."""

    def __init__(self, width: int, scale: int) -> None:
        super().__init__()
        self.deconv = nn.Sequential(nn.ConvTranspose2d(width, width, scale, stride=scale), nn.PReLU())
        self.final = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.final(self.deconv(x))


class MisrGru(nn.Module):
    """Burst (b, t, 1, h, w) to one picture (b, 1, s*h, s*w); views are read in their order. Published: x3, width 64.

    width, blocks, layers    channels, residual blocks of either encoder, layers of the GRU
    """

    bursts = True
    halo = 32  # LR pixels: exact for 9 views (6 + 6 of the encoders, 2 a step of the GRU); what comes from further fades away

    def __init__(self, *, scale: int = 3, width: int = 64, blocks: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.encode = Encode(width, blocks)
        self.fuse_states = Fuse(width, layers)
        self.decode = Decode(width, scale)

    def picture(self, views: Tensor, valid: Tensor) -> Tensor:
        """The picture of views on one grid, valid (b, t, 1, h, w); where nothing is valid, that of what lies around."""
        known = valid > UNSEEN
        views = torch.where(known, views.float(), 0)
        middle, some = median(views, known), known.any(1)
        reference = filled(middle, some.to(middle.dtype))
        features = self.encode(torch.where(known, views, reference[:, None]), reference)
        out = self.decode(self.fuse_states(features, valid * known)).float()
        return torch.where(finer(some, self.scale), out, resample(reference, (out.shape[-2], out.shape[-1])))

    def fuse(self, stack: Stack) -> Fused:
        """The picture of a stack; its views are moved by whole pixels, what is left of their motion is for the net to find.

        sigma is what the views' noise leaves in their mean; the net has no idea of its own error, which is larger.
        """
        views, valid, sigma = brought(stack)
        count = reduce(valid, "b t 1 h w -> b 1 h w", "sum")
        noise = reduce((valid * sigma).square(), "b t 1 h w -> b 1 h w", "sum").sqrt() / count.clamp(min=UNSEEN)
        noise = torch.where(count > UNSEEN, noise, sigma.amax(1))
        return Fused(self.picture(views, valid), finer(noise, self.scale), finer(count, self.scale))

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Pictures of the centres (b, n, 1, s*h, s*w), each read first; registered views."""
        stacks = [registered(views, valid, range(n, n + 1)) for n in centres]
        return torch.stack([self.picture(stack.views, stack.valid) for stack in stacks], 1)


def conv(channels: int, width: int) -> nn.Conv2d:
    """3x3, as large as it comes."""
    return nn.Conv2d(channels, width, 3, padding=1)


def finer(x: Tensor, scale: int) -> Tensor:
    """Every LR pixel as a cell of scale x scale."""
    return x.repeat_interleave(scale, -2).repeat_interleave(scale, -1)


def from_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published weights for load_state_dict: what they call `fuse` is `fuse_states` here, fuse() being a verb of all nets."""
    return {"fuse_states" + key.removeprefix("fuse") if key.startswith("fuse.") else key: w for key, w in state.items()}


def median(views: Tensor, known: Tensor) -> Tensor:
    """The median (b, 1, h, w), the lower of two, of the first nine views (b, t, 1, h, w) known at a pixel; 0 where none is."""
    first = known & (known.cumsum(1) <= MEDIAN_OF)
    return torch.where(first, views, torch.nan).nanmedian(1).values.nan_to_num(0.0)


def brought(stack: Stack) -> tuple[Tensor, Tensor, Tensor]:
    """Views, valid and sigma (b, t, 1, h, w) on the reference's grid, from the nearest pixels; not valid out of a view."""
    b, t, _, h, w = stack.views.shape
    step = stack.motion.round().long()
    x = (step[:, :, :1] + torch.arange(w, device=step.device)).expand(b, t, 1, h, w)
    y = (step[:, :, 1:] + torch.arange(h, device=step.device)[:, None]).expand(b, t, 1, h, w)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    at = rearrange(y.clamp(0, h - 1) * w + x.clamp(0, w - 1), "b t 1 h w -> b t (h w)")
    planes = (p.expand(b, t, 1, h, w).flatten(2).gather(2, at) for p in (stack.views, stack.valid, stack.sigma))
    views, valid, sigma = (rearrange(p, "b t (h w) -> b t 1 h w", h=h) for p in planes)
    return views, valid * inside, sigma
