"""Windows of moving pictures to learn from: stills under a virtual camera, and crops of clips, degraded on the device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from misr.resample import resample
from misr.train.camera import Dice, Path, blob, box, moved, path, render, still_path, velocity
from misr.train.codec import coded
from misr.train.degrade import Plane, gaussian, imaged

Plane3D = np.ndarray[Any, np.dtype[np.uint8]]  # (t, h, w)
Degradation = Literal["bi", "bd", "mixed", "codec"]
STATIC, LAYER, CUT, RAMP, STRIDE_2 = 0.18, 0.4, 0.07, 0.07, 0.2  # shares of the windows (of clips: the last)
FLAT = 2.0  # a place whose code values vary by less (std of a clip's, differences of a still's) teaches little
TRIES = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """views (b, t, 1, h, w) and sharp (b, t, 1, s*h, s*w), both float32 in [0, 1], code values / 255."""

    views: Tensor
    sharp: Tensor


class Scenes:
    """Endless windows of moving pictures: `crop` x `crop` LR pixels with their sharp sides.

    stills: uint8 (h, w), luma 16-235. clips: uint8 (T, h, w), T consecutive frames, shown to and fro when they are fewer
    than a window's. A share of the windows stands still, is cut in two, grows brighter or darker. Same seed, same windows.
    """

    def __init__(
        self,
        stills: Sequence[Plane],
        clips: Sequence[Plane3D] = (),
        *,
        scale: int,
        crop: int = 64,
        degradation: Degradation | float = "bi",
        clip_share: float = 0.2,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.scale, self.crop, self.degradation = scale, crop, degradation
        self.device, self.dice = torch.device(device), Dice(seed)
        self.margin = max(2, math.ceil(5 / scale)) * scale  # sharp pixels any kernel reaches beyond the crop
        self.side = crop * scale + 2 * self.margin
        self.stills = [torch.from_numpy(p) for p in large(stills, self.side)]  # on the CPU: only pieces travel
        self.clips = [torch.from_numpy(c).to(self.device) for c in clips if min(c.shape[1:]) >= crop * scale]
        self.clip_share = clip_share if self.clips and self.stills else float(bool(self.clips))
        if not self.stills and not self.clips:
            raise ValueError(f"no still, and no clip of at least {crop * scale} pixels, to make windows from")

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next window."""
        return self.dice.source.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on where state() was asked."""
        self.dice.source.set_state(state.cpu())

    def batch(self, n: int, t: int) -> Batch:
        """The next n windows of t frames."""
        views, sharp = zip(*(self.window(t) for _ in range(n)), strict=True)
        return Batch(*(torch.stack(side)[:, :, None].float().div_(255) for side in (views, sharp)))

    def window(self, t: int) -> tuple[Tensor, Tensor]:
        """Views (t, crop, crop) and sharp frames of one window, code values, uint8."""
        wide = turned(self.dice, codes(self.scene(t)))
        views = degraded(wide, self.scale, self.degradation, self.dice)
        m, n = self.margin, self.margin // self.scale
        return views[:, n:-n, n:-n], wide[:, m:-m, m:-m]

    def scene(self, t: int) -> Tensor:
        """Frames (t, side, side), code values, of one shot or, after a cut, of two."""
        if t > 1 and self.dice.chance(CUT):
            k = 1 + self.dice.below(t - 1)
            return torch.cat([self.shot(k), self.shot(t - k)])
        return self.shot(t)

    def shot(self, t: int) -> Tensor:
        """Frames (t, side, side), code values, without a cut of ours."""
        if self.dice.chance(self.clip_share):
            return self.filmed(t)
        if self.dice.chance(STATIC):
            return self.staged(1, still_path(self.dice, 1)).expand(t, -1, -1)
        frames = self.staged(t, path(self.dice, t, self.scale))
        if self.dice.chance(RAMP):
            gain = torch.linspace(1, self.dice.uniform(0.7, 1.3), t, device=self.device)[:, None, None]
            frames = 16 + (frames - 16) * gain
        return frames

    def staged(self, t: int, way: Path) -> Tensor:
        """A still seen along a path, perhaps behind another that moves apart."""
        ground = self.placed(way)
        frames = render(ground[:1], ground[1], self.side)[:, 0]
        if not self.dice.chance(LAYER):
            return frames
        at = (torch.arange(t) - (t - 1) / 2)[:, None]
        apart = way.offset + at * velocity(self.dice, self.scale) * 0.6
        texture, poses = self.placed(Path(apart, way.angle, way.step * self.dice.uniform(0.85, 1.1), way.tilt))
        cell = self.side * self.dice.uniform(0.15, 0.6)
        mask = blob(self.dice, texture, cell)
        over = render([texture, mask], poses, self.side)
        return frames.lerp(over[:, 0], over[:, 1].clamp(0, 1))

    def placed(self, way: Path) -> tuple[Tensor, Tensor]:
        """A piece of a still, float (h, w), and the path's poses over it: of some places, mostly the one with most detail."""
        tries = [self.place(way) for _ in range(TRIES)]
        sharpest = max(tries, key=lambda it: detail(it[0]))
        piece, poses = tries[0] if self.dice.chance(0.3) and detail(tries[0][0]) >= FLAT else sharpest
        return piece.to(self.device).float(), poses

    def place(self, way: Path) -> tuple[Tensor, Tensor]:
        """A random piece of a still (h, w), uint8, and the path's poses over it; a path too long for it is shortened."""
        still = self.stills[self.dice.below(len(self.stills))]
        h, w = still.shape
        poses = fitted(way, self.side, h, w)
        left, top, right, bottom = box(poses, self.side)
        x = round(self.dice.uniform(2 - left, max(2 - left, w - 3 - right)))
        y = round(self.dice.uniform(2 - top, max(2 - top, h - 3 - bottom)))
        x0, y0 = max(0, math.floor(left + x) - 2), max(0, math.floor(top + y) - 2)
        piece = still[y0 : math.ceil(bottom + y) + 4, x0 : math.ceil(right + x) + 4]
        return piece, moved(poses, x - x0, y - y0)

    def filmed(self, t: int) -> Tensor:
        """A crop of a clip, in space and time; beyond the picture's edges it is mirrored."""
        for _ in range(TRIES):
            clip = self.clips[self.dice.below(len(self.clips))]
            stride = 2 if self.dice.chance(STRIDE_2) else 1
            room = max(0, len(clip) - 1 - (t - 1) * stride)
            times = mirrored(self.dice.below(room + 1) + torch.arange(t) * stride, len(clip), twice=False)
            rows, columns = (
                mirrored(
                    self.dice.below(n - self.side + 2 * self.margin + 1) - self.margin + torch.arange(self.side), n
                )
                for n in clip.shape[1:]
            )
            frames = clip[times.to(self.device)][:, rows.to(self.device)][:, :, columns.to(self.device)]
            if frames[0, ::4, ::4].float().std() >= FLAT:
                break
        return frames.float()


