"""Ready: a burst with everything scene-wide that fusing needs, in flat memory; windows of it as stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from misr.burst.bands import Band, measured
from misr.burst.clearness import Clearness, clearness, upsampled
from misr.burst.looks import Patch, Plane, look, spots
from misr.burst.masks import unsaturated
from misr.burst.places import Looked, failures, given, placed, sizes, starts, window_of
from misr.burst.preparing import Preparing
from misr.burst.reference import chosen, first_guess, reaches
from misr.burst.stacks import MARGIN, optics_of, stacked
from misr.burst.telling import aliasing, told
from misr.errors import InputError
from misr.io.burst import Burst
from misr.io.view import View
from misr.nets.lattice import Stack
from misr.registration import IDENTITY, Placement, rejected
from misr.registration.matrices import Matrix

__all__ = ["MARGIN", "Ready", "ready"]

UNSEEN = Clearness(0.0, 0.0, 0.0, 0.0, 0.0, [])  # of a view that was not looked at
MOSTLY = 0.5  # share of a view that must be below saturation for the rest to be left out of registration
Progress = Callable[[str, int, int], None]  # (what is being done, steps done, steps in all)


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A burst, prepared. All numbers are scene-wide: a window's pixels do not depend on the window.

    reference    index of the view whose grid the picture takes, and `why` it
    placements   one per view, in the order of burst.views; `used` and `why` tell which are fused
    facts        what is known of each band
    firsts       what the first look said of each view
    band         the one that was registered by
    aliasing     measured between the views, 0 to 1; None where it cannot be
    """

    burst: Burst
    how: Preparing
    reference: int
    why: str
    placements: tuple[Placement, ...]
    facts: tuple[Band, ...]
    firsts: tuple[Clearness, ...]
    band: int
    aliasing: float | None

    @property
    def width(self) -> int:
        """Of the reference, in LR pixels."""
        return self.burst.views[self.reference].width

    @property
    def height(self) -> int:
        """Of the reference, in LR pixels."""
        return self.burst.views[self.reference].height

    @property
    def bands(self) -> int:
        """How many there are."""
        return len(self.facts)

    @property
    def levels(self) -> tuple[tuple[float, float], ...]:
        """Codes of the reference's light that are 0 and 1 to the nets, per band; values may lie outside, and are not clipped."""
        return tuple((b.low, b.high) for b in self.facts)

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the views in a stack: the reference, then the other used ones."""
        others = (n for n, p in enumerate(self.placements) if p.used and n != self.reference)
        return (self.reference, *others)

    def stack(self, x: int, y: int, w: int, h: int, band: int) -> Stack:
        """The window (x, y, w, h) of the reference's grid, which may reach beyond it, of one band: b = 1, reference first.

        Reads MARGIN px more on every side, so that what it says inside does not depend on the window. Each view comes from where
        the window lies in it to the pixel, so motion is what remains: at most half a pixel for shifts. Samples beyond a view
        are not valid. The motion is (1, t, 2, 1, 1) where it varies less than 0.01 px.
        """
        views = [self.burst.views[n] for n in self.order]
        return stacked(views, self.facts[band], band, (x, y, w, h), self.how.noise, optics_of(self.how.mtf))

    def codes(self, plane: Tensor, band: int) -> Tensor:
        """A plane of a picture, [0, 1], as codes: floats in the stored unit."""
        low, high = self.levels[band]
        return plane * (high - low) + low

    def codes_sigma(self, plane: Tensor, band: int) -> Tensor:
        """A standard deviation in the unit of the nets, in codes."""
        low, high = self.levels[band]
        return plane * (high - low)

    def told(self, scale: int = 2) -> dict[str, Any]:
        """All of it for the report, ready for JSON; `scale` is that of the picture, for how evenly its pixels are seen."""
        return told(self, scale)


def ready(burst: Burst, how: Preparing = Preparing(), *, progress: Progress | None = None) -> Ready:  # noqa: B008
    """Prepare a burst; InputError when no view can be used, or when what the user says of it cannot be."""
    say = progress or (lambda what, done, of: None)
    views = burst.views
    band, looked, firsts = looked_at(views, how, say)
    index, why = chosen([v.name for v in views], firsts, how.reference)
    placements = placements_of(views, index, looked, firsts, how, say)
    used = [index, *(n for n, p in enumerate(placements) if p.used and n != index)]
    folded = aliasing(looked[index], [looked[n] for n in used[1:]], [placements[n] for n in used[1:]])
    looked.clear()
    windows = spots(views[index].width, views[index].height, len(used))
    facts = []
    for b in range(views[index].bands):
        say("measuring", b, views[index].bands)
        facts.append(measured([views[n] for n in used], [placements[n] for n in used], b, band, windows, how))
    say("measuring", len(facts), len(facts))
    first = tuple(firsts.get(n, UNSEEN) for n in range(len(views)))
    return Ready(burst, how, index, why, tuple(placements), tuple(facts), first, band, folded)


def looked_at(
    views: Sequence[View], how: Preparing, say: Progress
) -> tuple[int, dict[int, Looked], dict[int, Clearness]]:
    """The band that is registered by, and of each view that is of one kind with most: patches of it, and how clear it is."""
    if not views:
        raise InputError("no views; give at least one picture")
    wrong = sizes(views)
    usable = [n for n in range(len(views)) if not wrong(n)]
    band, pivot = first_guess([views[n] for n in usable])
    begun = dict(zip(usable, starts([views[n] for n in usable], pivot, band), strict=True))
    pivot = usable[pivot]
    windows = spots(views[pivot].width, views[pivot].height, len(usable))
    looks: dict[int, list[Patch]] = {}
    for n in usable:
        say("looking", len(looks), len(views))
        looks[n] = [look(views[n], window_of(begun[n], s), band) for s in windows]
    below = {n: unsaturated(p, views[n].dtype) if how.saturation else p for n, p in looks.items()}
    order = [pivot, *(n for n in usable if n != pivot)]
    light = exposures(views)
    found = clearness(
        [looks[n] for n in order], [below[n] for n in order], [begun[n] for n in order], [light[n] for n in order]
    )
    firsts = dict(zip(order, found, strict=True))
    return band, {n: without_clouds(looks[n], below[n], firsts[n], begun[n]) for n in usable}, firsts


def exposures(views: Sequence[View]) -> list[float]:
    """Per view, 1 where any of them is not known."""
    known = [v.exposure for v in views if v.exposure]
    return [float(e) for e in known] if len(known) == len(views) else [1.0] * len(views)


def without_clouds(patches: list[Patch], below: list[Patch], first: Clearness, start: Matrix) -> Looked:
    """A view as registration wants it: without what looks like clouds, nor what is saturated unless that is most of it."""
    clear: list[Plane] = [~upsampled(c, p.plane.shape) for c, p in zip(first.cloudy, patches, strict=True)]
    return Looked(below if first.seen > MOSTLY else patches, clear, start)


def placements_of(
    views: Sequence[View],
    index: int,
    looked: dict[int, Looked],
    firsts: dict[int, Clearness],
    how: Preparing,
    say: Progress,
) -> list[Placement]:
    """One placement per view, the reference's the identity."""
    wrong = sizes(views)
    told = given(how.registration, [v.name for v in views], index) if how.registration else None
    size = views[index].width, views[index].height
    light = exposures(views)
    found = []
    for n in range(len(views)):
        say("registering", n, len(views))
        if n not in looked:
            found.append(rejected(wrong(n)))
        elif n == index:
            found.append(Placement(IDENTITY, overlap=firsts[n].seen))
        elif not reaches(views[index], views[n]):
            found.append(rejected("it does not overlap the reference"))
        elif why := firsts[n].why_not:
            found.append(rejected(why))
        elif told is not None:
            found.append(told[n])
        else:
            found.append(placed(looked[index], looked[n], how.model, size, light[n] / light[index]))
    return failures(found, index)
