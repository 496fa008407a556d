"""One view placed against the reference: found to the pixel, refined from coarse to fine, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch import Tensor

from misr.errors import InputError
from misr.registration.correlation import coarse_place
from misr.registration.equations import robust_std
from misr.registration.gauss_newton import CORRELATED, Solution, farthest, refine
from misr.registration.light import line
from misr.registration.matrices import IDENTITY, Matrix, on_grid, square
from misr.registration.placement import MODELS, Model, Placement, rejected
from misr.registration.sampling import everywhere, positions, sampled, slopes, weights_at
from misr.registration.smooth import Masked, Smooth, level, masked, normal, pyramid, smooth

SEARCHED_PX = 128  # longer side at which the whole shift is sought, and half of it where turns are sought too
TURNS = (0.0, 2.5, -2.5, 5.0, -5.0, 7.5, -7.5)  # degrees
SMALLEST_PX = 24  # shorter side below which no level is made
STEPS = 12
ENOUGH_PX = 0.001
LIKE = 0.15  # correlation of gradients from which a view is taken to show the same place
CHANCE = 6.0  # the same in standard deviations of what strangers have
LEAST_OVERLAP = 0.02  # of the reference
LEAST_VALID = 64  # pixels
SURE_PX = 0.3  # std of the shift beyond which it is not known
LEAST_GAIN = 0.1  # of planes at std 1, below which one does not follow the other
FLAT = 1e-6  # std, of the largest value, below which a plane has no content


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Reference and view, each centred to mean 0 and std 1, and what undoes that."""

    reference: Masked
    view: Masked
    levels: tuple[tuple[float, float], tuple[float, float]]  # (mean, std) of the reference, of the view
    light: bool


def register(
    reference: np.ndarray | Tensor,
    view: np.ndarray | Tensor,
    *,
    model: Model = "shift",
    valid_reference: np.ndarray | Tensor | None = None,
    valid_view: np.ndarray | Tensor | None = None,
    light: bool = True,
    start: Placement | None = None,
) -> Placement:
    """Where the view (h, w) sits relative to the reference (H, W), in any unit; masks are True where a pixel may be used.

    With light = False gain is 1 and offset 0. `start` spares the search when it is near (some 8 px); when it proves wrong it is
    forgotten. What cannot be placed comes back with used = False and why; only wrong shapes raise InputError. NaN and what a
    mask excludes change nothing.
    """
    if model not in MODELS:
        raise InputError(f'model "{model}" is none of {", ".join(MODELS)}; choose one of these')
    a, b = masked(reference, valid_reference, "the reference"), masked(view, valid_view, "the view")
    unfit = unusable(a, "the reference") or unusable(b, "the view")
    if unfit:
        return rejected(unfit, model=model)
    pair = paired(a, b, light=light)
    found = placed(pair, model, start) if start else None
    if found is None or not found.used:
        found = placed(pair, model, None)
    if not found.used and light:
        by_edges = placed_by_edges(pair, model)
        found = by_edges if by_edges.used else found
    return found


def unusable(picture: Masked, name: str) -> str:
    """Why a picture can take no part, "" when it can."""
    count = int(np.count_nonzero(picture.mask))
    if count < LEAST_VALID:
        return f"{name} has {count or 'no'} valid pixels"
    mean, std = level(picture)
    return f"{name} is flat: it has nothing to register by" if std <= FLAT * max(abs(mean), 1e-30) else ""


def paired(reference: Masked, view: Masked, *, light: bool) -> Pair:
    """Both at mean 0 and std 1: each by its own, or both by the reference's where the light is known to be the same."""
    own = level(reference)
    its = level(view) if light else own
    return Pair(normal(reference, *own), normal(view, *its), (own, its), light)


def placed(pair: Pair, model: Model, start: Placement | None) -> Placement:
    """The pair's placement from this start, or from a search of all shifts; used = False and why when it cannot be right."""
    count = levels_of(pair)
    references, views = pyramid(pair.reference, count), pyramid(pair.view, count)
    if start:
        found, first = Solution(start.matrix), min(count - 1, 2)
    else:
        first = search_level(references, views, model)
        turns = (0.0,) if model == "shift" else TURNS
        score, matrix = coarse_place(references[first], views[first], turns)
        if score <= 0:
            return rejected("the view and the reference have no place in common", model=model)
        found = Solution(on_grid(matrix, reference=2.0**first, view=2.0**first))
    solution = descended(references, views, found, model, first, light=pair.light)
    if solution is None:
        return rejected("the view shows nothing that lines up with the reference", model=model)
    return judged(pair, solution, model)


def levels_of(pair: Pair) -> int:
    """How many times the smaller picture can be halved, plus one."""
    shortest = min(*pair.reference.size, *pair.view.size)
    return 1 + max(0, int(np.log2(max(shortest, 1) / SMALLEST_PX)))


