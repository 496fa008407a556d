"""PROBA-V super-resolution sets (Maertens et al., Kelvins challenge, 2019): views, truth, baseline scores, submissions.

    {train,test}/{RED,NIR}/imgset####/{LR###.png, QM###.png, SM.png, HR.png}     128x128 views, 384x384 truth, 14 bits in uint16

QM (of a view) and SM (of the truth) are nonzero where a pixel is clear.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from zipfile import ZIP_STORED, ZipFile

import cv2
import numpy as np

from misr.errors import InputError, OutputError
from misr.io.view import Array, ArrayView

SIDE = 384  # pixels of a submitted picture


@dataclass(frozen=True, slots=True)
class Imgset:
    """One scene: its folder; files are read when asked for."""

    folder: Path

    @property
    def name(self) -> str:
        """imgset####."""
        return self.folder.name

    @property
    def band(self) -> str:
        """RED or NIR, the name of the folder above."""
        return self.folder.parent.name

    def views(self) -> list[ArrayView]:
        """Every LR###.png (1, 128, 128), uint16, with its QM as mask; InputError where one does not read."""
        files = sorted(self.folder.glob("LR*.png"))
        return [ArrayView(str(f), plane(f)[None], mask=quality(f), names=(self.band,)) for f in files]

    def truth(self) -> tuple[Array, Array] | None:
        """HR (384, 384), uint16, and where it is clear, bool; None in a test set. Without SM all of it is clear."""
        if not (self.folder / "HR.png").is_file():
            return None
        hr, status = plane(self.folder / "HR.png"), self.folder / "SM.png"
        clear = plane(status) != 0 if status.is_file() else np.ones(hr.shape, bool)
        if clear.shape != hr.shape:
            raise InputError(f"{status}: of another size than HR.png; unpack the set again")
        return hr, clear


def is_imgset(folder: str | Path) -> bool:
    """Whether a folder holds the views of one scene."""
    return Path(folder).is_dir() and any(re.fullmatch(r"LR\d+\.png", p.name) for p in Path(folder).iterdir())


def imgsets(root: str | Path) -> tuple[Imgset, ...]:
    """All scenes at or below a folder, in order of their numbers; InputError when there is none."""
    found = [Path(root)] if is_imgset(root) else sorted(p.parent for p in Path(root).rglob("LR000.png"))
    if not found:
        raise InputError(f"{root}: no PROBA-V scene in it (imgset####/LR000.png); give the folder that was unpacked")
    return tuple(sorted((Imgset(p) for p in found), key=lambda s: (s.name, str(s.folder))))


def norm(path: str | Path) -> dict[str, float]:
    """Baseline cPSNR in dB by scene, of norm.csv: `imgset0000 46.5` a line."""
    try:
        lines = [line.split() for line in Path(path).read_text().splitlines() if line.strip()]
        return {name: float(value) for name, value in lines}
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: not lines of `imgset0000 46.5` ({e}); use the challenge's norm.csv") from None


def plane(path: Path) -> Array:
    """A gray PNG (h, w) as stored."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 2:
        raise InputError(f"{path}: {'damaged' if picture is None else 'not gray'}; unpack the set again")
    return picture


def quality(view: Path) -> Array | None:
    """The mask of a view LR###.png: QM###.png beside it, or None."""
    mask = view.with_name(view.name.replace("LR", "QM", 1))
    return plane(mask) if mask.is_file() else None


class Submission:
    """A zip of 16-bit PNGs named imgset####.png, as the challenge takes it; under its name only when it is whole.

    with Submission("answer.zip") as out:
        out.add("imgset1160", picture)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name}.part")
        try:
            self._zip = ZipFile(self._part, "w", ZIP_STORED)  # PNG is compressed already
        except OSError as e:
            raise OutputError(f"{path}: cannot be written ({e.strerror}); choose another place") from None

    def add(self, name: str, picture: Array) -> None:
        """One scene (384, 384) in codes 0..65535, rounded and clipped here; OutputError for another size or NaN."""
        if picture.shape != (SIDE, SIDE) or not np.isfinite(picture).all():
            raise OutputError(
                f"{name}: {picture.shape} with or without NaN; a submission takes {SIDE}x{SIDE} finite codes"
            )
        codes = np.clip(np.rint(picture), 0, 65535).astype(np.uint16)
        self._zip.writestr(f"{name}.png", cv2.imencode(".png", codes)[1].tobytes())

    def __enter__(self) -> Submission:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)
