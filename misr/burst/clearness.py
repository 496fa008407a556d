"""A first look at all views side by side: how much each shows, how clear and how sharp it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from misr.burst.light import line
from misr.burst.looks import Patch, Plane, fetched, places, soft
from misr.burst.masks import SEEING, differences, unsaturated
from misr.burst.noise import CALM, roughness
from misr.registration.matrices import Matrix

SOFT = 4.0  # px: compared like this, views may be off by a pixel or two
STEP = 8  # px between samples
UNLIKE = 4.0  # times the usual difference to the median view (robust standard deviation): not the place as it is
LITTLE = 0.05  # of the median view's range: smaller differences are light, not clouds
ALIKE = 0.2  # correlation with the median view below which a view shows something else, where the others are above SURE
SURE = 0.5
HARDLY = 0.95  # share of clouds, from which a view is one cloud
SURELY = 0.1  # share of the structure that is no noise, however it looks: texture of single pixels looks like noise
STEADY = 0.05  # noise, of the structure, below which less makes no better band
KNOWN = 0.9  # of the weight of that Gaussian must be on samples that are valid and not saturated
ENOUGH = 0.02  # share of the samples that must be known before a view is called a cloud


@dataclass(frozen=True, slots=True, eq=False)
class Clearness:
    """What a first look at a view says, beside the others.

    seen    share of its pixels that are valid and not saturated
    clouds  share of the valid ones that differ from most views
    alike   correlation with the median view, without detail
    detail  contrast of its fine structure in the median view's light, as far as the other views have it too
    score   all in one number: the higher, the better a reference
    cloudy  bool (h, w) per patch, on the pivot's grid at every STEPth pixel: where it differs
    """

    seen: float
    clouds: float
    alike: float
    detail: float
    score: float
    cloudy: list[Plane]

    @property
    def why_not(self) -> str:
        """Why it cannot be used, or ""."""
        if self.seen < 0.005:
            return "all of it is masked or saturated"
        if self.clouds > HARDLY:
            return "it shows clouds, or something else than the other views"
        return ""


def clearness(
    patches: list[list[Patch]], below: list[list[Patch]], starts: list[Matrix], exposures: list[float]
) -> list[Clearness]:
    """A first look at all views: patches[t][k], the same without what is saturated, and where they lie beside the first one,
    to a pixel or two.
    """  # fmt: skip
    looked = [coarse(patches[0], *views) for views in zip(patches, below, starts, strict=True)]
    samples, sure = (np.stack(part) for part in zip(*looked, strict=True))
    samples = samples / np.array(exposures)[:, None]
    gains, off, alike, usual = beside_median(samples, sure)
    odd = sure & (np.abs(off) > usual)
    if (strangers := alike < ALIKE).any() and np.median(alike) > SURE:
        odd[strangers] = sure[strangers]
    ends = np.cumsum([coarse_size(p)[0] * coarse_size(p)[1] for p in patches[0]])[:-1]
    usual_gain = float(np.median(gains))
    sharpness = agreement(patches, starts) if len(patches) > 2 else [alone(spots) for spots in patches]
    found = []
    for t, spots in enumerate(below):
        seen = float(np.mean(np.concatenate([p.valid.ravel() for p in spots])))
        clouds = float(odd[t].sum() / max(sure[t].sum(), ENOUGH * odd[t].size, 1))
        detail, agreed = sharpness[t]
        detail = float(detail / (exposures[t] * max(gains[t], usual_gain, 1e-6)))
        cloudy = [m.reshape(coarse_size(p)) for m, p in zip(np.split(odd[t], ends), patches[0], strict=True)]
        found.append(
            Clearness(
                seen, clouds, float(alike[t]), detail, float(seen * (1 - clouds) ** 2 * detail * agreed**2), cloudy
            )
        )
    return found


def coarse_size(patch: Patch) -> tuple[int, int]:
    """Rows and columns of the samples of a patch."""
    h, w = patch.plane.shape
    return len(range(STEP // 2, h, STEP)), len(range(STEP // 2, w, STEP))


def coarse(pivots: list[Patch], patches: list[Patch], below: list[Patch], matrix: Matrix) -> tuple[Plane, Plane]:
    """A view without detail, at every STEPth pixel of the pivot's patches, as one vector, and where it is known."""
    values, known = [], []
    for pivot, patch, unclipped in zip(pivots, patches, below, strict=True):
        at = places(matrix, pivot.window, (patch.x, patch.y), STEP)
        values.append(fetched(soft(patch.plane, patch.valid, SOFT)[0], at).ravel())
        known.append(fetched(soft(patch.plane, unclipped.valid, SOFT)[1], at).ravel() > KNOWN)
    return np.concatenate(values), np.concatenate(known)


