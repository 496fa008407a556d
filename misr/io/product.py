"""Output: the fused picture on disk, written by windows, under its name only when it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from misr.io.burst import Burst
from misr.io.view import Array


class Output:
    """A picture being written; everything in pixels of the picture itself.

    width, height, bands, dtype and path are attributes.
    """

    path: Path
    width: int
    height: int
    bands: int

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
        """A new, empty output; whatever part file lay there is begun anew.

        window     (x, y, w, h) of the reference that is written, all of it by default
        bands      which of the burst's bands (from 0), all by default
        dtype      of the codes, the views' own by default
        sigma      also <stem>.sigma.tif (or .npz): per band the std of the error, in codes, and the effective number of views
        """
        raise NotImplementedError

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
        """The output an earlier run left unfinished, its windows intact; None when there is none that fits these words."""
        raise NotImplementedError

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
        """One window at (x, y): picture (bands, h, w) floats in codes, rounded and clipped once here; any float or integer dtype.

        valid      bool (h, w) or (bands, h, w): False gets nodata (NaN counts as False)
        sigma, count   (bands, h, w) floats, when created with sigma
        """
        raise NotImplementedError

    def flush(self) -> None:
        """All windows written so far are on the disk, whatever happens next."""
        raise NotImplementedError

    def finish(self) -> None:
        """Put the whole picture under its name (overviews, COG and sidecars included)."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the part file and leave it for reopen()."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Remove what was written."""
        raise NotImplementedError
