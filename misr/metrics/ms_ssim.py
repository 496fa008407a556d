"""Multi-scale structural similarity (Wang, Simoncelli & Bovik, Asilomar 2003): SSIM's factors over five scales."""

import torch.nn.functional as F
from torch import Tensor

from misr.metrics.ssim import SIZE, similarity, two_of_a_kind

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first; table 1 of the paper
SMALLEST = (SIZE - 1) * 2 ** (len(WEIGHTS) - 1) + 1  # pixels; the coarsest picture still holds a window


def ms_ssim(picture: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """Mean over planes (..., h, w), each side at least 161, in [0, 1]; 1 for equal pictures.

    The product over scales of the mean contrast and structure, at the coarsest of the mean SSIM, each to its weight. Between
    scales: means of 2x2, an odd last row or column doubled, as the authors' code does. A scale whose mean is negative
    (pictures with opposite structure) counts as 0, where a power has no real value.
    """
    a, b = two_of_a_kind(picture, truth, SMALLEST, "ms_ssim")
    product = a.new_ones(a.shape[0])
    for scale, weight in enumerate(WEIGHTS):
        whole, contrast = similarity(a, b, peak)
        last = scale == len(WEIGHTS) - 1
        product *= (whole if last else contrast).mean((1, 2, 3)).clamp(min=0) ** weight
        if not last:
            a, b = halved(a), halved(b)
    return float(product.mean())


def halved(planes: Tensor) -> Tensor:
    """Means of 2x2 (n, 1, ceil(h / 2), ceil(w / 2)) of planes (n, 1, h, w)."""
    h, w = planes.shape[-2:]
    return F.avg_pool2d(F.pad(planes, (0, w % 2, 0, h % 2), mode="replicate"), 2)
