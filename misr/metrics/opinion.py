"""Mean opinion scores: what raters said of methods, with intervals (ITU-T P.910, P.913), and raters who answer unlike the others
(ITU-R BT.500-13, Annex 2, 2.3.1).

Votes are arrays (raters, contents, methods) of categories 1 (bad) to 5 (excellent), every rater having seen everything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
BEST = 5  # the highest category
LEVEL = 0.95
UNLIKE, BALANCED = 0.05, 0.3  # BT.500-13: a share of votes outside, and how far they may lie to one side


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, and half the width of its 95 % interval; None where one value alone tells nothing of it."""

    mean: float
    half: float | None

    @property
    def sure(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.half is not None and abs(self.mean) > self.half


def within(t: float, df: int) -> float:
    """How probable it is that Student's t with df (1 and up) degrees of freedom lies between -t and t.

    Abramowitz & Stegun 26.7.3 and 26.7.4: for whole df a finite sum, exact.
    """
    if df < 1 or t < 0:
        raise ValueError(f"t {t} and df {df}: t wants 0 and up, df 1 and up")
    angle = math.atan2(t, math.sqrt(df))
    c2 = math.cos(angle) ** 2
    odd = df % 2
    term = math.cos(angle) if odd else 1.0
    total = term if df > 1 else 0.0
    for k in range(2 + odd, df - 1, 2):  # factors 2/3, 4/5 ... or 1/2, 3/4 ...
        term *= c2 * (k - 1) / k
        total += term
    return (2 / math.pi) * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def student(df: int, level: float = LEVEL) -> float:
    """The t within which Student's t with df degrees of freedom lies with probability `level`; by bisection."""
    low, high = 0.0, 1.0
    while within(high, df) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, df) < level else (low, middle)
    return high


def estimate(values: Array) -> Estimate:
    """The mean of independent values (n), such as raters' means, with its 95 % interval by Student's t."""
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()), None)
    return Estimate(float(values.mean()), student(n - 1) * float(values.std(ddof=1)) / math.sqrt(n))


def chance(values: Array) -> float | None:
    """Two-sided p of the mean of independent values (n) being zero; None for one value, or where all are zero."""
    n = len(values)
    if n < 2 or not values.any():
        return None
    spread = float(values.std(ddof=1))
    return 1 - within(abs(float(values.mean())) * math.sqrt(n) / spread, n - 1) if spread else 0.0


def holm(chances: list[float | None]) -> list[float | None]:
    """Chances as they stand after so many questions were asked at once (Holm 1979); None is no question."""
    found = list(chances)
    asked = sorted((p, at) for at, p in enumerate(chances) if p is not None)
    worst = 0.0
    for rank, (p, at) in enumerate(asked):
        worst = max(worst, min(1.0, (len(asked) - rank) * p))
        found[at] = worst
    return found


def differential(votes: Array, reference: int) -> Array:
    """Votes against each rater's own vote for the hidden reference: V - V_reference + 5 (P.910, ACR-HR); 5 is "as good as it"."""
    return votes - votes[..., reference : reference + 1] + BEST


def unlike(votes: Array) -> list[bool]:
    """Which raters (raters, presentations) BT.500 leaves out: who often lies far from the others, now above, now below.

    Far is two standard deviations from a presentation's mean, or the root of 20 where its votes are not spread normally
    (kurtosis outside 2 to 4). A rater is left out who does so in more than 5 % of the presentations, above about as often as
    below; one who is always stricter or kinder stays. With fewer than six raters nobody can lie so far.
    """
    n, many = votes.shape
    off = votes - votes.mean(0)
    second, fourth = (off**2).mean(0), (off**4).mean(0)
    kurtosis = np.divide(fourth, second**2, out=np.full(many, 3.0), where=second > 0)
    reach = np.where((kurtosis >= 2) & (kurtosis <= 4), 2.0, math.sqrt(20)) * (votes.std(0, ddof=1) if n > 1 else 0)
    spread = second > 0
    above, below = ((s & spread).sum(1) for s in (off >= reach, -off >= reach))
    far = above + below
    return [
        bool(f / many > UNLIKE and abs(int(a) - int(b)) / f < BALANCED) if f else False
        for f, a, b in zip(far, above, below, strict=True)
    ]
