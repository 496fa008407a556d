"""What is told of a fusion: a dict that is JSON as it stands, and the files it goes to.

    schema       1
    misr         the version;  command: the line that does the same again
    output       path;  width, height, bands, dtype of the picture;  sigma: whether its error is written beside it
    method       name; why it was chosen ("" where it was asked for); device, precision, source (the paper); alone: it
                 looks at the reference and no other view
    views_given, views_used
    adapting     with --adapt: folder, start, minutes, steps, views (how many learn, watch, judge); else null
    adapted      what came of it: folder; adopted, or not, and why; heldout, shrunk, baselines_db and learnt as in the folder's
                 adapt.json (misr.adapting.telling); lines, the same for people. Null without, and before
    run          tiles, tile_px, seconds, unknown (share of fine pixels that no view knows); null before the picture is made

and all of misr.burst.Ready.told(): reference, scale, views (one for each, in order: its name, place, light, whether it is used
and why not), bands, coverage, aliasing, could_help, verdict, notes. Numbers that are not finite are null. The whole can be
given back as --registration.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from misr import __version__
from misr.errors import OutputError
from misr.fusion.page import page
from misr.fusion.settings import Fusing
from misr.journal import write_whole

if TYPE_CHECKING:
    from misr.fusion.done import Done
    from misr.fusion.job import Job

SCHEMA = 1
OPTIONS = {  # settings, and the options that say the same; what is absent here changes no pixel
    "scale": "-s",
    "method": "-m",
    "reference": "--reference",
    "masks": "--masks",
    "exposures": "--exposures",
    "nodata": "--nodata",
    "registration": "--registration",
    "motion": "--motion",
    "noise": "--noise",
    "mtf": "--mtf",
    "saturation": "--no-saturation",
    "clouds": "--no-clouds",
    "bands": "--bands",
    "dtype": "--dtype",
    "sigma": "--sigma",
    "cog": "--cog",
    "at": "--at",
    "views": "--views",
    "tile": "--tile",
    "adapt": "--adapt",
    "adapt_minutes": "--adapt-minutes",
    "adapt_steps": "--adapt-steps",
    "device": "--device",
    "precision": "--precision",
}


def report_of(job: Job, done: Done | None = None) -> dict[str, Any]:
    """All there is to say about a job, and what came of it."""
    ready, method, how = job.ready, job.method, job.how
    views = job.told["views"]
    fresh = {
        "schema": SCHEMA,
        "misr": __version__,
        "command": command(job.views, job.out, how),
        "output": {
            "path": job.out,
            "width": method.scale * ready.width,
            "height": method.scale * ready.height,
            "bands": ready.bands,
            "dtype": how.dtype or job.burst.views[ready.reference].dtype.name,
            "sigma": how.sigma,
        },
        "method": {
            "name": method.name,
            "why": method.why,
            "device": str(method.device),
            "precision": method.precision,
            "source": method.card.source,
            "alone": method.alone,
        },
        "views_given": len(views),
        "views_used": sum(v["used"] for v in views),
    }
    told: dict[str, Any] = finite(fresh | learning_of(job) | {"run": done and ran(job, done)} | job.told)
    return told


def learning_of(job: Job) -> dict[str, Any]:
    """The report's "adapting" and "adapted"."""
    if (done := job.adapted) is None:
        return {"adapting": job.adapting, "adapted": None}
    kept = ("adopted", "why", "start", "heldout", "shrunk", "baselines_db", "learnt")
    facts = {k: done.told[k] for k in kept}
    return {"adapting": job.adapting, "adapted": {"folder": str(done.folder), **facts, "lines": list(done.lines)}}


def ran(job: Job, done: Done) -> dict[str, Any]:
    """The report's "run"."""
    pixels = job.method.scale**2 * job.ready.width * job.ready.height * job.ready.bands
    return {
        "tiles": done.tiles,
        "tile_px": job.tile,
        "seconds": round(done.seconds, 2),
        "unknown": done.unknown / pixels,
    }


def finite(told: Any) -> Any:
    """The same as JSON can say it: numbers that are not finite become null, tuples lists."""
    if isinstance(told, float):
        return told if math.isfinite(told) else None
    if isinstance(told, dict):
        return {str(k): finite(v) for k, v in told.items()}
    return [finite(v) for v in told] if isinstance(told, list | tuple) else told


def command(views: tuple[str, ...], out: str, how: Fusing) -> str:
    """The line that does the same on a command line."""
    words = ["misr", "fuse", *views, "-o", out]
    for field in fields(Fusing):
        value = getattr(how, field.name)
        if field.name not in OPTIONS or value == field.default:
            continue
        option = OPTIONS[field.name]
        if isinstance(value, bool):
            words.append(option)
        elif field.name == "masks":
            words += [word for mask in value for word in (option, mask)]
        else:
            words += [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def write_report(told: dict[str, Any], target: str) -> list[Path]:
    """x.json, x.html, or both for a name with another extension or none; the files, each there whole or not at all."""
    path = Path(target)
    kinds = {".json": lambda: json.dumps(told, indent=1, ensure_ascii=False) + "\n", ".html": lambda: page(told)}
    wanted = [path] if path.suffix in kinds else [path.with_name(path.name + suffix) for suffix in kinds]
    for file in wanted:
        try:
            write_whole(file, kinds[file.suffix]())
        except OSError as e:
            raise OutputError(f"{file}: the report cannot be written ({e.strerror}); choose another place") from None
    return wanted