def search_level(references: list[Masked], views: list[Masked], model: Model) -> int:
    """The first level small enough for the search."""
    limit = SEARCHED_PX if model == "shift" else SEARCHED_PX // 2
    for n, (a, b) in enumerate(zip(references, views, strict=True)):
        if max(*a.size, *b.size) <= limit:
            return n
    return len(references) - 1


def descended(
    references: list[Masked], views: list[Masked], found: Solution, model: Model, first: int, *, light: bool
) -> Solution | None:
    """From level `first` to the finest by Gauss-Newton; motions between whole pictures. None where nothing can be solved."""
    for n in range(first, -1, -1):
        scale = 2.0**-n
        plainer: Model = "affine" if model == "homography" and n > 1 else model
        begun = replace(found, matrix=on_grid(found.matrix, reference=scale, view=scale))
        enough = ENOUGH_PX if n == 0 else 0.02
        solved = refine(
            smooth(references[n]), smooth(views[n]), begun, plainer, light=light, steps=STEPS, enough_px=enough
        )
        if solved is None:
            return None
        found = replace(solved, matrix=on_grid(solved.matrix, reference=1 / scale, view=1 / scale))
    return found


def judged(pair: Pair, found: Solution, model: Model) -> Placement:
    """The solution as a placement in the planes' own unit, or rejected and why."""
    share = overlap(found.matrix, pair)
    why = doubt(pair, found, share)
    if why:
        return rejected(why, model=model, overlap=share)
    (mean, std), (its_mean, its_std) = pair.levels
    gain = found.gain * its_std / std
    offset = its_mean + its_std * found.offset - gain * mean
    return Placement(found.matrix, model, gain, offset, found.spread * its_std / gain, share)


def doubt(pair: Pair, found: Solution, share: float) -> str:
    """Why a solution is not to be believed, "" when it is."""
    w, h = pair.reference.size
    if share < LEAST_OVERLAP:
        return f"the view overlaps {share:.1%} of the reference, too little to register by"
    if not (
        0.5 < np.linalg.det(square(found.matrix)[:2, :2]) < 2 and np.isfinite(farthest(found.matrix, IDENTITY, w, h))
    ):
        return "the view only fits the reference when bent beyond reason"
    least = max(LIKE, CHANCE * float(np.sqrt(CORRELATED / max(found.pixels, 1))))
    if abs(found.likeness) < least:
        return f"the view does not resemble the reference (correlation {found.likeness:.2f}, {least:.2f} is needed)"
    if found.gain <= 0:
        return "the view is darker where the reference is brighter"
    if found.error_px > SURE_PX:
        return "the detail in common is too faint or runs in one direction only: the shift is not determined"
    return ""


def overlap(matrix: Matrix, pair: Pair) -> float:
    """Share of the reference's pixels that are valid and lie on a valid pixel of the view."""
    x, y = everywhere(*positions(matrix, *pair.reference.size))
    there = cv2.remap(pair.view.mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return float(((there > 0) & (pair.reference.mask > 0)).mean())


def placed_by_edges(pair: Pair, model: Model) -> Placement:
    """The pair's placement by where its edges are: for bands whose brightness runs apart."""
    drawn = edges(pair)
    if unusable(drawn.reference, "") or unusable(drawn.view, ""):
        return rejected("no edges", model=model)
    found = placed(drawn, model, None)
    return relit(pair, found) if found.used else found


def edges(pair: Pair) -> Pair:
    """The same pair as strengths of edges, which agree between bands whose brightness does not."""
    a, b = strength(smooth(pair.reference)), strength(smooth(pair.view))
    return paired(a, b, light=True) if level(a)[1] > 0 and level(b)[1] > 0 else Pair(a, b, pair.levels, light=True)


def strength(picture: Smooth) -> Masked:
    """The length of the gradient, root taken so that a few strong edges are not all; valid where the blur was whole."""
    along_x, along_y = slopes(picture.plane)
    mask = (picture.weight > 0.5).astype(np.float32)
    return Masked(np.sqrt(np.hypot(along_x, along_y)) * mask, mask)


def relit(pair: Pair, found: Placement) -> Placement:
    """A placement found by edges, with the gain, offset and residual of the planes themselves."""
    a, b = smooth(pair.reference), smooth(pair.view)
    x, y = positions(found.matrix, *pair.reference.size)
    seen, *_ = sampled(b.plane, x, y)
    weight = a.weight * weights_at(b.weight, x, y)
    gain, offset = line(a.plane[weight > 0.5], seen[weight > 0.5])
    (mean, std), (its_mean, its_std) = pair.levels
    if gain < LEAST_GAIN:
        return replace(
            found, gain=1.0, offset=0.0, residual=std, why="placed by edges; its light does not follow the reference's"
        )
    spread = robust_std(seen - np.float32(gain) * a.plane - np.float32(offset), weight)
    gain, offset = gain * its_std / std, its_mean + its_std * offset - gain * its_std / std * mean
    return replace(found, gain=gain, offset=offset, residual=spread * its_std / gain, why="placed by edges")
