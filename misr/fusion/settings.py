"""How a burst is fused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import get_args

from misr.burst import Preparing
from misr.burst.preparing import Fit
from misr.errors import InputError
from misr.io.view import DTYPES
from misr.upscaler import Precision


@dataclass(frozen=True, slots=True)
class Fusing:
    """How to fuse; None, "" and 0 mean "misr decides".

    scale         SR size / LR size, a whole number; the model's own, or 2
    method        a method (best, mean, shift-and-add, map), a shipped model or a model directory
    reference     auto (the clearest view), a number from 0, or the name of a file: the view whose grid the picture takes
    masks         files, folders or globs, a mask for each view or one for all: 0 is not to be used
    exposures     how long each view was exposed, in any unit, or the name of a file that says so; see misr.io.burst
    nodata        the code that means "nothing known"; the files' own where they say it
    registration  a JSON file that says where the views lie, as a report does: nothing is searched for
    motion        how views may differ in place; auto: as much as the views ask for
    noise, mtf    of the camera: see misr.burst.Preparing, as are saturation, clouds and bands
    dtype         of DTYPES, for the output; values keep their meaning and are clamped to its range
    sigma         also write the standard error, and the effective number of views
    cog           write the GeoTIFF as a cloud-optimised one
    report        where the report goes: x.json, x.html, or a name without extension for both
    at, views     a stretch of a video: so many frames around so many seconds
    tile          square tiles of so many LR pixels
    adapt         a directory: before they are fused, the views teach a model, which is kept there; see misr.fusion.adapting
    adapt_minutes, adapt_steps   one of them: how long; 2 minutes when neither is given
    """

    scale: int | None = None
    method: str | None = None
    reference: str = "auto"
    masks: tuple[str, ...] = ()
    exposures: tuple[float, ...] | str = ()
    nodata: float | None = None
    registration: str | None = None
    motion: Fit = "auto"
    noise: tuple[float, float] | None = None
    mtf: float | None = None
    saturation: bool = True
    clouds: bool = True
    bands: bool = False
    dtype: str | None = None
    sigma: bool = False
    cog: bool = False
    report: str | None = None
    at: Fraction | None = None
    views: int = 0
    tile: int = 0
    adapt: str | None = None
    adapt_minutes: float = 0
    adapt_steps: int = 0
    device: str | None = None
    precision: Precision = "auto"
    overwrite: bool = True

    def __post_init__(self) -> None:
        for wrong, said in (
            (self.scale is not None and self.scale < 1, f"scale {self.scale}: a whole number from 1 is wanted"),
            (self.tile < 0, f"tile {self.tile}: a whole number of pixels is wanted; 0 lets misr decide"),
            (self.views < 0, f"{self.views} views: a number from 1 is wanted; 0 lets misr decide"),
            (self.views and self.at is None, f"{self.views} views: of a video, around which second? Say so too (at)"),
            (self.motion not in get_args(Fit), f"motion {self.motion!r} is not one of {', '.join(get_args(Fit))}"),
            (self.dtype and self.dtype not in DTYPES, f"dtype {self.dtype!r} is not one of {', '.join(DTYPES)}"),
        ):
            if wrong:
                raise InputError(said)

    @property
    def deciding(self) -> dict[str, str]:
        """What of it decides the pixels, as text: with other words here, a stopped run is begun anew.

        Not the device: a job tells its kind, and the same command may go on with several of them, or as several processes.
        """
        return {k: str(v) for k, v in asdict(self).items() if k not in ("overwrite", "report", "device")}

    @property
    def preparing(self) -> Preparing:
        """What of it decides how the burst is made ready; InputError for numbers that no camera has."""
        return Preparing(
            reference=self.reference,
            model=self.motion,
            registration=self.registration,
            saturation=self.saturation,
            clouds=self.clouds,
            bands=self.bands,
            noise=self.noise,
            mtf=self.mtf,
        )
