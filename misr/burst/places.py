"""Places: where the views of a scene of any size lie, from looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from misr.burst.light import line
from misr.burst.looks import Patch, Plane, Window, fetched, places, soft
from misr.burst.preparing import Fit
from misr.errors import InputError
from misr.io.view import View
from misr.registration import (
    IDENTITY,
    Model,
    Placement,
    best_model,
    fit,
    moved,
    placements_from_json,
    register,
    rejected,
    whole,
    windowed,
)
from misr.registration.matrices import Matrix, corners, flat, on_grid, square
from misr.registration.placement import FIELDS

SMALL = 512  # px: the longer side of the small picture by which a scene without geography is first found
STRIP = 64  # rows of the small picture that are read at a time
LOWER = 0.97  # a model with more freedom is kept when it brings the residual to this share; through patches, when it
WORTH = 0.7  # brings their misfit to this one
SEEN_PX = 0.05  # and moves a corner this much
FAINT = 0.02  # a gain below which a view shows nothing of the place
WORSE = 4.0  # times the usual residual of the views: not registered


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What is known of a view before it is registered: patches, what to leave out of them, where it lies to a pixel or so."""

    patches: list[Patch]
    clear: list[Plane]
    start: Matrix  # from the pixels of the reference


def beside(a: Matrix, b: Matrix) -> Matrix:
    """From view a's pixels to view b's, of matrices that go from a third one to each."""
    return flat(square(b) @ np.linalg.inv(square(a)))


def starts(views: Sequence[View], pivot: int, band: int) -> list[Matrix]:
    """Where the views lie beside the pivot, to a pixel or so: by their geography, else by small pictures of all of them."""
    geo = views[pivot].geo
    if geo is not None and all(v.geo is not None for v in views):
        return [geo.onto(v.geo) for v in views if v.geo is not None]
    first = small(views[pivot], band)
    found = []
    for n, view in enumerate(views):
        one, step = small(view, band) if n != pivot else first
        search = register if step == 1 else best_model
        placed = search(first[0].plane, one.plane, valid_reference=first[0].valid, valid_view=one.valid)
        matrix = on_grid(placed.matrix, reference=first[1], view=step) if placed.used else IDENTITY
        found.append(matrix)
    return found


def small(view: View, band: int) -> tuple[Patch, int]:
    """A view made smaller by a whole number, and that number; read in strips."""
    step = max(1, ceil(max(view.width, view.height) / SMALL))
    w, h = view.width // step, view.height // step
    plane, share = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    for top in range(0, h, STRIP):
        rows = min(STRIP, h - top)
        at = (0, top * step, w * step, rows * step, (band,))
        valid = view.valid(*at)
        codes = np.where(valid, view.read(*at)[0], 0).astype(np.float32)
        share[top : top + rows] = cv2.resize(valid.astype(np.float32), (w, rows), interpolation=cv2.INTER_AREA)
        plane[top : top + rows] = cv2.resize(codes, (w, rows), interpolation=cv2.INTER_AREA)
    valid = share > 0.5
    return Patch(0, 0, np.where(valid, plane / np.maximum(share, 1e-6), 0), valid), step


def window_of(view: Matrix, spot: Window) -> Window:
    """The window of a view, of a spot's size, in whose middle the spot's middle is."""
    x, y, w, h = spot
    middle = np.array([[x + (w - 1) / 2, y + (h - 1) / 2]])
    dx, dy = np.round(moved(view, middle) - middle).astype(int)[0]
    return int(x + dx), int(y + dy), w, h


def placed(reference: Looked, view: Looked, how: Fit, size: tuple[int, int], exposed: float) -> Placement:
    """Where a view lies beside the reference; its residual and offset in the unit of the patches."""
    start = beside(reference.start, view.start)
    straight = bool(np.abs(square(start)[:2, :2] - np.eye(2)).max() * max(size) < SEEN_PX)
    if len(reference.patches) > 1:
        through = through_patches(reference, view, how, None if straight else start, size)
        return judged(through, reference, view, exposed)
    found = judged(place(reference, view, 0, how, None if straight else start), reference, view, exposed)
    if how != "auto" or found.model == "shift" or not found.used:
        return found
    plain = judged(place(reference, view, 0, "shift", None), reference, view, exposed)
    return found if not plain.used or found.residual < LOWER * plain.residual else plain


def place(reference: Looked, view: Looked, k: int, how: Fit, start: Matrix | None) -> Placement:
    """Where patch k of a view lies, as a placement of the whole view."""
    here, there = reference.patches[k], view.patches[k]
    origins = {"reference": (here.x, here.y), "view": (there.x, there.y)}
    known = None if start is None else Placement(windowed(start, **origins), "affine")
    a, b = here.valid & reference.clear[k], there.valid & view.clear[k]
    if how == "auto":
        found = best_model(here.plane, there.plane, valid_reference=a, valid_view=b, start=known)
    else:
        found = register(here.plane, there.plane, model=how, valid_reference=a, valid_view=b, start=known)
    return replace(found, matrix=whole(found.matrix, **origins))


def through_patches(
    reference: Looked, view: Looked, how: Fit, start: Matrix | None, size: tuple[int, int]
) -> Placement:
    """A model through the shifts of many patches; a second time from there where the view turned out to be turned or bent."""
    found = [place(reference, view, k, "shift", start) for k in range(len(reference.patches))]
    good = [k for k, p in enumerate(found) if p.used]
    if not good:
        seen = max((p.overlap for p in found), default=0.0)
        return rejected("none of its patches could be registered" if seen else "it does not overlap the reference")
    here = np.array([middle(reference.patches[k].window) for k in good])
    there = np.concatenate([moved(found[k].matrix, point[None]) for k, point in zip(good, here, strict=True)])
    best = chosen(here, there, np.array([found[k].overlap for k in good]), how, size)
    if best is None:
        return rejected(f"only {len(good)} of its patches could be registered, too few for a model {how}")
    model, matrix = best
    if model != "shift" and start is None:
        return through_patches(reference, view, how, matrix, size)
    return Placement(matrix, model, overlap=float(np.mean([p.overlap for p in found])))


