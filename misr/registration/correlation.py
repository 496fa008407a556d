"""Where one picture lies in another, to the pixel: normalised correlation of masked pictures by Fourier transforms.

All shifts at once, each over the pixels that are valid in both (D. Padfield, "Masked object registration in the Fourier
domain", IEEE TIP 2012). OpenCV's phaseCorrelate knows no masks, overwrites its inputs and is up to 0.4 px off.
"""

from __future__ import annotations

import cv2
import numpy as np

from misr.registration.matrices import Matrix, flat, shifted, square
from misr.registration.smooth import Array, Masked, blurred

FINE_PX, COARSE_PX = 1.0, 5.0  # detail between these two blurs is compared: less is aliased, more is haze and shading
LEAST_OVERLAP = 0.12  # of the smaller picture's valid pixels; with fewer, chance correlates too well


def detail(picture: Masked) -> Masked:
    """The valid pixels less their surroundings, 0 elsewhere."""
    fine, coarse = blurred(picture, FINE_PX)[0], blurred(picture, COARSE_PX)[0]
    return Masked((fine - coarse) * picture.mask, picture.mask)


def correlations(reference: Masked, view: Masked) -> tuple[Array, Array]:
    """(correlation, overlap) for every shift, (H, W): row dy and column dx, both modulo H and W, of the view in the reference.

    Correlation is -1..1 over the pixels valid in both; overlap is the number of these pixels.
    """
    w, h = (quick(a + b - 1) for a, b in zip(reference.size, view.size, strict=True))
    a, am, aa = (np.fft.rfft2(x, (h, w)) for x in parts(reference))
    b, bm, bb = (np.conj(np.fft.rfft2(x, (h, w))) for x in parts(view))
    products = (am * bm, a * bm, am * b, aa * bm, am * bb, a * b)
    count, sum_a, sum_b, sum_aa, sum_bb, sum_ab = (np.fft.irfft2(x, (h, w)) for x in products)
    n = np.maximum(count, 1.0)
    power = np.maximum(sum_aa - sum_a * sum_a / n, 0) * np.maximum(sum_bb - sum_b * sum_b / n, 0)
    floor = 1e-8 * float(power.max()) + 1e-20
    return (sum_ab - sum_a * sum_b / n) / np.sqrt(power + floor), np.maximum(count, 0)


def parts(picture: Masked) -> tuple[Array, Array, Array]:
    """The picture, its mask and its square."""
    return picture.plane, picture.mask, picture.plane * picture.plane


def quick(n: int) -> int:
    """The next size from n on that Fourier transforms like."""
    return int(cv2.getOptimalDFTSize(n))


def strongest(reference: Masked, view: Masked) -> tuple[float, int, int]:
    """(score, dx, dy) of the best integer shift of two details: the reference's pixel p is the view's p + (dx, dy).

    The score is the correlation times the root of the overlap's share, as chance alone correlates well in small overlaps;
    0 when no shift has enough overlap.
    """
    found, count = correlations(reference, view)
    enough = min(float(reference.mask.sum()), float(view.mask.sum()))
    score = np.where(count > LEAST_OVERLAP * enough, found * np.sqrt(np.minimum(count / max(enough, 1.0), 1)), 0)
    y, x = np.unravel_index(int(score.argmax()), score.shape)
    # Correlation at +n means the reference's content lies n further on than the view's
    dx, dy = (
        int(n if n < limit else n - size)
        for n, limit, size in zip((x, y), reference.size, score.shape[::-1], strict=True)
    )
    return float(score[y, x]), -dx, -dy


def rotated(picture: Masked, degrees: float) -> tuple[Masked, Matrix]:
    """The picture turned about its middle, and the matrix from the turned picture's pixels to its own."""
    w, h = picture.size
    back = np.vstack([cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), degrees, 1.0), [0, 0, 1]])
    turned = (
        cv2.warpAffine(x, back[:2], (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        for x in (picture.plane, picture.mask)
    )
    return Masked(*turned), flat(back)


def coarse_place(reference: Masked, view: Masked, turns: tuple[float, ...] = (0.0,)) -> tuple[float, Matrix]:
    """(score, matrix) of the best integer shift, over the view turned by each of these degrees."""
    fixed = detail(reference)
    best: tuple[float, Matrix] = (-1.0, shifted(0, 0))
    for degrees in turns:
        turned, back = rotated(view, degrees) if degrees else (view, shifted(0, 0))
        score, dx, dy = strongest(fixed, detail(turned))
        if score > best[0]:
            best = score, flat(square(back) @ square(shifted(dx, dy)))
    return best
