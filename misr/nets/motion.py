"""Motion between two views: a pyramid of Gauss-Newton steps (Lucas & Kanade 1981), each mended by a few convolutions.

A level solves the classical equations on small cells and hands a small net the solution, how well conditioned it is and
what it leaves unexplained; the net smooths, fills what has no texture and throws out what cannot be. Evidence comes at the
level's own resolution, the field has half of it. Learning the whole step from pixels instead gave three times the error.

Flow convention: flow[:, 0] = dx right, flow[:, 1] = dy down, in pixels; here(p) is found at there(p + flow(p)).
"""

from math import ceil

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.resample import phases

FLATNESS = 1e-5  # added to squared gradients (white = 1): noise of about one code value
FARTHEST = 2.0  # pixels of a level that one step may propose


def places(flow: Tensor, margin: int = 0) -> Tensor:
    """Where flow (n, 2, h, w) points, as grid_sample counts: (n, 2, h, w) from -1 to 1 between the picture's outer edges.

    margin    pixels that the flow reaches beyond the picture on every side
    """
    h, w = flow.shape[-2:]
    x = torch.arange(w, dtype=flow.dtype, device=flow.device) - margin
    y = torch.arange(h, dtype=flow.dtype, device=flow.device)[:, None] - margin
    h, w = h - 2 * margin, w - 2 * margin
    return torch.stack([(flow[:, 0] + x + 0.5) * (2 / w) - 1, (flow[:, 1] + y + 0.5) * (2 / h) - 1], 1)


def fetch(there: Tensor, at: Tensor, mode: str) -> Tensor:
    """Samples of planes (n, c, H, W) at places (n, h, w, 2): (n, c, h, w); beyond the border, the border's value.

    On a CPU grid_sample shares its work out over n alone, so one picture is fetched in strips.
    """
    n, h = at.shape[:2]
    strips = torch.get_num_threads() if n == 1 and at.device.type == "cpu" else 1
    if strips == 1 or h % strips:
        return F.grid_sample(there, at, mode=mode, padding_mode="border", align_corners=False)
    at = rearrange(at, "1 (k h) w d -> k h w d", k=strips)
    out = F.grid_sample(there.expand(strips, -1, -1, -1), at, mode=mode, padding_mode="border", align_corners=False)
    return rearrange(out, "k c h w -> 1 c (k h) w")


