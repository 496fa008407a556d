"""What the report says of a burst: each view's place, light, noise and clouds, and whether fusing could help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from misr.burst.bands import Band
from misr.burst.places import Looked
from misr.registration import Placement, aliasing_between, coverage, placements_to_json, promise, windowed

if TYPE_CHECKING:
    from misr.burst.ready import Ready

ENOUGH = 8  # views by which aliasing is measured
RESTLESS = 0.05  # of the range of the levels: what views differ by, beyond which it is hardly noise


def told(ready: Ready, scale: int) -> dict[str, Any]:
    """Plain dicts, lists, numbers and texts: `views`, one a view, is also what --registration takes."""
    names = [v.name for v in ready.burst.views]
    used = [ready.placements[n] for n in ready.order]
    shifts = [p.shift_px(ready.width, ready.height) for p in used]
    even = coverage(shifts, scale)
    could, why = promise(ready.aliasing, even, len(used), scale)
    return {
        "reference": {"index": ready.reference, "view": names[ready.reference], "why": ready.why},
        "views": [view_told(ready, n) for n in range(len(names))],
        "bands": [band_told(b, n, ready.burst.names) for n, b in enumerate(ready.facts)],
        "registered_by_band": ready.band,
        "scale": scale,
        "coverage": even,
        "aliasing": ready.aliasing,
        "could_help": could,
        "verdict": why,
        "notes": [*ready.burst.notes, *remarks(ready)],
    }


def aliasing(reference: Looked, views: Sequence[Looked], placements: Sequence[Placement]) -> float | None:
    """What is measured between the reference and some of its views, in the patch that shows most."""
    contrast = [float(p.plane[p.valid].std()) * p.valid.mean() if p.valid.any() else 0.0 for p in reference.patches]
    k = int(np.argmax(contrast))
    here = reference.patches[k]
    some = [(v.patches[k], v.clear[k], p) for v, p in zip(views, placements, strict=True)][:ENOUGH]
    local = [replace(p, matrix=windowed(p.matrix, reference=(here.x, here.y), view=(v.x, v.y))) for v, _, p in some]
    return aliasing_between(
        here.plane,
        [v.plane for v, _, _ in some],
        local,
        valid_reference=here.valid & reference.clear[k],
        valid_views=[v.valid & clear for v, clear, _ in some],
    )


def view_told(ready: Ready, n: int) -> dict[str, Any]:
    """One view: its placement as misr.registration writes it, and what else is known."""
    view, first, placement = ready.burst.views[n], ready.firsts[n], ready.placements[n]
    dx, dy = placement.shift_px(ready.width, ready.height)
    out = placements_to_json([view.name], [placement])[0] | {
        "time": view.time,
        "dx_px": dx,
        "dy_px": dy,
        "residual_db": residual_db(ready, placement) if n != ready.reference else None,
        "valid": first.seen,
        "clouds": first.clouds,
        "sharpness": first.score,
    }
    if n in ready.order:
        k = ready.order.index(n)
        out["lights"] = [[b.lights[k].gain, b.lights[k].offset] for b in ready.facts]
        out["noise_codes"] = [b.sigmas[k] for b in ready.facts] if ready.how.noise is None else []
        out["band_shift_px"] = [list(b.own_px[k]) for b in ready.facts] if ready.how.bands else []
    return out


def residual_db(ready: Ready, placement: Placement) -> float | None:
    """The residual beside the range of the levels; None when there is nothing to compare."""
    low, high = ready.levels[ready.band]
    return (
        float(20 * np.log10((high - low) / placement.residual)) if placement.used and placement.residual > 0 else None
    )


def band_told(band: Band, n: int, names: tuple[str, ...]) -> dict[str, Any]:
    """One band: its levels, and the thresholds of its masks; null for none."""
    tops = [float(c) for c in band.ceilings if np.isfinite(c)]
    return {
        "band": names[n] if n < len(names) else str(n),
        "low": band.low,
        "high": band.high,
        "saturated_from": min(tops) if tops else None,
        "cloud_from": float(band.strange.begins) if np.isfinite(band.strange.begins) else None,
    }


def remarks(ready: Ready) -> list[str]:
    """What a person should know, a sentence each."""
    left_out = [n for n, p in enumerate(ready.placements) if not p.used]
    said = []
    if len(ready.order) == 1:
        said.append("Only one view is left: the result is that view enlarged, nothing is fused.")
    if left_out:
        said.append(f"{len(left_out)} of {len(ready.placements)} views are not used; each says why.")
    if len(ready.order) > 1 and (differ := restlessness(ready)) > RESTLESS:
        said.append(
            f"The views differ by {differ:.0%} of the range where they should show the same: the place changed, or was lit "
            "otherwise; compare the result with one view (-m best) before believing it."
        )
    if ready.how.clouds and 1 < len(ready.order) < 3:
        said.append("Clouds were not looked for: with two views nobody knows which of them differs.")
    return said


def restlessness(ready: Ready) -> float:
    """The noise of the usual view beside the range of its band's levels, in the worst band; 0 where it was given."""
    usual = [float(np.median(b.sigmas)) / abs(b.lights[0].gain) / (b.high - b.low) for b in ready.facts if b.sigmas]
    return max(usual, default=0.0)
