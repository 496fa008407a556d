"""Small rasters and pictures of every kind the burst reader takes, written the way other tools write them."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

UTM33 = "EPSG:32633"
PLACE = Affine(10, 0, 500_000, 0, -10, 6_200_000)


def codes(seed: int, bands: int = 1, h: int = 40, w: int = 56, dtype: str = "uint16") -> np.ndarray:
    """Codes (bands, h, w), never 0 nor the greatest, different for every seed."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.uniform(0.1, 0.9, (bands, h, w)).astype(dtype)
    return rng.integers(1, min(np.iinfo(dtype).max, 4000), (bands, h, w)).astype(dtype)


def geotiff(path: Path, picture: np.ndarray, *, mask: np.ndarray | None = None, **profile: Any) -> str:
    """A GeoTIFF of codes (bands, h, w) at PLACE unless told otherwise; `mask` (h, w), nonzero = valid, inside it."""
    n, h, w = picture.shape
    profile = {"crs": UTM33, "transform": PLACE, "dtype": picture.dtype.name} | profile
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", width=w, height=h, count=n, **profile) as out:
            out.write(picture)
            if mask is not None:
                out.write_mask(mask)
    return str(path)


def plain_tiff(path: Path, pages: list[np.ndarray]) -> str:
    """A TIFF without a place of pages (h, w) or (h, w, 3)."""
    assert cv2.imwritemulti(str(path), pages)
    return str(path)


def png(path: Path, picture: np.ndarray) -> str:
    """A PNG of codes (bands, h, w), red first."""
    order = [0] if len(picture) == 1 else [2, 1, 0, 3][: len(picture)]
    assert cv2.imwrite(str(path), np.moveaxis(picture[order], 0, -1))
    return str(path)


def jpeg(path: Path, picture: np.ndarray, *, exif: bytes = b"") -> str:
    """A JPEG of codes (3, h, w), with an EXIF segment where given."""
    data = cv2.imencode(".jpg", np.moveaxis(picture[::-1], 0, -1), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif if exif else b""
    path.write_bytes(data[:2] + segment + data[2:])
    return str(path)


def exif(*, orientation: int = 1, seconds: tuple[int, int] = (1, 50), iso: int = 200, stop: float = 2.0) -> bytes:
    """EXIF as cameras write it: orientation in the first directory, the exposure in the one it points to."""
    order, head = "<", b"II*\0" + struct.pack("<I", 8)
    first_size, inner_entries = 2 + 2 * 12 + 4, 4
    inner_at = 8 + first_size
    data_at = inner_at + 2 + inner_entries * 12 + 4

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")

    first = struct.pack("<H", 2) + entry(0x112, 3, 1, struct.pack("<H", orientation))
    first += entry(0x8769, 4, 1, struct.pack("<I", inner_at)) + b"\0" * 4
    inner = struct.pack("<H", inner_entries)
    inner += entry(0x829A, 5, 1, struct.pack("<I", data_at)) + entry(0x829D, 5, 1, struct.pack("<I", data_at + 8))
    inner += entry(0x8827, 3, 1, struct.pack("<H", iso)) + entry(0x9003, 2, 20, struct.pack("<I", data_at + 16))
    data = struct.pack("<IIII", *seconds, round(stop * 10), 10) + b"2025:06:17 10:20:30\0"
    return head + first + inner + b"\0" * 4 + data
