"""The views of a burst dealt out: some to show and to learn from, some to watch while learning, some to judge by at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from misr.errors import InputError
from misr.train.valid import spread

FEWEST = 5  # the reference, two to show and to learn from in turn, one to watch, one to judge by
GROUPS = FEWEST - 1  # times beside the reference's that are enough to deal out whole
JUDGE, WATCH = 1 / 4, 1 / 6  # of the times


@dataclass(frozen=True, slots=True)
class Dealt:
    """Places in a stack, whose first view is the reference; every view is in one portion alone.

    times    for every view a number; views of one time have one
    """

    learn: tuple[int, ...]
    watch: tuple[int, ...]
    judge: tuple[int, ...]
    times: tuple[int, ...]

    @property
    def told(self) -> str:
        """How many views each portion has."""
        return f"{len(self.learn)} views to learn from, {len(self.watch)} to watch, {len(self.judge)} to judge by"


def dealt(times: Sequence[str]) -> Dealt:
    """Deal out the views of a stack, the reference first, evenly over their times ("" where one is not known).

    Views of one time go together, those of the reference's to learning, for they share its air and its shadows; where there
    are too few times for that, each goes by itself. InputError for fewer than FEWEST views.
    """
    if len(times) < FEWEST:
        raise InputError(
            f"{len(times)} views can be used, too few to adapt to: {FEWEST} are the least (the reference, two to learn from, "
            "one to watch, one to judge by); leave --adapt out"
        )
    known = sorted(set(times) - {""})
    numbers = tuple(known.index(t) if t else len(known) + n for n, t in enumerate(times))
    others = sorted(range(1, len(times)), key=lambda n: (times[n], n))
    apart = sorted({numbers[n] for n in others} - {numbers[0]})
    whole = len(apart) >= GROUPS
    groups = [[n for n in others if numbers[n] == k] for k in apart] if whole else [[n] for n in others]
    judge = spread(range(len(groups)), max(1, round(JUDGE * len(groups))))
    left = [k for k in range(len(groups)) if k not in judge]
    watch = spread(left, max(1, round(WATCH * len(groups))))
    watched, judged = (tuple(sorted(n for k in some for n in groups[k])) for some in (watch, judge))
    learn = tuple(n for n in range(len(times)) if n not in (*watched, *judged))
    return Dealt(learn, watched, judged, numbers)
