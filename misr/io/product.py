"""Output: the fused picture on disk, written by windows, under its name only when it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from misr.errors import OutputError
from misr.geo import Geo
from misr.io.burst import Burst
from misr.io.canvas import HOLDS, Canvas
from misr.io.geotiff import BLOCK, GeoTiff, Layout, carried
from misr.io.raster import RasterView
from misr.io.view import DTYPES, Array, ArrayView, ToldView, View

TIFF = (".tif", ".tiff")
Sink = GeoTiff | Canvas


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a picture is to be, worked out from the words of create()."""

    width: int
    height: int
    names: tuple[str, ...]
    dtype: str
    geo: Geo | None
    nodata: float | None
    carried: dict[str, Any]
    alpha: bool
    cog: bool


class Output:
    """A picture being written; x and y are pixels of the picture itself. Whole blocks of `block` px a window are best.

    Integer codes are rounded and clipped here, once. Pixels without a valid value get nodata (float without one: NaN), alpha 0
    where the source has alpha, else a mask (TIFF); what they show beneath is what was given, the surroundings for a picture
    that was fused. A valid code that would read as nodata moves by one step.
    TIFFs go through rasterio where it is installed and carry what the reference says of itself: coordinate system, transform,
    control points, RPCs, band names, colours, scales, offsets, tags, overviews. With `sigma`, <stem>.sigma.tif beside it (.npz
    beside anything but TIFF) has float32 `sigma of <band>`, the std of the error in codes, then `count of <band>`.
    """

    block = BLOCK

    def __init__(self, path: Path, wanted: Wanted, *, sigma: bool, resume: bool) -> None:
        self.path, self._wanted = path, wanted
        self.width, self.height, self.bands = wanted.width, wanted.height, len(wanted.names)
        self.dtype = np.dtype(wanted.dtype)
        self._picture = sink(path, wanted, resume=resume)
        self._beside: Sink | None = None
        if sigma:
            self._beside = sink(beside(path), errors_of(wanted), resume=resume, parts=("sigma", "count"))

    @classmethod
    def create(
        cls,
        path: str | Path,
        like: Burst,
        *,
        reference: int = 0,
        scale: int,
        window: tuple[int, int, int, int] | None = None,
        bands: Sequence[int] | None = None,
        dtype: str = "",
        sigma: bool = False,
        cog: bool = False,
    ) -> Output:
        """A new, empty output; whatever part file lay there is begun anew. OutputError when the name cannot hold the picture.

        window     (x, y, w, h) of the reference that is written, all of it by default
        bands      which of the burst's bands (from 0), all by default
        dtype      of the codes, the views' own by default
        sigma      also the file of sigma and count
        cog        a cloud optimised GeoTIFF
        """
        wanted = want(Path(path), like, reference, scale, window, bands, dtype, cog)
        return cls(Path(path), wanted, sigma=sigma, resume=False)

    @classmethod
    def reopen(
        cls,
        path: str | Path,
        like: Burst,
        *,
        reference: int = 0,
        scale: int,
        window: tuple[int, int, int, int] | None = None,
        bands: Sequence[int] | None = None,
        dtype: str = "",
        sigma: bool = False,
        cog: bool = False,
    ) -> Output | None:
        """The output an earlier run left unfinished, the windows it flushed intact; None when none fits these words."""
        wanted = want(Path(path), like, reference, scale, window, bands, dtype, cog)
        if not all(part(p).is_file() for p in (Path(path), *([beside(Path(path))] if sigma else []))):
            return None
        try:
            return cls(Path(path), wanted, sigma=sigma, resume=True)
        except OutputError:
            return None

    @property
    def parts(self) -> tuple[Path, ...]:
        """The hidden files that hold what is not finished."""
        return tuple(s.part for s in self._sinks)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that finish() makes: the picture, and the sigma file where asked for."""
        return tuple(s.path for s in self._sinks)

    @property
    def _sinks(self) -> tuple[Sink, ...]:
        return (self._picture,) if self._beside is None else (self._picture, self._beside)

    def write(
        self,
        x: int,
        y: int,
        picture: Array,
        *,
        valid: Array | None = None,
        sigma: Array | None = None,
        count: Array | None = None,
    ) -> None:
        """One window at (x, y): picture (bands, h, w) in codes, of any dtype.

        valid      bool (h, w) or (bands, h, w): False gets nodata (NaN counts as False)
        sigma, count   (bands, h, w) floats, when created with sigma
        """
        n, h, w = picture.shape
        assert n == self.bands and 0 <= x <= self.width - w and 0 <= y <= self.height - h, (x, y, picture.shape)
        seen = np.isfinite(picture)
        if valid is not None:
            seen &= valid
        self._picture.write(x, y, self._codes(picture, seen), np.logical_and.reduce(seen))
        if self._beside is not None:
            assert sigma is not None and count is not None, "created with sigma"
            both = np.concatenate([sigma, count]).astype(np.float32)
            both[:n][~seen] = np.nan
            self._beside.write(x, y, both, np.ones((h, w), bool))

    def _codes(self, picture: Array, seen: Array) -> Array:
        """Codes of the dtype, rounded and clipped; nodata, where there is one, stands where nothing was seen and nowhere else."""
        dtype, nodata = self.dtype, self._wanted.nodata
        if dtype.kind == "f":
            codes = picture.astype(dtype)
            step = np.nextafter(dtype.type(nodata), dtype.type(0)) if nodata else dtype.type(1e-30)
        else:
            lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
            codes = np.rint(np.nan_to_num(picture, nan=0.0)).clip(lowest, highest).astype(dtype)
            step = dtype.type(0) if nodata is None else dtype.type(nodata + (1 if nodata < highest else -1))
        if nodata is not None:
            codes[seen & (codes == dtype.type(nodata))] = step
        if nodata is not None or dtype.kind == "f":
            codes[~seen] = dtype.type(fill(dtype.name, nodata))
        return codes

    def flush(self) -> None:
        """All windows written so far are in the part files, whatever happens next."""
        for s in self._sinks:
            s.flush()

    def finish(self) -> None:
        """Put the files under their names, overviews and COG included; the picture last."""
        for s in reversed(self._sinks):
            s.finish()

    def close(self) -> None:
        """Let go of the part files and leave them for reopen()."""
        for s in self._sinks:
            s.close()

    def abandon(self) -> None:
        """Remove what was written."""
        for s in self._sinks:
            s.abandon()


def want(
    path: Path,
    like: Burst,
    reference: int,
    scale: int,
    window: tuple[int, int, int, int] | None,
    bands: Sequence[int] | None,
    dtype: str,
    cog: bool,
) -> Wanted:
    """What create() is asked for, checked."""
    told = like.views[reference]
    view = told.view if isinstance(told, ToldView) else told
    window = window or (0, 0, view.width, view.height)
    bands = tuple(range(view.bands)) if bands is None else tuple(bands)
    dtype = dtype or view.dtype.name
    if path.suffix.lower() not in HOLDS:
        raise OutputError(f"{path}: no such kind of picture is written here; {' '.join(HOLDS)} are")
    if dtype not in DTYPES:
        raise OutputError(f"{path}: no codes of {dtype} are written; {', '.join(DTYPES)} are")
    if cog and path.suffix.lower() not in TIFF:
        raise OutputError(f"{path}: only a .tif can be a cloud optimised GeoTIFF; name it so, or leave --cog out")
    nodata = view.nodata if fits(view.nodata, dtype) else None
    x, y, w, h = window
    return Wanted(
        width=w * scale,
        height=h * scale,
        names=tuple(like.names[b] for b in bands),
        dtype=dtype,
        geo=None if view.geo is None else view.geo.moved(x, y).finer(scale),
        nodata=np.nan if nodata is None and dtype.startswith("float") else nodata,
        carried=carried(view, scale, window, bands) if isinstance(view, RasterView) else {},
        alpha=has_alpha(view),
        cog=cog,
    )


def has_alpha(view: View) -> bool:
    """Whether a view's picture has an alpha channel."""
    return bool(view.alpha) if isinstance(view, RasterView | ArrayView) else False


