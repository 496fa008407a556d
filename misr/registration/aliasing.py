"""How much of what views show depends on where their pixels fell: the aliasing that super-resolution feeds on.

Two registered views of one scene agree, up to noise, once each is resampled to the other's grid. What is aliased does not: detail
at f + 1 cycles/px appears at f in both, turned by 2 pi d, d the sub-pixel shift between them. So, near Nyquist, in a tile, the
difference of two views has the energy

    E = 2 N + |1 - exp(2 pi i d)|^2 A^2 T,

N the noise, the same in all tiles; T the energy of detail at lower frequencies, which no sampling alters; A the aliasing: the
folded amplitude near Nyquist over the amplitude of that detail, both times f, as pictures have amplitudes like 1 / f. A line
through the tiles of all views gives N and A. A pixel's box alone makes A about 0.4, optics with MTF 0.45 at Nyquist about 0.25,
and what was blurred or enlarged has next to 0. Tiles that differ at lower frequencies too show a scene that changed: left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from torch import Tensor

from misr.registration.matrices import moved
from misr.registration.placement import Placement
from misr.registration.smooth import Array, Masked, masked, smooth

TILES_PX, MANY = (64, 32), 24  # tiles are of the first size if there are so many of them, else of the second
TOP, MIDDLE = (0.36, 0.49), (0.12, 0.26)  # cycles/px: where detail is aliased, and where next to nothing is
ACROSS = 0.2  # cycles/px along the other axis up to which a frequency belongs to an axis
VALID = 0.97  # share of a tile that must be valid
FLAT = 0.2  # share of tiles, those with least detail, whose energy near Nyquist is begun with as noise
CHANGED = 0.1  # energy of the difference at lower frequencies, of that of detail, from which a scene has changed
LEAST = 0.1  # share of tiles whose difference near Nyquist is taken for noise, when changes are looked for
MOST = 0.8  # aliasing that no sampling makes, even of points: the difference is another
TELLING = 1.5  # |1 - exp(2 pi i d)|^2 below which phases are too alike to tell aliasing from noise
ROUNDS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Energies:
    """Of n tiles and axes, (n,) each: energy of the difference near Nyquist and below, of detail, and the phase's leverage."""

    top: Array
    below: Array
    detail: Array
    leverage: Array  # |1 - exp(2 pi i d)|^2, 0..4


def aliasing(plane: np.ndarray | Tensor, valid: np.ndarray | Tensor | None = None) -> float:
    """0..1: the aliasing A that a lone plane (h, w) probably has, by how far its spectrum reaches towards Nyquist.

    A picture like 1 / f through Gaussian optics that fall off as this one does would have it. A guess, since in one view detail
    and what is folded look alike; aliasing_between measures. 0 for what has no detail or is too small.
    """
    picture = filled(masked(plane, valid))
    size = tile_size(picture)
    cut = [t for t, _, _ in tiles(picture, size)]
    if not cut:
        return 0.0
    spectra = np.fft.fft2(np.stack(cut))
    top, detail = (np.concatenate([energy(spectra, limits, axis) for axis in (0, 1)]) for limits in (TOP, MIDDLE))
    corner = np.median((np.abs(spectra[:, corners(size)]) ** 2).mean(1)) * weights(size, TOP, 0).mean()
    noise = min(float(np.median(top[detail <= np.quantile(detail, FLAT)])), float(corner))
    signal = float(detail.mean()) - noise * lower_noise(size)
    if signal <= 1e-12 or signal < 0.02 * float(detail.mean()):
        return 0.0
    reach, folded = expected()
    return float(np.interp((float(top.mean()) - noise) / signal, reach, folded))


