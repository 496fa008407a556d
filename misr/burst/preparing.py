"""Preparing: what the user may say about a burst before it is fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from misr.errors import InputError

Fit = Literal["auto", "shift", "affine", "homography"]
AT_BEST = 0.6366  # a square pixel's own MTF at Nyquist, sinc(1/2): no camera has more


@dataclass(frozen=True, slots=True)
class Preparing:
    """How to make a burst ready. Exposures and masks from files belong to the views: see misr.io.burst.open_burst.

    reference     "auto" (the clearest and sharpest view), an index from 0, or a view's name
    model         what may move: "shift", "affine", "homography"; "auto" takes a shift unless more clearly helps
    registration  path of a JSON with placements, as Ready.told() has them; nothing is registered then
    light         estimate gain and offset of every view; else exposures alone are believed
    saturation    leave out samples at the ceiling of the data where another view shows that there is more light
    clouds        leave out what differs from the median of three or more views
    bands         place every band of every view by itself, on the band that the views are placed by: for cameras whose bands see
                  from different places or at different moments
    noise         (a, c): variance a * code + c, in squared codes; None: estimated, one sigma per view and band
    mtf           of the camera at Nyquist, its pixel included, above 0 and at most 0.6366; None: what the models assume
    """

    reference: str = "auto"
    model: Fit = "auto"
    registration: str | None = None
    light: bool = True
    saturation: bool = True
    clouds: bool = True
    bands: bool = False
    noise: tuple[float, float] | None = None
    mtf: float | None = None

    def __post_init__(self) -> None:
        if self.mtf is not None and not 0 < self.mtf <= AT_BEST:
            raise InputError(f"an MTF of {self.mtf:g} at Nyquist; it is above 0 and at most {AT_BEST}, a pixel's own")
        if self.noise is not None and (min(self.noise) < 0 or max(self.noise) <= 0):
            raise InputError(
                f"a noise of {self.noise[0]:g} * code + {self.noise[1]:g}; it is above 0, and no part below"
            )