def warp(there: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Planes (n, c, h, w) fetched along flow (n, 2, h, w), float32; beyond the border the border's value."""
    with torch.autocast(flow.device.type, enabled=False):
        return fetch(there.float(), rearrange(places(flow), "n d h w -> n h w d"), mode)


def warp_cells(there: Tensor, flow: Tensor, scale: int, mode: str = "bicubic") -> Tensor:
    """An HR plane (n, 1, s*h, s*w) fetched along LR flow (n, 2, h, w), as phases (n, s*s, h, w), channels last.

    Places are the same numbers on both grids, and those of HR pixels lie between those of LR pixels, linearly.
    """
    n, _, h, w = flow.shape
    with torch.autocast(flow.device.type, enabled=False):
        at = places(F.pad(flow, (1, 1, 1, 1), mode="replicate"), margin=1)
        at = phases(rearrange(at, "n d h w -> (n d) 1 h w"), scale, "bilinear")[..., 1:-1, 1:-1]
        pairs = rearrange(at, "(n d) p h w -> n h (w p) d", n=n)  # a view: across and down stay two planes
        found = fetch(there.float(), pairs, mode)
    return rearrange(found, "n 1 h (w p) -> n p h w", p=scale * scale)


def inside(flow: Tensor) -> Tensor:
    """1 where flow (n, 2, h, w) points into the picture, else 0: (n, 1, h, w)."""
    return (places(flow).abs().amax(1, keepdim=True) <= 1).to(flow.dtype)


def finer(flow: Tensor, by: int = 2) -> Tensor:
    """The same motion on a grid `by` times as fine, in its pixels: (n, 2, by*h, by*w)."""
    return by * F.interpolate(flow, scale_factor=by, mode="bilinear", align_corners=False)


def slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences across and down of planes (n, 1, h, w)."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return (x[..., 1:-1, 2:] - x[..., 1:-1, :-2]) / 2, (x[..., 2:, 1:-1] - x[..., :-2, 1:-1]) / 2


def halved(x: Tensor) -> Tensor:
    """Means of cells of 2x2 pixels; bilinear interpolation gives just that, ten times faster than pooling on a CPU."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def across3(x: Tensor) -> Tensor:
    """Sums over each sample (..., h, w) and its neighbours to the left and right."""
    x = F.pad(x, (1, 1, 0, 0))
    return x[..., :-2] + x[..., 1:-1] + x[..., 2:]


def down3(x: Tensor) -> Tensor:
    """Sums over each sample (..., h, w) and its neighbours above and below."""
    x = F.pad(x, (0, 0, 1, 1))
    return x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]


def around(x: Tensor) -> Tensor:
    """Means of 3x3 pixels, of fewer at the border."""
    h, w = x.shape[-2:]
    return down3(across3(x) / across3(x.new_ones(1, w))) / down3(x.new_ones(h, 1))


def blurred(x: Tensor, sigma: float, edges: str = "replicate") -> Tensor:
    """Planes (n, 1, h, w) under a Gaussian of `sigma` pixels; edges as F.pad names them."""
    reach = min(ceil(3 * sigma), x.shape[-1] - 1, x.shape[-2] - 1)
    at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    line = torch.exp(-at.square() / (2 * sigma * sigma))
    line = line / line.sum()
    x = F.pad(x, (reach, reach, reach, reach), mode=edges)
    return F.conv2d(F.conv2d(x, line.reshape(1, 1, 1, -1)), line.reshape(1, 1, -1, 1))


def evidence(here: Tensor, there: Tensor) -> Tensor:
    """What a Gauss-Newton step from zero motion sees on cells of 2x2 pixels with their neighbours: (n, 5, h/2, w/2).

    The step's dx, dy in pixels, the logarithm of its system's determinant, the mean difference and the mean brightness.
    """
    across, down = slopes((here + there) / 2)
    off = there - here
    terms = torch.cat([across * across, across * down, down * down, across * off, down * off, off, here], 1)
    cells = halved(terms)
    xx, xy, yy, xe, ye = around(cells[:, :5]).split(1, 1)
    xx, yy = xx + FLATNESS, yy + FLATNESS
    determinant = xx * yy - xy * xy
    step = torch.cat([xy * ye - yy * xe, xy * xe - xx * ye], 1) / determinant
    sure = determinant.log() / 5 + 2
    return torch.cat([step.clamp(-FARTHEST, FARTHEST), sure, 8 * cells[:, 5:6], 4 * cells[:, 6:]], 1)


class Step(nn.Module):
    """Evidence (n, 5, h, w) and the field so far (n, 2, h, w) -> what to add to the field."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(7, width, 3, padding=1)
        self.inner = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.last = nn.Conv2d(width, 2, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, seen: Tensor, field: Tensor) -> Tensor:
        x = torch.cat([seen, field], 1).to(memory_format=torch.channels_last)
        x = F.relu(self.first(x))
        for layer in self.inner:
            x = F.relu(layer(x))
        return self.last(x).float()


class Motion(nn.Module):
    """Flow from one view to another, both (n, 1, h, w) in [0, 1], any size.

    Each of `levels` levels makes its step `repeats` times with the same weights. Both views are first blurred by a Gaussian
    of `blur` pixels: aliased patterns, such as rows of windows, else seem to move the wrong way.
    """

    def __init__(
        self, *, levels: int = 5, width: int = 16, depth: int = 3, repeats: int = 2, blur: float = 0.0
    ) -> None:
        super().__init__()
        self.blur = blur
        self.steps = nn.ModuleList(Step(width, depth) for _ in range(levels))
        self.repeats = repeats

    def fields(self, here: Tensor, there: Tensor) -> list[Tensor]:
        """Coarse to fine: the field after each step, on a grid half as fine as its level's, in that grid's pixels.

        Height and width must be multiples of 2 ** levels.
        """
        with torch.autocast(here.device.type, enabled=False):
            pyramid = [(here.float(), there.float())]
            for _ in self.steps[1:]:
                pyramid.append((halved(pyramid[-1][0]), halved(pyramid[-1][1])))
        h, w = pyramid[-1][0].shape[-2:]
        field = here.new_zeros(here.shape[0], 2, h // 2, w // 2, dtype=torch.float32)
        found: list[Tensor] = []
        for step, (a, b) in zip(reversed(self.steps), reversed(pyramid), strict=True):
            field = finer(field) if found else field
            for _ in range(self.repeats):
                with torch.autocast(here.device.type, enabled=False):
                    seen = evidence(a, warp(b, finer(field)) if found else b)
                field = field + step(seen, field) / 2
                found.append(field)
        return found

    def forward(self, here: Tensor, there: Tensor) -> Tensor:
        """Flow (n, 2, h, w), float32, in pixels, from `here` to `there`."""
        h, w = here.shape[-2:]
        if self.blur:
            with torch.autocast(here.device.type, enabled=False):
                here, there = blurred(here.float(), self.blur), blurred(there.float(), self.blur)
        cell = 2 ** len(self.steps)
        pad = (0, -w % cell, 0, -h % cell)
        if any(pad):
            here, there = (F.pad(x, pad, mode="replicate") for x in (here, there))
        return finer(self.fields(here, there)[-1])[..., :h, :w]
