"""Motion and light of a view to a hundredth of a pixel: Gauss-Newton on blurred planes, robust to what moves.

Each step compares the view, brought to the reference's grid, with gain * reference + offset, and composes the motion with the
step that explains the difference best; gradients are the mean of both pictures' (S. Benhimane, E. Malis, "Real-time image-based
tracking of planes using efficient second-order minimization", IROS 2004), light is part of the same equations (as in ECC:
G. Evangelidis, E. Psarakis, IEEE TPAMI 2008). Huber's weights until the steps are small, Tukey's to the end: a cloud then
counts nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from misr.registration import equations
from misr.registration.equations import MOTIONS
from misr.registration.matrices import IDENTITY, Matrix, corners, flat, moved, square
from misr.registration.placement import Model
from misr.registration.sampling import sampled, slopes, weights_at
from misr.registration.smooth import Array, Smooth

# How the view's light may differ: not at all, by one gain and offset, or also by an offset that varies slowly (haze, shade)
Light = Literal["same", "whole", "local"]
LEAST_PIXELS = 60.0  # sum of weights below which nothing is solved
SMALL_PX = 0.1  # a step after which outliers are told from pixels not yet in place
CORRELATED = 4 * np.pi  # pixels that share their noise after the blur of sigma 1 px
MOST_FADED = 0.3  # share of noise up to which the gain can be mended
ONE_WAY = 1e-4  # gradient energy across, of that along, at which detail runs in one direction only


@dataclass(frozen=True, slots=True)
class Solution:
    """Where Gauss-Newton is, and how well that explains the view, said of the place before the last step."""

    matrix: Matrix = IDENTITY
    gain: float = 1.0
    offset: float = 0.0
    spread: float = 0.0  # robust std of the residual, in the unit of the view
    likeness: float = 0.0  # correlation of the two pictures' gradients, -1..1
    pixels: float = 0.0  # sum of the weights, of mask and borders alone
    error_px: float = (
        np.inf
    )  # std that the noise gives a shift, in its worst direction; inf where only noise has gradients
    step_px: float = np.inf  # how far the last step moved a corner
    faded: float = 0.0  # share of noise in the reference's variance, by which least squares makes the gain too small
    mean: float = 0.0  # of the reference where it counts

    def unfaded(self) -> Solution:
        """With the gain that a reference without noise would have had; the light of its mean stays."""
        gain = self.gain / (1 - min(self.faded, MOST_FADED))
        return replace(self, gain=gain, offset=self.offset + (self.gain - gain) * self.mean)


def refine(
    reference: Smooth, view: Smooth, start: Solution, model: Model, *, light: Light, steps: int, enough_px: float
) -> Solution | None:
    """The start improved by up to so many steps, until one is shorter than enough_px; None where nothing can be solved."""
    fixed = slopes(reference.plane)
    found, clip = start, False
    for _ in range(steps):
        new = step(reference, fixed, view, found, model, light=light, clip=clip)
        if new is None:
            return None
        found = new
        if found.step_px < enough_px and clip:
            break
        clip = clip or found.step_px < SMALL_PX
    return found


def step(
    reference: Smooth, fixed: tuple[Array, Array], view: Smooth, at: Solution, model: Model, *, light: Light, clip: bool
) -> Solution | None:
    """One step; `fixed` is the reference's gradient."""
    h, w = reference.plane.shape
    seen, *seen_slopes = sampled(view.plane, at.matrix, w, h)
    weight = reference.weight * weights_at(view.weight, at.matrix, w, h)
    pixels = float(weight.sum())
    if pixels < LEAST_PIXELS:
        return None
    alike = equations.likeness((seen_slopes[0], seen_slopes[1]), fixed, weight)
    gain = np.float32(at.gain)
    residual = seen - gain * reference.plane - np.float32(at.offset)
    if light == "local":
        residual = equations.local(residual, weight)
    along = tuple((a + gain * b) / 2 for a, b in zip(seen_slopes, fixed, strict=True))
    spread = equations.robust_std(residual, weight)
    weight *= equations.trust(residual, along[0] * along[0] + along[1] * along[1], spread, clip=clip)
    rows = equations.motion_rows(along[0], along[1], MOTIONS[model])
    if light != "same":
        rows = np.concatenate([rows, -reference.plane.reshape(1, -1), np.full((1, h * w), -1, np.float32)])
    found = equations.solved(rows, residual.ravel(), weight.ravel())
    here = replace(at, spread=spread, likeness=alike, pixels=pixels)
    shared = equations.shared((seen_slopes[0], seen_slopes[1]), fixed, weight) * at.gain
    return found and stepped(here, *found, shared, MOTIONS[model], (w, h))


def stepped(
    at: Solution, delta: np.ndarray, normal: np.ndarray, shared: np.ndarray, motions: int, size: tuple[int, int]
) -> Solution | None:
    """The solution after a step of these parameters, with what their normal matrix says of it; None where it flies away."""
    matrix = flat(square(at.matrix) @ square(equations.small_motion(delta[:motions], *size)))
    step_px = farthest(matrix, at.matrix, *size)
    if not step_px < max(size):
        return None
    error_px = uncertainty(normal[:2, :2], shared, at.spread)
    moved_on = replace(at, matrix=matrix, error_px=error_px, step_px=step_px)
    if len(delta) == motions:
        return moved_on
    faded, mean = fading(normal[-2:, -2:], at.spread / max(abs(at.gain), 1e-6))
    gain, offset = at.gain + float(delta[-2]), at.offset + float(delta[-1])
    return replace(moved_on, gain=gain, offset=offset, faded=faded, mean=mean)


def fading(light: np.ndarray, spread: float) -> tuple[float, float]:
    """(share of noise in the reference's variance, its mean), from the (2, 2) normal matrix of gain and offset.

    Of the residuals' variance, in the reference's light, half is its own.
    """
    mean = light[0, 1] / light[1, 1]
    variance = light[0, 0] / light[1, 1] - mean * mean
    return float(spread * spread / 2 / max(variance, 1e-9)), float(mean)


def farthest(one: Matrix, other: Matrix, width: int, height: int) -> float:
    """The largest distance, in px, between where two motions take a corner; inf where one takes it to infinity."""
    at = corners(width, height)
    a, b = square(one), square(other)
    if min((at @ m[2, :2] + m[2, 2]).min() for m in (a, b)) <= 0.1:
        return np.inf
    return float(np.hypot(*(moved(one, at) - moved(other, at)).T).max())


def uncertainty(own: np.ndarray, shared: np.ndarray, spread: float) -> float:
    """Std of a shift in px, in its worst direction, by residuals of this spread; inf where pictures share no detail.

    `own` is the (2, 2) sum of products of the gradients that the step is made with, noise and all; `shared` that of one picture's
    with the other's, to which noise and content of one picture alone add nothing.
    """
    least, most = np.linalg.eigvalsh(shared)
    if least <= ONE_WAY * most or least <= 0:
        return float(np.inf)
    return spread * float(np.sqrt(CORRELATED * np.linalg.eigvalsh(own)[0])) / float(least)
