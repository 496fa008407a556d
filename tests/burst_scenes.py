"""Synthetic bursts with known truth: one fine picture, seen by a camera that aliases, wherever and in whatever light."""

from functools import lru_cache

import cv2
import numpy as np

from misr.burst.looks import places
from misr.io.burst import Burst
from misr.io.view import ArrayView
from misr.registration import IDENTITY, shifted

FINE = 4  # fine pixels per pixel
EDGE = 24  # pixels of scene around the picture
OPTICS = 0.27  # px


@lru_cache(maxsize=8)
def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Fields and texture, 0 to 1, FINE times finer than the pixels, EDGE pixels larger on every side; blurred by the camera."""
    draw = np.random.default_rng(seed)
    h, w = FINE * (height + 2 * EDGE), FINE * (width + 2 * EDGE)
    fields = sum(
        (cv2.GaussianBlur(draw.standard_normal((h, w)).astype(np.float32), (0, 0), s) * s > 0.02).astype(np.float32) * a
        for s, a in ((48, 0.3), (20, 0.2), (8, 0.2))
    )
    grain = cv2.GaussianBlur(draw.standard_normal((h, w)).astype(np.float32), (0, 0), 2.0)
    plane = 0.15 + fields + 0.06 * grain / grain.std()
    return cv2.blur(cv2.GaussianBlur(plane, (0, 0), OPTICS * FINE), (FINE, FINE))


def seen(height: int, width: int, matrix=IDENTITY, seed: int = 0) -> np.ndarray:
    """The view (height, width) whose pixel matrix(p) shows what the reference shows at p."""
    inverse = tuple(np.linalg.inv(np.reshape(matrix, (3, 3))).ravel())
    x, y = places(inverse, (0, 0, width, height), (0, 0))
    at = (
        (n + EDGE + 0.5) * FINE - 0.5 + 0.5 for n in (x, y)
    )  # cv2.blur of an even size is centred half a pixel before
    return cv2.remap(scene(height, width, seed), *(n.astype(np.float32) for n in at), cv2.INTER_LANCZOS4)


def moves(count: int, seed: int = 1, reach: float = 1.5):
    """Matrices of shifts; the first view is not moved."""
    draw = np.random.default_rng(seed)
    return [IDENTITY, *(shifted(*draw.uniform(-reach, reach, 2)) for _ in range(count - 1))]


def burst_of(views, **told) -> Burst:
    """A burst of codes (h, w) or (bands, h, w); told: a list for each property of ArrayView."""
    made = tuple(
        ArrayView(f"{n}.npy", v if v.ndim == 3 else v[None], **{k: one[n] for k, one in told.items()})
        for n, v in enumerate(views)
    )
    return Burst("made", made, tuple(f"band {n}" for n in range(made[0].bands)))


def lit(planes, *, gains=None, offsets=None, sigma=0.0, seed=5, dtype=np.uint16) -> list[np.ndarray]:
    """Planes from 0 to 1 as codes up to some 4000, in the light and with the noise of their cameras; sigma in codes."""
    draw = np.random.default_rng(seed)
    gains, offsets = gains or [1.0] * len(planes), offsets or [0.0] * len(planes)
    sigmas = sigma if isinstance(sigma, list) else [sigma] * len(planes)
    codes = [
        g * (4000 * p + 400) + o + s * draw.standard_normal(p.shape)
        for p, g, o, s in zip(planes, gains, offsets, sigmas, strict=True)
    ]
    return [c.astype(dtype) if np.dtype(dtype).kind == "f" else np.clip(np.rint(c), 0, 65535).astype(dtype) for c in codes]
