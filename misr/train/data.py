"""Training pixels: files decoded once into luma planes, planes cut into pairs, pairs sampled from memory.

A pair keeps its sharp side as cells: (h/r, w/r, r*r) uint8, channel r * dy + dx, which is what Fast gives before its
shuffle (r = scale * cell), so that a crop is one slice and the loss needs no shuffle.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from misr.train.degrade import Plane, shrink, worn

CLEAN = {  # factor at which a training clip shows no codec; clips not named are left out
    "bbb_360p": 1.0,
    "ax_rooftops": 1.0,
    "ax_kings_cross": 1.0,
    "ax_pixel_motionphoto": 1.0,
    "mb_screen_browser": 1.0,
    "sav_": 0.5,
    "bbb_1080p60_butterfly": 0.5,
    "ax_arch": 0.5,
    "ax_roof_": 0.5,
    "ax_portrait": 0.5,
    "ud_highway": 0.5,
    "mdn_flower": 0.5,
    "mb_screen_editor": 0.5,
    "ax_wall_4k60": 1 / 3,
}
HELD_OUT = ("bbb_360p24_part2", "sav_02_cups", "ud_highway")  # clips of three sources, for validation alone


def lumas(path: Path, *, every: int = 1) -> Iterator[Plane]:
    """BT.601-like luma 16-235 of every n-th picture of an image or a clip (h, w) uint8."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for n, frame in enumerate(container.decode(video=0)):
            if n % every == 0:
                yield luma(frame)


def luma(frame: Any) -> Plane:
    """The Y plane of a decoded YUV picture as 16-235, 8 bits."""
    wide = frame.format.components[0].bits
    raw = np.frombuffer(frame.planes[0], np.uint16 if wide > 8 else np.uint8)
    y = raw.reshape(frame.planes[0].height, -1)[:, : frame.planes[0].width].astype(np.float32) / 2 ** (wide - 8)
    if int(frame.color_range) == 2 or frame.format.name.startswith("yuvj"):
        y = 16 + y * (219 / 255)
    return (y + 0.5).clip(0, 255).astype(np.uint8)


