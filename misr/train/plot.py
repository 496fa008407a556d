"""A run drawn: loss and PSNR over its steps, as PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from misr.train.losses import NAMES

WIDE, HIGH, EDGE = 900, 300, 60  # pixels of a panel, and around it
INK, GRID, LINE, OTHER, THIRD = (60, 60, 60), (225, 225, 225), (180, 90, 20), (60, 60, 200), (70, 150, 40)  # BGR
ANOTHER = " (another one, of squares, in the last 15 %)"  # but of sums
INKS = (("blue", LINE), ("red", OTHER), ("green", THIRD), ("black", INK))
CYCLES = (  # what is lost where there are no pairs: in the inner cycle, in the outer one, and by those who judge
    ("adversarial_lr", "cycle_lr", "identity_lr", "tv_lr"),
    ("adversarial_hr", "cycle_hr", "identity_hr", "tv_hr"),
    ("d1_loss", "d2_loss"),
)
Points = Sequence[tuple[float, float]]
Panel = tuple[Sequence[tuple[Points, tuple[int, int, int]]], str]


def draw(lines: Sequence[dict[str, float]], path: Path, *, baseline_db: float, name: str) -> None:
    """Panels as PNG: the loss (logarithmic), and the validation PSNR in dB with the baseline's level.

    Where the log has them: what the terms of a sum come to; how far pictures look from the truth; and of each discriminator
    its loss, and how true it takes true and made pictures for.
    """
    import cv2

    steps = [line["step"] for line in lines]
    level = [(steps[0], baseline_db), (steps[-1], baseline_db)]
    sums = [[word for word in lines[-1] if word.partition(":")[0] in NAMES]]
    sums += [[word for word in words if word in lines[-1]] for words in CYCLES]
    terms = any(sums)
    panels: list[Panel] = [
        ([(logs(curve(lines, "loss")), LINE)], f"{name}: log10 of the loss{'' if terms else ANOTHER}"),
        ([(curve(lines, "valid_db"), LINE), (level, OTHER)], f"{name}: validation dB; red: baseline"),
    ]
    for words in sums:
        if len(words) > 1:
            inks = [(term, *INKS[n % len(INKS)]) for n, term in enumerate(words)]
            title = ", ".join(f"{colour} {term}" for term, colour, _ in inks)
            panels.append(([(logs(curve(lines, term)), ink) for term, _, ink in inks], f"{name}: log10 of {title}"))
    if looks := curve(lines, "perceptual"):
        panels.append(([(looks, LINE)], f"{name}: perceptual distance, smaller is nearer"))
    for before, what in (("", "pictures"), ("feature_", "features")):
        told = (("d_loss", LINE), ("d_real", THIRD), ("d_fake", OTHER))
        of = [(points, ink) for word, ink in told if (points := curve(lines, before + word))]
        if of:
            panels.append(
                (of, f"{name}: discriminator of {what}: its loss; for how true it takes true (green), made (red)")
            )
    canvas = np.full((len(panels) * (HIGH + EDGE) + EDGE, WIDE + 2 * EDGE + 20, 3), 255, np.uint8)
    for n, (curves, title) in enumerate(panels):
        panel(canvas, EDGE + n * (HIGH + EDGE), curves, title)
    good, data = cv2.imencode(".png", canvas)
    if good:
        path.write_bytes(data.tobytes())


def curve(lines: Sequence[dict[str, float]], word: str) -> list[tuple[float, float]]:
    """Steps and what the log says by a word there, where it says it."""
    return [(line["step"], line[word]) for line in lines if word in line]


def logs(points: Points) -> list[tuple[float, float]]:
    """Steps and logarithms of what is not below 0."""
    return [(s, float(np.log10(max(value, 1e-9)))) for s, value in points]


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
