"""A report as one page of HTML that needs nothing but itself: no script, no font, no network; light and dark."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from misr.fusion import plots
from misr.fusion.summary import lines

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --dim: #68717d; --line: #d5dae0; --paper: #ffffff;
  --used: #2563a8; --rejected: #c4442e; --reference: #1c2127; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --dim: #97a1ac; --line: #3a424b; --paper: #14181c;
  --used: #6aa9e9; --rejected: #f07c64; --reference: #e4e8ec; } }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .4rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
p.lines { margin: 0; white-space: pre-wrap; font: 13px/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; } figure { margin: 0; max-width: 100%; }
figcaption { max-width: 22rem; color: var(--dim); font-size: 13px; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .grid { fill: none; stroke: var(--line); } svg .used { fill: var(--used); } svg .reference { fill: var(--reference); }
svg path.rejected { stroke: var(--rejected); stroke-width: 2.5; fill: none; } svg rect.rejected { fill: var(--rejected); }
.key span { margin-right: 1.2rem; } .used { color: var(--used); } .rejected { color: var(--rejected); }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
details { margin-top: 2rem; } pre { overflow-x: auto; font-size: 12px; }
"""
COLUMNS = ("view", "used", "shift right, px", "down, px", "model", "gain", "offset", "residual", "overlap", "note")


def page(told: dict[str, Any]) -> str:
    """The report (see misr.fusion.report) as HTML."""
    views = [v | {"reference": n == told["reference"]["index"]} for n, v in enumerate(told["views"])]
    placed = [v for v in views if v["used"] or v["overlap"]]  # the others have no place to be drawn at
    name = escape(told["output"]["path"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>misr fuse: {name}</title><style>{STYLE}</style></head><body>
<h1>{name}</h1>
<p class="lines">{escape(chr(10).join(lines(told)))}</p>
<h2>The views</h2>
<p class="key"><span>■ the reference</span><span class="used">● used</span><span class="rejected">✕ not used</span></p>
<div class="figures"><figure>{plots.phases(placed, told["scale"])}</figure>
<figure>{plots.shifts(placed)}</figure>
<figure>{plots.bars(views, "residual", "Residual: what differs after placing, robust")}</figure>
<figure>{plots.bars(views, "gain", "Gain: light of the view / light of the reference, from 1", around=1.0)}</figure></div>
<div class="table"><table><tr>{"".join(f"<th>{c}</th>" for c in COLUMNS)}</tr>
{chr(10).join(row(v) for v in views)}</table></div>
<h2>The same again</h2>
<pre>{escape(told["command"])}</pre>
<p>misr {escape(told["misr"])}</p>
</body></html>
"""


def row(view: dict[str, Any]) -> str:
    """A view's line of the table."""
    kind = plots.kind(view)
    cells = [
        escape(Path(view["view"]).name),
        {"reference": "reference", "used": "yes", "rejected": "no"}[kind],
        f"{view['dx_px']:+.3f}",
        f"{view['dy_px']:+.3f}",
        view["model"],
        *(f"{view[key]:.4g}" for key in ("gain", "offset", "residual")),
        f"{view['overlap']:.0%}",
        escape(view["why"]),
    ]
    return "<tr>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"
