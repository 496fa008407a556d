"""The graph of clips that upscale() makes, and the callback in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import vapoursynth as vs

import misr
from vsmisr.pixels import draw, views
from vsmisr.runs import Runs, render

PICTURE = "misr_{}"  # property of a run's frame that holds its picture of this number
TINY = 16, 16  # size of that frame itself


@contextmanager
def spoken() -> Iterator[None]:
    """What misr says is wrong, as VapourSynth's own error."""
    try:
        yield
    except misr.MisrError as e:
        raise vs.Error(f"misr: {e}") from None


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
    worker = ThreadPoolExecutor(1, "misr", own_stream, (up,))
    hints = ["the clip is interlaced; deinterlace it before upscale"]

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


def own_stream(up: misr.Upscaler) -> None:
    """Give this thread a CUDA stream of its own, on the GPU that the model is on, if it is on one."""
    if up.device.type == "cuda":
        import torch

        torch.cuda.set_device(up.device)
        torch.cuda.set_stream(torch.cuda.Stream(up.device))
