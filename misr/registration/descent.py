"""From a search of all shifts on a small copy to the finest level by Gauss-Newton, and whether to believe where that ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from misr.registration.correlation import coarse_place
from misr.registration.gauss_newton import CORRELATED, Light, Solution, farthest, refine
from misr.registration.matrices import IDENTITY, Matrix, on_grid, square
from misr.registration.pair import Pair
from misr.registration.placement import Model
from misr.registration.smooth import Masked, pyramid, smooth

SEARCHED_PX = 128  # longer side at which the whole shift is sought, and half of it where turns are sought too
TURNS = (0.0, 2.5, -2.5, 5.0, -5.0, 7.5, -7.5)  # degrees
SMALLEST_PX = 24  # shorter side below which no level is made
NEAR_LEVEL = 2  # where a given start is first refined: within 8 px of it
STEPS = 12
ENOUGH_PX, ENOUGH_COARSE_PX = 0.001, 0.02  # steps at which a level is done
LIKE = 0.15  # correlation of gradients from which a view is taken to show the same place
CHANCE = 6.0  # the same in standard deviations of what strangers have
UNSHARED = 0.6  # correlation that is enough for pictures too small for chance to be ruled out
LEAST_OVERLAP = 0.02  # of the reference
SURE_PX = 0.3  # std of the shift beyond which it is not known


@dataclass(frozen=True, slots=True)
class Found:
    """Where a descent ended, what of the reference it covers, and why not to believe it ("": believe it)."""

    solution: Solution
    overlap: float
    why: str


def descend(pair: Pair, model: Model, start: Matrix | None, light: Light) -> Found:
    """Where the view lies, from this start if it leads to a believable end, else from a search of all shifts."""
    count = levels(pair)
    references, views = pyramid(pair.reference, count), pyramid(pair.view, count)
    if start:
        found = ended(pair, refined(references, views, start, model, light, min(count - 1, NEAR_LEVEL)))
        if not found.why:
            return found
    first = search_level(references, views, model)
    score, matrix = coarse_place(references[first], views[first], (0.0,) if model == "shift" else TURNS)
    if score <= 0:
        return Found(Solution(), 0.0, "the view and the reference have no place in common")
    whole = on_grid(matrix, reference=2.0**first, view=2.0**first)
    return ended(pair, refined(references, views, whole, model, light, first))


def levels(pair: Pair) -> int:
    """How many times the smaller picture can be halved, plus one."""
    shortest = min(*pair.reference.size, *pair.view.size)
    return 1 + max(0, int(np.log2(shortest / SMALLEST_PX)))


def search_level(references: list[Masked], views: list[Masked], model: Model) -> int:
    """The first level small enough for the search, or the last there is."""
    limit = SEARCHED_PX if model == "shift" else SEARCHED_PX // 2
    small = (n for n, (a, b) in enumerate(zip(references, views, strict=True)) if max(*a.size, *b.size) <= limit)
    return next(small, len(references) - 1)


def refined(
    references: list[Masked], views: list[Masked], start: Matrix, model: Model, light: Light, first: int
) -> Solution | None:
    """From level `first` to the finest; motions are between whole pictures. None where nothing can be solved."""
    found = Solution(start)
    for n in range(first, -1, -1):
        finer = 2.0**n
        plainer: Model = "affine" if model == "homography" and n > 1 else model
        solved = refine(
            smooth(references[n]),
            smooth(views[n]),
            replace(found, matrix=on_grid(found.matrix, reference=1 / finer, view=1 / finer)),
            plainer,
            light=light,
            steps=STEPS,
            enough_px=ENOUGH_COARSE_PX if n else ENOUGH_PX,
        )
        if solved is None:
            return None
        found = replace(solved, matrix=on_grid(solved.matrix, reference=finer, view=finer))
    return found.unfaded()


def ended(pair: Pair, solution: Solution | None) -> Found:
    """A descent's end, judged."""
    if solution is None:
        return Found(Solution(), 0.0, "the view shows nothing that lines up with the reference")
    overlap = pair.overlap(solution.matrix)
    return Found(solution, overlap, doubt(solution, overlap, pair.reference.size))


def doubt(found: Solution, overlap: float, size: tuple[int, int]) -> str:
    """Why a solution is not to be believed, a phrase; "" when it is."""
    if overlap < LEAST_OVERLAP:
        return f"the view covers {overlap:.1%} of the reference, too little to register by"
    grown = np.linalg.det(square(found.matrix)[:2, :2])
    if not 0.5 < grown < 2 or not np.isfinite(farthest(found.matrix, IDENTITY, *size)):
        return "the view fits the reference only when bent beyond reason"
    needed = min(max(LIKE, CHANCE * float(np.sqrt(CORRELATED / max(found.pixels, 1)))), UNSHARED)
    if abs(found.likeness) < needed:
        return f"the view does not resemble the reference (correlation {found.likeness:.2f} of {needed:.2f} needed)"
    if found.gain <= 0:
        return "the view is darker where the reference is brighter"
    if found.error_px > SURE_PX:
        return "the detail in common is too faint, or runs in one direction only, to tell the shift"
    return ""
