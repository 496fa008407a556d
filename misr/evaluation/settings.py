"""What is measured, on which planes, with which border left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from misr.errors import InputError

Planes = Literal["y", "rgb", "plane"]
METRICS = {  # name: the columns it fills
    "psnr": ("psnr_db",),
    "ssim": ("ssim",),
    "ms-ssim": ("ms_ssim",),
    "vif": ("vif",),
    "ifc": ("ifc",),
    "warp": ("warp", "warp_reference"),
    "flicker": ("flicker",),
}
ALSO = {"mssim": "ssim", "msssim": "ms-ssim"}  # other words for the same
USUAL = ("psnr", "ssim")  # the others cost more than a net does


@dataclass(frozen=True, slots=True)
class Measure:
    """How to measure.

    metrics     of METRICS, or by their other names in ALSO; see misr/metrics for their definitions and units
    color       y: BT.601 luma, 16 to 235 of 8 bits, as papers measure; where both sides are YUV or gray of one range, the Y
                planes as stored. rgb: R, G and B of 8 bits. plane: the first plane as stored, for luma kept as a gray RGB
    border_px   left out at each side; scale: pictures are cropped to its multiples first, and it is the usual border
    """

    metrics: tuple[str, ...] = USUAL
    color: Planes = "y"
    border_px: int | None = None
    scale: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(dict.fromkeys(ALSO.get(m, m) for m in self.metrics)))
        if strange := [m for m in self.metrics if m not in METRICS] or not self.metrics and ["none"]:
            raise InputError(f"no metric {strange[0]!r}; there is {', '.join(METRICS)}")
        if self.color not in ("y", "rgb", "plane"):
            raise InputError(f"colour {self.color!r} is not one of y, rgb, plane")
        if self.border < 0 or (self.scale is not None and self.scale < 1):
            raise InputError(f"border {self.border}, scale {self.scale}: neither can be below 0, nor the scale below 1")

    @property
    def border(self) -> int:
        """Pixels left out at each side."""
        return (self.scale or 0) if self.border_px is None else self.border_px

    @property
    def columns(self) -> tuple[str, ...]:
        """What is filled for each frame."""
        return tuple(column for metric in self.metrics for column in METRICS[metric])


@dataclass(frozen=True, slots=True)
class ClearPixels:
    """How PROBA-V is measured: nothing to choose. Border: 3 pixels of a result, by which the truth may be shifted."""

    color: Planes = "plane"
    border: int = 3
    scale: int | None = None
    columns: tuple[str, ...] = ("cpsnr_db", "score")
