"""What was found about a burst's views, drawn as SVG; its colours are classes that the page defines."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

View = dict[str, Any]  # one of a report's "views"; the reference says so
SIDE, EDGE = 260.0, 44.0  # units of a square diagram, and of the room around it for numbers
ROW = 22.0  # of a line of bars
WIDE = 300.0  # of the longest bar


def phases(views: Sequence[View], scale: int) -> str:
    """Where in a pixel of the reference each view's samples lie: fine cells without one are what no view measured."""
    cell = SIDE / scale
    grid = "".join(
        f'<path class="grid" d="M{EDGE + k * cell:.1f} {EDGE:.1f}v{SIDE:.1f}M{EDGE:.1f} {EDGE + k * cell:.1f}h{SIDE:.1f}"/>'
        for k in range(scale + 1)
    )
    marks = "".join(
        mark(v, EDGE + SIDE * ((0.5 - v["dx_px"]) % 1), EDGE + SIDE * ((0.5 - v["dy_px"]) % 1)) for v in views
    )
    return square(
        grid + marks,
        f"Phases: where in a pixel of the reference the views' samples lie, and its {scale}×{scale} fine cells",
    )


def shifts(views: Sequence[View]) -> str:
    """How far each view is displaced, in LR pixels, all on one scale."""
    reach = nice(max([abs(v[key]) for v in views for key in ("dx_px", "dy_px")] + [0.5]))
    middle, unit = EDGE + SIDE / 2, SIDE / 2 / reach
    axes = (
        f'<path class="grid" d="M{EDGE} {middle}h{SIDE}M{middle} {EDGE}v{SIDE}"/>'
        f'<rect class="grid" x="{EDGE}" y="{EDGE}" width="{SIDE}" height="{SIDE}"/>'
        + text(EDGE, EDGE + SIDE + 16, f"{-reach:g} px")
        + text(EDGE + SIDE, EDGE + SIDE + 16, f"{reach:g} px", "end")
    )
    marks = "".join(mark(v, middle + unit * v["dx_px"], middle + unit * v["dy_px"]) for v in views)
    return square(axes + marks, "Shifts: right and down, in view pixels")


def bars(views: Sequence[View], key: str, title: str, *, around: float = 0.0) -> str:
    """A bar for each view, from `around` to its value; views that have none are left empty."""
    values = [v[key] for v in views]
    reach = max([abs(x - around) for x in values if x is not None] + [1e-12])
    low = min([x - around for x in values if x is not None] + [0.0])
    zero = 150.0 + (WIDE / 2 if low < 0 else 0.0)
    unit = (WIDE / 2 if low < 0 else WIDE) / reach
    lines = []
    for n, (view, value) in enumerate(zip(views, values, strict=True)):
        y = EDGE + n * ROW
        lines.append(text(142, y + 14, short(Path(view["view"]).name), "end"))
        if value is not None:
            length = unit * (value - around)
            lines.append(
                f'<rect class="{kind(view)}" x="{min(zero, zero + length):.1f}" y="{y + 4:.1f}" '
                f'width="{abs(length):.1f}" height="{ROW - 8}"/>' + text(150 + WIDE + 8, y + 14, f"{value:.4g}")
            )
    height = EDGE + len(views) * ROW + 8
    lines.append(f'<path class="grid" d="M{zero:.1f} {EDGE}v{len(views) * ROW}"/>')
    return svg(150 + WIDE + 90, height, text(0, 20, title, weight="bold") + "".join(lines), title)


def mark(view: View, x: float, y: float) -> str:
    """One view: a square is the reference, a disc a used view, a cross one that is not used."""
    told = f"<title>{escape(tooltip(view))}</title>"
    if kind(view) == "reference":
        return f'<rect class="reference" x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12">{told}</rect>'
    if kind(view) == "used":
        return f'<circle class="used" cx="{x:.1f}" cy="{y:.1f}" r="5">{told}</circle>'
    return f'<path class="rejected" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10">{told}</path>'


def kind(view: View) -> str:
    """reference, used or rejected."""
    return "reference" if view.get("reference") else "used" if view["used"] else "rejected"


def tooltip(view: View) -> str:
    """A view in a line."""
    why = "" if view["used"] else f"; not used: {view['why']}"
    return f"{Path(view['view']).name}: {view['dx_px']:+.3f}, {view['dy_px']:+.3f} px{why}"


def square(inside: str, title: str) -> str:
    """A square diagram with its title."""
    size = SIDE + 2 * EDGE
    return svg(size, size, inside, title) + f"<figcaption>{escape(title)}</figcaption>"


def svg(width: float, height: float, inside: str, title: str) -> str:
    """The drawing as an element of a page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(title)}">{inside}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", *, weight: str = "normal") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def short(name: str, most: int = 20) -> str:
    """A name that fits beside a bar: its beginning and its end."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 1.0
    while power < value:
        power *= 10
    while power / 10 >= value:
        power /= 10
    return next(power * f for f in (0.1, 0.2, 0.5, 1.0) if power * f >= value)
