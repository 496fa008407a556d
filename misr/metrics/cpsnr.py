"""cPSNR: PSNR over clear pixels, blind to brightness and to small shifts (Maertens et al., Astrodynamics, 2019; PROBA-V)."""

import math
from itertools import product

import torch
from torch import Tensor

from misr.errors import InputError

CROP = 3  # HR pixels left out at each side of a result; the truth may be shifted by as many either way


def cpsnr_db(picture: Tensor, truth: Tensor, clear: Tensor, *, crop: int = CROP) -> float:
    """The best PSNR in dB over all whole shifts, 0 to 2 * crop both ways, of the truth's window; infinite for equal pictures.

    picture, truth (h, w) in the unit whose white is 1 (PROBA-V: stored codes / 65535); clear (h, w), nonzero where the truth
    counts. At every shift the mean difference over clear pixels is taken off first. InputError where nothing is clear.
    """
    if not picture.shape == truth.shape == clear.shape or picture.ndim != 2:
        shapes = ", ".join(str(tuple(x.shape)) for x in (picture, truth, clear))
        raise ValueError(f"picture, truth, clear of shapes {shapes} cannot be compared; (h, w) is wanted, three times")
    h, w = (n - 2 * crop for n in picture.shape)
    if h < 1 or w < 1:
        raise InputError(
            f"a picture of {picture.shape[1]}x{picture.shape[0]} has nothing {crop} pixels inside its border"
        )
    inner, mask = picture.double()[crop : crop + h, crop : crop + w], (clear != 0).double()
    truth = torch.where(clear != 0, truth.double(), 0)
    windows = [
        (truth[v : v + h, u : u + w], mask[v : v + h, u : u + w]) for v, u in product(range(2 * crop + 1), repeat=2)
    ]
    rough = [rough_error(*window, inner) for window in windows]
    if math.isinf(min(rough)):
        raise InputError("no pixel of the truth is clear; leave this scene out")
    best = clear_error(*windows[rough.index(min(rough))], inner)
    return -10 * math.log10(best) if best > 0 else math.inf


def rough_error(truth: Tensor, mask: Tensor, inner: Tensor) -> float:
    """clear_error() in fewer passes, with the rounding of a difference, to choose a shift; infinite where nothing is clear."""
    count = float(mask.sum())
    if not count:
        return math.inf
    off = torch.addcmul(truth, mask, inner, value=-1).flatten()
    return float(off @ off) / count - (float(off.sum()) / count) ** 2


def clear_error(truth: Tensor, mask: Tensor, inner: Tensor) -> float:
    """The mean square of truth - inner over clear pixels, their mean taken off."""
    off = (truth - inner)[mask > 0]
    return float((off - off.mean()).square().mean())
