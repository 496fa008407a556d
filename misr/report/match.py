"""Which frames of two clips show the same moment: by their times, never by their numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

Times = Sequence[Fraction]


def partners(times: Times, others: Times, within: Fraction) -> list[int | None]:
    """For each of `times` the number of the other that is shown then; None where there is none.

    Partners are nearest to each other, both ways, and at most `within` seconds apart; both lists ascend.
    """
    there = [nearest(t, others) for t in times]
    back = [nearest(t, times) for t in others]
    return [
        j if j is not None and back[j] == i and abs(others[j] - t) <= within else None
        for i, (t, j) in enumerate(zip(times, there, strict=True))
    ]


def nearest(time: Fraction, among: Times) -> int | None:
    """The number of the time nearest to `time`, the earlier of two; None among none."""
    if not among:
        return None
    right = bisect_left(among, time)
    if right == 0:
        return 0
    if right == len(among) or time - among[right - 1] <= among[right] - time:
        return right - 1
    return right


def tolerance(*rates: Fraction) -> Fraction:
    """How far apart partners may be: a quarter of the shortest frame, which rounded time stamps stay well within."""
    return 1 / (4 * max(rates))
