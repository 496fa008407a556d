"""Planes made fit to be registered: masked, centred, blurred, halved.

A blur of sigma 1 px before any comparison is what makes registration of aliased pictures exact: it leaves 0.7 % at Nyquist,
where aliasing sits, and most of the gradient energy below. Masked pixels take no part: blur(m x) / blur(m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from misr.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]  # of float32, but OpenCV and numpy promise less to the type checker

BLUR_PX = 1.0  # sigma
SPREAD_PX = 6.0  # sigma with which values are carried under masks, where interpolation may touch them
FADE = 0.25  # share of valid pixels under the blur at which a pixel counts nothing; with all of them it counts 1


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """A plane (h, w) already multiplied by its mask (h, w), 0..1; always finite."""

    plane: Array
    mask: Array

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.plane.shape[1], self.plane.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """A blurred plane (h, w), filled under its mask, and how far each pixel is to be trusted: weight (h, w), 0..1."""

    plane: Array
    weight: Array


def masked(plane: np.ndarray | Tensor, valid: np.ndarray | Tensor | None, name: str = "the plane") -> Masked:
    """A plane (h, w) of any dtype with what is masked, NaN or infinite set to 0. InputError on other shapes."""
    values = np.asarray(plane.detach().cpu() if isinstance(plane, Tensor) else plane)
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"{name} has shape {values.shape}; registration takes planes (h, w), one band at a time")
    good = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    if valid is not None:
        allowed = np.asarray(valid.detach().cpu() if isinstance(valid, Tensor) else valid)
        if allowed.shape != values.shape:
            raise InputError(f"{name} is {values.shape} and its mask {allowed.shape}; give one mask pixel a pixel")
        good &= allowed.astype(bool)
    return Masked(np.where(good, values, 0).astype(np.float32), good.astype(np.float32))


def level(picture: Masked) -> tuple[float, float]:
    """Mean and std of the valid pixels; (0, 0) when there is none."""
    count = float(picture.mask.sum(dtype=np.float64))
    if count == 0:
        return 0.0, 0.0
    mean = float(picture.plane.sum(dtype=np.float64)) / count
    spread = picture.plane - np.float32(mean) * picture.mask
    return mean, float(np.sqrt((spread * spread).sum(dtype=np.float64) / count))


def normal(picture: Masked, mean: float, std: float) -> Masked:
    """At this mean and std instead of 0 and 1."""
    return Masked((picture.plane - np.float32(mean) * picture.mask) / np.float32(std), picture.mask)


def gaussian(plane: Array, sigma_px: float) -> Array:
    """Gaussian blur; beyond the border there are zeros."""
    size = 2 * int(np.ceil(3.5 * sigma_px)) + 1
    return cv2.GaussianBlur(plane, (size, size), sigma_px, borderType=cv2.BORDER_CONSTANT)


def blurred(picture: Masked, sigma_px: float) -> tuple[Array, Array]:
    """The mask-normalised blur, 0 where nothing is near, and the share of valid pixels under it."""
    share = gaussian(picture.mask, sigma_px)
    return gaussian(picture.plane, sigma_px) / np.maximum(share, np.float32(1e-6)), share


def smooth(picture: Masked) -> Smooth:
    """The plane blurred by BLUR_PX, blurred wider under masks; trust falls where the blur was one-sided."""
    plane, share = blurred(picture, BLUR_PX)
    if share.min() < 0.1:
        wide, near = blurred(picture, SPREAD_PX)
        plane = np.where(share > 0.1, plane, np.where(near > 1e-3, wide, 0)).astype(np.float32)
    trust = np.clip((share - FADE) / (1 - FADE), 0, 1)
    return Smooth(plane, trust**3 * (picture.mask > 0))


def halved(picture: Masked) -> Masked:
    """Half the size by means of 2x2 valid pixels, area-aligned; an odd last row or column falls away."""
    w, h = (n // 2 * 2 for n in picture.size)
    both = (picture.plane[:h, :w], picture.mask[:h, :w])
    return Masked(*(cv2.resize(x, (w // 2, h // 2), interpolation=cv2.INTER_AREA) for x in both))


def pyramid(picture: Masked, levels: int) -> list[Masked]:
    """The picture and its halves, finest first."""
    found = [picture]
    for _ in range(levels - 1):
        found.append(halved(found[-1]))
    return found
