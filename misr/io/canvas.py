"""Pictures and arrays written by windows: kept in a mapped part file, encoded at the end. PNG, JPEG, TIFF, NPY, NPZ."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from einops import rearrange

from misr.errors import OutputError
from misr.geo import Geo
from misr.io.view import Array

HOLDS = {  # dtypes and numbers of bands, alpha not counted, by suffix; () is any
    ".png": (("uint8", "uint16"), (1, 3)),
    ".jpg": (("uint8",), (1, 3)),
    ".jpeg": (("uint8",), (1, 3)),
    ".tif": (("uint8", "uint16", "float32", "float64"), (1, 3, 4)),
    ".tiff": (("uint8", "uint16", "float32", "float64"), (1, 3, 4)),
    ".npy": ((), ()),
    ".npz": ((), ()),
}
ALPHA = (".png", ".tif", ".tiff")  # can hold it, beside three bands
WORLD = {".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw"}
JPEG_QUALITY = 95


class Canvas:
    """A picture (bands, h, w) in a mapped file `part`; finish() encodes it under `path`.

    NPY holds (h, w) of one band, else (bands, h, w); NPZ the arrays of `parts`, each a run of bands, by name.
    With `alpha` a fourth band says what is valid, where the file can hold it. A PNG or JPEG that lies on the Earth gets a
    world file beside it.
    """

    def __init__(
        self,
        path: Path,
        part: Path,
        shape: tuple[int, int, int],
        dtype: str,
        *,
        alpha: bool = False,
        fill: float = 0,
        geo: Geo | None = None,
        parts: tuple[str, ...] = ("picture",),
        resume: bool = False,
    ) -> None:
        self.path, self.part, self.geo, self.parts = path, part, geo, parts
        fitting(path, dtype, shape[0])
        self.alpha = alpha and shape[0] == 3 and path.suffix.lower() in ALPHA
        whole = (shape[0] + self.alpha, *shape[1:])
        try:
            self._codes: Any = np.lib.format.open_memmap(
                part, mode="r+" if resume else "w+", dtype=None if resume else dtype, shape=None if resume else whole
            )
        except (OSError, ValueError) as e:
            raise OutputError(f"{path}: cannot be written ({e}); choose another place") from None
        if self._codes.shape != whole or self._codes.dtype != np.dtype(dtype):
            raise OutputError(f"{part}: left by a run with another picture; begin anew")
        if not resume and fill:
            self._codes[: shape[0]] = fill

    def write(self, x: int, y: int, codes: Array, seen: Array) -> None:
        """Codes (bands, h, w) of the file's dtype, and where they are valid, bool (h, w)."""
        n, h, w = codes.shape
        self._codes[:n, y : y + h, x : x + w] = codes
        if self.alpha:
            top = 1 if codes.dtype.kind == "f" else np.iinfo(codes.dtype).max
            self._codes[n, y : y + h, x : x + w] = np.where(seen, top, 0)

    def flush(self) -> None:
        """Everything written is in the part file."""
        self._codes.flush()

    def close(self) -> None:
        """Let go of the part file, as it is."""
        self.flush()
        self._codes = None

    def finish(self) -> None:
        """Encode the whole and give it its name; its world file first."""
        encoded = self.part.with_name(f"{self.part.name}.whole")
        try:
            with open(encoded, "wb") as file:
                self._encode(file)
            if self.geo is not None and self.path.suffix.lower() in WORLD:
                self.path.with_suffix(WORLD[self.path.suffix.lower()]).write_text(world(self.geo))
            os.replace(encoded, self.path)
        except OSError as e:
            raise OutputError(f"{self.path}: cannot be written ({e.strerror}); choose another place") from None
        finally:
            encoded.unlink(missing_ok=True)
        self.abandon()

    def _encode(self, file: Any) -> None:
        suffix, codes = self.path.suffix.lower(), self._codes
        if suffix == ".npy":
            np.save(file, codes[0] if len(codes) == 1 else codes)
        elif suffix == ".npz":
            step = len(codes) // len(self.parts)
            runs = {name: codes[i * step : (i + 1) * step] for i, name in enumerate(self.parts)}
            np.savez_compressed(file, **{name: run[0] if step == 1 else run for name, run in runs.items()})
        else:
            picture = rearrange(codes, "c h w -> h w c")[..., [0] if len(codes) == 1 else [2, 1, 0, 3][: len(codes)]]
            options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix.startswith(".j") else []
            file.write(cv2.imencode(suffix, np.ascontiguousarray(picture), options)[1].tobytes())

    def abandon(self) -> None:
        """Remove the part file."""
        self._codes = None
        self.part.unlink(missing_ok=True)


def fitting(path: Path, dtype: str, bands: int) -> None:
    """OutputError when a kind of file cannot hold a picture."""
    suffix = path.suffix.lower()
    if suffix not in HOLDS:
        raise OutputError(f"{path}: no such kind of picture is written here; {' '.join(HOLDS)} are")
    dtypes, counts = HOLDS[suffix]
    if dtypes and dtype not in dtypes or counts and bands not in counts:
        raise OutputError(
            f"{path}: {bands} {'band' if bands == 1 else 'bands'} of {dtype} do not fit into {suffix}; write a .tif"
        )


def world(geo: Geo) -> str:
    """A world file: a, d, b, e and the centre of the first pixel."""
    a, b, _, d, e, _ = geo.transform
    return "".join(f"{v!r}\n" for v in (a, d, b, e, *geo.place(0.5, 0.5)))
