"""A picture as the bytes of a file that every browser shows, to be carried inside a page."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["webp", "jpeg"]
MEDIA = {"webp": "image/webp", "jpeg": "image/jpeg"}
OPTIONS = {
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100: lossless
    "jpeg": [
        cv2.IMWRITE_JPEG_QUALITY,
        95,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,  # chroma edges are what people look for
    ],
}
WEBP_SIDE = 16383  # pixels; the format holds no more


def embedded(rgb: Array, kind: Kind) -> bytes:
    """R'G'B' (h, w, 3) uint8 as a file: webp is lossless, jpeg of quality 95 with whole chroma."""
    suffix = ".webp" if kind == "webp" else ".jpg"
    done, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]), OPTIONS[kind])
    assert done, kind
    return data.tobytes()


def png(rgb: Array) -> bytes:
    """R'G'B' (h, w, 3) uint8 as a PNG file."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    assert done
    return data.tobytes()


def read_back(data: bytes) -> Array:
    """R'G'B' (h, w, 3) uint8 of what embedded() made, as a browser will see it."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    rgb: Array = found[..., ::-1]
    return rgb
