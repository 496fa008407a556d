"""A report in a few lines, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MOST = 8  # views named one by one


def lines(told: dict[str, Any]) -> list[str]:
    """What was found, what is done and why, from a report (see misr.fusion.report)."""
    return [
        *picture(told),
        *rejected(told["views"]),
        *learning(told),
        f"fusing    {told['verdict']}",
        *(f"note      {note}" for note in told["notes"]),
        *came_of_it(told),
    ]


def picture(told: dict[str, Any]) -> list[str]:
    """What is made, of what, and how."""
    made, how, reference = told["output"], told["method"], told["reference"]
    size = f"{made['width']}x{made['height']}, {made['bands']} {'band' if made['bands'] == 1 else 'bands'} of {made['dtype']}"
    grid = f"on the grid of {Path(reference['view']).name} ({reference['why']})"
    place = f"{how['name']}, on {how['device']} in {how['precision']}"
    said = [
        f"picture   {size}, x{told['scale']}{', with its error' if made['sigma'] else ''}",
        f"views     {told['views_used']} of {told['views_given']} used, {grid}",
        f"method    {place}{': ' + how['why'] if how['why'] else ''}",
    ]
    if how["alone"] and told["views_used"] > 1:
        said.append(f"note      {how['name']} looks at the reference alone; the other views do nothing")
    return said


def learning(told: dict[str, Any]) -> list[str]:
    """What --adapt will do, or has done."""
    if done := told["adapted"]:
        return [f"adapted   {line}" for line in done["lines"]] + better(done)
    if (wish := told["adapting"]) is None:
        return []
    n, steps = wish["views"], wish["steps"]
    long = f"{steps} step{'' if steps == 1 else 's'}" if steps else f"{wish['minutes']:g} min"
    parts = f"{n['learn']} views to learn from, {n['watch']} to watch, {n['judge']} to judge by"
    return [f"adapting  {wish['start']}, for {long}, into {wish['folder']}: {parts}"]


def better(done: dict[str, Any]) -> list[str]:
    """Where a method without learning predicts hidden views better than the model that fuses: that there is one."""
    plain, model = done["baselines_db"], done["heldout"]["adapted_db" if done["adopted"] else "start_db"]
    best = max(plain, key=lambda name: plain[name] or 0)
    if not (plain[best] or 0) > (model or 0):
        return []
    return [f"note      {best} predicts hidden views better than {done['start']}; compare the picture with -m {best}"]


def rejected(views: list[dict[str, Any]]) -> list[str]:
    """The views that are not used, and why."""
    out = [v for v in views if not v["used"]]
    said = [f"not used  {Path(v['view']).name}: {v['why']}" for v in out[:MOST]]
    return said + ([f"not used  {len(out) - MOST} more; a report names all"] if len(out) > MOST else [])


def came_of_it(told: dict[str, Any]) -> list[str]:
    """What a run did."""
    if (run := told["run"]) is None:
        return []
    said = [f"done      {run['tiles']} tiles of {run['tile_px']} px in {run['seconds']:.1f} s"]
    return said + ([f"note      {run['unknown']:.2%} of the picture is known to no view"] if run["unknown"] else [])
