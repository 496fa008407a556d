"""Light: how the codes of one view follow from those of another where both show the same place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from misr.burst.looks import Patch, Plane, fetched, places, soft
from misr.registration.matrices import Matrix

SOFT = 2.0  # px: light is compared without detail, which aliasing makes differ
STEP = 4  # px between samples
LIKELY = 0.3  # how far from 1 a gain is before anything is known (standard deviation), after exposures are undone
MANY = 20_000  # points that are enough
ALIKE = 50 / STEP**2  # samples that share their noise, under this softness


@dataclass(frozen=True, slots=True)
class Light:
    """view = gain * reference + offset, both in codes."""

    gain: float = 1.0
    offset: float = 0.0

    def undone(self, codes: Plane) -> Plane:
        """Codes of the view in the reference's light."""
        return (codes - self.offset) / self.gain


def pairs(reference: Patch, view: Patch, matrix: Matrix) -> tuple[Plane, Plane]:
    """Soft codes of reference and view at the same places, all valid: two vectors."""
    at = places(matrix, reference.window, (view.x, view.y), STEP)
    here, sure_here = soft(reference.plane, reference.valid, SOFT)
    there, sure_there = soft(view.plane, view.valid, SOFT)
    cut = (slice(STEP // 2, None, STEP), slice(STEP // 2, None, STEP))
    good = (sure_here[cut] > 0.9) & (fetched(sure_there, at) > 0.9)
    return here[cut][good], fetched(there, at)[good]


def light(references: list[Patch], views: list[Patch], matrix: Matrix, exposed: float = 1.0) -> Light:
    """The light of a view against the reference, from all patches of both; `exposed`: the view's exposure / the reference's."""
    both = [pairs(here, there, matrix) for here, there in zip(references, views, strict=True)]
    here, there = (np.concatenate(side).astype(np.float64) for side in zip(*both, strict=True))
    gain, offset = line(here, there / exposed)
    return Light(gain * exposed, offset * exposed)


def line(x: Plane, y: Plane) -> tuple[float, float]:
    """The line y = gain x + offset through most of the points, whatever the others do; gain 1 where they do not tell.

    Starts from the median of slopes between pairs (Theil 1950), goes on by Tukey's weights. A third may be off.
    """
    x, y = (v[:: len(x) // MANY + 1] for v in (x, y))
    if len(x) < 8:
        return 1.0, float(np.median(y - x)) if len(x) else 0.0
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, len(x), (2, 4000))
    apart = np.abs(x[a] - x[b])
    far = apart > np.median(apart)
    gain = float(np.median((y[a] - y[b])[far] / (x[a] - x[b])[far])) if far.any() else 1.0
    offset = float(np.median(y - gain * x))
    for _ in range(15):
        off = y - gain * x - offset
        spread = 1.4826 * float(np.median(np.abs(off))) + 1e-9 * (1 + float(np.abs(y).max()))
        weight = np.clip(1 - (off / (4.685 * spread)) ** 2, 0, None) ** 2
        mx, my = np.average(x, weights=weight), np.average(y, weights=weight)
        prior = spread**2 / LIKELY**2 * max(ALIKE, 1)
        across = float((weight * (x - mx) ** 2).sum())
        gain = (float((weight * (x - mx) * (y - my)).sum()) + prior) / (across + prior)
        offset = float(my - gain * mx)
    return gain, offset
