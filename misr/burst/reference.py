"""Which view the picture's grid is taken from: the one that is clear, sharp, and looks as most of the others do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from misr.burst.clearness import Clearness, worth
from misr.burst.looks import look
from misr.errors import InputError
from misr.io.view import View
from misr.registration.matrices import corners, moved

GLANCE = 256  # px: side of the patches of the very first look
GLANCES = ((0.5, 0.5), (0.2, 0.3), (0.8, 0.7))  # where they lie


def first_guess(views: Sequence[View]) -> tuple[int, int]:
    """(band, view) to begin with: the band with most structure above its noise, and the view that shows most of it there.

    Of views that say where they lie, one that most others overlap.
    """
    table = np.zeros((len(views), views[0].bands))
    for n, view in enumerate(views):
        side = min(GLANCE, view.width), min(GLANCE, view.height)
        for b in range(view.bands):
            glances = [look(view, (round((view.width - side[0]) * fx), round((view.height - side[1]) * fy), *side), b)
                       for fx, fy in GLANCES[: 1 if side == (view.width, view.height) else None]]  # fmt: skip
            table[n, b] = worth(glances, view.dtype)
    band = int(np.median(table, axis=0).argmax())
    shared = np.array([sum(reaches(a, b) for b in views) for a in views])
    return band, int(np.where(shared == shared.max(), table[:, band], -1).argmax())


def reaches(a: View, b: View) -> bool:
    """Whether view b overlaps view a, as far as their geography says."""
    if a.geo is None or b.geo is None:
        return True
    ends = moved(a.geo.onto(b.geo), corners(a.width, a.height))
    least, most = ends.min(0), ends.max(0)
    return bool((most > 0).all() and least[0] < b.width - 1 and least[1] < b.height - 1)


def chosen(names: Sequence[str], firsts: Mapping[int, Clearness], asked: str) -> tuple[int, str]:
    """The reference's index and why it is the one. InputError when the one asked for is not there, or no view can be used."""
    usable = [n for n, c in firsts.items() if not c.why_not]
    if not usable:
        first = next(iter(firsts.values()))
        raise InputError(f"no view can be used: of {names[0]}, {first.why_not}; give pictures that show the place")
    if asked != "auto":
        return asked_for(names, firsts, asked), "asked for"
    best = max(usable, key=lambda n: firsts[n].score)
    return best, "the clearest and sharpest" if len(usable) > 1 else "the only one that can be used"


def asked_for(names: Sequence[str], firsts: Mapping[int, Clearness], asked: str) -> int:
    """The index of the view that a number or a name means."""
    if asked.lstrip("-").isdigit() and asked not in names:
        n = int(asked)
        if not 0 <= n < len(names):
            raise InputError(f"reference {n}: the views are 0 to {len(names) - 1}; give one of these, a name, or auto")
    else:
        found = [n for n, name in enumerate(names) if name == asked or Path(name).name == Path(asked).name]
        if len(found) != 1:
            raise InputError(
                f"reference {asked!r} is {'no' if not found else 'more than one'} view; the first is {names[0]!r}"
            )
        n = found[0]
    if n not in firsts:
        raise InputError(
            f"{names[n]} cannot be the reference, as its size is not that of the other views; choose another"
        )
    if why := firsts[n].why_not:
        raise InputError(f"{names[n]} cannot be the reference: {why}; choose another, or auto")
    return n