def fits(nodata: float | None, dtype: str) -> bool:
    """Whether a dtype can hold a nodata value."""
    if nodata is None or dtype.startswith("float"):
        return nodata is not None
    limits = np.iinfo(dtype)
    return bool(np.isfinite(nodata) and nodata == int(nodata) and limits.min <= nodata <= limits.max)


def fill(dtype: str, nodata: float | None) -> float:
    """What a pixel without a value holds."""
    return nodata if nodata is not None else np.nan if dtype.startswith("float") else 0


def part(path: Path) -> Path:
    """The hidden file that becomes `path`."""
    return path.with_name(f".{path.name}.part")


def beside(path: Path) -> Path:
    """The name of the file of sigma and count."""
    return path.with_name(f"{path.stem}.sigma{'.tif' if path.suffix.lower() in TIFF else '.npz'}")


def errors_of(wanted: Wanted) -> Wanted:
    """What the file of sigma and count is to be."""
    names = tuple(f"{what} of {name}" for what in ("sigma", "count") for name in wanted.names)
    place = {k: v for k, v in wanted.carried.items() if k in ("gcps", "rpcs", "overviews")}
    return Wanted(wanted.width, wanted.height, names, "float32", wanted.geo, np.nan, place, alpha=False, cog=wanted.cog)


def sink(path: Path, wanted: Wanted, *, resume: bool, parts: tuple[str, ...] = ("picture",)) -> Sink:
    """Where the pixels go: GeoTIFF where rasterio is installed, else a picture or an array."""
    if path.suffix.lower() in TIFF and find_spec("rasterio") is not None:
        said = wanted.carried | {"alpha": wanted.alpha}
        layout = Layout(
            wanted.width, wanted.height, wanted.names, wanted.dtype, geo=wanted.geo, nodata=wanted.nodata, **said
        )
        return GeoTiff(path, part(path), layout, cog=wanted.cog, resume=resume)
    if wanted.cog:
        raise OutputError(f'{path}: a cloud optimised GeoTIFF needs rasterio; pip install "misr[geo]"')
    return Canvas(
        path,
        part(path),
        (len(wanted.names), wanted.height, wanted.width),
        wanted.dtype,
        alpha=wanted.alpha,
        fill=fill(wanted.dtype, wanted.nodata),
        geo=wanted.geo,
        parts=parts,
        resume=resume,
    )
