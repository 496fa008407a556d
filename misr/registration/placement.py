"""How a view sits relative to the reference: geometry, light, and whether it may be used.

As JSON, a list with one object a view, and nothing else is read or written:

    {"view": "b.tif", "model": "shift", "matrix": [1, 0, 0.31, 0, 1, -0.27, 0, 0, 1], "gain": 1.02, "offset": 0.004,
     "residual": 0.003, "overlap": 0.98, "used": true, "why": ""}

"view" and "matrix" are needed; the rest may be left out. The matrix takes a pixel (x, y, 1) of the reference, pixel centres
at integers, to the view's: the example's view shows at x = 10.31 what the reference shows at x = 10. `gain` and `offset` say
view = gain * reference + offset, the offset (and the residual) in the unit of the planes that were registered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from misr.errors import InputError
from misr.registration.matrices import IDENTITY, Matrix, shift_of

Model = Literal["shift", "affine", "homography"]
MODELS: tuple[Model, ...] = get_args(Model)
FIELDS = ("view", "model", "matrix", "gain", "offset", "residual", "overlap", "used", "why")


@dataclass(frozen=True, slots=True)
class Placement:
    """How a view sits relative to the reference. Every number is finite, also when the view is not used."""

    matrix: Matrix = IDENTITY  # 9 numbers, row-major 3x3: reference pixel (x, y, 1) -> view pixel
    model: Model = "shift"
    gain: float = 1.0  # view = gain * reference + offset
    offset: float = 0.0  # in the unit of the planes
    residual: float = (
        0.0  # robust std of view less reference in the reference's light and unit; both blurred, sigma 1 px
    )
    overlap: float = 1.0  # share of the reference's pixels that are valid and on a valid pixel of the view
    used: bool = True
    why: str = ""  # why the view is not used, or how else it was placed: a phrase without a full stop

    def shift_px(self, width: int, height: int) -> tuple[float, float]:
        """(dx, dy) in LR pixels of the middle of a reference of this size."""
        return shift_of(self.matrix, width, height)


def rejected(why: str, *, model: Model = "shift", overlap: float = 0.0) -> Placement:
    """A view that is not used, in the reference's place for want of a better one, and why: a phrase."""
    return Placement(IDENTITY, model, overlap=overlap, used=False, why=why)


def placements_to_json(names: Sequence[str], placements: Sequence[Placement]) -> list[dict[str, Any]]:
    """One plain dict a view, as in this file's first lines, ready for json.dump."""
    if len(names) != len(placements):
        raise InputError(f"{len(names)} names for {len(placements)} placements; give one name a placement")
    return [
        {
            "view": name,
            "model": p.model,
            "matrix": [float(v) for v in p.matrix],
            "gain": p.gain,
            "offset": p.offset,
            "residual": p.residual,
            "overlap": p.overlap,
            "used": p.used,
            "why": p.why,
        }
        for name, p in zip(names, placements, strict=True)
    ]


def placements_from_json(data: Any) -> dict[str, Placement]:
    """From what json.load gave, view by view in the order of the list; InputError says which entry is wrong and how."""
    if not isinstance(data, list):
        raise InputError(
            f'a registration is a list of {{"view": ..., "matrix": [9 numbers]}}, not {type(data).__name__}; see misr fuse --help'
        )
    found: dict[str, Placement] = {}
    for n, entry in enumerate(data):
        where = f"entry {n} of the registration"
        if not isinstance(entry, Mapping):
            raise InputError(f'{where} is no object; write {{"view": ..., "matrix": [9 numbers]}}')
        name = entry.get("view")
        if not isinstance(name, str) or not name:
            raise InputError(f'{where} names no view; add "view": "the file\'s name"')
        where += f" ({name})"
        if name in found:
            raise InputError(f"{where} comes a second time; keep one")
        found[name] = entry_placement(entry, where)
    return found


def entry_placement(entry: Mapping[str, Any], where: str) -> Placement:
    """The placement that one object of the list says; `where` begins the message of an error."""
    unknown = sorted(set(map(str, entry)) - set(FIELDS))
    if unknown:
        raise InputError(f'{where} has "{unknown[0]}", which is none of {", ".join(FIELDS)}; leave it out')
    matrix = numbers(entry.get("matrix"), where)
    model = entry.get("model", plainest(matrix))
    if model not in MODELS:
        raise InputError(f'{where} has model "{model}"; it is one of {", ".join(MODELS)}')
    used, why = entry.get("used", True), entry.get("why", "")
    if not isinstance(used, bool) or not isinstance(why, str):
        raise InputError(f'{where}: "used" is true or false and "why" a text; correct them')
    gain, offset, residual, overlap = (
        number(entry.get(key, usual), where, key)
        for key, usual in (("gain", 1.0), ("offset", 0.0), ("residual", 0.0), ("overlap", 1.0))
    )
    if gain == 0:
        raise InputError(f'{where} has gain 0, which leaves nothing of the picture; set "used" to false instead')
    return Placement(matrix, model, gain, offset, residual, overlap, used, why)


def plainest(matrix: Matrix) -> Model:
    """The plainest model that has this matrix."""
    if matrix[6:] != (0.0, 0.0, 1.0):
        return "homography"
    return "shift" if (matrix[0], matrix[1], matrix[3], matrix[4]) == (1.0, 0.0, 0.0, 1.0) else "affine"


def numbers(value: Any, where: str) -> Matrix:
    """Nine finite numbers of an invertible matrix, its last scaled to 1."""
    if not isinstance(value, (list, tuple)) or len(value) != 9:
        raise InputError(f'{where} needs "matrix": 9 numbers, row by row, from reference pixel to view pixel')
    nine = [number(v, where, "matrix") for v in value]
    if nine[8] == 0 or abs(np.linalg.det(np.reshape(nine, (3, 3)) / nine[8])) < 1e-9:
        raise InputError(f"{where} has a matrix that cannot be inverted; the identity is [1, 0, 0, 0, 1, 0, 0, 0, 1]")
    return tuple(v / nine[8] for v in nine)


def number(value: Any, where: str, key: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f'{where}: "{key}" is {value!r}, not a finite number; correct it')
    return float(value)
