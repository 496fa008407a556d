"""A run drawn: loss and PSNR over its steps, as PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WIDE, HIGH, EDGE = 900, 300, 60  # pixels of a panel, and around it
INK, GRID, LINE, OTHER = (60, 60, 60), (225, 225, 225), (180, 90, 20), (60, 60, 200)  # BGR
Points = Sequence[tuple[float, float]]


def draw(lines: Sequence[dict[str, float]], path: Path, *, baseline_db: float, name: str) -> None:
    """Two panels, the loss (logarithmic) and the validation PSNR in dB with the baseline's level, written as PNG."""
    import cv2

    steps = [line["step"] for line in lines]
    losses = [(s, float(np.log10(max(line["loss"], 1e-9)))) for s, line in zip(steps, lines, strict=True)]
    valid = [(s, line["valid_db"]) for s, line in zip(steps, lines, strict=True)]
    level = [(steps[0], baseline_db), (steps[-1], baseline_db)]
    canvas = np.full((2 * (HIGH + EDGE) + EDGE, WIDE + 2 * EDGE + 20, 3), 255, np.uint8)
    panel(canvas, EDGE, [(losses, LINE)], f"{name}: log10 of the loss (another one, of squares, in the last 15 %)")
    panel(canvas, HIGH + 2 * EDGE, [(valid, LINE), (level, OTHER)], f"{name}: validation dB; red: baseline")
    good, data = cv2.imencode(".png", canvas)
    if good:
        path.write_bytes(data.tobytes())


def panel(canvas: Any, top: int, curves: Sequence[tuple[Points, tuple[int, int, int]]], title: str) -> None:
    """One diagram with a grid and numbers."""
    import cv2

    every = [p for points, _ in curves for p in points if np.isfinite(p[1])] or [(0, 0)]
    (x0, x1), (y0, y1) = (span([p[axis] for p in every]) for axis in (0, 1))

    def at(x: float, y: float) -> tuple[int, int]:
        return round(EDGE + (x - x0) / (x1 - x0) * WIDE), round(top + HIGH - (y - y0) / (y1 - y0) * HIGH)

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)

    for k in range(6):
        x, y = x0 + (x1 - x0) * k / 5, y0 + (y1 - y0) * k / 5
        cv2.line(canvas, at(x, y0), at(x, y1), GRID, 1)
        cv2.line(canvas, at(x0, y), at(x1, y), GRID, 1)
        write(f"{x:,.0f}", at(x, y0)[0] - 15, top + HIGH + 18)
        write(f"{y:.2f}", 8, at(x0, y)[1] + 4)
    for points, ink in curves:
        route = np.array([at(*p) for p in points if np.isfinite(p[1])], np.int32)
        cv2.polylines(canvas, [route], False, ink, 2, cv2.LINE_AA)
    write(title, EDGE, top - 12)


def span(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the largest, never nothing."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
