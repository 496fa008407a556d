"""Where each view sits relative to the reference, in what light, and whether fusing could help at all.

`register` places one view: integer shift by masked phase correlation, then Gauss-Newton on planes blurred by a
mask-normalised Gaussian. `best_model` also chooses the model. For scenes too large for one call, register windows and `fit`
a model through their shifts. `field` is the motion a placement means. `aliasing_between`, `coverage` and `promise` say what
fusing can bring. All is numpy and torch in memory; no files.
"""

from misr.registration.aliasing import aliasing, aliasing_between
from misr.registration.fit import fit
from misr.registration.light import light
from misr.registration.matrices import IDENTITY, field, moved, shifted, whole, windowed
from misr.registration.placement import (
    MODELS,
    Model,
    Placement,
    placements_from_json,
    placements_to_json,
    rejected,
)
from misr.registration.promise import coverage, noise_gain_db, promise
from misr.registration.register import best_model, register

__all__ = [
    "IDENTITY",
    "MODELS",
    "Model",
    "Placement",
    "aliasing",
    "aliasing_between",
    "best_model",
    "coverage",
    "field",
    "fit",
    "light",
    "moved",
    "noise_gain_db",
    "placements_from_json",
    "placements_to_json",
    "promise",
    "register",
    "rejected",
    "shifted",
    "whole",
    "windowed",
]
