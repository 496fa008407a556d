"""Masks that follow from the pictures themselves: samples at the ceiling, and what differs from most other views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from misr.burst.looks import Patch, Plane, soft

HEAPED = 8.0  # how many times more samples than each code below it has, a ceiling holds
HEAP = 2e-4  # share of the samples that it holds at least
MANY = 400_000  # samples that are enough to tell
AROUND = 3  # px: side of what goes with a sample at the ceiling
CLOUDS = 3.0  # px: views are compared without detail, under a Gaussian that wide
DIFFERENT = 5.0  # times the usual difference (robust standard deviation): from here on a sample counts less
STRANGE = 2.0  # times that: from here on it does not count
CLEAR = 0.04  # of the range of the levels: smaller differences are never clouds
WHOLLY = 0.9  # of the weight of that Gaussian must be on valid samples: beside a gap the mean is one-sided
SEEING = 3  # views that it takes to tell which one differs


def ceiling(patches: list[Patch], dtype: np.dtype[Any]) -> float:
    """The code at which the sensor or the file ends, infinity when no sample seems to be there."""
    codes = np.concatenate([p.plane[p.valid] for p in patches]) if patches else np.zeros(0, np.float32)
    if not len(codes):
        return np.inf
    top = float(codes.max())
    if dtype.kind in "iu" and top >= np.iinfo(dtype).max:
        return top
    codes = codes[:: len(codes) // MANY + 1]
    low = float(np.median(codes))
    held = float((codes == top).mean())
    near = float((codes >= top - 0.02 * (top - low)).mean()) - held
    return top if top > low and held > HEAP and held > HEAPED * near else np.inf


def full(plane: Plane, valid: Plane, top: float) -> Plane:
    """Bool (h, w): at the ceiling, or beside a sample that is."""
    if not np.isfinite(top):
        return np.zeros(plane.shape, bool)
    at = (valid & (plane >= top)).astype(np.uint8)
    return cv2.dilate(at, np.ones((AROUND, AROUND), np.uint8)).astype(bool) if at.any() else at.astype(bool)


def unsaturated(patches: list[Patch], dtype: np.dtype[Any]) -> list[Patch]:
    """The patches of one view without what is at the ceiling."""
    return below(patches, ceiling(patches, dtype))


def below(patches: list[Patch], top: float) -> list[Patch]:
    """The patches without what is at this code or above."""
    return [replace(p, valid=p.valid & ~full(p.plane, p.valid, top)) for p in patches] if np.isfinite(top) else patches


@dataclass(frozen=True, slots=True)
class Strange:
    """From which difference to the median view, in codes of the reference's light, a sample counts less, and not at all."""

    begins: float = np.inf
    ends: float = np.inf

    def clearness(self, off: Plane) -> Plane:
        """1 where the difference is usual, 0 where it is a cloud's."""
        if not np.isfinite(self.begins):
            return np.ones_like(off)
        x = np.clip((np.abs(off) - self.begins) / (self.ends - self.begins), 0, 1)
        return 1 - x * x * (3 - 2 * x)


def differences(planes: Plane, sure: Plane, least: int = SEEING) -> Plane:
    """What soft views (t, h, w) on one grid differ by from the median of those that are sure; 0 where fewer than `least` are."""
    count = sure.sum(0)
    ranked = np.sort(np.where(sure, planes, np.inf), axis=0)  # those that are not sure come last
    low, high = (np.take_along_axis(ranked, np.maximum(n // 2, 0)[None], 0)[0] for n in (count - 1, count))
    known = sure & (count >= least)
    high = np.where(np.isfinite(high), high, 0)
    low = np.where(np.isfinite(low), low, 0)
    return np.where(known, planes - (low + high) / 2, 0)


def strange(offs: list[Plane], low: float, high: float) -> Strange:
    """The thresholds of a scene, from differences (t, n) of some of its places that are 0 where unknown, and its levels."""
    known = np.concatenate([o[o != 0] for o in offs]) if offs else np.zeros(0)
    if len(known) < 100:
        return Strange()
    usual = 1.4826 * float(np.median(np.abs(known)))
    begins = max(DIFFERENT * usual, CLEAR * (high - low))
    return Strange(begins, STRANGE * begins)


def softened(patch: Patch) -> tuple[Plane, Plane]:
    """A view without detail, and where it has enough samples for that."""
    plane, sure = soft(patch.plane, patch.valid, CLOUDS)
    return plane, sure > WHOLLY
