"""A report as one page of HTML that needs nothing but itself: no script, no font, no network; light and dark."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from misr.fusion import plots
from misr.fusion.summary import lines
from misr.report.look import skeleton

STYLE = """
p.lines { margin: 0; white-space: pre-wrap; font: 13px/1.6 ui-monospace, monospace; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; } figure { margin: 0; max-width: 100%; }
figcaption { max-width: 22rem; color: var(--dim); font-size: 13px; }
svg .used { fill: var(--used); } svg .reference { fill: var(--reference); }
svg path.rejected { stroke: var(--rejected); stroke-width: 2.5; fill: none; } svg rect.rejected { fill: var(--rejected); }
.key span { margin-right: 1.2rem; } .used { color: var(--used); } .rejected { color: var(--rejected); }
"""
COLUMNS = ("view", "used", "shift right, px", "down, px", "model", "gain", "offset", "residual", "overlap", "note")


def page(told: dict[str, Any]) -> str:
    """The report (see misr.fusion.report) as HTML."""
    views = [v | {"reference": n == told["reference"]["index"]} for n, v in enumerate(told["views"])]
    placed = [v for v in views if v["used"] or v["overlap"]]  # the others have no place to be drawn at
    name = escape(told["output"]["path"])
    body = f"""<h1>{name}</h1>
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
<p>misr {escape(told["misr"])}</p>"""
    return skeleton(f"misr fuse: {told['output']['path']}", STYLE, body)


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
