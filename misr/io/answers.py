"""Answers to PROBA-V read back: a folder or a zip of 16-bit gray PNGs named imgset####.png."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np

from misr.errors import InputError
from misr.io.view import Array


@dataclass(frozen=True, slots=True)
class Answers:
    """Where the picture of each scene is: a file of a folder, or a member of a zip."""

    path: Path
    places: dict[str, str]

    def read(self, name: str) -> Array:
        """The picture of a scene (h, w), uint16; InputError where it is missing, damaged, or no 16-bit gray PNG."""
        if name not in self.places:
            raise InputError(f"{self.path}: no {name}.png in it; an answer has a picture for every scene with a truth")
        place = self.places[name]
        try:
            data = Path(place).read_bytes() if self.path.is_dir() else unzipped(self.path, place)
        except (OSError, BadZipFile) as e:
            raise InputError(f"{self.path}: {Path(place).name} cannot be read ({e}); make the answer again") from None
        codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if codes is None or codes.ndim != 2 or codes.dtype != np.uint16:
            found = "damaged" if codes is None else f"{codes.dtype} {'gray' if codes.ndim == 2 else 'colour'}"
            raise InputError(f"{self.path}: {Path(place).name} is {found}; PROBA-V wants gray PNG of 16 bits")
        return codes


def answers(path: str | Path) -> Answers:
    """The pictures of a folder or zip, by the names of their scenes; InputError where there is none."""
    path = Path(path)
    if path.is_dir():
        found = [str(p) for p in sorted(path.glob("*.png"))]
    else:
        try:
            with ZipFile(path) as zipped:
                found = [name for name in zipped.namelist() if name.lower().endswith(".png")]
        except (OSError, BadZipFile):
            raise InputError(f"{path}: neither a folder nor a whole zip; give one that holds imgset####.png") from None
    if not found:
        raise InputError(f"{path}: no picture in it; an answer to PROBA-V holds imgset####.png")
    return Answers(path, {PurePosixPath(name).stem: name for name in found})


def unzipped(path: Path, member: str) -> bytes:
    """What a member of a zip holds."""
    with ZipFile(path) as zipped:
        return zipped.read(member)