def beside_median(samples: Plane, sure: Plane) -> tuple[Plane, Plane, Plane, float]:
    """Views (t, n) against their median: gains (t,), what each is off in the median's light (t, n), correlations (t,), and
    the difference that is still usual. With fewer than 3 views nothing is off.
    """  # fmt: skip
    t, n = samples.shape
    gains, offsets = np.ones(t), np.zeros(t)
    for k in range(t):
        own = samples[k][sure[k]]
        if len(own) > 8:
            offsets[k] = np.median(own)
            gains[k] = max(1.4826 * float(np.median(np.abs(own - offsets[k]))), 1e-6)
    middle = np.zeros(n)
    for _ in range(3):
        lit = np.where(sure, (samples - offsets[:, None]) / gains[:, None], np.nan)
        some = sure.any(0)
        middle[some] = np.nanmedian(lit[:, some], axis=0)
        for k in range(t):
            if sure[k].sum() > 8:
                gains[k], offsets[k] = line(middle[sure[k]], samples[k][sure[k]])
                gains[k] = gains[k] if abs(gains[k]) > 1e-6 else 1e-6
    told = sure & (sure.sum(0) >= SEEING)
    off = np.where(told, (samples - offsets[:, None]) / gains[:, None] - middle, 0)
    alike = np.array([correlation(middle[s], one[s]) for s, one in zip(sure, samples, strict=True)])
    if t < SEEING or not told.any():
        return gains, np.zeros_like(off), np.ones(t), np.inf
    spreads = [1.4826 * float(np.median(np.abs(o[s]))) for o, s in zip(off, told, strict=True) if s.any()]
    low, high = np.percentile(middle, (2, 98))
    return gains, off, alike, max(UNLIKE * float(np.median(spreads)), LITTLE * float(high - low))


def agreement(patches: list[list[Patch]], starts: list[Matrix]) -> list[tuple[float, float]]:
    """Per view (contrast, correlation): its detail, between 1 and 3 px, as far as it is that of the median of all views."""
    spots = []
    for spot in zip(*patches, strict=True):
        planes, sure = [], []
        for patch, matrix in zip(spot, starts, strict=True):
            at = places(matrix, spot[0].window, (patch.x, patch.y), 2)
            near, known = soft(patch.plane, patch.valid, 1.0)
            planes.append(fetched(near - soft(patch.plane, patch.valid, 3.0)[0], at).ravel())
            sure.append(fetched(known, at).ravel() > 0.99)
        spots.append((np.stack(planes), np.stack(sure)))
    detail, known = (np.concatenate(part, 1) for part in zip(*spots, strict=True))
    spread = np.array([max(float(np.std(d[k])), 1e-9) if k.any() else 1.0 for d, k in zip(detail, known, strict=True)])
    alike = detail / spread[:, None]
    middle = alike - differences(alike, known)
    found = []
    for d, k, m in zip(detail, known, middle, strict=True):
        r = max(correlation(d[k], m[k]), 0.0)
        found.append((r * float(np.std(d[k])) if k.any() else 0.0, r))
    return found


def alone(patches: list[Patch]) -> tuple[float, float]:
    """The same of a view that has no others to agree with: its structure, and how it stands out of its noise."""
    strength, noise = structure(patches)
    return strength, float(np.sqrt(strength**2 / (strength**2 + noise**2))) if strength else 0.0


def correlation(a: Plane, b: Plane) -> float:
    """Of two vectors; 0 where one of them does not vary."""
    if len(a) < 8 or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def structure(patches: list[Patch]) -> tuple[float, float]:
    """The contrast of structures of one to four pixels, noise taken off, and that noise, both in codes."""
    bands, fine, rough = [], [], []
    for p in patches:
        near, sure = soft(p.plane, p.valid, 0.7)
        far, _ = soft(p.plane, p.valid, 2.0)
        good = sure > 0.99
        bands.append((near - far)[good])
        fine.append((p.plane - near)[good])
        rough.append(roughness(p)[good])
    band, rest, uneven = (np.concatenate(part) for part in (bands, fine, rough))
    if not len(band):
        return 0.0, 0.0
    calm = rest[uneven <= np.quantile(uneven, CALM)]
    noise = (
        1.4826 * float(np.median(np.abs(calm))) / 0.72
    )  # what this filter leaves of white noise; the other leaves 0.34
    total = float(np.mean(np.clip(band, *np.percentile(band, (1, 99))) ** 2))
    return float(np.sqrt(max(total - (0.34 * noise) ** 2, SURELY * total))), noise


def worth(patches: list[Patch], dtype: np.dtype[Any]) -> float:
    """Structure beside noise, in the share of the pixels that are valid and not saturated."""
    below = unsaturated(patches, dtype)
    strength, noise = structure(below)
    rounding = 0.3 if dtype.kind in "iu" else 0.0  # what whole numbers alone are off by
    seen = float(np.mean([p.valid.mean() for p in below]))
    return seen * strength / (max(noise, rounding) + STEADY * strength + 1e-12)


def upsampled(cloudy: Plane, shape: tuple[int, ...]) -> Plane:
    """Bool (h, w): where a first look saw something strange."""
    return cv2.resize(cloudy.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