def middle(window: Window) -> tuple[float, float]:
    """The middle of a window, pixel centres at integers."""
    x, y, w, h = window
    return x + (w - 1) / 2, y + (h - 1) / 2


def chosen(here: Plane, there: Plane, weights: Plane, how: Fit, size: tuple[int, int]) -> tuple[Model, Matrix] | None:
    """The model asked for, or the plainest that the points (n, 2) do with; None where there are too few of them."""
    enough: dict[Model, int] = {"shift": 1, "affine": 6, "homography": 10} if how == "auto" else {how: 1}
    best: tuple[Model, Matrix] | None = None
    for model, least in enough.items():
        if len(here) < least:
            continue
        try:
            matrix = fit(here, there, weights, model)
        except InputError:
            continue  # too few points, or all in one row
        if best:
            away = np.abs(moved(matrix, corners(*size)) - moved(best[1], corners(*size))).max()
            if away < SEEN_PX or misfit(matrix, here, there) > WORTH * misfit(best[1], here, there):
                continue
        best = model, matrix
    return best


def misfit(matrix: Matrix, here: Plane, there: Plane) -> float:
    """How far off, in pixels, a model usually is from the points."""
    return float(np.median(np.hypot(*(moved(matrix, here) - there).T)))


def judged(found: Placement, reference: Looked, view: Looked, exposed: float) -> Placement:
    """The placement with its residual and overlap as all looks have them; not used where the pictures do not match there."""
    if not found.used:
        return found
    here, there, overlap = compared(reference, view, found.matrix, 1.0)
    if len(here) < 64:
        return rejected("it does not overlap the reference", overlap=overlap)
    gain, offset = line(here, there / exposed)
    off = (there - exposed * offset) / (exposed * gain) - here if gain else here
    found = replace(
        found,
        gain=exposed * gain,
        offset=exposed * offset,
        residual=1.4826 * float(np.median(np.abs(off - np.median(off)))),
        overlap=overlap,
    )
    if gain < FAINT:
        return replace(found, used=False, why=f"its contrast is {max(gain, 0):.1%} of the reference's")
    return found


def compared(reference: Looked, view: Looked, matrix: Matrix, sigma: float) -> tuple[Plane, Plane, float]:
    """Samples of reference and view at the same places, softened, and the share that is valid in both."""
    left: list[Plane] = []
    right: list[Plane] = []
    both: list[float] = []
    for here, there, clear, clear_there in zip(
        reference.patches, view.patches, reference.clear, view.clear, strict=True
    ):
        at = places(matrix, here.window, (there.x, there.y), 2)
        a, sure_a = soft(here.plane, here.valid & clear, sigma)
        b, sure_b = soft(there.plane, there.valid & clear_there, sigma)
        good = (sure_a[1::2, 1::2] > 0.99) & (fetched(sure_b, at) > 0.99)
        left.append(a[1::2, 1::2][good])
        right.append(fetched(b, at)[good])
        seen = fetched(there.valid.astype(np.float32), at) > 0.5
        both.append(float((here.valid[1::2, 1::2] & seen).mean()))
    return np.concatenate(left), np.concatenate(right), float(np.mean(both))


def failures(placements: Sequence[Placement], reference: int) -> list[Placement]:
    """The placements, those with a residual far above the others' no longer used."""
    others = [p.residual for n, p in enumerate(placements) if p.used and n != reference]
    if len(others) < 3:
        return list(placements)
    usual = float(np.median(others))
    return [
        replace(p, used=False, why=f"its residual is {p.residual / usual:.0f} times the other views'")
        if p.used and n != reference and p.residual > WORSE * usual > 0
        else p
        for n, p in enumerate(placements)
    ]


def given(path: str, names: Sequence[str], reference: int) -> list[Placement]:
    """Placements that the user gives, for the views of these names; InputError where one is missing."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: no readable registration ({e}); a report written by misr fuse is one") from None
    if isinstance(data, dict):
        data = data.get("views", data)
    if isinstance(data, list):  # a report says more of a view than where it is
        data = [{k: v for k, v in e.items() if k in FIELDS} if isinstance(e, dict) else e for e in data]
    found = placements_from_json(data)
    missing = [name for name in names if meant(found, name) is None]
    if missing:
        raise InputError(f"{path}: has no placement for {missing[0]}; it needs one for every view")
    own = [found[meant(found, name) or ""] for name in names]
    return [replace(p, matrix=beside(own[reference].matrix, p.matrix)) for p in own]


def meant(found: Iterable[str], name: str) -> str | None:
    """Which of the names found means a view: the same, or the only one of a file of the same name in another folder."""
    found = list(found)
    alike = [f for f in found if Path(f).name == Path(name).name]
    return name if name in found else alike[0] if len(alike) == 1 else None


def sizes(views: Sequence[View]) -> Callable[[int], str]:
    """What is wrong with the size of view n beside that of most views, "" if nothing."""
    common = max({(v.width, v.height) for v in views}, key=lambda s: sum((v.width, v.height) == s for v in views))

    def wrong(n: int) -> str:
        w, h = views[n].width, views[n].height
        ratio = max(w / common[0], common[0] / w, h / common[1], common[1] / h)
        return f"it is {w}x{h}, most views are {common[0]}x{common[1]}" if ratio > 2 and views[n].geo is None else ""

    return wrong
