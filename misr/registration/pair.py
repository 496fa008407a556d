"""Reference and view made comparable: masked, at mean 0 and std 1, as pictures or as strengths of their edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from misr.registration.equations import robust_std
from misr.registration.gauss_newton import Light
from misr.registration.light import line
from misr.registration.matrices import Matrix
from misr.registration.sampling import everywhere, positions, sampled, slopes, weights_at
from misr.registration.smooth import Masked, Smooth, level, masked, normal, smooth

LEAST_VALID = 64  # pixels
FLAT = 1e-6  # std, of the mean's size, below which a plane has no content
LEAST_GAIN = 0.1  # of planes at std 1, below which one does not follow the other


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Reference and view, both at mean 0 and std 1, and the (mean, std) that undo it."""

    reference: Masked
    view: Masked
    own: tuple[float, float]  # the reference's mean and std
    its: tuple[float, float]  # the view's
    light: Light

    def in_own_unit(self, gain: float, offset: float) -> tuple[float, float]:
        """Gain and offset between the planes as they came, from those between the planes at mean 0 and std 1."""
        (mean, std), (its_mean, its_std) = self.own, self.its
        gain *= its_std / std
        return gain, its_mean + its_std * offset - gain * mean

    def overlap(self, matrix: Matrix) -> float:
        """Share of the reference's pixels that are valid and lie on a valid pixel of the view."""
        x, y = everywhere(*positions(matrix, *self.reference.size))
        there = cv2.remap(self.view.mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        return float(((there > 0) & (self.reference.mask > 0)).mean())


def paired(
    reference: np.ndarray | Tensor,
    view: np.ndarray | Tensor,
    valid_reference: np.ndarray | Tensor | None,
    valid_view: np.ndarray | Tensor | None,
    *,
    light: Light,
) -> Pair | str:
    """The pair, or a phrase that says which of the two cannot be registered and why. InputError on wrong shapes.

    Both are centred by their own mean and std, or, where their light is the same, by the reference's.
    """
    a, b = masked(reference, valid_reference, "the reference"), masked(view, valid_view, "the view")
    why = unusable(a, "the reference") or unusable(b, "the view")
    if why:
        return why
    own = level(a)
    its = own if light == "same" else level(b)
    return Pair(normal(a, *own), normal(b, *its), own, its, light)


def unusable(picture: Masked, name: str) -> str:
    """Why a picture can take no part, "" when it can."""
    count = int(np.count_nonzero(picture.mask))
    if count < LEAST_VALID:
        return f"{name} has {f'only {count}' if count else 'no'} valid pixels"
    mean, std = level(picture)
    return f"{name} is flat: there is nothing to register by" if std <= FLAT * max(abs(mean), 1e-30) else ""


def edges(pair: Pair) -> Pair | str:
    """The same pair as strengths of edges, which agree between bands whose brightness does not."""
    drawn = (strength(smooth(p)) for p in (pair.reference, pair.view))
    (a, valid_a), (b, valid_b) = ((m.plane, m.mask) for m in drawn)
    return paired(a, b, valid_a, valid_b, light="whole")


def strength(picture: Smooth) -> Masked:
    """The root of the gradient's length, so that a few strong edges are not all; valid where the blur was whole."""
    along_x, along_y = slopes(picture.plane)
    mask = (picture.weight > 0.5).astype(np.float32)
    return Masked(np.sqrt(np.hypot(along_x, along_y)) * mask, mask)


def light_at(pair: Pair, matrix: Matrix) -> tuple[float, float, float] | None:
    """(gain, offset, residual) of the planes as they came where the matrix puts them; None where they do not go together."""
    a, b = smooth(pair.reference), smooth(pair.view)
    seen, *_ = sampled(b.plane, matrix, *pair.reference.size)
    weight = a.weight * weights_at(b.weight, matrix, *pair.reference.size)
    inside = weight > 0.5 if np.count_nonzero(weight > 0.5) >= LEAST_VALID else weight > 0
    gain, offset = line(a.plane[inside], seen[inside])
    if gain < LEAST_GAIN:
        return None
    spread = robust_std(seen - np.float32(gain) * a.plane - np.float32(offset), weight)
    return *pair.in_own_unit(gain, offset), spread / gain * pair.own[1]
