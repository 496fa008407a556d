"""Motion and light of a view to a hundredth of a pixel: Gauss-Newton on blurred planes, robust to what moves.

Each step compares the view, brought to the reference's grid, with gain * reference + offset, and composes the motion with the
step that explains the difference best; gradients are the mean of both pictures' (S. Benhimane, E. Malis, "Real-time image-based
tracking of planes using efficient second-order minimization", IROS 2004), light is part of the same equations (as in ECC:
G. Evangelidis, E. Psarakis, IEEE TPAMI 2008). Huber's weights until the steps are small, Tukey's to the end: a cloud then
counts nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from misr.registration import equations
from misr.registration.equations import MOTIONS
from misr.registration.matrices import IDENTITY, Matrix, corners, flat, moved, square
from misr.registration.placement import Model
from misr.registration.sampling import positions, sampled, slopes, weights_at
from misr.registration.smooth import Array, Smooth

LEAST_PIXELS = 60.0  # sum of weights below which nothing is solved
SMALL_PX = 0.1  # a step after which outliers are told from pixels not yet in place
CORRELATED = 4 * np.pi  # pixels that share their noise after the blur of sigma 1 px
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


def refine(
    reference: Smooth, view: Smooth, start: Solution, model: Model, *, light: bool, steps: int, enough_px: float
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
    reference: Smooth, fixed: tuple[Array, Array], view: Smooth, at: Solution, model: Model, *, light: bool, clip: bool
) -> Solution | None:
    """One step; `fixed` is the reference's gradient."""
    h, w = reference.plane.shape
    x, y = positions(at.matrix, w, h)
    seen, *seen_slopes = sampled(view.plane, x, y)
    weight = reference.weight * weights_at(view.weight, x, y)
    pixels = float(weight.sum())
    if pixels < LEAST_PIXELS:
        return None
    gain = np.float32(at.gain)
    residual = seen - gain * reference.plane - np.float32(at.offset)
    spread = equations.robust_std(residual, weight)
    alike = equations.likeness((seen_slopes[0], seen_slopes[1]), fixed, weight)
    along_x, along_y = ((a + gain * b) / 2 for a, b in zip(seen_slopes, fixed, strict=True))
    weight *= equations.trust(residual, along_x * along_x + along_y * along_y, spread, clip=clip)
    rows = equations.motion_rows(along_x, along_y, MOTIONS[model])
    if light:
        rows = np.concatenate([rows, -reference.plane.reshape(1, -1), np.full((1, h * w), -1, np.float32)])
    found = equations.solved(rows, residual.ravel(), weight.ravel())
    if found is None:
        return None
    delta, normal = found
    brighter, lighter = delta[MOTIONS[model] :] if light else (0.0, 0.0)
    matrix = flat(square(at.matrix) @ square(equations.small_motion(delta[: MOTIONS[model]], w, h)))
    step_px = farthest(matrix, at.matrix, w, h)
    if not step_px < max(w, h):
        return None
    error_px = uncertainty(normal[:2, :2], spread, float(weight.sum()))
    return Solution(matrix, at.gain + brighter, at.offset + lighter, spread, alike, pixels, error_px, step_px)


def farthest(one: Matrix, other: Matrix, width: int, height: int) -> float:
    """The largest distance, in px, between where two motions take a corner; inf where one takes it to infinity."""
    at = corners(width, height)
    a, b = square(one), square(other)
    if min((at @ m[2, :2] + m[2, 2]).min() for m in (a, b)) <= 0.1:
        return np.inf
    return float(np.hypot(*(moved(one, at) - moved(other, at)).T).max())


def uncertainty(gradients: np.ndarray, spread: float, pixels: float) -> float:
    """Std of a shift in px by the noise, from the (2, 2) sum of weighted products of gradients; inf where noise explains them.

    Noise of std spread / sqrt(2) in either picture, blurred by sigma 1, has gradients of variance spread^2 / 4, and half that
    in the mean of both... which is spread^2 / 8 in each direction.
    """
    least, most = np.linalg.eigvalsh(gradients)
    noise = pixels * spread * spread / 8
    if least < ONE_WAY * most or least < 1.5 * noise:
        return float(np.inf)
    return spread * float(np.sqrt(CORRELATED / (least - noise)))
