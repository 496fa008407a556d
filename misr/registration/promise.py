"""Whether fusing can help at all: how evenly the views' pixels fall between each other's, and what that brings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

LITTLE = 0.2  # eigenvalue at which a direction counts half way to unknown
ALIASED, HARDLY = 0.12, 0.05  # aliasing from which fusing sharpens, and below which it only averages noise
ALIKE, COVERED = 0.15, 0.3  # coverage beyond one phase's share, of the rest, up to which it is nothing, and not much
# (training clips with 0.33 to 0.4 of it gain 0.8 to 2.2 dB, no less than others: scripts/outlook_all)
Word = Literal["yes", "a little", "no", "unknown"]  # whether fusing shows more than the best view


def coverage(shifts: Sequence[tuple[float, float]], scale: float) -> float:
    """0..1: the share of the scale x scale finer pixels that views at these shifts (dx, dy) in LR px determine.

    1: the phases fill the cells evenly; 1 / scale^2: all have one phase; 0: no view. The reference, at (0, 0), is one of them.

    The phases of the views turn what is folded into each frequency; the mean product of these turns is a matrix whose
    eigenvalues are all 1 for even phases, and 0 for what no view tells. Each counts by how far above LITTLE it is.
    """
    points = np.asarray(shifts, np.float64).reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return 0.0
    folds = np.arange(max(1, math.ceil(scale)))
    k = np.stack(np.meshgrid(folds, folds), -1).reshape(-1, 2)
    turns = np.exp(2j * np.pi * points @ k.T)  # (views, folds)
    values = np.linalg.eigvalsh(turns.conj().T @ turns / len(points)).clip(0)
    return float(np.minimum(values / (values + LITTLE) * (1 + LITTLE), 1).mean())


def noise_gain_db(count: float) -> float:
    """By how many dB averaging so many views (an effective number) lowers noise."""
    return 10 * math.log10(max(count, 1.0))


def word(aliasing: float | None, coverage: float, count: int, scale: float = 2.0) -> Word:
    """Whether fusing so many views can show more than the best of them, in a word; None as aliasing: it could not be measured."""
    spread = spread_of(coverage, scale)
    if count <= 1 or spread < ALIKE:
        return "no"
    if aliasing is None:
        return "unknown"
    if aliasing < HARDLY:
        return "no"
    return "a little" if aliasing < ALIASED or spread < COVERED else "yes"


def spread_of(coverage: float, scale: float) -> float:
    """Coverage beyond what one phase has, of the rest: 0 to 1."""
    alone = 1 / max(1, math.ceil(scale)) ** 2
    return (coverage - alone) / max(1 - alone, 1e-9)


def lacking(aliasing: float, coverage: float, scale: float = 2.0) -> str:
    """What there is too little of, where the word is not yes."""
    return "coverage" if spread_of(coverage, scale) < ALIKE or aliasing >= ALIASED else "aliasing"


def promise(aliasing: float | None, coverage: float, count: int, scale: float = 2.0) -> tuple[bool, str]:
    """(whether fusing can show more than the best view, why: one sentence). None as aliasing: it could not be measured.

    More than one view lowers noise; detail beyond Nyquist needs aliasing and phases that differ too.
    """
    if count <= 1:
        return False, "Fusing cannot help: one view is all there is, so the result is that view enlarged."
    calm = f"averaging {count} views lowers noise by up to {noise_gain_db(count):.1f} dB"
    answer, told = word(aliasing, coverage, count, scale), f"coverage {coverage:.2f}"
    if answer == "no" and spread_of(coverage, scale) < ALIKE:
        return False, f"Only noise can gain: the views have nearly the same sub-pixel phase ({told}), but {calm}."
    if aliasing is None:
        return True, f"Fusing may help: the phases differ ({told}) and {calm}, but aliasing could not be measured."
    if answer == "no":
        hardly = f"the views are hardly aliased ({aliasing:.2f}), so they hold no finer detail"
        return False, f"Only noise can gain: {hardly}, but {calm}."
    facts = f"aliasing {aliasing:.2f}, {told} of {scale:g}x, and {calm}"
    if answer == "a little":
        return True, f"Fusing can help a little, for want of {lacking(aliasing, coverage, scale)}: {facts}."
    return True, f"Fusing can help: {facts}."
