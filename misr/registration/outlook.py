"""What several frames of a clip can bring over one, from a few spots of it: the promise of fusing, measured before a long run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from misr.registration.aliasing import aliasing_between
from misr.registration.promise import Word, coverage, lacking, word
from misr.registration.register import register

AROUND = (-6, -3, -2, -1, 0, 1, 3, 6)  # frames of a spot: near ones for what moves fast, far ones for what hardly moves
SPOTS = 4
SIDE = 256  # pixels of the middle of the frames
LEAD: dict[Word, str] = {
    "yes": "Several frames hold more detail than one",
    "a little": "Several frames hold more detail than one, perhaps only a little",
    "no": "Several frames hold no more detail than one",
    "unknown": "Whether several frames hold more detail than one cannot be foretold",
}
ENOUGH = 0.5  # share of a spot's views that must move as a whole


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether several frames can show more than one, why in one sentence, and what that rests on.

    coverage, aliasing   means over the spots that could be told; None where none could
    views                on average, that move as a whole; spots: how many were told, of how many
    word                 the sentence as one word; "unknown" counts as could, since it may
    """

    could: bool
    why: str
    coverage: float | None
    aliasing: float | None
    views: float
    spots: tuple[int, int]
    word: Word


def outlook(stacks: Sequence[np.ndarray], scale: float) -> Outlook:
    """Of stacks (t, h, w) of consecutive frames, planes in any unit; what does not move as a whole cannot be told."""
    some = [s for s in stacks if len(s) >= 2]
    chosen = [some[i * len(some) // min(SPOTS, len(some))] for i in range(min(SPOTS, len(some)))]
    found = [it for it in (spot(stack, scale) for stack in chosen) if it is not None]
    if not found:
        why = f"{LEAD['unknown']}: nowhere did the middle of the picture move as a whole."
        return Outlook(True, why, None, None, 0.0, (0, len(chosen)), "unknown")
    even, views = (float(np.mean([it[k] for it in found])) for k in (0, 1))
    folded = [it[2] for it in found if it[2] is not None]
    alias = float(np.median(folded)) if folded else None
    told = word(alias, even, round(views), scale)
    why = sentence(told, alias, even, scale)
    return Outlook(told != "no", why, even, alias, views, (len(found), len(chosen)), told)


def sentence(told: Word, aliasing: float | None, even: float, scale: float) -> str:
    """The word, and what it rests on. Nothing of noise: video models sharpen it, and average little of it away (measured)."""
    phases = f"coverage {even:.2f} of {scale:g}x"
    if aliasing is None:
        why = (
            "their aliasing could not be measured" if told == "unknown" else "they have nearly the same sub-pixel phase"
        )
        return f"{LEAD[told]}: {why} ({phases})."
    facts = f"aliasing {aliasing:.2f}, {phases}"
    if told == "yes":
        return f"{LEAD[told]}: {facts}."
    return f"{LEAD[told]}, for want of {lacking(aliasing, even, scale)}: {facts}."


def spot(stack: np.ndarray, scale: float) -> tuple[float, float, float | None] | None:
    """Coverage, views and aliasing around a stack's middle; None where most views could not be placed."""
    here = len(stack) // 2
    chosen = [here + step for step in AROUND if 0 <= here + step < len(stack)]
    views, k = [middle(stack[n]) for n in chosen], chosen.index(here)
    others = [v for n, v in enumerate(views) if n != k]
    places = [register(views[k], v) for v in others]
    used = [p for p in places if p.used]
    if len(used) < ENOUGH * len(others):
        return None
    h, w = views[k].shape
    even = coverage([(0.0, 0.0), *(p.shift_px(w, h) for p in used)], scale)
    return even, 1.0 + len(used), aliasing_between(views[k], others, places)


def middle(frame: np.ndarray) -> np.ndarray:
    """The middle of a frame, at most SIDE x SIDE, as floats."""
    h, w = frame.shape
    y, x = max(0, h - SIDE) // 2, max(0, w - SIDE) // 2
    return frame[y : y + SIDE, x : x + SIDE].astype(np.float32)
