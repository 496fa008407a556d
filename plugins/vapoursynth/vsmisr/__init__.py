"""misr in VapourSynth: `vsmisr.upscale(clip, model="video-x2")` is the clip, larger and sharper, frame by frame on demand.

    clip ──┬─ SelectEvery, one per offset ── ModifyFrame: a run of pictures ──┐ num_streams of these, dealt in turn
           └─ ...                                                             │
                                            Interleave, each run `length` times ── ModifyFrame: its picture n ── out

Windows lie on a fixed grid of frame numbers, so frames are rendered by runs of that grid: one frame of the middle nodes is a
whole run, its pictures riding in its properties. VapourSynth's own scheduler and caches do the rest, and the pixels of a
frame do not depend on who asked for which frame before. No callback ever asks for a frame: that could wait for itself.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import vapoursynth as vs

import misr
from vsmisr.graph import pictures, spoken
from vsmisr.pixels import color_of
from vsmisr.runs import Runs

__all__ = ["upscale"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def upscale(
    clip: vs.VideoNode,
    model: str = "fast-x2",
    *,
    scale: float | None = None,
    device_index: int | None = None,
    num_streams: int = 1,
    batch_size: int = 1,
    tile: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    strength: float = 1.0,
) -> vs.VideoNode:
    """The clip enlarged by a model: same format, length, rate and frame properties; any order of requests, the same pixels.

    model         a name of `misr models`, or a model's directory
    scale         for models that come in any, as `bicubic` does
    device_index  n: cuda:n; -1: the CPU; None: the GPU where there is one
    num_streams   runs that are rendered at the same time, each on a CUDA stream of its own
    batch_size    windows of the model that go to the device together
    tile          LR pixels of a square tile, 0: the whole picture
    strength      0 plain interpolation .. 1 the whole learned detail

    YUV and GRAY of 8 to 16 bits, half and single floats; RGB likewise. vs.Error for other formats, clips whose format or
    size changes, models and devices that are not there.
    """
    with spoken():
        clip = constant(clip)
        least = {"num_streams": (num_streams, 1), "batch_size": (batch_size, 1), "tile": (tile, 0)}
        for name, (value, limit) in least.items():
            if value < limit:
                raise misr.InputError(f"{name} {value} is below {limit}, the least there is; give that or more")
        if precision not in PRECISIONS:
            raise misr.InputError(f"there is no precision {precision!r}; give one of {', '.join(PRECISIONS)}")
        device = None if device_index is None else "cpu" if device_index == -1 else f"cuda:{device_index}"
        upscaler = partial(
            misr.Upscaler, device=device, precision=precision, tile=tile, batch=batch_size, strength=strength
        )
        up = upscaler(model, scale=scale)
        out = canvas(clip, up.card)
        ups = [up, *(upscaler((up.net, up.card)) for _ in range(num_streams - 1))]  # nets are pure: weights are shared
    runs = Runs(clip.num_frames, up.card.emit * batch_size, up.card.before, up.card.after, num_streams)
    return pictures(clip, out, runs, ups)


def constant(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip in main memory; InputError unless it has one size and one format misr knows."""
    if not isinstance(clip, vs.VideoNode):
        raise misr.InputError(f"upscale takes a video clip, not {type(clip).__name__}; give a vs.VideoNode")
    if not (clip.format and clip.format.color_family and clip.width and clip.height):
        raise misr.InputError("the clip's format or size changes along the way; bring it to one with resize first")
    color_of(clip.format)
    return vs.core.std.GPUDownload(clip) if getattr(clip, "gpu_resident", False) else clip


def canvas(clip: vs.VideoNode, card: misr.ModelCard) -> vs.VideoNode:
    """A blank clip of the size to come; InputError where the clip's chroma cannot have half a sample more."""
    width, height = round(clip.width * card.scale), round(clip.height * card.scale)
    if width % (1 << clip.format.subsampling_w) or height % (1 << clip.format.subsampling_h):
        raise misr.InputError(
            f"{clip.width}x{clip.height} times {card.scale:g} is {width}x{height}, a size {clip.format.name} cannot have; "
            "crop the clip or take another scale"
        )
    return vs.core.std.BlankClip(clip, width=width, height=height, keep=True)
