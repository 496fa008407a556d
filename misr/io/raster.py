"""Rasters as views, read by windows through rasterio (GDAL): GeoTIFF, COG, multi-page TIFF, JPEG 2000, VRT and whatever it opens.

GDAL keeps decoded blocks in a cache of its own, bounded here, so that a scene of any size is read in flat memory.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from misr.errors import InputError
from misr.geo import Affine, Geo
from misr.io.view import DTYPES, Array, assert_inside, has_data, is_mask

CACHE_MB = "512"  # of decoded blocks, all files together: a row of 512 px windows in 8 scenes of 10,000 px, 4 bands
LOOKS = 16  # rows of an alpha band that are looked at
EXPOSURE_TAGS = ("EXIF_ExposureTime", "EXPOSURE_TIME", "EXPOSURE", "INTEGRATION_TIME")
TIME_TAGS = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "EXIF_DateTimeOriginal", "TIFFTAG_DATETIME", "DATETIME")
WHAT_NOW = "copy or download it again, or leave it out"


def library(path: str) -> Any:
    """The module rasterio, its cache bounded; InputError when it is not installed."""
    os.environ.setdefault("GDAL_CACHEMAX", CACHE_MB)  # GDAL's own default is a share of the machine's memory
    try:
        import rasterio
    except ImportError:
        raise InputError(f'{path}: needs rasterio; pip install "misr[geo]"') from None
    return rasterio


def rasters(path: str, nodata: float | None = None) -> tuple[list[RasterView], tuple[str, ...]]:
    """The views of a file, one a page, and notes about pages left out because they are of another size than the first."""
    rasterio = library(path)
    first = opened(rasterio, path, path)
    pages = [p for p in first.subdatasets if p.startswith("GTIFF_DIR:")]
    if first.subdatasets and not pages:
        first.close()
        raise InputError(
            f"{path}: holds several data sets; write the one that is meant to a GeoTIFF (gdal_translate) first"
        )
    if len(pages) < 2:
        return [RasterView(path, first, nodata)], ()
    views = [RasterView(f"{path}#{n}", opened(rasterio, p, path), nodata) for n, p in enumerate(pages, 1)]
    first.close()
    same = [v for v in views if (v.width, v.height, v.bands) == (views[0].width, views[0].height, views[0].bands)]
    left = [v for v in views if v not in same]
    for view in left:
        view.close()
    note = f"{path}: {len(left)} of {len(views)} pages are of another size than the first and were left out"
    return same, (note,) if left else ()


def opened(rasterio: Any, path: str, name: str) -> Any:
    """A rasterio data set; InputError in one sentence when GDAL does not open it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            return rasterio.open(path)
        except rasterio.errors.RasterioError as e:
            raise InputError(f"{name}: not a readable raster ({words(e)}); {WHAT_NOW}") from None


def words(e: BaseException) -> str:
    """GDAL's own words for what went wrong, without the path and without pointing elsewhere."""
    inner = e.__cause__ if e.__cause__ is not None else e
    text = re.sub(r"Read failed\. See previous exception for details\.", "", str(inner)).strip()
    text = re.sub(r"^'?[^':]*'?(?:, band \d+)?: ", "", text) or "a block does not decode"
    return text.rstrip(".")


