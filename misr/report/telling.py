"""What a page of comparison tells: a dict that is JSON as it stands, and remarks in plain sentences.

    schema      1
    misr        the version; command: the line that makes the page again
    shape       (width, height) in which pictures are shown, pixels of the largest input that are square
    crop        null, or left, top, width, height of the part that is shown, as shares of the picture's sides
    times       when each frame is shown, seconds on BEFORE's clock
    inputs      one for each: name, role, path; size of its pictures; facts, words by name; at, its own times or null where it
                shows no frame; mean, of each metric; resized, whether it was brought to the reference's size for them
    metrics     key, name, unit, digits, and the scores of each input by frame; null where there is none, "inf" for equal
    notes       what a reader must know

Times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from misr import __version__
from misr.evaluation.scores import DIGITS, mean
from misr.report.inputs import TRANSFERS, Input
from misr.report.moments import Moments
from misr.report.pictures import Crop, Keeping
from misr.report.scores import Curve
from misr.report.settings import Comparing

SCHEMA = 1
SAME_SHAPE = 0.01  # aspect ratios closer than this differ by rounding
FLICKER = "Flicker is by how much more than the reference's an input's still pixels change; below 0 it is calmer."
NAMES = {"psnr_db": ("PSNR of the luma", "dB"), "ssim": ("SSIM of the luma", ""), "flicker": ("Flicker", "code values")}


def facts(seen: Moments, keep: Keeping, curves: dict[int, Curve], notes: Sequence[str], command: str) -> dict[str, Any]:
    """All that a page needs beside its pictures."""
    whole = max((i.shape for i in seen.inputs), key=lambda shape: shape[0])
    share = shares(keep.crop) if keep.crop else (0.0, 0.0, 1.0, 1.0)
    columns = next(iter(curves.values())).how.columns if curves else ()
    return {
        "schema": SCHEMA,
        "misr": __version__,
        "command": command,
        "shape": [round(whole[0] * share[2]), round(whole[1] * share[3])],
        "crop": share if keep.crop else None,
        "times": [seconds(m.times[0]) for m in seen.moments],
        "inputs": [
            {
                "name": it.name,
                "role": it.role,
                "path": it.told or it.path,
                "size": keep.crop.of(it.size)[2:] if keep.crop else it.size,
                "facts": it.facts(),
                "resized": n in curves and it.size != seen.inputs[-1].size,
                "at": [None if (t := m.times[n]) is None else seconds(t - it.shift) for m in seen.moments],
                "mean": {k: plain(v) for k, v in mean(curves[n].rows).items()} if n in curves else {},
            }
            for n, it in enumerate(seen.inputs)
        ],
        "metrics": [
            {
                "key": column,
                "name": NAMES[column][0],
                "unit": NAMES[column][1],
                "digits": DIGITS.get(column, 4),
                "scores": [
                    [plain(row[column]) for row in curves[n].rows] if n in curves else None
                    for n in range(len(seen.inputs))
                ],
            }
            for column in columns
        ],
        "notes": list(notes),
    }


def remarks(seen: Moments, keep: Keeping, full_after: int, how: Comparing) -> list[str]:
    """What a reader must know to believe what is seen, a sentence each."""
    before, many = seen.inputs[0], len(seen.moments)
    notes = [kept_how(keep)]
    if keep.crop and keep.crop.cells != (1, 1):
        left, top, w, h = keep.crop.of(before.size)
        notes.append(f"A part of each picture is shown: {w}x{h}+{left}+{top} in pixels of {before.name}.")
    if full_after < many:
        notes.append(
            f"The page is full ({how.limit_bytes / 1e6:.0f} MB) after {full_after} of {many} frames; -fs allows more."
        )
    for n, it in enumerate(seen.inputs):
        notes += about(it, before)
        if it.shift and how.shift is None:
            moved = f"{abs(float(it.shift)):.3f} s {'later' if it.shift > 0 else 'earlier'}"
            notes.append(f"The frames of {it.name} are taken {moved} than it says, to meet those of {before.name}.")
        if missing := sum(m.times[n] is None for m in seen.moments):
            notes.append(f"{it.name} shows no frame at {missing} of the {many} times of {before.name}.")
        if seen.alone[n]:
            notes.append(f"{seen.alone[n]} frames of {it.name} lie between those of {before.name} and are left out.")
    if seen.inputs[-1].role == "reference":
        notes += [FLICKER] if many > 1 else []
        notes += resized(seen.inputs[:-1], seen.inputs[-1])
    return list(dict.fromkeys(notes))


def kept_how(keep: Keeping) -> str:
    """What keeping did to the pictures."""
    shown = "Pictures are R'G'B' of 8 bits, converted by misr's own colour code and kept"
    if keep.kind == "webp":
        return f"{shown} without loss."
    return (
        f"{shown} as JPEG of quality 95 with whole chroma, which changes these by {keep.mean:.2f} code values of 255 on average "
        f"and {keep.largest} at most; scores are of the clips themselves."
    )


def about(it: Input, before: Input) -> list[str]:
    """What is not shown of an input as it is."""
    color, notes = it.info.color, []
    if color.transfer in TRANSFERS:
        notes.append(
            f"{it.name} is {TRANSFERS[color.transfer]}: its code values are shown as they are, without tone mapping."
        )
    elif color.depth > 8:
        depth = "floating point" if color.depth == 32 else f"{color.depth} bits"
        notes.append(f"{it.name} has {depth}; 8 bits of them are shown.")
    if color.alpha:
        notes.append(f"{it.name} has an alpha channel, which is not shown.")
    ours, theirs = (shape[0] / shape[1] for shape in (it.shape, before.shape))
    if abs(ours / theirs - 1) > SAME_SHAPE:
        notes.append(f"{it.name} is {ours:.3f} as wide as high, {before.name} {theirs:.3f}: it is shown stretched.")
    return notes


def resized(inputs: Sequence[Input], truth: Input) -> list[str]:
    """Which inputs are measured at another size than theirs."""
    other = [i.name for i in inputs if i.size != truth.size]
    w, h = truth.size
    return [f"To be measured, {' and '.join(other)} was brought to {w}×{h} by bicubic interpolation."] if other else []


def shares(crop: Crop) -> tuple[float, float, float, float]:
    """Left, top, width, height as shares of the picture's sides."""
    left, top, width, height = crop.left, crop.top, crop.width, crop.height
    return left / crop.cells[0], top / crop.cells[1], width / crop.cells[0], height / crop.cells[1]


def seconds(time: Fraction | None) -> float:
    """A time as JSON has it, to the microsecond."""
    return round(float(time or 0), 6)


def plain(score: float | None) -> float | str | None:
    """A score as JSON can say it."""
    return "inf" if score == math.inf else None if score is None else round(score, 6)
