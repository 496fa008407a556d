"""View: one low-resolution picture of a burst, read by windows; ArrayView: one that is in memory or mapped from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from misr.errors import InputError
from misr.geo import Geo

Array = np.ndarray[Any, Any]
DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")


class View(Protocol):
    """A picture of `bands` x `height` x `width`, read by windows that lie inside it.

    name      the file's name, with #n for page, array or frame n of several (counted from 1)
    dtype     as stored, one of DTYPES
    nodata    the code value that marks pixels without data, or None
    geo       where it lies, or None
    exposure  how much light it gathered, in a unit all views of one burst share (only ratios mean anything), or None
    time      when it was taken, ISO 8601 as far as it is known, or ""
    names     of the bands; () where they have none
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def bands(self) -> int: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def nodata(self) -> float | None: ...  # noqa: D102
    @property
    def geo(self) -> Geo | None: ...  # noqa: D102
    @property
    def exposure(self) -> float | None: ...  # noqa: D102
    @property
    def time(self) -> str: ...  # noqa: D102
    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102

    def read(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Codes (bands, h, w) of the stored dtype, all bands or those asked for (from 0); InputError where the file breaks."""

    def valid(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Bool (h, w): pixels that hold data in every band asked for (all by default): no nodata, NaN, mask or alpha 0."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayView:
    """A view of codes (bands, h, w), in memory or mapped; `mask` (h, w) is nonzero where they are valid."""

    name: str
    codes: Array = field(repr=False)
    mask: Array | None = field(default=None, repr=False)
    nodata: float | None = None
    exposure: float | None = None
    time: str = ""
    geo: Geo | None = None
    names: tuple[str, ...] = ()
    alpha: bool = False  # the mask is the picture's own alpha channel

    def __post_init__(self) -> None:
        if self.codes.dtype.name not in DTYPES:
            raise InputError(f"{self.name}: {self.codes.dtype.name} codes; convert it to one of {', '.join(DTYPES)}")
        if self.codes.ndim != 3 or 0 in self.codes.shape:
            raise InputError(
                f"{self.name}: no picture in an array of {self.codes.shape}; (h, w) or (bands, h, w) is one"
            )
        if self.mask is not None and self.mask.shape != self.codes.shape[1:]:
            raise InputError(
                f"{self.name}: its mask is {size_text(self.mask)}, the picture {size_text(self.codes)}; give one of its size"
            )

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.codes.shape[2])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.codes.shape[1])

    @property
    def bands(self) -> int:
        """Bands of data; alpha is none."""
        return int(self.codes.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.codes.dtype

    def read(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Codes (bands, h, w); a copy."""
        assert_inside(self, x, y, w, h)
        window = self.codes[:, y : y + h, x : x + w]
        return np.array(window if bands is None else window[list(bands)])

    def valid(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Bool (h, w), see View."""
        seen = has_data(self.read(x, y, w, h, bands), self.nodata)
        return seen if self.mask is None else seen & nonzero(self.mask[y : y + h, x : x + w])

    def close(self) -> None:
        """Memory goes when the view does."""


@dataclass(frozen=True, slots=True, eq=False)
class ToldView:
    """A view with what is known of it from elsewhere: a mask (a view of its size, nonzero where valid), exposure, time."""

    view: View
    mask: View | None = None
    exposure: float | None = None
    time: str = ""

    name = property(lambda self: self.view.name)
    width = property(lambda self: self.view.width)
    height = property(lambda self: self.view.height)
    bands = property(lambda self: self.view.bands)
    dtype = property(lambda self: self.view.dtype)
    nodata = property(lambda self: self.view.nodata)
    geo = property(lambda self: self.view.geo)
    names = property(lambda self: self.view.names)

    def __post_init__(self) -> None:
        if self.mask is not None and (self.mask.width, self.mask.height) != (self.view.width, self.view.height):
            raise InputError(
                f"{self.mask.name}: a mask of {self.mask.width}x{self.mask.height} for {self.view.name} of "
                f"{self.view.width}x{self.view.height}; give one of its size"
            )

    def read(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Codes (bands, h, w), see View."""
        return self.view.read(x, y, w, h, bands)

    def valid(self, x: int, y: int, w: int, h: int, bands: Sequence[int] | None = None) -> Array:
        """Bool (h, w): what the view itself knows, and the mask."""
        seen = self.view.valid(x, y, w, h, bands)
        return seen if self.mask is None else seen & nonzero(self.mask.read(x, y, w, h, [0])[0])

    def close(self) -> None:
        """Let go of both files."""
        self.view.close()
        if self.mask is not None:
            self.mask.close()


def has_data(codes: Array, nodata: float | None) -> Array:
    """Bool (h, w) of codes (bands, h, w): finite and not nodata, in every band."""
    seen = np.ones(codes.shape[1:], bool)
    for band in codes:
        if band.dtype.kind == "f":
            seen &= np.isfinite(band)
        if nodata is not None and np.isfinite(nodata):
            seen &= band != (band.dtype.type(nodata) if band.dtype.kind == "f" else nodata)
    return seen


def nonzero(mask: Array) -> Array:
    """Bool of a mask of any dtype; NaN says invalid."""
    return (mask != 0) & ~np.isnan(mask) if mask.dtype.kind == "f" else mask != 0


def is_mask(band: Array) -> bool:
    """Whether a band that a file calls alpha is one: nine tenths of it all or nothing. Some writers call the fourth band so."""
    top = 1 if band.dtype.kind == "f" else np.iinfo(band.dtype).max
    full = band == top
    return bool(full.any() and (full | (band == 0)).mean() >= 0.9)


def size_text(array: Array) -> str:
    """WxH of an array (..., h, w)."""
    return f"{array.shape[-1]}x{array.shape[-2]}"


def assert_inside(view: View, x: int, y: int, w: int, h: int) -> None:
    """Windows are cut by us, so one that sticks out is our own mistake."""
    assert 0 <= x and 0 <= y and w > 0 and h > 0 and x + w <= view.width and y + h <= view.height, (
        x,
        y,
        w,
        h,
        view.name,
    )