class RasterView:
    """A view of a raster file; see View. Reads may come from any thread, one at a time.

    A band called alpha is the mask where it is one (see is_mask), otherwise a band like others: some writers call any fourth
    band alpha. Validity: nodata (the file's, or `nodata` for all), NaN and inf, alpha, and the file's mask.
    """

    def __init__(self, name: str, dataset: Any, nodata: float | None = None) -> None:
        self.name, self.dataset = name, dataset
        self._lock = Lock()
        self.width, self.height = int(dataset.width), int(dataset.height)
        self.indexes, self.alpha = self._roles()
        self.bands = len(self.indexes)
        self.dtype = self._one_dtype()
        self.nodata = nodata if nodata is not None else dataset.nodata
        self.geo = place(dataset, self.nodata)
        tags = {k.upper(): v for ns in (None, "IMAGERY", "EXIF") for k, v in dataset.tags(ns=ns).items()}
        self.exposure, self.time = exposure(tags), moment(tags)
        flags = [f.name for f in dataset.mask_flag_enums[0]]
        self._masked = "per_dataset" in flags and "alpha" not in flags

    def _roles(self) -> tuple[tuple[int, ...], int]:
        """Numbers (from 1) of the bands of data, and of the alpha band or 0."""
        roles = [c.name for c in self.dataset.colorinterp]
        if "palette" in roles:
            raise InputError(
                f"{self.name}: its codes are indices of a palette; expand it first (gdal_translate -expand rgb)"
            )
        called = roles.index("alpha") + 1 if "alpha" in roles and len(roles) > 1 else 0
        alpha = called if called and is_mask(self._look(called)) else 0
        return tuple(i for i in range(1, len(roles) + 1) if i != alpha), alpha

    def _look(self, band: int) -> Array:
        """A few rows of a band, from all over it."""
        rows = sorted({round(i * (self.height - 1) / (LOOKS - 1)) for i in range(LOOKS)})
        return np.concatenate([self._read([band], 0, y, self.width, 1)[0] for y in rows])

    def _one_dtype(self) -> np.dtype[Any]:
        found = {self.dataset.dtypes[i - 1] for i in self.indexes}
        if len(found) > 1 or not found <= set(DTYPES):
            raise InputError(
                f"{self.name}: codes of {' and '.join(sorted(found))}; convert it to one of {', '.join(DTYPES)}"
            )
        return np.dtype(found.pop())

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bands: their descriptions, colours or numbers."""
        told = [self.dataset.descriptions[i - 1] or self.dataset.colorinterp[i - 1].name for i in self.indexes]
        plain = ("undefined", "gray", "alpha")
        return tuple(f"band {i}" if name in plain else name for i, name in zip(self.indexes, told, strict=True))

    def read(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Codes (bands, h, w) as stored; InputError where the file breaks."""
        assert_inside(self, x, y, w, h)
        return self._read([self.indexes[b] for b in (range(self.bands) if bands is None else bands)], x, y, w, h)

    def valid(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Bool (h, w), see View."""
        seen = has_data(self.read(x, y, w, h, bands), self.nodata)
        if self.alpha:
            seen &= self._read([self.alpha], x, y, w, h)[0] != 0
        return seen & (self._read(None, x, y, w, h) != 0) if self._masked else seen

    def _read(self, indexes: list[int] | None, x: int, y: int, w: int, h: int) -> Array:
        """Bands by their numbers, or the file's mask."""
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        window = Window(x, y, w, h)
        try:
            with self._lock:
                codes: Array = (
                    self.dataset.dataset_mask(window=window)
                    if indexes is None
                    else self.dataset.read(indexes, window=window)
                )
                return codes
        except RasterioError as e:
            raise InputError(
                f"{self.name}: damaged between ({x}, {y}) and ({x + w}, {y + h}) ({words(e)}); {WHAT_NOW}"
            ) from None

    def close(self) -> None:
        """Let go of the file."""
        self.dataset.close()


def place(dataset: Any, nodata: float | None) -> Geo | None:
    """Where a data set lies; None without a coordinate system and with a transform that says nothing."""
    a, b, c, d, e, f = dataset.transform[:6]
    transform: Affine = (a, b, c, d, e, f)
    crs = dataset.crs.to_wkt() if dataset.crs else ""
    return None if transform == (1, 0, 0, 0, 1, 0) else Geo(crs, transform, nodata)


def exposure(tags: dict[str, str]) -> float | None:
    """Exposure by the tags of a raster, in whatever unit they have."""
    found = next((tags[name.upper()] for name in EXPOSURE_TAGS if name.upper() in tags), "")
    number = re.search(r"[\d.]+(?:[eE][-+]?\d+)?", found)
    value = float(number[0]) if number and number[0].strip(".") else 0.0
    return value if value > 0 else None


def moment(tags: dict[str, str]) -> str:
    """When it was taken, by the tags, as ISO 8601."""
    found = next((tags[name.upper()] for name in TIME_TAGS if name.upper() in tags), "")
    match = re.match(r"(\d{4})[-:](\d\d)[-:](\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?", found)
    return "" if match is None else "-".join(match.groups()[:3]) + (f"T{match[4]}" if match[4] else "")
