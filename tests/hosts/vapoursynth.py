"""VapourSynth: a clip of frames made in Python, upscaled, its frames asked for in no order."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import misr
from tests.hosts import Shown

HERE = find_spec("vapoursynth") is not None
FAMILY = {"gray": 1, "rgb": 2, "yuv": 3}


class VapourSynth:
    """`vsmisr.upscale` in the real core."""

    name = "vapoursynth"
    formats: tuple[str, ...] = (
        *("yuv444p", "yuv420p", "yuv422p", "yuv410p", "yuv411p", "yuv440p"),
        *("yuv420p10le", "yuv422p12le", "yuv444p16le", "gray", "gray10le", "gray16le", "bgr0", "gbrp10le", "gbrp16le"),
    )
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(0)
    codes = 0
    error: type[BaseException] = import_module("vapoursynth").Error if HERE else RuntimeError

    def missing(self) -> str:
        return "" if HERE else "no vapoursynth in this Python (its wheels need 3.12); see plugins/vapoursynth/check"

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        vs, vsmisr = import_module("vapoursynth"), import_module("vsmisr")
        reader = misr.open(clip, deinterlace="off")
        frames = list(reader)
        reader.close()
        props = [said(frame, after, reader.info.sar) for frame, after in zip(frames, [*frames[1:], None], strict=True)]
        upscaled = vsmisr.upscale(fed(vs, frames, props), model)
        order = random.Random(1).sample(range(len(frames)), len(frames))
        made = {n: upscaled.get_frame(n) for n in order}
        times = [frames[0].time]
        for n in range(len(made)):
            times.append(times[-1] + Fraction(made[n].props["_DurationNum"], made[n].props["_DurationDen"]))
        return [seen(made[n], times[n]) for n in range(len(made))]


def said(frame: misr.Frame, after: misr.Frame | None, sar: Fraction) -> dict[str, int]:
    """The properties a source filter gives a frame that the frame `after` it replaces."""
    color, lasts = frame.color, after.time - frame.time if after else frame.duration
    props = {"_Matrix": color.matrix, "_Primaries": color.primaries, "_Transfer": color.transfer}
    if color.range:
        props["_Range"] = color.range - 1
    if color.siting:
        props["_ChromaLocation"] = color.siting - 1
    times = {"_DurationNum": lasts.numerator, "_DurationDen": lasts.denominator}
    return {**props, **times, "_SARNum": sar.numerator, "_SARDen": sar.denominator}


def fed(vs: Any, frames: Sequence[misr.Frame], props: Sequence[Mapping[str, Any]], *, half: bool = False) -> Any:
    """A clip of frames alike in size and format, with these properties; float chroma around 0, as VapourSynth has it."""
    first = frames[0]
    color, real = first.color, first.color.depth == 32
    sub = [factor.bit_length() - 1 for factor in color.subsampling]
    bits = 16 if half else color.depth
    fmt = vs.core.query_video_format(FAMILY[color.model], vs.FLOAT if real else vs.INTEGER, bits, *sub)
    blank = vs.core.std.BlankClip(width=first.width, height=first.height, format=fmt.id, length=len(frames))

    def made(n: int, f: Any) -> Any:
        out = vs.core.create_video_frame(fmt, first.width, first.height)
        for p in range(fmt.num_planes):
            around = 0.5 if real and color.model == "yuv" and p else 0
            np.asarray(out[p])[:] = frames[n].planes[p] - np.float32(around) if around else frames[n].planes[p]
        out.props.update(props[n])
        return out

    return vs.core.std.ModifyFrame(blank, blank, made)


def planes(f: Any) -> tuple[np.ndarray, ...]:
    """Copies of a frame's planes, as they are."""
    return tuple(np.array(f[p]) for p in range(f.format.num_planes))


def seen(f: Any, time: Fraction) -> Shown:
    """A frame as the contract looks at it."""
    tags = [int(f.props[name]) for name in ("_Matrix", "_Range", "_Primaries", "_Transfer")]
    sar = Fraction(f.props["_SARNum"], f.props["_SARDen"])
    return Shown(planes(f), time, (tags[0], tags[1] + 1, tags[2], tags[3]), sar)


HOST = VapourSynth()
