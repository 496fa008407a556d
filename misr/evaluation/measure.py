"""From pairs of frames to a row of scores for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from misr.color import rgb_view, unit
from misr.errors import InputError
from misr.evaluation.scores import Scores
from misr.evaluation.settings import Measure
from misr.frame import Color, Frame
from misr.metrics import cropped, luma601, psnr_db, ssim, to_codes

PEAK = 255.0
Spatial = Callable[[Tensor, Tensor], float]
SPATIAL: dict[str, tuple[Spatial, int]] = {  # metric: function of (picture, truth), and the smallest side it takes
    "psnr": (lambda x, y: psnr_db(x, y, peak=PEAK), 1),
    "ssim": (lambda x, y: ssim(x, y, peak=PEAK), 11),
}


def measured(pairs: Iterable[tuple[Frame, Frame]], how: Measure, item: str) -> Iterator[Scores]:
    """The scores of each pair (result, reference) of a clip called `item`."""
    for n, (sharp, truth) in enumerate(pairs):
        x, y = comparable(sharp, truth, how, f"{item}: frame {n}")
        yield {column: SPATIAL[column.removesuffix("_db").replace("_", "-")][0](x, y) for column in how.columns}


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
