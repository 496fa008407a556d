"""A virtual camera: smooth paths over a still, and the frames they show.

A pose is a homography (3, 3) from frame pixels, measured from the frame's centre, to pixels of the still; pixel centres
at integers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


class Dice:
    """All random choices, from one generator on the CPU, whatever the device of the pixels."""

    def __init__(self, seed: int) -> None:
        self.source = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """A number between low and high."""
        return low + (high - low) * float(torch.rand((), generator=self.source))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return self.uniform(0, 1) < share

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int(torch.randint(n, (), generator=self.source))

    def normal(self, *shape: int) -> Tensor:
        """Independent normal numbers of this shape; a scalar without one."""
        return torch.randn(shape, generator=self.source)


@dataclass(frozen=True, slots=True)
class Path:
    """Where a camera looks, frame by frame.

    offset (t, 2) across and down, in frame pixels; angle (t) in radians; step (t) in pixels of the still for each frame
    pixel; tilt (t, 2), by how much the denominator grows for each frame pixel.
    """

    offset: Tensor
    angle: Tensor
    step: Tensor
    tilt: Tensor

    def poses(self) -> Tensor:
        """Homographies (t, 3, 3) about the still's origin."""
        poses = torch.zeros(len(self.step), 3, 3)
        cos, sin = self.step * self.angle.cos(), self.step * self.angle.sin()
        poses[:, 0, 0], poses[:, 0, 1], poses[:, 1, 0], poses[:, 1, 1] = cos, -sin, sin, cos
        poses[:, :2, 2] = self.offset * self.step[:, None]
        poses[:, 2, :2], poses[:, 2, 2] = self.tilt, 1
        poses[:, :2, :2] += self.offset[:, :, None] * self.step[:, None, None] * self.tilt[:, None]  # shift after tilt
        return poses


def velocity(dice: Dice, scale: int) -> Tensor:
    """Frame pixels a frame (2): up to 2 LR px mostly, up to 5 in one of seven."""
    speed = dice.uniform(2, 5) if dice.chance(0.15) else dice.uniform(0, 2)
    way = dice.uniform(0, 2 * math.pi)
    return scale * speed * torch.tensor([math.cos(way), math.sin(way)])


def path(dice: Dice, t: int, scale: int) -> Path:
    """A smooth random path, in the middle at its middle frame: pan with acceleration, shake, zoom, turn and tilt."""
    at = torch.arange(t) - (t - 1) / 2
    offset = at[:, None] * velocity(dice, scale)
    if dice.chance(0.5):
        offset = offset + at[:, None].square() / 2 * dice.normal(2) * 0.06 * scale
    if dice.chance(0.5):
        offset = offset + shake(dice, t) * scale * dice.uniform(0, 0.5)
    zoom = 0.004 * dice.normal() if dice.chance(0.5) else 0.0
    turn = 0.006 * dice.normal() if dice.chance(0.5) else 0.0
    lean = 4e-4 / scale * dice.normal(2) * (dice.chance(0.4))
    nod = 2e-5 / scale * dice.normal(2)
    log_step = (math.log(dice.uniform(0.75, 1.1)) + zoom * at).clamp(math.log(0.65), math.log(1.25))
    return Path(offset, dice.uniform(-0.3, 0.3) + turn * at, log_step.exp(), lean + nod * at[:, None].clamp(-8, 8))


def still_path(dice: Dice, t: int) -> Path:
    """A camera on a tripod: the same pose t times."""
    angle, step = dice.uniform(-0.3, 0.3), dice.uniform(0.75, 1.1)
    return Path(torch.zeros(t, 2), torch.full((t,), angle), torch.full((t,), step), torch.zeros(t, 2))


def shake(dice: Dice, t: int) -> Tensor:
    """Hand-shake (t, 2) of about unit size: white noise through a short smoothing."""
    noise = dice.normal(2, 1, t + 4)
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 8.4  # keeps unit variance
    return F.conv1d(noise, kernel[None, None])[:, 0].T


def box(poses: Tensor, side: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom, in still pixels, of all that frames of side x side pixels see."""
    r = (side - 1) / 2
    corners = torch.tensor([[-r, -r, 1], [r, -r, 1], [-r, r, 1], [r, r, 1]]).T
    seen = poses @ corners  # (t, 3, 4)
    seen = seen[:, :2] / seen[:, 2:]
    (left, top), (right, bottom) = seen.amin((0, 2)).tolist(), seen.amax((0, 2)).tolist()
    return left, top, right, bottom


def moved(poses: Tensor, x: float, y: float) -> Tensor:
    """The poses over a still whose origin lies (x, y) further left and up."""
    shift = torch.eye(3)
    shift[0, 2], shift[1, 2] = x, y
    return shift @ poses


def render(stills: Sequence[Tensor], poses: Tensor, side: int) -> Tensor:
    """What frames of side x side pixels see of channels (h, w) floats under poses: (t, c, side, side), bicubic.

    Values may overshoot; beyond its edges the still is mirrored.
    """
    planes = torch.stack(list(stills))
    c, h, w = planes.shape
    at = torch.arange(side, device=planes.device, dtype=torch.float32) - (side - 1) / 2
    to_grid = torch.tensor([[2 / max(1, w - 1), 0, -1], [0, 2 / max(1, h - 1), -1], [0, 0, 1]])
    poses = (to_grid @ poses).to(planes.device)
    across, down = poses[:, :, 0, None] * at, poses[:, :, 1, None] * at + poses[:, :, 2, None]
    seen = across[:, :, None] + down[..., None]  # (t, 3, side, side)
    grid = rearrange(seen[:, :2] / seen[:, 2:], "t xy h w -> t h w xy")
    return F.grid_sample(
        planes.expand(len(grid), c, h, w), grid, mode="bicubic", padding_mode="reflection", align_corners=True
    )


def blob(dice: Dice, like: Tensor, cell: float) -> Tensor:
    """A soft-edged mask in [0, 1] of the shape (h, w) of `like`: islands of about `cell` pixels, or bands as thin as branches."""
    h, w = like.shape
    noise = F.interpolate(field(dice, h, w, cell), size=(h, w), mode="bicubic", align_corners=True)
    noise = noise + 0.3 * F.interpolate(field(dice, h, w, cell / 4), size=(h, w), mode="bicubic", align_corners=True)
    noise = noise[0, 0].to(like)
    if dice.chance(0.3):
        noise = dice.uniform(0.05, 0.3) - noise.abs()
    return (0.5 + (noise - dice.uniform(-0.2, 0.3)) * cell * dice.uniform(0.2, 0.8)).clamp(0, 1)


def field(dice: Dice, h: int, w: int, cell: float) -> Tensor:
    """Normal numbers (1, 1, rows, columns), one for each cell of a plane (h, w) and some more at its edges."""
    return dice.normal(1, 1, int(h / cell) + 2, int(w / cell) + 2)
