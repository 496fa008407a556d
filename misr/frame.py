"""A frame is a value: integer planes as stored, how to read them, and when they are shown.

Colour codes are those of ITU-T H.273: matrix 1 = BT.709, 5/6 = BT.601, 9 = BT.2020 ncl, 2 = unspecified.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

Plane = np.ndarray[Any, np.dtype[Any]]

UNSPECIFIED = 2  # H.273 matrix, primaries, transfer
LIMITED, FULL = 1, 2  # range; 0 is untagged
LEFT, CENTER, TOPLEFT, TOP, BOTTOMLEFT, BOTTOM = 1, 2, 3, 4, 5, 6  # chroma sample location; 0 is untagged


@dataclass(frozen=True, slots=True)
class Color:
    """How the integers of a frame are to be read.

    model        yuv: planes Y, Cb, Cr; gray: Y; rgb: R, G, B; each followed by A when `alpha`
    depth        bits per sample, 8 to 16 (uint8 above 8 bits: uint16, low-aligned); 32 means float32 with white at 1.0
    subsampling  luma samples per chroma sample, (across, down): 4:2:0 is (2, 2)
    """

    model: Literal["yuv", "rgb", "gray"]
    depth: int = 8
    subsampling: tuple[int, int] = (1, 1)
    alpha: bool = False
    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    siting: int = 0

    @property
    def full(self) -> bool:
        """Whether code values span the whole range; untagged YUV and gray count as limited, RGB as full."""
        return self.range == FULL or (self.model == "rgb" and self.range != LIMITED)

    @property
    def planes(self) -> int:
        """How many planes a frame of this colour has."""
        return (1 if self.model == "gray" else 3) + self.alpha


@dataclass(frozen=True, slots=True)
class Retag:
    """What is known of a clip's colour better than the clip does: codes as in Color; None leaves what it says.

    For streams that lose their tags on the way (Y4M, NUT), and for clips that are tagged wrongly. Samples stay as they are.
    """

    matrix: int | None = None
    range: int | None = None
    primaries: int | None = None
    transfer: int | None = None
    siting: int | None = None

    def __call__(self, color: Color) -> Color:
        """The colour with what is known put over its tags."""
        known = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return replace(color, **known) if known else color


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no one truth value; a frame is itself
class Frame:
    """One picture of a clip.

    planes    arrays (h, w) of uint8, uint16 or float32; chroma planes are smaller by `color.subsampling`, rounded up
    time      when it is shown, in seconds from the clip's own zero; duration in seconds, 0 when unknown
    source    what the reader wants the writer to see again (side data); opaque to everyone between
    """

    planes: tuple[Plane, ...]
    color: Color
    time: Fraction = Fraction(0)
    duration: Fraction = Fraction(0)
    source: Any = field(default=None, compare=False, repr=False)

    @property
    def width(self) -> int:
        """Luma samples across."""
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        """Luma samples down."""
        return int(self.planes[0].shape[0])
