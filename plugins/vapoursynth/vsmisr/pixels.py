"""Between VapourSynth's frames and misr's: formats, planes and frame properties.

VapourSynth's numbers (API 4): color family 1 GRAY, 2 RGB, 3 YUV; sample type 0 integer, 1 float; `_Range` 0 limited, 1 full,
and the older `_ColorRange` the other way round; `_ChromaLocation` one less than misr's siting. Matrix, primaries and transfer
are those of H.273 on both sides. Float chroma is -0.5 .. 0.5 there and 0 .. 1 here; half floats become single ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import vapoursynth as vs

import misr

MODELS: dict[int, Literal["gray", "rgb", "yuv"]] = {1: "gray", 2: "rgb", 3: "yuv"}
FLOAT = 1
LIMITED, FULL, UNSPECIFIED = 1, 2, 2  # misr's


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Frame `number` of a clip, and whether it begins a new shot; None: the clip does not say."""

    number: int
    frame: misr.Frame
    cut: bool | None


def color_of(fmt: vs.VideoFormat) -> misr.Color:
    """What a format says of colour; InputError for integers of more than 16 bits."""
    real = fmt.sample_type == FLOAT
    if not real and not 8 <= fmt.bits_per_sample <= 16:
        raise misr.InputError(
            f"{fmt.name} holds integers of {fmt.bits_per_sample} bits, misr 8 to 16; convert with resize, to 16 bits or float"
        )
    grid = (1 << fmt.subsampling_w, 1 << fmt.subsampling_h)
    return misr.Color(MODELS[int(fmt.color_family)], 32 if real else fmt.bits_per_sample, grid)


def tagged(color: misr.Color, props: Mapping[str, Any]) -> misr.Color:
    """The colour with what a frame's properties say; what they do not say stays untagged."""
    span = 0
    if "_Range" in props:
        span = FULL if props["_Range"] == 1 else LIMITED
    elif "_ColorRange" in props:  # before R74
        span = FULL if props["_ColorRange"] == 0 else LIMITED
    return replace(
        color,
        matrix=int(props.get("_Matrix", UNSPECIFIED)),
        primaries=int(props.get("_Primaries", UNSPECIFIED)),
        transfer=int(props.get("_Transfer", UNSPECIFIED)),
        range=span,
        siting=int(props["_ChromaLocation"]) + 1 if "_ChromaLocation" in props else 0,
        alpha="_Alpha" in props,
    )


def begins_shot(props: Mapping[str, Any], before: Mapping[str, Any]) -> bool | None:
    """Whether a frame of these properties begins a shot, after one of those; None where neither says anything."""
    words = [p[name] for p, name in ((props, "_SceneChangePrev"), (before, "_SceneChangeNext")) if name in p]
    return any(words) if words else None


def views(frames: Iterable[tuple[int, vs.VideoFrame]]) -> Iterator[View]:
    """Numbered frames, in order, as misr takes them."""
    before: Mapping[str, Any] = {}
    for number, f in frames:
        yield View(number, read(f), begins_shot(f.props, before))
        before = f.props


def middle(color: misr.Color, plane: int) -> float:
    """What misr's value of a plane is above VapourSynth's: 0.5 for chroma in floats."""
    return 0.5 if color.depth == 32 and color.model == "yuv" and plane in (1, 2) else 0.0


def samples(plane: Any, above: float = 0.0) -> np.ndarray[Any, np.dtype[Any]]:
    """A copy of a frame's plane: uint8, uint16 or float32, `above` added to floats."""
    codes = np.asarray(plane)
    return codes.astype(np.float32) + np.float32(above) if codes.dtype.kind == "f" else codes.copy()


def read(f: vs.VideoFrame) -> misr.Frame:
    """A frame as misr's, `_Alpha` as its last plane; InputError where that is not of the picture's size and depth."""
    color = tagged(color_of(f.format), f.props)
    planes = [samples(f[p], middle(color, p)) for p in range(f.format.num_planes)]
    if color.alpha:
        alpha = f.props["_Alpha"]
        had, want = ((x.width, x.height, x.format.sample_type, x.format.bits_per_sample) for x in (alpha, f))
        if had != want:
            raise misr.InputError(
                f"_Alpha is {alpha.width}x{alpha.height} {alpha.format.name}, the picture {f.width}x{f.height} "
                f"{f.format.name}; make them alike, or drop it with std.RemoveFrameProps"
            )
        planes.append(samples(alpha[0]))
    return misr.Frame(tuple(planes), color)


def draw(picture: misr.Frame, source: vs.VideoFrame) -> vs.VideoFrame:
    """A sharp picture as a new frame of its source's format, with all of the source's properties."""
    out = vs.core.create_video_frame(source.format, picture.width, picture.height)
    out.props.update(source.props)
    for p in range(source.format.num_planes):
        above = middle(picture.color, p)
        np.copyto(
            np.asarray(out[p]), picture.planes[p] - np.float32(above) if above else picture.planes[p], "same_kind"
        )
    if picture.color.alpha:
        alpha = vs.core.create_video_frame(source.props["_Alpha"].format, picture.width, picture.height)
        alpha.props.update(source.props["_Alpha"].props)
        np.copyto(np.asarray(alpha[0]), picture.planes[-1], "same_kind")
        out.props["_Alpha"] = alpha
    return out
