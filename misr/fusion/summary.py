"""A report in a few lines, for people."""

from __future__ import annotations

from typing import Any

MOST = 8  # views named one by one


def summary(told: dict[str, Any]) -> list[str]:
    """What was found, what is done and why, from a report (see misr.fusion.report)."""
    made, how = told["output"], told["method"]
    lines = [
        f"picture   {made['width']}x{made['height']}, {made['bands']} band{'s' * (made['bands'] > 1)}, {made['dtype']}, "
        f"x{made['scale']}{', with its error' * made['sigma']}",
        f"views     {told['views_used']} of {told['views_given']} used, on the grid of {told['reference']}",
        *rejected(told["views"]),
        f"method    {how['name']}, on {how['device']} in {how['precision']}"
        + (f": {how['why']}" if how["why"] else ""),
    ]
    if how["alone"] and told["views_used"] > 1:
        lines.append(f"note      {how['name']} looks at the reference alone; the other views do nothing")
    if (run := told["run"]) is not None:
        lines.append(f"done      {run['tiles']} tiles of {run['tile_px']} px in {run['seconds']:.1f} s")
        if run["unknown"]:
            lines.append(f"note      {run['unknown']:.2%} of the picture is known to no view")
    return lines


def rejected(views: list[dict[str, Any]]) -> list[str]:
    """The views that are not used, and why."""
    out = [v for v in views if not v["used"]]
    lines = [f"not used  {v['view']}: {v['why']}" for v in out[:MOST]]
    return lines + ([f"not used  {len(out) - MOST} more; --report names all"] if len(out) > MOST else [])
