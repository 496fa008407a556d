"""How well pictures predict views that nobody was shown, in dB: of a net, and of the two classics it must beat."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.nets.motion import warp
from misr.resample import resample
from misr.train.degrade import Plane
from misr.train.heldout import Flow, Hidden, believed, missed
from misr.train.valid import middle, spread
from misr.train.video import unshuffled

Predict = Callable[[Tensor], list[Tensor]]  # views (1, t, 1, h, w) -> a picture (1, 1, s*h, s*w) for each
VIEWS, HIDDEN = 6, 4  # of a window: five are shown, the last but one is not
SIDE = 192  # LR pixels
EACH, MOST = 4, 16  # windows of a clip, and of all


def sights(clips: Sequence[Plane], multiple: int, device: torch.device) -> list[Hidden]:
    """Windows of held-out clips, always the same, each with one view hidden."""
    found = []
    for clip in (c for c in clips if len(c) >= VIEWS):
        starts = spread(range(len(clip) - VIEWS + 1), EACH)
        for start in starts:
            views = middle(clip[start : start + VIEWS], SIDE, multiple)
            codes = rearrange(torch.from_numpy(views.copy()).to(device), "t h w -> 1 t 1 h w")
            found.append(Hidden(codes.float() / 255, (HIDDEN,)))
    return spread(found, MOST)


@torch.no_grad()
def score_db(predict: Predict, those: Sequence[Hidden], flow: Flow, optics: float = 0.0) -> float:
    """Mean over windows of the PSNR, in dB, of the detail of hidden views; places that the motion loses do not count."""
    found = []
    for it in those:
        pictures = predict(it.views[:, it.shown])
        wrong = right = 0.0
        for c, j in it.pairs:
            picture = pictures[it.shown.index(c)].float()
            error, belief = missed(picture, it.views[:, c], it.views[:, j], flow, optics)
            wrong += float((error * belief).square().sum())
            right += float(belief.square().sum())
        found.append(-10 * torch.tensor(max(wrong, 1e-12) / max(right, 1e-12)).log10().item())
    return sum(found) / len(found)


def of_net(net: nn.Module) -> Predict:
    """What a net makes of the views."""
    scale = int(net.scale)  # type: ignore[arg-type]

    def predict(views: Tensor) -> list[Tensor]:
        made = unshuffled(net, views)
        return [F.pixel_shuffle(one.float(), views.shape[-1] * scale // one.shape[-1]) for one in made]

    return predict


def of_one(scale: int) -> Predict:
    """The bicubic enlargement of each view."""
    return lambda views: [enlarged(view, scale) for view in views.unbind(1)]


def of_mean(scale: int, flow: Flow) -> Predict:
    """Of each view the bicubic enlargement of its mean with all views before it, brought to it along the motion."""

    def predict(views: Tensor) -> list[Tensor]:
        return [enlarged(mean(views[:, : n + 1], flow), scale) for n in range(views.shape[1])]

    return predict


def mean(views: Tensor, flow: Flow) -> Tensor:
    """The mean (1, 1, h, w) of views (1, t, 1, h, w) on the grid of the last one, each where it can be believed."""
    here = views[:, -1]
    total, weight = here.clone(), torch.ones_like(here)
    for there in views[:, :-1].unbind(1):
        motion = flow(here, there)
        belief = believed(here, there, motion)
        total += belief * warp(there, motion, "bicubic")
        weight += belief
    return total / weight


def enlarged(view: Tensor, scale: int) -> Tensor:
    """A view (1, 1, h, w), bicubic."""
    return resample(view, (view.shape[-2] * scale, view.shape[-1] * scale))
