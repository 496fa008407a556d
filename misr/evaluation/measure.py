"""From pairs of frames to a row of scores for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from misr.color import rgb_view, unit
from misr.errors import InputError
from misr.evaluation.scores import Scores
from misr.evaluation.settings import METRICS, Measure
from misr.frame import Color, Frame
from misr.metrics import (
    cropped,
    flicker,
    ifc,
    luma601,
    motion,
    ms_ssim,
    psnr_db,
    ssim,
    to_codes,
    vif,
    warp_error,
)
from misr.scene import is_cut

PEAK = 255.0
Pair = tuple[Tensor, Tensor]  # result, reference
SPATIAL: dict[
    str, tuple[Callable[[Tensor, Tensor], float], int]
] = {  # metric: its function, and the smallest side it takes
    "psnr": (lambda x, y: psnr_db(x, y, peak=PEAK), 1),
    "ssim": (lambda x, y: ssim(x, y, peak=PEAK), 11),
    "ms-ssim": (lambda x, y: ms_ssim(x, y, peak=PEAK), 161),
    "vif": (lambda x, y: vif(x, y, peak=PEAK), 41),
    "ifc": (ifc, 80),
}
TEMPORAL = {"warp", "flicker"}


def measured(pairs: Iterable[tuple[Frame, Frame]], how: Measure, item: str) -> Iterator[Scores]:
    """The scores of each pair (result, reference) of a clip called `item`; those of motion are None at its first and at cuts."""
    before: tuple[Frame, Pair] | None = None
    for n, (sharp, truth) in enumerate(pairs):
        now = comparable(sharp, truth, how, f"{item}: frame {n}")
        scores: Scores = {METRICS[m][0]: SPATIAL[m][0](*now) for m in how.metrics if m in SPATIAL}
        if TEMPORAL & {*how.metrics}:
            scores = steadiness(now, before[1] if before and not is_cut(before[0], truth) else None, how) | scores
            before = truth, now
        yield {column: scores[column] for column in how.columns}


def steadiness(now: Pair, before: Pair | None, how: Measure) -> Scores:
    """The scores that take two consecutive pairs."""
    if before is None:
        return dict.fromkeys(how.columns)
    found: Scores = {}
    if "warp" in how.metrics:
        moved = motion(now[1], before[1])
        found["warp"], found["warp_reference"] = (warp_error(a, b, moved) for a, b in zip(now, before, strict=True))
    if "flicker" in how.metrics:
        found["flicker"] = flicker((now[0], before[0]), (now[1], before[1]))
    return found


def comparable(sharp: Frame, truth: Frame, how: Measure, where: str) -> tuple[Tensor, Tensor]:
    """Both pictures as code values 0-255 (planes, h, w), float64, cropped as told; InputError where sizes do not fit."""
    x, y = (planes(frame, how, other.color) for frame, other in ((sharp, truth), (truth, sharp)))
    if how.scale:
        x, y = cropped(x, how.scale), cropped(y, how.scale)
    if x.shape != y.shape:
        raise InputError(
            f"{where} is {sharp.width}x{sharp.height}, its reference {truth.width}x{truth.height}; "
            "pictures of one size are wanted"
        )
    inner = slice(how.border, -how.border or None)
    x, y = x[:, inner, inner], y[:, inner, inner]
    for metric in how.metrics:
        smallest = SPATIAL[metric][1] if metric in SPATIAL else 1
        if min(x.shape[1:]) < smallest:
            raise InputError(
                f"{where} has {x.shape[2]}x{x.shape[1]} pixels inside the border, {metric} needs {smallest} a side; "
                "leave that metric out"
            )
    return x, y


def planes(frame: Frame, how: Measure, partner: Color) -> Tensor:
    """Code values 0-255 (planes, h, w), float64, of what is measured; deeper samples keep their fractions."""
    if how.color == "rgb":
        return eight_bit_rgb(frame).double()
    color = frame.color
    if how.color == "y" and color.model == "rgb":
        return luma601(eight_bit_rgb(frame).movedim(0, -1))[None]
    y = torch.from_numpy(frame.planes[0].astype(np.float64))[None] * (255 / unit(color))
    alike = how.color == "plane" or partner.model != "rgb" and partner.full == color.full
    return y if alike or not color.full else y * (219 / 255) + 16


def eight_bit_rgb(frame: Frame) -> Tensor:
    """R'G'B' (3, h, w) in whole code values 0-255, chroma interpolated where it is sparse."""
    return to_codes(rgb_view(frame, torch.device("cpu")) * PEAK)