def scaled(plane: Plane, factor: float) -> Plane:
    """A plane shrunk by a factor, sides cut to whole cells."""
    h, w = (round(n * factor) for n in plane.shape)
    small = plane if factor == 1 else shrink(plane, (h, w))
    return small[: h // 8 * 8, : w // 8 * 8]


def pack(photos: Path, clips: Path | None, out: Path, *, hold_out: int = 12, every: int = 40) -> None:
    """Decode the training material into one npz of planes; each `hold_out`-th photo goes to the validation side."""
    train, valid = stills(photos, hold_out=hold_out)
    for path in sorted(clips.iterdir()) if clips else ():
        factor = clean(path)
        if factor:
            train += [scaled(plane, factor) for plane in lumas(path, every=every)]
    save(out, train, valid)


def stills(photos: Path, *, hold_out: int = 12) -> tuple[list[Plane], list[Plane]]:
    """Training planes, every photo at 3 scales, and validation planes, the middles of each `hold_out`-th, halved."""
    train, valid = [], []
    for n, path in enumerate(sorted(photos.glob("*.avif"))):
        plane = next(lumas(path))
        if n % hold_out == 0:
            small = scaled(plane, 0.5)
            h, w = small.shape
            valid.append(small[max(0, h // 2 - 256) : h // 2 + 256, max(0, w // 2 - 256) : w // 2 + 256])
        else:
            train += [scaled(plane, f) for f in (1.0, 0.7, 0.5)]
    return train, valid


def clean(path: Path) -> float | None:
    """The factor at which a training clip shows no codec; None for one to leave out."""
    return next((f for name, f in CLEAN.items() if path.name.startswith(name)), None)


def save(
    out: Path, train: list[Plane], valid: list[Plane], clips: Sequence[Plane] = (), valid_clips: Sequence[Plane] = ()
) -> None:
    """Planes of both sides, and stacks of both sides if there are any, as flat bytes and shapes."""
    planes = [p for p in train + valid if min(p.shape) >= 256]
    n_valid = sum(min(p.shape) >= 256 for p in valid)
    parts = {"pixels": flat(planes), "shapes": shapes(planes), "n_valid": np.array(n_valid)}
    if clips:
        both = [*clips, *valid_clips]
        parts |= {"clip_pixels": flat(both), "clip_shapes": shapes(both), "n_valid_clips": np.array(len(valid_clips))}
    np.savez(out, **parts)  # type: ignore[arg-type]


def flat(arrays: Sequence[Plane]) -> Plane:
    """All pixels in one line."""
    return np.concatenate([np.zeros(0, np.uint8), *(a.ravel() for a in arrays)])


def shapes(arrays: Sequence[Plane]) -> np.ndarray[Any, Any]:
    """Their shapes (n, dimensions)."""
    return np.array([a.shape for a in arrays], np.int64).reshape(len(arrays), -1 if arrays else 2)


def cut(pixels: Plane, shapes: np.ndarray[Any, Any]) -> list[Plane]:
    """Arrays of these shapes from one line of pixels."""
    ends = np.cumsum(shapes.prod(1))
    return [pixels[end - shape.prod() : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]


def load(path: Path) -> tuple[list[Plane], list[Plane]]:
    """Training planes and validation planes of a pack."""
    with np.load(path) as it:
        planes, n_train = cut(it["pixels"], it["shapes"]), len(it["shapes"]) - int(it["n_valid"])
    return planes[:n_train], planes[n_train:]


@dataclass(frozen=True, slots=True)
class Material:
    """What windows are made from: planes (h, w) and stacks of consecutive frames (T, h, w), uint8 luma 16-235."""

    stills: list[Plane]
    valid_stills: list[Plane]
    clips: list[Plane]
    valid_clips: list[Plane]


@dataclass(frozen=True, slots=True)
class Twin:
    """A small plane (h, w) that was not made of its sharp one (s*h, s*w), uint8 luma 16-235, and what both are called."""

    name: str
    small: Plane
    sharp: Plane


def pack_scenes(root: Path, out: Path, *, frames: int = 20, apart: int = 64) -> None:
    """Decode root/photo and root/video into one npz of stills and stacks, which load() reads too, as stills alone."""
    train, valid = stills(root / "photo")
    clips, valid_clips = clip_stacks(root / "video", frames=frames, apart=apart)
    save(out, train, valid, clips, valid_clips)


def load_scenes(path: Path) -> Material:
    """Stills and stacks of a pack made by pack_scenes(), or of pack(), which has no stacks."""
    with np.load(path) as it:
        there = "clip_pixels" in it
        stacks = cut(it["clip_pixels"], it["clip_shapes"]) if there else []
        n_train = len(stacks) - (int(it["n_valid_clips"]) if there else 0)
    return Material(*load(path), stacks[:n_train], stacks[n_train:])


def clip_stacks(folder: Path, *, frames: int = 20, apart: int = 64, side: int = 640) -> tuple[list[Plane], list[Plane]]:
    """Stacks (frames, h, w) of the training clips, and one of the middle of each clip of HELD_OUT.

    Clips are shrunk to where they are clean; a stack begins every `apart` frames and shows at most side x side pixels,
    those that move and vary most.
    """
    train, valid = [], []
    for path in sorted(folder.iterdir()):
        factor = clean(path)
        if factor:
            made = list(stacks(path, factor, frames=frames, apart=apart, side=side))
            if path.name.startswith(HELD_OUT):
                valid.append(made[len(made) // 2])
            else:
                train += made
    return train, valid


def stacks(path: Path, factor: float, *, frames: int, apart: int, side: int) -> Iterator[Plane]:
    """Runs of consecutive frames of one clip, every `apart` frames; a shorter one only from a shorter clip."""
    kept: list[Plane] = []
    begun = 0
    for n, plane in enumerate(lumas(path)):
        if n % apart < frames:
            kept.append(scaled(plane, factor))
        if len(kept) == frames:
            yield busiest(np.stack(kept), side)
            kept, begun = [], begun + 1
    if not begun:
        yield busiest(np.stack(kept), side)


def busiest(stack: Plane, side: int) -> Plane:
    """The part (T, <= side, <= side) of a stack that moves and varies most."""
    _, h, w = stack.shape
    half = (stack[0].astype(np.float32), stack[len(stack) // 2].astype(np.float32))
    change = np.abs(half[1] - half[0]) + 0.5 * np.abs(np.gradient(half[0])).sum(0)
    total = np.pad(change.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    high, wide = min(side, h), min(side, w)
    ys, xs = np.arange(0, h - high + 1, 8), np.arange(0, w - wide + 1, 8)
    score = total[np.ix_(ys + high, xs + wide)] - total[np.ix_(ys, xs + wide)] - total[np.ix_(ys + high, xs)]
    row, column = np.unravel_index((score + total[np.ix_(ys, xs)]).argmax(), score.shape)
    y, x = ys[row], xs[column]
    return np.ascontiguousarray(stack[:, y : y + high, x : x + wide])


@dataclass(frozen=True, slots=True)
class Pair:
    """A soft plane (h, w), its sharp cells (H/r, W/r, r*r), and corners (n, 2) of crops worth learning, in cells."""

    soft: Plane
    cells: Plane
    corners: np.ndarray[Any, Any]


def pair(sharp: Plane, soft: Plane, ratio: int, crop: int, *, flat: float = 2.0) -> Pair:
    """Cut a pair into cells of ratio x ratio sharp pixels.

    Crops, of `crop` x `crop` cells, whose soft side varies by less than `flat` code values (std) are left out.
    """
    cells = np.ascontiguousarray(rearrange(sharp, "(h y) (w x) -> h w (y x)", y=ratio, x=ratio))
    step, per = crop // 4, soft.shape[0] // cells.shape[0]
    ys, xs = (range(0, n - crop + 1, step) for n in cells.shape[:2])
    corners = [
        (y, x)
        for y in ys
        for x in xs
        if soft[y * per : (y + crop) * per : 2, x * per : (x + crop) * per : 2].std() >= flat
    ]
    return Pair(soft, cells, np.array(corners, dtype=np.int64).reshape(-1, 2))


def pairs(planes: list[Plane], degrade: Callable[[Plane], Plane], ratio: int, crop: int) -> list[Pair]:
    """Every plane with what `degrade` makes of it; planes without a crop worth learning from are left out."""
    made = (pair(plane, degrade(plane), ratio, crop) for plane in planes)
    return [p for p in made if len(p.corners)]


def worn_pairs(
    planes: list[Plane], scale: int, ratio: int, crop: int, *, each: int = 2, side: int = 640, seed: int = 0
) -> list[Pair]:
    """From every plane `each` windows of up to side x side, as users' files would show them (see degrade.worn)."""
    rng, made = np.random.default_rng(seed), []
    for plane in planes * each:
        y, x = (int(rng.integers(max(1, n - side + 1))) for n in plane.shape)
        made.append(pair(*worn(plane[y : y + side, x : x + side], scale, rng), ratio, crop))
    return [p for p in made if len(p.corners)]


class Sampler:
    """Random crops of pairs, flipped and turned; a pair is drawn by its number of crops to the power of `by_size`."""

    def __init__(self, pairs: list[Pair], crop: int, *, by_size: float = 0.5, seed: int = 0) -> None:
        self.pairs, self.crop, self.rng = pairs, crop, np.random.default_rng(seed)
        weight = np.array([len(p.corners) for p in pairs], dtype=float) ** by_size
        self.ends = np.cumsum(weight / weight.sum())

    def batch(self, n: int) -> tuple[Tensor, Tensor]:
        """Soft planes (n, 1, h, w) and their sharp cells (n, r*r, crop, crop), float in [0, 1]."""
        soft, cells = [], []
        for u, v in self.rng.random((n, 2)):
            it = self.pairs[min(int(np.searchsorted(self.ends, u)), len(self.pairs) - 1)]
            y, x = it.corners[int(v * len(it.corners))]
            per, c = it.soft.shape[0] // it.cells.shape[0], self.crop
            soft.append(it.soft[y * per : (y + c) * per, x * per : (x + c) * per])
            cells.append(it.cells[y : y + c, x : x + c])
        return turned(torch.from_numpy(np.stack(soft)), torch.from_numpy(np.stack(cells)), int(self.rng.integers(8)))


def turned(soft: Tensor, cells: Tensor, way: int) -> tuple[Tensor, Tensor]:
    """One of the 8 symmetries of the square for a whole batch: soft (n, h, w), cells (n, h, w, r*r), uint8."""
    ratio = round(cells.shape[-1] ** 0.5)
    order = torch.arange(ratio * ratio).reshape(ratio, ratio)
    for bit, axes in ((1, 0), (2, 1)):
        if way & bit:
            soft, cells, order = soft.flip(axes + 1), cells.flip(axes + 1), order.flip(axes)
    if way & 4:
        soft, cells, order = soft.transpose(1, 2), cells.transpose(1, 2), order.T
    cells = cells[..., order.ravel()]
    return soft[:, None].contiguous().float().div_(255), rearrange(cells, "n h w c -> n c h w").float().div_(255)
