"""Views hidden from the net as its labels: hide one, predict it, nothing else. No sharp frame is needed anywhere.

A net is given a window without view j. Its picture of a neighbour c is brought to j: along the motion from j to c on the HR
grid, through the degradation onto j's own samples, and fitted to j's light by a gain and an offset. What is left in detail is
the loss, where the motion can be believed: there and back it ends where it began, in the frame and as bright. (DeepSUM and
HDR-DSP train so: Molini et al. 2019, Nguyen et al. 2022.)

The HR grid is the centre's and the labels' phases come from the motion, so there is nothing to jitter. Codec noise is copied
from frame to frame: it is no independent label, and replay with supervision keeps a net from learning it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.nets.motion import blurred, inside, warp, warp_cells
from misr.train.camera import Dice
from misr.train.degrade import Plane, imaged
from misr.train.loop import Loss, distance
from misr.train.scenes import FLAT, STRIDE_2, TRIES, turned
from misr.train.video import unshuffled

Flow = Callable[
    [Tensor, Tensor], Tensor
]  # (here, there), (n, 1, h, w) each -> (n, 2, h, w), as misr.nets.motion counts
SOFT = 2.0  # LR pixels: sigma that tells light, which is fitted, from detail, which is judged
CALM = 1.0  # LR pixels: sigma of the blur before motion is looked for
DOUBT = 0.03  # difference of brightness, over 5x5 pixels, at which a place is believed by 1/e
AWAY, AWAY_PX2 = 0.01, 0.5  # share of the squared way, and square pixels, by which the way back may miss its beginning
BORDER = 8  # LR pixels left out at each side of large views


@dataclass(frozen=True, slots=True)
class Hidden:
    """A window (b, t, 1, h, w) in [0, 1], and the numbers of the views that the net is not shown."""

    views: Tensor
    hidden: tuple[int, ...]

    @property
    def shown(self) -> list[int]:
        """The numbers of the others."""
        return [n for n in range(self.views.shape[1]) if n not in self.hidden]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(centre, label): a hidden view is a label to the shown ones just before and after it."""
        shown = self.shown
        return [(c, j) for j in self.hidden for c in (j - 1, j + 1) if c in shown]


