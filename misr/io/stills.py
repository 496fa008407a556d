"""Pictures and arrays as views, whole in memory or mapped: PNG, JPEG, plain TIFF, WebP, NPY, NPZ, frames of a video."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from einops import rearrange

from misr.color import rgb_view
from misr.errors import InputError
from misr.frame import Frame
from misr.io.reader import Reader
from misr.io.tags import cut_short, shot
from misr.io.view import Array, ArrayView, is_mask

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".pgm", ".ppm"}
PHOTOS = {".jpg", ".jpeg"}
ARRAYS = {".npy", ".npz"}
PLAIN_TIFF = {".tif", ".tiff"}
COLOURS = ("red", "green", "blue")
SPAN = 15  # frames taken around a moment of a video unless told


def pictures(path: str, nodata: float | None = None) -> list[ArrayView]:
    """The picture of a file, or the pages of a TIFF, as stored; colour as red, green, blue; alpha becomes the mask.

    JPEGs are turned upright as their EXIF says, and tell their exposure and time.
    """
    pages = decoded(path)
    if not pages:
        raise InputError(f"{path}: damaged, or no picture OpenCV can read; repair it or leave it out")
    told = shot(path)
    many = len(pages) > 1
    return [
        replace(picture(page, f"{path}#{n}" if many else path, nodata), exposure=told.exposure, time=told.time)
        for n, page in enumerate(pages, 1)
    ]


def decoded(path: str) -> list[Array]:
    """The pages of a file as OpenCV has them; [] when it is damaged."""
    suffix = Path(path).suffix.lower()
    try:
        if suffix in PLAIN_TIFF:
            return list(cv2.imreadmulti(path, flags=cv2.IMREAD_UNCHANGED)[1])
        upright = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH  # honours EXIF's orientation; UNCHANGED does not
        page = cv2.imread(path, upright if suffix in PHOTOS else cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return []
    return [] if page is None or suffix in PHOTOS and cut_short(path) else [page]


def picture(page: Array, name: str, nodata: float | None = None) -> ArrayView:
    """An OpenCV picture (h, w) or (h, w, c), blue first, as a view, red first."""
    codes = page[None] if page.ndim == 2 else rearrange(page, "h w c -> c h w")
    if codes.shape[0] in (3, 4):
        codes = codes[[2, 1, 0, 3][: codes.shape[0]]]
    names = {1: ("gray",), 3: COLOURS, 4: COLOURS}.get(codes.shape[0], ())
    if codes.shape[0] != 4 or Path(name.split("#")[0]).suffix.lower() in PLAIN_TIFF and not is_mask(codes[3]):
        return ArrayView(name, codes, nodata=nodata, names=names if len(names) == len(codes) else ())
    return ArrayView(name, codes[:3], mask=codes[3], nodata=nodata, alpha=True, names=names)


def arrays(path: str, nodata: float | None = None, *, one: bool = False) -> list[ArrayView]:
    """The views of an NPY or NPZ file, NPY mapped and not loaded.

    A stack is (views, h, w), (views, bands, h, w) or (views, h, w, bands); bands are on the shorter of axis 1 and the last.
    (h, w) is one view; with `one`, an array of three axes is one view too: (bands, h, w) or (h, w, bands).
    NPZ: `views` is the stack; optional, one entry a view: `masks` (views, h, w), nonzero where valid, `exposures`, `times`,
    `names`. An NPZ with one array needs no name for it. InputError for anything else.
    """
    held = load(path)
    views = held.get("views")
    if views is None:
        rest = [a for name, a in held.items() if name not in ("masks", "exposures", "times", "names")]
        if len(rest) != 1:
            raise InputError(f"{path}: no array called views among {', '.join(held) or 'none'}; save it as views=stack")
        views = rest[0]
    stacked = stack(views, path, one)
    many = len(stacked) > 1
    masks, exposures, times, names = (
        each(held, key, len(stacked), path) for key in ("masks", "exposures", "times", "names")
    )
    return [
        ArrayView(
            str(names[i]) if names is not None else f"{path}#{i + 1}" if many else path,
            codes,
            mask=None if masks is None else masks[i],
            nodata=nodata,
            exposure=None if exposures is None else float(exposures[i]),
            time="" if times is None else str(times[i]),
        )
        for i, codes in enumerate(stacked)
    ]


def load(path: str) -> dict[str, Array]:
    """The arrays of a file by name; an NPY's is `views`."""
    try:
        if path.lower().endswith(".npy"):
            return {"views": np.load(path, mmap_mode="r", allow_pickle=False)}
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, OSError, EOFError, BadZipFile, KeyError) as e:
        raise InputError(f"{path}: not an array NumPy can read ({e}); save it again with np.save or np.savez") from None


def stack(views: Array, path: str, one: bool) -> list[Array]:
    """(bands, h, w) of every view of an array, see arrays(); nothing is copied."""
    if views.ndim == 2:
        return [views[None]]
    if views.ndim == 3 and not one:
        return [v[None] for v in views]
    if views.ndim not in (3, 4):
        raise InputError(f"{path}: an array of {views.ndim} axes; (views, h, w) and (views, bands, h, w) are read")
    stacked = views[None] if views.ndim == 3 else views
    last = stacked.shape[3] < stacked.shape[1]
    return list(rearrange(stacked, "n h w c -> n c h w") if last else stacked)


def each(held: dict[str, Array], key: str, count: int, path: str) -> Array | None:
    """An entry of an NPZ with one item a view, or None; InputError when it has another number."""
    found = held.get(key)
    if found is not None and (not found.ndim or len(found) != count):
        raise InputError(f"{path}: {key} of shape {found.shape} beside {count} views; save one entry a view")
    return found


def span(path: str, at: Fraction, count: int = 0) -> list[ArrayView]:
    """The `count` frames of a video around `at` seconds from its beginning, the one shown then in the middle, as R'G'B' views.

    8-bit clips give uint8, deeper ones uint16 over the whole range; gray ones one band. At a clip's ends more are taken on
    the other side; fewer only from a clip that has not so many.
    """
    count = count or SPAN
    reader = Reader(path, upright=True)
    when = reader.info.start + at
    before: deque[Frame] = deque(maxlen=count)
    after: list[Frame] = []
    try:
        for frame in reader.near(when - count / reader.info.rate):
            (before if frame.time <= when else after).append(frame)
            if min(len(before), count // 2 + 1) + len(after) >= count and after:
                break
    finally:
        reader.close()
    shown_s = max(before[-1].duration, 1 / reader.info.rate) if before else Fraction(0)
    if not after and (not before or before[-1].time + shown_s <= when):
        raise InputError(f"{path}: nothing is shown at {float(at):.3f} s; choose a moment within the clip")
    frames = [*before, *after]
    first = max(0, min(len(before) - 1 - count // 2, len(frames) - count))
    return [frame_view(f, f"{path}#{float(f.time - reader.info.start):.3f}s") for f in frames[first : first + count]]


def frame_view(frame: Frame, name: str) -> ArrayView:
    """A frame as a view: R'G'B', black 0 and white the greatest code, uint8 or uint16; one band of a gray frame."""
    rgb = rgb_view(frame, torch.device("cpu"))[: 1 if frame.color.model == "gray" else 3]
    top: Any = np.uint8 if frame.color.depth == 8 else np.uint16
    codes = (rgb * np.iinfo(top).max).round_().clamp_(0, np.iinfo(top).max).to(torch.int32).numpy().astype(top)
    return ArrayView(name, codes, names=("gray",) if len(codes) == 1 else COLOURS)
