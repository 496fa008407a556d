"""The plot of scripts/farm: speed-up over workers, a panel for each job and network; SVG for light pages and dark ones."""

from __future__ import annotations

import math
from html import escape

from farm import JOBS, NETWORKS, SEGMENTS_S, WORKERS, Costs, Job, simulate

COLOURS = ("#d9902f", "#dd6b4d", "#c94f7c", "#8f62c4", "#4a86d8", "#2f9e8f")  # of segment lengths, short to long
SIDE, LEFT, TOP, ACROSS, DOWN = 270.0, 52.0, 64.0, 322.0, 338.0  # of a panel, the room around the first, and steps
TICKS = (1, 10, 100, 1000)
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.grid{stroke:#8886;fill:none}.ideal{stroke:#888;stroke-dasharray:5 4;"
    "fill:none}.line{fill:none;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


def drawn(c: Costs, machine: str, seed: int) -> str:
    """The whole plot."""
    width, height = LEFT + ACROSS * len(JOBS) - 20, TOP + DOWN * len(NETWORKS) + 26
    title = f"Simulation, from measurements on {machine}: times faster than one process on one core"
    panels = [
        panel(c, job, gbit_s, seed, LEFT + ACROSS * column, TOP + DOWN * row)
        for row, gbit_s in enumerate(NETWORKS)
        for column, job in enumerate(JOBS)
    ]
    inside = text(LEFT, 24, title, more='font-weight="bold"') + "".join(panels) + legend(height - 12)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n{inside}</svg>\n'
    )


def panel(c: Costs, job: Job, gbit_s: float, seed: int, x: float, y: float) -> str:
    """One job over one network: a line for each length of segments, and dashes where n workers are n times faster."""
    lines = [
        f'<path class="grid" d="M{along(x, t):.1f} {y:.1f}v{SIDE}M{x:.1f} {up(y, t):.1f}h{SIDE}"/>'
        + text(along(x, t), y + SIDE + 16, f"{t:,}", "middle")
        + text(x - 6, up(y, t) + 4, f"{t:,}", "end")
        for t in TICKS
    ]
    lines.append(f'<path class="ideal" d="M{x:.1f} {y + SIDE:.1f}L{x + SIDE:.1f} {y:.1f}"/>')
    for colour, segment_s in zip(COLOURS, SEGMENTS_S, strict=True):
        runs = ((n, simulate(c, job, segment_s, n, gbit_s, seed).speedup) for n in WORKERS)
        points = " ".join(f"{along(x, n):.1f},{up(y, s):.1f}" for n, s in runs)
        lines.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
    lines.append(text(x, y - 10, f"{job.name}, {gbit_s:g} Gbit/s"))
    lines.append(text(x + SIDE, y + SIDE + 32, "workers", "end"))
    return "\n".join(lines) + "\n"


def legend(y: float) -> str:
    """Which colour is which length."""
    lines = [text(LEFT, y, "segments of")]
    for n, (colour, segment_s) in enumerate(zip(COLOURS, SEGMENTS_S, strict=True)):
        x = LEFT + 90 + 78 * n
        lines.append(
            f'<path class="line" stroke="{colour}" d="M{x:.1f} {y - 4:.1f}h22"/>' + text(x + 27, y, f"{segment_s} s")
        )
    x = LEFT + 90 + 78 * len(COLOURS)
    lines.append(f'<path class="ideal" d="M{x:.1f} {y - 4:.1f}h22"/>' + text(x + 27, y, "n workers, n times faster"))
    return "\n".join(lines) + "\n"


def along(x: float, workers: float) -> float:
    """Where so many workers are, in a panel that begins at x: 1 to 1,000, by their logarithm."""
    return x + SIDE * math.log10(workers) / 3


def up(y: float, speedup: float) -> float:
    """Where a speed-up is, in a panel whose top is at y; below 1 is at its lower edge."""
    return y + SIDE * (1 - max(0.0, math.log10(speedup)) / 3)


def text(x: float, y: float, words: str, anchor: str = "start", *, more: str = "") -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