def aliasing_between(
    reference: np.ndarray | Tensor,
    views: Sequence[np.ndarray | Tensor],
    placements: Sequence[Placement],
    *,
    valid_reference: np.ndarray | Tensor | None = None,
    valid_views: Sequence[np.ndarray | Tensor | None] | None = None,
    noise: float | None = None,
) -> float | None:
    """0..1: the aliasing A measured between registered views; None where too little is valid or alike, or phases are the same.

    Planes in one unit; `noise` is its std in the reference, told from the tiles when None. Views that are not used count
    nothing. A window of 512 x 512 px is enough.
    """
    fixed = filled(masked(reference, valid_reference, "the reference"))
    found = [
        energies(fixed, filled(lit(masked(view, valid, "the view"), place)), place)
        for view, place, valid in zip(views, placements, valid_views or [None] * len(views), strict=True)
        if place.used
    ]
    if not found:
        return None
    all_of = Energies(*(np.concatenate([getattr(f, k) for f in found]) for k in ("top", "below", "detail", "leverage")))
    if all_of.top.size < 8 or not all_of.detail.any():
        return None
    size = tile_size(fixed)
    known = None if noise is None else 2 * noise**2 * float((window(size) ** 2).sum()) * weights(size, TOP, 0).mean()
    least = float(np.quantile(all_of.top, LEAST))
    same = all_of.below <= 3 * least * lower_noise(size) + CHANGED * all_of.detail
    if np.count_nonzero(same) < 8 or all_of.leverage[same].max() < TELLING:
        return None
    _, slope = line(all_of, same, known)
    return float(np.sqrt(slope)) if slope <= MOST * MOST else None


def lit(view: Masked, place: Placement) -> Masked:
    """The view in the reference's light."""
    return Masked((view.plane - np.float32(place.offset) * view.mask) / np.float32(place.gain), view.mask)


def energies(reference: Masked, view: Masked, place: Placement) -> Energies:
    """Of every tile that is valid in both, each axis for itself."""
    found = [pair for tile in tiles(reference, tile_size(reference)) for pair in spectra_of(tile, view, place)]
    if not found:
        return Energies(*(np.zeros(0) for _ in range(4)))
    pairs = np.stack([(a, b) for a, b, _ in found])  # (n, 2, size, size)
    shifts = np.array([shift for _, _, shift in found])  # (n, 2)
    difference = pairs[:, 0] - pairs[:, 1]
    return Energies(
        np.concatenate([energy(difference, TOP, axis) for axis in (0, 1)]),
        np.concatenate([energy(difference, MIDDLE, axis) for axis in (0, 1)]),
        np.concatenate([energy(pairs, MIDDLE, axis).mean(1) for axis in (0, 1)]),
        np.concatenate([2 - 2 * np.cos(2 * np.pi * shifts[:, axis]) for axis in (0, 1)]),
    )


def spectra_of(
    tile: tuple[Array, int, int], view: Masked, place: Placement
) -> list[tuple[np.ndarray, np.ndarray, tuple[float, float]]]:
    """[(spectrum of the tile, of the view there on the tile's grid, its shift)], or [] where the view has no such tile."""
    values, x, y = tile
    size = len(values)
    middle = np.array([[x + (size - 1) / 2, y + (size - 1) / 2]])
    dx, dy = (moved(place.matrix, middle) - middle)[0]
    left, top = x + round(dx), y + round(dy)
    if min(left, top) < 0 or left + size > view.size[0] or top + size > view.size[1]:
        return []
    plane, valid = (p[top : top + size, left : left + size] for p in (view.plane, view.mask))
    if valid.mean() < VALID:
        return []
    f = np.fft.fftfreq(size)
    turn = np.exp(2j * np.pi * (f[None, :] * (dx - round(dx)) + f[:, None] * (dy - round(dy))))
    return [(np.fft.fft2(values), np.fft.fft2(windowed(plane)) * turn, (dx, dy))]


def line(tiles_of: Energies, chosen: np.ndarray, known: float | None) -> tuple[float, float]:
    """(noise, A^2), neither negative: top = noise + A^2 leverage detail, each tile weighted by what it is expected to show."""
    x, y = (tiles_of.leverage * tiles_of.detail)[chosen], tiles_of.top[chosen]
    floor = float(np.median(y[x <= np.quantile(x, FLAT)])) if known is None else known
    slope = 0.0
    for _ in range(ROUNDS):
        weight = 1 / np.maximum(floor + slope * x, 1e-6 * y.mean() + 1e-30) ** 2
        if known is None:
            total, mean_x, mean_y = weight.sum(), (weight @ x) / weight.sum(), (weight @ y) / weight.sum()
            spread = weight @ (x - mean_x) ** 2
            slope = max(
                float((weight * (x - mean_x)) @ (y - mean_y) / max(spread, 1e-12 * total * mean_x**2 + 1e-300)), 0.0
            )
            floor = max(float(mean_y - slope * mean_x), 0.0)
        else:
            slope = max(float((weight * x) @ (y - floor) / max((weight * x) @ x, 1e-300)), 0.0)
    return floor, slope


