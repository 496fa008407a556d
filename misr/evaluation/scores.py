"""What was measured, as values, and as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from misr.evaluation.settings import ClearPixels, Measure

Scores = dict[str, float | None]  # column: value; None where there is none, as of motion at the first frame
SCHEMA = 1  # of the JSON; grows when a key changes its meaning
HEADS = {"psnr_db": "PSNR dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "vif": "VIF", "ifc": "IFC"}
HEADS |= {"warp": "warp", "warp_reference": "warp (reference)", "flicker": "flicker"}
HEADS |= {"cpsnr_db": "cPSNR dB", "score": "score"}
DIGITS = {"psnr_db": 2, "ifc": 3, "warp": 3, "warp_reference": 3, "flicker": 3}  # 4 where nothing is said
DIGITS |= {"cpsnr_db": 2, "score": 5}
MANY_ITEMS = 20  # a table with more shows their mean alone


@dataclass(frozen=True, slots=True)
class Item:
    """A clip or picture: its name and a row of scores for each frame."""

    name: str
    frames: tuple[Scores, ...]

    @property
    def mean(self) -> Scores:
        """Over its frames."""
        return mean(self.frames)


@dataclass(frozen=True, slots=True)
class Row:
    """One result or model over all items."""

    name: str
    items: tuple[Item, ...]

    @property
    def mean(self) -> Scores:
        """Over items, of the means over their frames: a short clip counts as much as a long one, as in papers."""
        return mean([item.mean for item in self.items])


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, and how they were measured. protocol: bi or bd, how LR was made, or proba-v; "" where results were given."""

    measure: Measure | ClearPixels
    rows: tuple[Row, ...]
    protocol: str = ""

    def json(self) -> str:
        """The report as JSON; an infinite PSNR is the string "inf", what was not there to measure is null."""
        how = self.measure
        rows = [
            {
                "name": row.name,
                "mean": plain(row.mean),
                "items": [
                    {"name": item.name, "mean": plain(item.mean), "frames": [plain(f) for f in item.frames]}
                    for item in row.items
                ],
            }
            for row in self.rows
        ]
        head = {"schema": SCHEMA, "color": how.color, "border_px": how.border, "scale": how.scale}
        told = head | {"protocol": self.protocol or None, "columns": list(how.columns), "rows": rows}
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    def csv(self) -> str:
        """A line per frame, numbered from 0; a mean of an item has no frame, that of a row no item either."""
        text = io.StringIO()
        columns = self.measure.columns
        out = csv.writer(text, lineterminator="\n")
        out.writerow(["name", "item", "frame", *columns])

        def line(name: str, item: str, frame: int | str, scores: Scores) -> None:
            out.writerow([name, item, frame, *("" if (v := scores[c]) is None else v for c in columns)])

        for row in self.rows:
            for item in row.items:
                for n, scores in enumerate(item.frames):
                    line(row.name, item.name, n, scores)
                line(row.name, item.name, "", item.mean)
            line(row.name, "", "", row.mean)
        return text.getvalue()

    def table(self) -> str:
        """A markdown table with aligned columns: a line per item where they are few, and the mean."""
        columns = self.measure.columns
        lines = [["", "", "frames", *(HEADS[c] for c in columns)]]
        for row in self.rows:
            few = 1 < len(row.items) <= MANY_ITEMS
            for item in row.items if few else ():
                lines.append([row.name, item.name, str(len(item.frames)), *shown(item.mean, columns)])
            name = row.items[0].name if len(row.items) == 1 else f"mean of {len(row.items)}"
            frames = str(sum(len(item.frames) for item in row.items))
            lines.append([row.name, name, frames, *shown(row.mean, columns)])
        return aligned(lines)


def mean(rows: Iterable[Scores]) -> Scores:
    """Mean of each column over the rows that have it; None where none has."""
    rows = list(rows)
    found: Scores = {}
    for column in rows[0] if rows else ():
        values = [v for row in rows if (v := row[column]) is not None]
        found[column] = math.fsum(values) / len(values) if values else None
    return found


def plain(scores: Scores) -> dict[str, Any]:
    """Scores as JSON can say them."""
    return {k: "inf" if v == math.inf else v for k, v in scores.items()}


def shown(scores: Scores, columns: Sequence[str]) -> list[str]:
    """Cells of a table."""
    return ["-" if (v := scores[c]) is None else f"{v:.{DIGITS.get(c, 4)}f}" for c in columns]


def aligned(lines: list[list[str]]) -> str:
    """Markdown: the first two columns to the left, numbers to the right."""
    widths = [max(3, *(len(line[k]) for line in lines)) for k in range(len(lines[0]))]
    rule = ["-" * w if k < 2 else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    cells = [
        [cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in [cells[0], rule, *cells[1:]])