def detail(piece: Tensor) -> float:
    """How much neighbours in a plane (h, w) differ across, in code values, on average over some of its lines."""
    return float(piece[::8].float().diff(dim=1).abs().mean())


def large(stills: Sequence[Plane], side: int) -> list[Plane]:
    """The stills a frame of side x side can move over; the largest one when there is none."""
    enough = [p for p in stills if min(p.shape) >= 1.15 * side]
    return enough or sorted(stills, key=lambda p: min(p.shape))[-1:]


def mirrored(index: Tensor, n: int, *, twice: bool = True) -> Tensor:
    """Any whole numbers as 0 to n - 1, mirrored at the ends, which are met twice or once."""
    period = 2 * n if twice else max(1, 2 * n - 2)
    index = index % period
    return torch.minimum(index, period - int(twice) - index)


def fitted(way: Path, side: int, h: int, w: int) -> Tensor:
    """Poses (t, 3, 3) of a path, its travel shortened until what it sees fits into (h, w), or until it stands."""
    for share in (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.0):
        poses = Path(way.offset * share, way.angle, way.step, way.tilt).poses()
        left, top, right, bottom = box(poses, side)
        if right - left <= w - 5 and bottom - top <= h - 5:
            break
    return poses


def codes(frames: Tensor) -> Tensor:
    """Floats in code values as uint8, halves away from zero, as MATLAB's uint8()."""
    return (frames + 0.5).clamp_(0, 255).to(torch.uint8)


def turned(dice: Dice, frames: Tensor) -> Tensor:
    """Frames (t, h, w) in one of the 8 symmetries of the square, and in one order of time or the other."""
    way = dice.below(16)
    axes = [axis for axis, bit in ((0, 1), (1, 2), (2, 4)) if way & bit]
    frames = frames.flip(axes) if axes else frames
    return (frames.transpose(1, 2) if way & 8 else frames).contiguous()


def degraded(sharp: Tensor, scale: int, how: Degradation | float, dice: Dice) -> Tensor:
    """LR views (t, h / scale, w / scale) of frames (t, h, w), both uint8; one kernel for all of them.

    bi: antialiased bicubic. bd: Gaussian of 1.6 sharp pixels, then every scale-th, on the area-aligned grid. mixed: a
    kernel a camera may have (see degrade.blurred), and in half of the windows white noise of up to 6 code values.
    codec: mixed, then all of them through an encoder, as one clip. A number: a camera of such optics (see degrade.imaged).
    """
    if isinstance(how, float):
        return codes(imaged(sharp[:, None].float(), scale, how)[:, 0])
    if how == "codec":
        return coded(degraded(sharp, scale, "mixed", dice), dice)
    kind: str = how
    if how == "mixed":
        u = dice.uniform(0, 1)
        kind = "bi" if u < 0.35 else "round" if u < 0.75 else "area" if u < 0.9 else "long"
    t, h, w = sharp.shape
    sharp = sharp.float()
    if kind == "bi":
        views = resample(sharp, (h // scale, w // scale), edges="symmetric")
    else:
        weight = kernel(kind, scale, dice).to(sharp)
        reach = (weight.shape[-1] - scale) // 2
        padded = F.pad(sharp[:, None], (reach,) * 4, mode="replicate")
        views = F.conv2d(padded, weight[None, None], stride=scale)[:, 0]
    if how == "mixed" and dice.chance(0.5):
        views = views + dice.normal(*views.shape).to(views.device) * dice.uniform(0, 6)
    return codes(views)


def kernel(kind: str, scale: int, dice: Dice) -> Tensor:
    """A kernel (k, k) centred on a cell of scale x scale sharp pixels: "bd", "area", "round" or "long"."""
    if kind == "area":
        return torch.full((scale, scale), 1 / scale**2)
    if kind == "bd":
        return gaussian(scale, 1.6, 1.6, 0.0)
    wide = dice.uniform(0.2, 0.5) * scale
    thin = wide * dice.uniform(0.5, 1) if kind == "long" else wide
    return gaussian(scale, wide, thin, dice.uniform(0, math.pi))
