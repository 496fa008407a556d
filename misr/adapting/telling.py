"""What came of an adaptation: a few lines for people, adapt.json for programs and for who asks again.

adapt.json (version 1): adopted, why, start (a model's name), promise (could_help, sentence, coverage, aliasing, views),
heldout and shrunk (start_db, adapted_db, gain_db, margin_db, frames), baselines_db, learnt (camera_sigma_px, labels, frames,
steps, best_step, seconds, moved), settings. Numbers that are not finite are null.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from misr.adapting.decide import Verdict
from misr.adapting.settings import Adapted, Gain
from misr.errors import InputError
from misr.registration.outlook import Outlook

FILE = "adapt.json"
KINDS = {  # of what is adapted to: what is hidden, what is shrunk, and what they are asked in
    "clip": ("hidden frames", "the clip shrunk once more", "window"),
    "burst": ("hidden views", "the burst shrunk once more", "piece"),
}


def moved(start: nn.Module, net: nn.Module) -> dict[str, float]:
    """How far the weights of each part went, as a share of their length; parts that stayed are left out."""
    found = {}
    theirs = dict(net.named_children())
    for name, part in start.named_children():
        old, new = (torch.cat([p.detach().flatten().cpu() for p in it.parameters()] or [torch.zeros(1)])
                    for it in (part, theirs[name]))  # fmt: skip
        if not torch.equal(old, new):
            found[name] = round(float((new - old).norm() / old.norm().clamp(min=1e-9)), 4)
    return found


def promised(seen: Outlook) -> dict[str, Any]:
    """What was foretold of a clip, for the report."""
    return {
        "could_help": seen.could,
        "sentence": seen.why,
        "coverage": seen.coverage,
        "aliasing": seen.aliasing,
        "views": seen.views,
    }


def told(
    out: Path, settings: dict[str, Any], found: Verdict, promise: dict[str, Any], learnt: dict[str, Any]
) -> Adapted:
    """The report, written as adapt.json; the directory is whole with it."""
    facts = {
        "version": 1,
        "adopted": found.adopted,
        "why": found.why,
        "start": settings["model"],
        "promise": promise,
        "heldout": asdict(found.heldout),
        "shrunk": asdict(found.shrunk),
        "baselines_db": found.baselines_db,
        "learnt": learnt,
        "settings": settings,
    }
    part = out / f".{FILE}.part"
    part.write_text(json.dumps(finite(facts), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, out / FILE)
    return adapted(out, finite(facts))


def remembered(out: Path, mend: str = "--restart it, or choose another -o") -> Adapted | None:
    """What an earlier adaptation told; None where there is none that is whole."""
    if not (out / FILE).is_file() or not (out / "card.json").is_file():
        return None
    try:
        return adapted(out, json.loads((out / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{out / FILE} is not what adapting writes; {mend}") from None


def adapted(out: Path, facts: dict[str, Any]) -> Adapted:
    """The report of a model directory."""
    heldout, shrunk = (Gain(**{k: number(v) for k, v in facts[kind].items()}) for kind in ("heldout", "shrunk"))
    promise, baselines = facts["promise"]["sentence"], {k: number(v) for k, v in facts["baselines_db"].items()}
    lines = tuple(report(out, facts, heldout, shrunk, baselines))
    return Adapted(out, facts["adopted"], facts["why"], promise, heldout, shrunk, baselines, facts, lines)


def report(out: Path, facts: dict[str, Any], heldout: Gain, shrunk: Gain, baselines: dict[str, float]) -> list[str]:
    """A few plain lines."""
    learnt, name = facts["learnt"], facts["start"]
    kind = "burst" if "burst" in facts["settings"] else "clip"
    hidden, small, piece = KINDS[kind]
    if facts["adopted"]:
        verdict = f"{out}: {name}, adapted to {Path(facts['settings'][kind]).name}"
    else:
        verdict = f"{out}: {name} as it was: {facts['why']}"
    parts = ", ".join(f"{part} by {100 * share:.1f} %" for part, share in learnt["moved"].items()) or "nothing"
    best = f"step {learnt['best_step']}" if learnt["best_step"] else "none better than the start"
    return [
        verdict,
        f"{hidden}: {both(heldout, name, piece)}; {', '.join(f'{k} {v:.2f}' for k, v in baselines.items())}",
        f"{small}: {both(shrunk, name, piece)}",
        f"learnt from {learnt['labels']}: {learnt['steps']} steps, {learnt['seconds']:.0f} s, best: {best}; moved: {parts}",
    ]


def both(it: Gain, name: str, piece: str) -> str:
    """A gain in words."""
    n = f"{it.frames} {piece}{'' if it.frames == 1 else 's'}"
    return (
        f"{name} {it.start_db:.2f} dB, adapted {it.adapted_db:.2f} ({it.gain_db:+.2f}, chance {it.margin_db:.2f}, {n})"
    )


def number(value: Any) -> Any:
    """A number as JSON kept it; null is no number."""
    return math.nan if value is None else value


def finite(x: Any) -> Any:
    """The same with null for what is no finite number."""
    if isinstance(x, dict):
        return {k: finite(v) for k, v in x.items()}
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    return x
