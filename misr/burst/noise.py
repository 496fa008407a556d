"""Noise of each view, from what no picture that is smooth over a few pixels explains in all of them together.

Around a place, the samples of all views lie where registration has put them. A polynomial in x and y, with a constant of its own
for every view, is fitted to them by least squares; what is left of each view is its noise, after the degrees of
freedom that the fit has taken are given back. Only places without much structure are asked.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from misr.burst.looks import Patch, Plane, soft
from misr.registration.matrices import Matrix, moved

PLACES = 1500  # cells that are fitted
CALM = 0.2  # share of cells, those with the least structure, that are drawn from
ENOUGH = 300  # cells, before that share is enforced
POOL = 40_000  # cells that are looked at
LEAST = 60  # cells without which nothing is fitted
NUMBERS = 12_000_000  # in the largest array that is made
DOUBTED = 0.3  # of the usual sigma of the views: none is believed to have less
SIDES = {1: 5, 2: 4, 3: 4, 4: 4}  # pixels along a cell, by views
SIDE = 3
GIVEN = 0.63  # share of the samples that may be spent on the fit's unknowns
DEGREES = 7  # of the polynomial, at most


def noise(patches: list[list[Patch]], matrices: list[Matrix]) -> list[float]:
    """One sigma per view, in codes of the common light its patches are in; the first view is the reference.

    patches[t][k] is patch k of view t, and matrices[t] takes the reference's pixels to those of view t. Where too few places
    are valid in all views, what differs between neighbouring pixels stands in.
    """
    side = SIDES.get(len(patches), SIDE)
    pool = max(1, POOL // len(patches[0]))
    gathered = [cells(spot, matrices, side, pool) for spot in zip(*patches, strict=True)]
    values, at, rough = (np.concatenate(part) for part in zip(*gathered, strict=True))
    if len(values) < LEAST:
        return [neighbours(own) for own in patches]
    keep = np.argsort(rough, kind="stable")[: max(ENOUGH, int(CALM * len(rough)))]
    keep = keep[:: max(1, ceil(len(keep) / min(PLACES, NUMBERS // (len(patches) * side * side) ** 2)))]
    found = shares(values[keep], at[keep], degree(len(patches), side))
    return [max(s, DOUBTED * float(np.median(found))) for s in found]


def neighbours(patches: list[Patch]) -> float:
    """Sigma of one view as if it had no structure: from differences between pixels side by side; 0 where nothing is valid."""
    steps = [np.diff(p.plane, axis=1)[p.valid[:, 1:] & p.valid[:, :-1]] for p in patches]
    known = np.concatenate(steps)
    return 1.4826 * float(np.median(np.abs(known))) / float(np.sqrt(2)) if len(known) else 0.0


def degree(views: int, side: int) -> int:
    """The highest degree of a polynomial that leaves enough samples free."""
    room = GIVEN * views * side * side - (views - 1)
    return max(d for d in range(DEGREES + 1) if d == 0 or (d + 1) * (d + 2) / 2 <= room)


def cells(spot: tuple[Patch, ...], matrices: list[Matrix], side: int, pool: int) -> tuple[Plane, Plane, Plane]:
    """Cells of a patch, `pool` at most: samples (n, t, k), k = side^2, where in the reference (n, t, k, 2), roughness (n,)."""
    reference = spot[0]
    h, w = reference.plane.shape
    xs, ys = np.meshgrid(np.arange(2, w - side - 1, side), np.arange(2, h - side - 1, side))
    corner = np.stack([xs.ravel(), ys.ravel()], 1)
    corner = corner[:: ceil(len(corner) / pool) or 1]
    middle = corner + (side - 1) / 2
    oy, ox = (n.ravel() for n in np.mgrid[:side, :side])
    kept = np.ones(len(corner), bool)
    values, places = [], []
    for patch, matrix in zip(spot, matrices, strict=True):
        seen = moved(matrix, middle + np.array([reference.x, reference.y])) - (patch.x, patch.y)
        begin = np.round(seen - (side - 1) / 2).astype(int)
        vh, vw = patch.plane.shape
        kept &= (begin >= 0).all(1) & (begin[:, 0] + side <= vw) & (begin[:, 1] + side <= vh)
        px = np.clip(begin[:, :1] + ox, 0, vw - 1)
        py = np.clip(begin[:, 1:] + oy, 0, vh - 1)
        kept &= patch.valid[py, px].all(1)
        values.append(patch.plane[py, px])
        places.append((np.stack([px, py], -1) - seen[:, None]) / (side / 2))
    rough = roughness(reference)[corner[:, 1] + side // 2, corner[:, 0] + side // 2]
    return np.stack(values, 1)[kept], np.stack(places, 1)[kept], rough[kept]


def roughness(patch: Patch) -> Plane:
    """How much structure lies around a pixel: the energy of its slopes, softened."""
    smooth, _ = soft(patch.plane, patch.valid, 1.0)
    down, across = np.gradient(smooth)
    return soft(across**2 + down**2, patch.valid, 2.0)[0]


def shares(values: Plane, at: Plane, degree: int) -> list[float]:
    """Sigma of each view from cells (n, t, k) of samples and where they lie (n, t, k, 2)."""
    n, t, k = values.shape
    x, y = at[..., 0].reshape(n, t * k), at[..., 1].reshape(n, t * k)
    terms = [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    own = np.broadcast_to(np.repeat(np.eye(t)[1:], k, axis=1), (n, t - 1, t * k))
    basis = np.concatenate([np.stack(terms, 1), own], 1).swapaxes(1, 2)  # (n, t * k, terms)
    basis = np.linalg.qr(basis)[0]
    off = values.reshape(n, t * k, 1) - basis @ (basis.swapaxes(1, 2) @ values.reshape(n, t * k, 1))
    left = np.eye(t * k) - basis @ basis.swapaxes(1, 2)
    mixing = (left**2).reshape(n, t, k, t, k).sum((2, 4))  # how much of view s's variance is seen in view t
    energy = (off.reshape(n, t, k) ** 2).sum(2)
    return [float(np.sqrt(v)) for v in solved(mixing, energy)]


def solved(mixing: Plane, energy: Plane) -> Plane:
    """Variances (t,), none below 0, that explain the energies (n, t) of most cells; those far above are left out."""
    keep = np.ones(len(energy), bool)
    variance = np.zeros(energy.shape[1])
    for _ in range(6):
        m, e = mixing[keep].mean(0), energy[keep].mean(0)
        variance = np.maximum(np.linalg.lstsq(m, e, rcond=None)[0], 0)
        said = (mixing @ variance).sum(1)
        ratio = energy.sum(1) / np.maximum(said, 1e-12)
        keep = ratio < 3 * np.median(ratio)
        if not keep.any():
            break
    return variance