def tile_size(picture: Masked) -> int:
    """Side of the tiles in px."""
    large, small = TILES_PX
    across = [max(0, 2 * n // large - 1) for n in picture.size]
    return large if across[0] * across[1] >= MANY else small


def tiles(picture: Masked, size: int) -> list[tuple[Array, int, int]]:
    """(windowed tile, x, y) of the picture, overlapping by half, where enough is valid."""
    plane, valid = picture.plane, picture.mask
    h, w = plane.shape
    places = [(x, y) for y in range(0, h - size + 1, size // 2) for x in range(0, w - size + 1, size // 2)]
    return [
        (windowed(plane[y : y + size, x : x + size]), x, y)
        for x, y in places
        if valid[y : y + size, x : x + size].mean() >= VALID
    ]


def filled(picture: Masked) -> Masked:
    """The picture with its invalid pixels filled from around; its mask stays."""
    valid = picture.mask > 0
    return picture if valid.all() else Masked(np.where(valid, picture.plane, smooth(picture).plane), picture.mask)


def windowed(tile: Array) -> Array:
    """Less its mean, faded to its borders."""
    return (tile - tile.mean()) * window(tile.shape[0])


@cache
def window(size: int) -> Array:
    """(size, size), Hann's."""
    one = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    return one[:, None] * one[None, :]


@cache
def weights(size: int, limits: tuple[float, float], axis: int) -> Array:
    """f^2 of the frequencies between the limits along x (axis 0) or y (axis 1), low along the other: one row of them."""
    along, across = frequencies(size, axis)
    return (along**2 + across**2)[band(size, limits, axis)]


@cache
def band(size: int, limits: tuple[float, float], axis: int) -> np.ndarray:
    """(size, size) bool: these frequencies."""
    along, across = frequencies(size, axis)
    return (limits[0] <= np.abs(along)) & (np.abs(along) <= limits[1]) & (np.abs(across) <= ACROSS)


@cache
def corners(size: int) -> np.ndarray:
    """(size, size) bool: near Nyquist both ways, where optics leave least but noise."""
    along, across = frequencies(size, 0)
    return (np.abs(along) >= TOP[0]) & (np.abs(across) >= TOP[0])


def frequencies(size: int, axis: int) -> tuple[Array, Array]:
    """Frequency along the axis and across it, (size, size) each."""
    f = np.broadcast_to(np.fft.fftfreq(size), (size, size))
    return (f, f.T) if axis == 0 else (f.T, f)


def energy(spectra: np.ndarray, limits: tuple[float, float], axis: int) -> Array:
    """(...,) mean of f^2 |spectrum|^2 between the limits, of spectra (..., size, size)."""
    size = spectra.shape[-1]
    return (np.abs(spectra[..., band(size, limits, axis)]) ** 2 * weights(size, limits, axis)).mean(-1)


def lower_noise(size: int) -> float:
    """White noise's energy in the middle band, of that near Nyquist."""
    return float(weights(size, MIDDLE, 0).mean() / weights(size, TOP, 0).mean())


@cache
def expected() -> tuple[Array, Array]:
    """Energy near Nyquist, of that in the middle, and A, of a picture like 1 / f, for optics from wide to none; both rise."""
    sigma_px = np.linspace(1.2, 0.0, 49)[:, None, None]
    folds = np.arange(-3, 4)[None, :, None]

    def shown(limits: tuple[float, float]) -> Array:  # (sigma, folds): f^2-weighted energy
        f = np.linspace(*limits, 32)[None, None, :]
        at = np.abs(f + folds)
        return ((f * np.sinc(at) * np.exp(-2 * (np.pi * sigma_px * at) ** 2) / at) ** 2).mean(2)

    top, detail = shown(TOP), shown(MIDDLE).sum(1)
    reach = top.sum(1) / detail
    return reach, np.sqrt((top.sum(1) - top[:, 3]) / detail)
