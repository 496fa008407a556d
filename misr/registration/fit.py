"""One motion through the local shifts of a scene's patches, some of which are wrong: for scenes too large to register whole."""

from __future__ import annotations

import numpy as np

from misr.errors import InputError
from misr.registration.matrices import Matrix, Points, flat, moved
from misr.registration.placement import MODELS, Model

LEAST = {"shift": 1, "affine": 3, "homography": 4}  # points that determine a model
ROUNDS, SAMPLES = 40, 200
RAYLEIGH = 1.1774  # median distance in the plane, of the std along an axis
TUKEY = 4.685  # of the residuals' robust std: 95 % efficient
FLOOR_PX = 0.005  # residuals are never judged by less: patches are not placed better
FLAT = 1e-4  # spread of the points in the narrower direction, of that in the wider, from which an affine model holds


def fit(
    points_reference: Points, points_view: Points, weights: np.ndarray | None = None, model: Model = "affine"
) -> Matrix:
    """The matrix that takes points (n, 2) of the reference to the view's, robustly: up to about 40 % of them may be wrong.

    Weights (n,) are 0 for patches that could not be placed, else for example 1 / std^2; all 1 when None. InputError when too few
    points count, or when they lie on one line and a shift is not what is asked for.
    """
    a, b = (np.asarray(p, np.float64).reshape(-1, 2) for p in (points_reference, points_view))
    given = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
    check(a, b, given, model)
    keep = (given > 0) & np.isfinite(a).all(1) & np.isfinite(b).all(1)
    if np.count_nonzero(keep) < LEAST[model]:
        raise InputError(
            f"{np.count_nonzero(keep)} points count and a model {model} needs {LEAST[model]}; take a plainer model"
        )
    a, b, given = a[keep], b[keep], given[keep] / given[keep].max()
    if model != "shift" and on_one_line(a):
        raise InputError(f"all points lie on one line, which does not determine a model {model}; take shift")
    return robust(a, b, given, model)


def check(a: Points, b: Points, weights: np.ndarray, model: str) -> None:
    """InputError on an unknown model or on counts that differ."""
    if model not in MODELS:
        raise InputError(f'model "{model}" is none of {", ".join(MODELS)}; choose one of these')
    if not len(a) == len(b) == len(weights):
        raise InputError(
            f"{len(a)} points, {len(b)} points of the view and {len(weights)} weights; give as many of each"
        )


def on_one_line(points: Points) -> bool:
    """Whether the points are too nearly on one line."""
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(spread[-1] <= FLAT * max(spread[0], 1e-12))


def robust(a: Points, b: Points, given: np.ndarray, model: Model) -> Matrix:
    """Least squares from the best of many small samples on, weighted anew by the residuals until nothing changes."""
    found = consensus(a, b, given, model)
    for _ in range(ROUNDS):
        off_px = distances(found, a, b)
        spread_px = max(float(np.median(off_px)) / RAYLEIGH, FLOOR_PX)
        inside = np.maximum(1 - (off_px / (TUKEY * spread_px)) ** 2, 0) ** 2 * given
        if np.count_nonzero(inside) <= LEAST[model]:
            break
        before, found = found, least_squares(a, b, inside, model)
        if np.abs(np.subtract(before, found)).max() < 1e-9:
            break
    return found


def consensus(a: Points, b: Points, given: np.ndarray, model: Model) -> Matrix:
    """The model, through all points or as few as determine it, from which the median point is least far (Rousseeuw, 1984)."""
    best = least_squares(a, b, given, model)
    if len(a) <= LEAST[model] + 1:
        return best
    chance = np.random.default_rng(0)
    nearest = float(np.median(distances(best, a, b)))
    for _ in range(SAMPLES):
        few = chance.choice(len(a), LEAST[model], replace=False, p=given / given.sum())
        if model != "shift" and on_one_line(a[few]):
            continue
        tried = least_squares(a[few], b[few], given[few], model)
        off = float(np.median(distances(tried, a, b)))
        if off < nearest:
            best, nearest = tried, off
    return best


def distances(matrix: Matrix, a: Points, b: Points) -> np.ndarray:
    """(n,) px between where the motion takes a point and where it was found; inf where it takes it to no place."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.hypot(*(moved(matrix, a) - b).T), nan=np.inf)


def least_squares(a: Points, b: Points, weights: np.ndarray, model: Model) -> Matrix:
    """The matrix that minimises the weighted squared distances; a homography by iterated linear equations."""
    if model == "shift":
        dx, dy = (weights @ (b - a)) / weights.sum()
        return flat(np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]]))
    to_a, to_b = centring(a), centring(b)
    inner_a, inner_b = (moved(flat(t), p) for t, p in ((to_a, a), (to_b, b)))
    depth, inner = np.ones(len(a)), np.eye(3)
    for _ in range(1 if model == "affine" else 5):
        inner = projective(inner_a, inner_b, np.sqrt(weights) / depth, perspective=model == "homography")
        depth = np.maximum(inner_a @ inner[2, :2] + 1, 0.1)
    return flat(np.linalg.inv(to_b) @ inner @ to_a)


def centring(points: Points) -> np.ndarray:
    """(3, 3): to mean 0 and mean distance 1, in which equations are well conditioned."""
    mean = points.mean(0)
    size = max(float(np.hypot(*(points - mean).T).mean()), 1e-9)
    return np.array([[1 / size, 0, -mean[0] / size], [0, 1 / size, -mean[1] / size], [0, 0, 1]])


def projective(a: Points, b: Points, weights: np.ndarray, *, perspective: bool) -> np.ndarray:
    """(3, 3) from linear equations: b (1 + h . a) = A a + t, each weighted."""
    ones, zeros = np.ones(len(a)), np.zeros(len(a))
    rows = []
    for axis in (0, 1):
        here, there = [a[:, 0], a[:, 1], ones], [zeros] * 3
        bend = [-b[:, axis] * a[:, 0], -b[:, axis] * a[:, 1]] if perspective else []
        rows.append(
            np.stack([*(here if axis == 0 else there), *(there if axis == 0 else here), *bend], 1) * weights[:, None]
        )
    right = np.concatenate([b[:, 0] * weights, b[:, 1] * weights])
    found = np.linalg.lstsq(np.concatenate(rows), right, rcond=None)[0]
    return np.concatenate([found, [1] if perspective else [0, 0, 1]]).reshape(3, 3)
