"""Where one shot ends and the next begins, from cheap statistics of two luma planes.

Four questions to two thumbnails, all blind to gain and offset, so that a flash or a fade is not a cut: how much differs
once the pictures are laid over each other (pans, shake), do the quarters of one turn up in the other (things that move
apart), do edges point the same way (flashes that clip), is there as much of every brightness (all moves at once). The
weights are a logistic fit to clips that scripts/measure_cuts makes of training data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from misr.frame import Frame

Array = np.ndarray[Any, np.dtype[np.float32]]

ROWS, COLUMNS = 32, 48  # of a thumbnail
SAMPLES = 4  # taken per cell and axis; more costs memory traffic and finds nothing more
FLAT = 0.01  # contrast below which a picture counts as having none, white = 1
EDGE = 0.02  # gradient per cell at which an edge counts half
PLAIN = 0.002  # contrast of black with its noise: there is nothing to compare
RICH = 0.05  # contrast that no fade reaches in its first step from black, and most pictures have
SMOOTH = 9  # cells over which light and shade are taken out, as any two skies agree in them
SAME = 0.3  # normalised difference at which two pictures are one scene without further questions
DARK = 0.006  # mean difference, white = 1, that is never a cut: 1.5 code values of 255


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """What is_cut remembers of a frame: thumbnail (32, 48), white = 1; its gradients (2, 31, 47), about unit length."""

    size: tuple[int, int]
    thumbnail: Array
    edges: Array


def signature(frame: Frame) -> Signature:
    """The signature of a frame's luma; of RGB, of its G plane."""
    plane = frame.planes[1 if frame.color.model == "rgb" else 0]
    h, w = plane.shape
    sparse = np.ascontiguousarray(plane[:: max(1, h // (ROWS * SAMPLES)), :: max(1, w // (COLUMNS * SAMPLES))])
    white = 1.0 if plane.dtype == np.float32 else 2.0**frame.color.depth - 1
    small = cv2.resize(sparse, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(white)
    slopes = np.stack([small[:-1, 1:] - small[:-1, :-1], small[1:, :-1] - small[:-1, :-1]])
    return Signature((h, w), small, slopes / np.sqrt((slopes * slopes).sum(0) + np.float32(EDGE**2)))


def is_cut(a: Frame, b: Frame) -> bool:
    """Whether b begins a new shot after a. A pure function of the two frames."""
    return is_cut_between(signature(a), signature(b))


def is_cut_between(a: Signature, b: Signature) -> bool:
    """is_cut of the frames that these are the signatures of."""
    if a.size != b.size:
        return True
    top, bottom, left, right = live(a.thumbnail, b.thumbnail)
    here = slice(top, bottom), slice(left, right)
    p, q = a.thumbnail[here], b.thumbnail[here]
    plainer, richer = sorted((float(p.std()), float(q.std())))
    if plainer < PLAIN:
        return richer > RICH
    if np.abs(p - q).mean() < DARK or difference(p, q) < SAME:
        return False
    return score(p, q, *(s.edges[:, top : bottom - 1, left : right - 1] for s in (a, b))) > 0


def score(p: Array, q: Array, edges_p: Array, edges_q: Array) -> float:
    """Above 0: a cut."""
    histograms = difference(np.sort(p, axis=None), np.sort(q, axis=None))
    return (
        5.3 * aligned_difference(p, q)
        + 9.4 * histograms
        - 5.7 * agreement(edges_p, edges_q)
        - 20.8 * quarters_found(p, q)
        + 5.7
    )


def live(p: Array, q: Array) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is not a plain, unchanging border (letterbox bars) in either thumbnail."""
    spans = []
    for axis in (1, 0):
        both = np.concatenate([p, q], axis)
        busy = np.flatnonzero(both.max(axis) - both.min(axis) > 2 * FLAT)
        n = p.shape[1 - axis]
        first, last = (int(busy[0]), int(busy[-1]) + 1) if busy.size else (0, n)
        first, last = first + (first > 0), last - (last < n)  # the next cell is bar in part
        spans += [first, last] if last - first >= n // 2 else [0, n]
    return spans[0], spans[1], spans[2], spans[3]


def difference(p: Array, q: Array) -> float:
    """Mean absolute difference of two arrays at mean 0 and contrast 1: 0 for the same, about 1.1 for strangers."""
    p, q = normal(p), normal(q)
    return cv2.norm(p, q, cv2.NORM_L1) / p.size


def normal(p: Array) -> Array:
    """The picture at mean 0 and contrast 1, less where it has next to none."""
    p = p - p.mean()
    return p / np.float32(np.sqrt(np.vdot(p, p) / p.size) + FLAT)


def aligned_difference(p: Array, q: Array) -> float:
    """The difference where they overlap once the middle of one is found in the other; the better of the two ways."""
    h, w = p.shape
    found = []
    for one, other in ((p, q), (q, p)):
        top, left = h // 4, w // 4
        match = cv2.matchTemplate(
            other, np.ascontiguousarray(one[top : h - top, left : w - left]), cv2.TM_CCOEFF_NORMED
        )
        x, y = cv2.minMaxLoc(match)[3]
        dx, dy = x - left, y - top
        found.append(
            difference(
                one[max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)],
                other[max(0, dy) : h + min(0, dy), max(0, dx) : w + min(0, dx)],
            )
        )
    return min(found)


def quarters_found(p: Array, q: Array) -> float:
    """Mean correlation, up to 1, with which the detail of one's quarters is found near its place in the other; better way."""
    h, w = p.shape[0] // 2, p.shape[1] // 2
    p, q = (x - cv2.blur(x, (SMOOTH, SMOOTH), borderType=cv2.BORDER_REPLICATE) for x in (p, q))
    places = [(y, x) for y in (0, h) for x in (0, w)]
    return max(float(np.mean([found_near(one, other, y, x) for y, x in places])) for one, other in ((p, q), (q, p)))


def found_near(one: Array, other: Array, y: int, x: int) -> float:
    """Best correlation of the quarter of one at (y, x) within a quarter's height and width around."""
    h, w = one.shape[0] // 2, one.shape[1] // 2
    part = np.ascontiguousarray(one[y + 2 : y + h - 2, x + 2 : x + w - 2])
    if part.max() - part.min() < 1e-5:
        return 1.0  # a plain sky is found anywhere
    near = other[max(0, y + 2 - h // 2) : y + h - 2 + h // 2, max(0, x + 2 - w // 2) : x + w - 2 + w // 2]
    return float(cv2.matchTemplate(np.ascontiguousarray(near), part, cv2.TM_CCOEFF_NORMED).max())


def agreement(p: Array, q: Array) -> float:
    """How far edges point the same way: 1 for the same, 0 for strangers; near 0 where there are none."""
    common = float((p * q).sum(0).mean())
    return common / float(np.sqrt((p * p).sum(0).mean() * (q * q).sum(0).mean()) + 0.02)
