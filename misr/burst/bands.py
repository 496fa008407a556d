"""What is known of one band of a whole scene: light, levels, noise, ceilings and what is strange, all from looks at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from misr.burst.light import Light, light
from misr.burst.looks import Patch, Plane, Window, fetched, look, places
from misr.burst.masks import Strange, below, ceiling, differences, softened, strange
from misr.burst.noise import noise
from misr.burst.places import window_of
from misr.burst.preparing import Preparing
from misr.io.view import View
from misr.registration import IDENTITY, Placement, register, windowed
from misr.registration.matrices import Matrix, flat, shifted, square

LEVELS = (0.5, 99.5)  # percentiles of the valid codes that become 0 and 1
STEP = 4  # px between the samples that levels and differences are taken from
OWN_PX = 0.02  # a band's own place beside the view's: smaller ones are not told apart from none
FARTHEST_PX = 4.0  # a larger one is a mistake
LEAST = 1e-4  # of the range of the levels: no sigma is smaller


@dataclass(frozen=True, slots=True)
class Band:
    """One band. What is per view is in the order of Ready.order, the reference first.

    low, high   codes of the reference's light that the nets see as 0 and 1
    lights      each view against the reference
    sigmas      noise of each view, in its own codes; empty where it is given as (a, c)
    ceilings    code from which a sample counts as saturated, infinity for none
    strange     how different from the median view a sample may be
    matrices    from the reference's pixels to each view's, in this band
    own_px      how far this band lies from where the view as a whole does, (dx, dy) per view
    """

    low: float
    high: float
    lights: tuple[Light, ...]
    sigmas: tuple[float, ...]
    ceilings: tuple[float, ...]
    strange: Strange
    matrices: tuple[Matrix, ...]
    own_px: tuple[tuple[float, float], ...]


def measured(
    views: Sequence[View], placements: Sequence[Placement], band: int, base: int, spots: list[Window], how: Preparing
) -> Band:
    """One band of these views, the first of which is the reference; base is the band they were placed by."""
    patches = [[look(v, window_of(p.matrix, s), band) for s in spots] for v, p in zip(views, placements, strict=True)]
    tops = [ceiling(p, v.dtype) if how.saturation else np.inf for p, v in zip(patches, views, strict=True)]
    unclipped = [below(p, top) for p, top in zip(patches, tops, strict=True)]
    matrices = [p.matrix for p in placements]
    if how.bands:
        matrices = [own_place(unclipped[0], one, m) for one, m in zip(unclipped, matrices, strict=True)]
    exposed = [exposure(views[0], v) for v in views]
    lights = [Light(e) for e in exposed]
    if how.light:
        lights[1:] = [light(unclipped[0], *rest) for rest in zip(unclipped[1:], matrices[1:], exposed[1:], strict=True)]
    low, high = levels(in_light(patches, lights), matrices)
    lit = in_light(unclipped, lights)
    odd = strangeness(lit, matrices, low, high) if how.clouds else Strange()
    sigmas: tuple[float, ...] = ()
    if how.noise is None:
        least = [max(LEAST * (high - low) * abs(one.gain), rounding(v)) for v, one in zip(views, lights, strict=True)]
        sigmas = tuple(
            max(s * abs(one.gain), floor) for s, one, floor in zip(noise(lit, matrices), lights, least, strict=True)
        )
    if how.bands and band != base:
        matrices = on_base(matrices, [look(views[0], s, base) for s in spots], unclipped[0])
    own = tuple(apart(m, p.matrix) for m, p in zip(matrices, placements, strict=True))
    return Band(low, high, tuple(lights), sigmas, tuple(tops), odd, tuple(matrices), own)


def in_light(patches: list[list[Patch]], lights: Sequence[Light]) -> list[list[Patch]]:
    """Patches of each view, in the reference's light."""
    return [[replace(p, plane=one.undone(p.plane)) for p in own] for own, one in zip(patches, lights, strict=True)]


def rounding(view: View) -> float:
    """Sigma of what whole numbers are off by, in codes."""
    return 12**-0.5 if view.dtype.kind in "iu" else 0.0


def exposure(reference: View, view: View) -> float:
    """How many times the reference's light a view gathered, as far as is known."""
    return view.exposure / reference.exposure if view.exposure and reference.exposure else 1.0


def own_place(references: list[Patch], patches: list[Patch], matrix: Matrix) -> Matrix:
    """Where one band of a view lies beside the same band of the reference: the view's place and a small shift more."""
    found = []
    for here, there in zip(references, patches, strict=True):
        if here is there:
            return matrix
        origins = {"reference": (here.x, here.y), "view": (there.x, there.y)}
        start = Placement(windowed(matrix, **origins), "affine")
        placed = register(here.plane, there.plane, valid_reference=here.valid, valid_view=there.valid, start=start)
        if placed.used:
            h, w = here.plane.shape
            a, b = placed.shift_px(w, h), start.shift_px(w, h)
            found.append((a[0] - b[0], a[1] - b[1]))
    if not found:
        return matrix
    dx, dy = np.median(found, axis=0)
    if not OWN_PX < np.hypot(dx, dy) < FARTHEST_PX:
        return matrix
    return flat(square(shifted(float(dx), float(dy))) @ square(matrix))


def on_base(matrices: Sequence[Matrix], base: list[Patch], own: list[Patch]) -> list[Matrix]:
    """Matrices from one band of the reference to each view's, as they are from the reference's base band, which may lie apart."""
    first = square(own_place(base, own, IDENTITY))
    return [flat(square(m) @ first) for m in matrices]


def apart(band: Matrix, view: Matrix) -> tuple[float, float]:
    """Shift from where a view lies to where its band does."""
    return band[2] - view[2], band[5] - view[5]


def levels(lit: list[list[Patch]], matrices: Sequence[Matrix]) -> tuple[float, float]:
    """The codes that become 0 and 1: percentiles of the median of the views, which clouds and noise are not in."""
    middles = []
    for spot in zip(*lit, strict=True):
        planes, sure = on_reference(spot, matrices, detailed)
        middles.append((planes - differences(planes, sure, least=1))[sure])
    known = np.concatenate(middles)
    if not len(known):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, LEVELS))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def detailed(patch: Patch) -> tuple[Plane, Plane]:
    """A view as it is."""
    return patch.plane, patch.valid


def on_reference(
    spot: Sequence[Patch], matrices: Sequence[Matrix], seen: Callable[[Patch], tuple[Plane, Plane]]
) -> tuple[Plane, Plane]:
    """The views of one patch, as `seen`, at every STEPth pixel of the reference: (t, h, w), and where they are known."""
    planes, sure = [], []
    for patch, matrix in zip(spot, matrices, strict=True):
        at = places(matrix, spot[0].window, (patch.x, patch.y), STEP)
        plane, known = seen(patch)
        planes.append(fetched(plane, at, nearest=seen is detailed))
        sure.append(fetched(known.astype(np.float32), at) > 0.99)
    return np.stack(planes), np.stack(sure)


def strangeness(lit: list[list[Patch]], matrices: Sequence[Matrix], low: float, high: float) -> Strange:
    """From which difference to the median view on a sample is a cloud's, in the whole scene."""
    return strange([differences(*on_reference(spot, matrices, softened)) for spot in zip(*lit, strict=True)], low, high)
