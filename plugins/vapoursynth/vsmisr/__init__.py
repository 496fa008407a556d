"""misr in VapourSynth: `vsmisr.upscale(clip, model="video-x2")` is the clip, larger and sharper, frame by frame on demand.

    clip ──┬─ SelectEvery, one per offset ── ModifyFrame: a run of pictures ──┐ num_streams of these, dealt in turn
           └─ ...                                                             │
                                            Interleave, each run `length` times ── ModifyFrame: its picture n ── out

Windows lie on a fixed grid of frame numbers, so frames are rendered by runs of that grid: one frame of the middle nodes is a
whole run, its pictures riding in its properties. VapourSynth's own scheduler and caches do the rest, and the pixels of a
frame do not depend on who asked for which frame before. No callback ever asks for a frame: that could wait for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

import vapoursynth as vs

import misr
from vsmisr.pixels import color_of, draw, views
from vsmisr.runs import Runs, render

__all__ = ["upscale"]
PICTURE = "misr_{}"  # property of a run's frame that holds its picture of this number
TINY = 16, 16  # size of a run's own frame
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
        if min(num_streams, batch_size) < 1 or tile < 0 or precision not in PRECISIONS:
            raise misr.InputError(
                f"num_streams {num_streams} and batch_size {batch_size} begin at 1, tile {tile} at 0, and precision "
                f"{precision!r} is one of {', '.join(PRECISIONS)}; give values from there"
            )
        device = None if device_index is None else "cpu" if device_index == -1 else f"cuda:{device_index}"
        up = misr.Upscaler(
            model, scale=scale, device=device, precision=precision, tile=tile, batch=batch_size, strength=strength
        )
        out = canvas(clip, up.card)
    card = up.card
    runs = Runs(clip.num_frames, card.emit * batch_size, card.before, card.after, num_streams)
    more = [  # nets are pure: all streams share the weights
        misr.Upscaler(
            (up.net, card), device=up.device, precision=precision, tile=tile, batch=batch_size, strength=strength
        )
        for _ in range(num_streams - 1)
    ]
    return pictures(clip, out, runs, [up, *more])


@contextmanager
def spoken() -> Iterator[None]:
    """What misr says is wrong, as VapourSynth's own error."""
    try:
        yield
    except misr.MisrError as e:
        raise vs.Error(f"misr: {e}") from None


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


def pictures(clip: vs.VideoNode, out: vs.VideoNode, runs: Runs, ups: list[misr.Upscaler]) -> vs.VideoNode:
    """The graph: sources at every offset of a run, runs of pictures, the pictures one by one."""
    std = vs.core.std
    padded, holder = beyond(clip, runs), std.BlankClip(out, *TINY, vs.GRAY8, runs.rounds, keep=True)
    nodes = []
    for stream, up in enumerate(ups):
        begin = stream * runs.length  # in the padded clip
        sources = [every(std.Trim(padded, at), runs) for at in range(begin, begin + runs.views)]
        nodes.append(std.ModifyFrame(holder, sources, renderer(up, runs, stream, holder.format)))
        std.SetVideoCache(nodes[-1], mode=1, fixedsize=runs.kept(vs.core.num_threads))
    dealt = std.Interleave(nodes, modify_duration=False)
    each = std.Trim(std.Interleave([dealt] * runs.length, modify_duration=False), length=clip.num_frames)
    return std.ModifyFrame(out, each, lambda n, f: f.props[PICTURE.format(n % runs.length)])


def every(clip: vs.VideoNode, runs: Runs) -> vs.VideoNode:
    """The frames of a clip that one stream meets at one place of its runs, a round each."""
    cycle = runs.length * runs.streams
    std = vs.core.std
    return std.Trim(std.SelectEvery(clip, cycle, 0, modify_duration=False) if cycle > 1 else clip, length=runs.rounds)


def beyond(clip: vs.VideoNode, runs: Runs) -> vs.VideoNode:
    """The clip with its ends held, so that every run finds a frame at every place; callbacks pass over those outside."""
    std, parts = vs.core.std, [clip]
    if runs.before:
        parts.insert(0, std.Loop(std.Trim(clip, length=1), runs.before))
    if runs.tail:
        parts.append(std.Loop(std.Trim(clip, clip.num_frames - 1), runs.tail))
    return std.Splice(parts)


def renderer(up: misr.Upscaler, runs: Runs, stream: int, blank: vs.VideoFormat) -> Callable[[int, Any], vs.VideoFrame]:
    """The callback of one stream's node: from the source frames of its round n to a frame that carries the run's pictures.

    The net runs in a thread of its own: each of VapourSynth's would else bring up its own pool of OpenMP threads and heap.
    """
    worker, hints = ThreadPoolExecutor(1, "misr"), ["the clip is interlaced; deinterlace it before upscale"]

    def rendered(n: int, f: Any) -> vs.VideoFrame:
        frames, run = f if isinstance(f, list) else [f], n * runs.streams + stream
        given = [pair for pair in zip(runs.numbers(run), frames, strict=True) if 0 <= pair[0] < runs.frames]
        if hints and any(frame.props.get("_FieldBased", 0) for _, frame in given):
            vs.core.log_message(vs.MESSAGE_TYPE_WARNING, f"misr: {hints.pop()}")
        with spoken():
            done = worker.submit(render, up, list(views(given)), runs.wanted(run)).result()
        holder = vs.core.create_video_frame(blank, *TINY)
        for k, picture in enumerate(done):
            holder.props[PICTURE.format(k)] = draw(picture, frames[runs.before + k])
        return holder

    return rendered
