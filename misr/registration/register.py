"""One view placed against the reference, and the model that its motion needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from misr.errors import InputError
from misr.registration.descent import Found, descend
from misr.registration.gauss_newton import farthest
from misr.registration.matrices import Matrix
from misr.registration.pair import Pair, edges, light_at, paired
from misr.registration.placement import MODELS, Model, Placement, rejected

UNLIKE = 0.15  # robust std of what light does not explain, of the contrast, from which a varying light is tried too
BETTER = 0.8  # uncertainty, of that before, from which the second try is taken
TOLD_PX = 0.03  # a richer model that moves no corner farther than this is not worth its noise
CLOSER = 0.99  # residual of a richer model, of the plainer one's, from which it explains more
TOLD = 4.0  # the same in standard deviations of a corner
CORNER = {"affine": 2.6, "homography": 4.5}  # uncertainty of a corner, of a shift's: root of 1 + 3 + 3, and simulated


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
    """Where the view (h, w) sits relative to the reference (H, W); planes in any unit, masks True where pixels may be used.

    With light = False gain is 1 and offset 0. `start` spares the search of all shifts; where it leads nowhere it is forgotten.
    What cannot be placed comes back with used = False and why; only wrong shapes and models raise InputError. NaN, infinities
    and what lies under a mask change nothing.
    """
    if model not in MODELS:
        raise InputError(f'model "{model}" is none of {", ".join(MODELS)}; choose one of these')
    pair = paired(reference, view, valid_reference, valid_view, light="whole" if light else "same")
    if isinstance(pair, str):
        return rejected(pair, model=model)
    return placed(pair, model, start.matrix if start else None)[0]


def best_model(
    reference: np.ndarray | Tensor,
    view: np.ndarray | Tensor,
    *,
    valid_reference: np.ndarray | Tensor | None = None,
    valid_view: np.ndarray | Tensor | None = None,
    light: bool = True,
    start: Placement | None = None,
) -> Placement:
    """As register, by the plainest model that explains the view: a richer one must move a corner by more than its own noise."""
    pair = paired(reference, view, valid_reference, valid_view, light="whole" if light else "same")
    if isinstance(pair, str):
        return rejected(pair)
    best, error_px = placed(pair, "shift", start.matrix if start else None)
    for model in MODELS[1:]:
        near = best.matrix if best.used and error_px < TOLD_PX else None
        richer, its_error_px = placed(pair, model, near or (start.matrix if start else None))
        if richer.used and (not best.used or needed(best, richer, its_error_px, pair)):
            best, error_px = richer, its_error_px
    return best


def needed(plain: Placement, rich: Placement, error_px: float, pair: Pair) -> bool:
    """Whether the richer model is more than the plain one with noise."""
    if rich.why or rich.residual > CLOSER * plain.residual:
        return False
    return farthest(plain.matrix, rich.matrix, *pair.reference.size) > max(
        TOLD_PX, TOLD * CORNER[rich.model] * error_px
    )


def placed(pair: Pair, model: Model, start: Matrix | None) -> tuple[Placement, float]:
    """The pair's placement and the std of its shift in px: in one light, else in light that varies slowly, else by edges."""
    whole = descend(pair, model, start, pair.light)
    if pair.light == "same":
        return told(pair, whole, model), whole.solution.error_px
    others: list[tuple[Found, str]] = []
    if whole.why or whole.solution.spread > UNLIKE:
        near = start if whole.why else whole.solution.matrix
        others.append((descend(pair, model, near, "local"), "placed in light that varies over the picture"))
    if whole.why and (others[0][0].why or others[0][0].solution.error_px > TOLD_PX):
        drawn = edges(pair)
        if isinstance(drawn, Pair):
            others.append((descend(drawn, model, start, "whole"), "placed by edges"))
    limit_px = np.inf if whole.why else BETTER * whole.solution.error_px
    others = [(found, how) for found, how in others if not found.why and found.solution.error_px < limit_px]
    if others:
        found, how = min(others, key=lambda other: other[0].solution.error_px)
        return relit(pair, found, model, how)
    return told(pair, whole, model), whole.solution.error_px


def told(pair: Pair, found: Found, model: Model) -> Placement:
    """The end of a descent in the planes' own unit, or rejected and why."""
    if found.why:
        return rejected(found.why, model=model, overlap=found.overlap)
    gain, offset = pair.in_own_unit(found.solution.gain, found.solution.offset)
    residual = found.solution.spread / found.solution.gain * pair.own[1]
    return Placement(found.solution.matrix, model, gain, offset, residual, found.overlap)


def relit(pair: Pair, found: Found, model: Model, how: str) -> tuple[Placement, float]:
    """A placement found otherwise than by one gain and offset, with the best of these where there is one."""
    place = Placement(found.solution.matrix, model, residual=pair.own[1], overlap=found.overlap)
    light = light_at(pair, place.matrix)
    if light is None:
        place = replace(place, why=f"{how}; its light does not follow the reference's")
    else:
        gain, offset, residual = light
        place = replace(place, gain=gain, offset=offset, residual=residual, why=how)
    return place, found.solution.error_px
