"""Peak signal-to-noise ratio."""

import math

from torch import Tensor


def psnr_db(picture: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """10 log10(peak^2 / mean squared error) over everything, in dB; infinite for equal pictures. Any equal shapes."""
    if picture.shape != truth.shape:
        raise ValueError(f"pictures of shapes {tuple(picture.shape)} and {tuple(truth.shape)} cannot be compared")
    error = float((picture.double() - truth.double()).square().mean())
    return 10 * math.log10(peak * peak / error) if error else math.inf
