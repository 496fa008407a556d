"""Windows of a burst as stacks: read, brought into one light, masked, with the motion that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import cv2
import numpy as np
import torch
from torch import Tensor

from misr.burst.bands import Band
from misr.burst.looks import Patch, Plane, Window, fetched, look
from misr.burst.masks import differences, full, softened
from misr.burst.preparing import AT_BEST
from misr.io.view import View
from misr.nets.lattice import OPTICS, Stack
from misr.registration import field, moved
from misr.registration.matrices import Matrix

MARGIN = 16  # px that are read around a window, so that what is masked inside does not depend on the window
CELL = 4  # px of the reference's grid between the places where clouds are looked for
STILL_PX = 0.01  # motion that varies less within a window is one shift
MORE = (
    0.05  # of the range of the levels: what another view must show above a ceiling to be believed over noise and light
)
NOTHING = 0.5  # value of a sample that is not there


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A view's window: read where the reference's window lies in it, to the pixel, and the motion that remains."""

    patch: Patch
    motion: Plane  # (2, h, w)


def stacked(
    views: Sequence[View], band: Band, number: int, window: Window, noise: tuple[float, float] | None, optics: float
) -> Stack:
    """The window (x, y, w, h) of the reference's grid, of one band (its number), of these views, the first the reference."""
    x, y, w, h = window
    wide = (x - MARGIN, y - MARGIN, w + 2 * MARGIN, h + 2 * MARGIN)
    seen = [seen_in(v, m, wide, number) for v, m in zip(views, band.matrices, strict=True)]
    lit = [light.undone(s.patch.plane) for light, s in zip(band.lights, seen, strict=True)]
    valid = clear(lit, seen, band)
    if np.isfinite(band.strange.begins):
        unclouded(lit, valid, seen, band, wide)
    cut = (slice(MARGIN, MARGIN + h), slice(MARGIN, MARGIN + w))
    span = band.high - band.low
    planes = [np.where(v > 0, (p - band.low) / span, NOTHING)[cut] for p, v in zip(lit, valid, strict=True)]
    sigma = sigmas(seen, band, noise, cut)
    motion = torch.stack([torch.from_numpy(s.motion[(slice(None), *cut)]) for s in seen])
    return Stack(
        torch.from_numpy(np.stack(planes).astype(np.float32))[None, :, None],
        torch.from_numpy(np.stack([v[cut] for v in valid]).astype(np.float32))[None, :, None],
        plain(motion)[None],
        sigma[None, :, None] / span,
        torch.tensor([optics]),
    )


def seen_in(view: View, matrix: Matrix, window: Window, number: int) -> Seen:
    """The view's window whose middle is nearest to where the reference's window has its own."""
    x, y, w, h = window
    middle = np.array([[x + (w - 1) / 2, y + (h - 1) / 2]])
    dx, dy = (int(n) for n in np.round(moved(matrix, middle) - middle)[0])
    left = field(matrix, x, y, w, h).numpy() - np.array([dx, dy], np.float32)[:, None, None]
    return Seen(look(view, (x + dx, y + dy, w, h), number), left)


def plain(motion: Tensor) -> Tensor:
    """Motion (t, 2, h, w) as shifts (t, 2, 1, 1) where it does not vary within the window."""
    least, most = motion.amin((2, 3), keepdim=True), motion.amax((2, 3), keepdim=True)
    return (least + most) / 2 if bool(((most - least) < STILL_PX).all()) else motion.contiguous()


def at_pixels(motion: Plane) -> tuple[Plane, Plane]:
    """Where each pixel goes under a motion (2, h, w): x and y."""
    h, w = motion.shape[1:]
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
    return motion[0] + x, motion[1] + y


def clear(lit: list[Plane], seen: list[Seen], band: Band) -> list[Plane]:
    """Weights (h, w) 0 or 1: valid, and not at a ceiling above which another view shows that there is more light.

    A saturated sample that nothing contradicts is the best there is to know, and bright lines would fade without it.
    """
    valid = [s.patch.valid for s in seen]
    clipped = [full(s.patch.plane, s.patch.valid, top) for s, top in zip(seen, band.ceilings, strict=True)]
    if not any(c.any() for c in clipped):
        return [v.astype(np.float32) for v in valid]
    shown = np.full(lit[0].shape, -np.inf, np.float32)
    for p, v, s in zip(lit, valid, seen, strict=True):
        at = at_pixels(s.motion)
        there = fetched(v.astype(np.float32), at, nearest=True) > 0
        shown = np.maximum(shown, np.where(there, fetched(p, at, nearest=True), -np.inf))
    weights = []
    for v, c, s, top, light in zip(valid, clipped, seen, band.ceilings, band.lights, strict=True):
        more = shown > light.undone(np.array(top)) + MORE * (band.high - band.low)
        weights.append(
            (v & ~(c & (fetched(more.astype(np.float32), at_pixels(-s.motion), nearest=True) > 0))).astype(np.float32)
        )
    return weights


def unclouded(lit: list[Plane], valid: list[Plane], seen: list[Seen], band: Band, window: Window) -> None:
    """Take away from the weights where a view differs from the median of all, looked at without detail."""
    x, y, w, h = window
    xs = np.arange(-x % CELL, w, CELL, dtype=np.float32)
    ys = np.arange(-y % CELL, h, CELL, dtype=np.float32)
    columns, rows = np.meshgrid(xs, ys)
    planes, sure = [], []
    for p, v, s in zip(lit, valid, seen, strict=True):
        plane, known = softened(Patch(0, 0, p, v > 0))
        moving = s.motion[:, int(ys[0]) :: CELL, int(xs[0]) :: CELL]
        at = (columns + moving[0], rows + moving[1])
        planes.append(fetched(plane, at))
        sure.append(fetched(known.astype(np.float32), at) > 0.99)
    offs = differences(np.stack(planes), np.stack(sure))
    for v, s, off in zip(valid, seen, offs, strict=True):
        weight = band.strange.clearness(off).astype(np.float32)
        if weight.min() < 1:
            px, py = at_pixels(-s.motion)
            at = ((px - xs[0]) / CELL, (py - ys[0]) / CELL)
            v *= cv2.remap(weight, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def sigmas(seen: list[Seen], band: Band, noise: tuple[float, float] | None, cut: tuple[slice, slice]) -> Tensor:
    """Noise in codes of the reference's light: (t, 1, 1), or (t, h, w) where it follows from the codes."""
    gains = [abs(light.gain) for light in band.lights]
    if noise is None:
        return torch.tensor([s / g for s, g in zip(band.sigmas, gains, strict=True)]).reshape(-1, 1, 1)
    a, c = noise
    smooth = [cv2.blur(s.patch.plane, (3, 3)) for s in seen]
    least = 1e-4 * (band.high - band.low)
    maps = [np.maximum(np.sqrt(np.maximum(a * p, 0) + c) / g, least)[cut] for p, g in zip(smooth, gains, strict=True)]
    return torch.from_numpy(np.stack(maps).astype(np.float32))


def optics_of(mtf: float | None) -> float:
    """Sigma in pixels of the optics' Gaussian, of a camera with this MTF at Nyquist, its pixel's box included."""
    return OPTICS if mtf is None else float(np.sqrt(max(-2 * np.log(mtf / AT_BEST), 0)) / pi)