def loss(
    net: nn.Module, batch: Hidden, squares: bool, *, flow: Flow, optics: float = 0.0, kind: Loss = "smooth-l1"
) -> Tensor:
    """Mean distance between hidden views and what the pictures of their neighbours say of them."""
    shown, scale = batch.shown, int(net.scale)  # type: ignore[arg-type]
    made = unshuffled(net, batch.views[:, shown])
    losses = []
    with torch.autocast(batch.views.device.type, enabled=False):
        for c, j in batch.pairs:
            phases = made[shown.index(c)].float()
            picture = F.pixel_shuffle(phases, batch.views.shape[-1] * scale // phases.shape[-1])
            error, belief = missed(picture, batch.views[:, c], batch.views[:, j], flow, optics)
            zero = torch.zeros_like(error)
            losses.append(distance(error * belief, zero, squares=squares, kind=kind) / belief.mean().clamp(min=0.1))
    return sum(losses[1:], losses[0]) / len(losses)


def missed(picture: Tensor, centre: Tensor, label: Tensor, flow: Flow, optics: float) -> tuple[Tensor, Tensor]:
    """The detail (b, 1, h', w') of a label that a picture of its neighbour misses, and how far each pixel is to be believed.

    picture (b, 1, s*h, s*w); centre, label (b, 1, h, w). No gradient goes through motion, belief, gain and offset.
    """
    scale = picture.shape[-1] // label.shape[-1]
    with torch.no_grad():
        motion = flow(label, centre).detach()
        belief = believed(label, centre, motion) * returning(motion, flow(centre, label))
    seen = imaged(F.pixel_shuffle(warp_cells(picture, motion, scale), scale), scale, optics)
    with torch.no_grad():
        gain, offset = light(seen, label, belief)
    error = gain * seen + offset - label
    error = error - soft(error)
    b = min(BORDER, label.shape[-1] // 6, label.shape[-2] // 6)
    return error[..., b:-b, b:-b], belief[..., b:-b, b:-b]


def soft(x: Tensor, sigma: float = SOFT) -> Tensor:
    """Planes (b, 1, h, w) without their detail."""
    return blurred(x, sigma, "reflect")


def light(seen: Tensor, label: Tensor, belief: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset (b, 1, 1, 1) that bring the light of what is seen to the label's: weighted least squares."""
    x, y = soft(seen), soft(label)
    total = belief.sum((-2, -1), keepdim=True) + 1e-6
    mean_x, mean_y = ((belief * v).sum((-2, -1), keepdim=True) / total for v in (x, y))
    x, y = x - mean_x, y - mean_y
    both, own = ((belief * x * v).sum((-2, -1), keepdim=True) / total for v in (y, x))
    gain = ((both + 1e-4) / (own + 1e-4)).clamp(0.8, 1.25)
    return gain, mean_y - gain * mean_x


def believed(here: Tensor, there: Tensor, motion: Tensor) -> Tensor:
    """From 0 to 1, (b, 1, h, w): whether here is found there along the motion, in the frame and as bright."""
    off = F.avg_pool2d(warp(there, motion, "bicubic") - here, 5, 1, 2, count_include_pad=False)
    return inside(motion) * torch.exp(-(off / DOUBT).square())


def returning(motion: Tensor, back: Tensor) -> Tensor:
    """From 0 to 1, (b, 1, h, w): whether who goes along the motion and back arrives where he began; what is covered does not.

    How far off is too far grows with how far it went (Sundaram, Brox, Keutzer, ECCV 2010).
    """
    back = warp(back, motion)
    off, far = (x.square().sum(1, keepdim=True) for x in (motion + back, torch.cat([motion, back], 1)))
    return torch.exp(-off / (AWAY * far + AWAY_PX2))


def steady(flow: Flow) -> Flow:
    """The same motion found on views blurred by a pixel, where aliasing, which moves otherwise, is gone.

    On Vid4's city, x2, the true frames then predict hidden views with 36.4 dB instead of 31.3 (blurred by less: 33.4).
    """
    return lambda here, there: flow(soft(here, CALM), soft(there, CALM))


def dis(here: Tensor, there: Tensor) -> Tensor:
    """Classical dense motion for who has no net for it: inverse search (Kroeger et al., ECCV 2016) as OpenCV has it."""
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = []
    for a, b in zip(codes(here), codes(there), strict=True):
        found.append(search.calc(a, b, None))  # type: ignore[call-overload]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).to(here)


def codes(views: Tensor) -> Sequence[Plane]:
    """Views (n, 1, h, w) as arrays of 8 bits."""
    return list((255 * views[:, 0] + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy())


class Hiding:
    """Endless windows of clips, `crop` x `crop` pixels as they are, each with some views hidden.

    clips    uint8 (T, h, w), luma 16-235; about `frames` views a batch, up to `longest` shown ones a window
    """

    def __init__(
        self, clips: Sequence[Plane], *, crop: int, frames: int, longest: int, device: torch.device, seed: int
    ) -> None:
        self.crop, self.frames, self.longest, self.device = crop, frames, longest, device
        self.clips = [torch.from_numpy(c).to(device) for c in clips if min(c.shape[1:]) >= crop and len(c) >= 3]
        self.ends = np.cumsum([len(c) for c in self.clips])
        self.dice = Dice(seed)

    def draw(self) -> Hidden:
        """The next batch: every gap-th view is hidden, one of them or up to a third."""
        t = 3 + self.dice.below(max(1, self.longest - 1))
        gap = 3 + self.dice.below(t - 2)
        hidden = tuple(range(1 + self.dice.below(min(gap, t - 1)), t, gap))
        views = torch.stack([self.window(t) for _ in range(max(1, self.frames // t))])
        return Hidden(views[:, :, None].float() / 255, hidden)

    def window(self, t: int) -> Tensor:
        """Frames (t, crop, crop), uint8, from somewhere with detail; a shorter clip is shown to and fro."""
        for _ in range(TRIES):
            at = self.dice.below(int(self.ends[-1]))
            clip = self.clips[int(np.searchsorted(self.ends, at, side="right"))]
            many, h, w = clip.shape
            stride = 2 if self.dice.chance(STRIDE_2) and many > 2 * t else 1
            first = self.dice.below(max(1, many - (t - 1) * stride))
            times = (first + torch.arange(t) * stride) % (2 * many - 2)
            times = torch.minimum(times, 2 * many - 2 - times).to(self.device)
            y, x = self.dice.below(h - self.crop + 1), self.dice.below(w - self.crop + 1)
            views = clip[times, y : y + self.crop, x : x + self.crop]
            if views[0, ::2, ::2].float().std() >= FLAT:
                break
        return turned(self.dice, views)

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next batch."""
        return self.dice.source.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from where state() was taken."""
        self.dice.source.set_state(state.cpu())
