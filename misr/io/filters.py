"""FFmpeg filters that give one frame for each: is it interlaced, deinterlaced then, turned upright."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import av

from misr.errors import InputError
from misr.io.opening import rational

INTERLACED_HEIGHTS = {
    480,
    486,
    512,
    576,
    608,
    1080,
    1088,
}  # where unflagged interlace is plausible; patterns fool idet elsewhere


def field_order(frames: list[av.VideoFrame]) -> Literal["", "tff", "bff"]:
    """Which field comes first, "" for progressive: the decoder's flags, then FFmpeg's idet on the pictures themselves."""
    flagged = sum(bool(f.interlaced_frame) for f in frames)
    counts = idet(frames)
    woven, straight = counts["tff"] + counts["bff"], counts["progressive"]
    first: Literal["tff", "bff"] = "bff" if counts["bff"] > counts["tff"] else "tff"
    if flagged * 2 > len(frames):
        return first
    plausible = frames[0].height in INTERLACED_HEIGHTS
    return first if plausible and woven >= 6 and woven * 3 > woven + straight else ""


def idet(frames: list[av.VideoFrame]) -> dict[str, int]:
    """How many frames FFmpeg's idet calls tff, bff and progressive (multi-frame verdict)."""
    counts = {"tff": 0, "bff": 0, "progressive": 0, "undetermined": 0}
    if len(frames) < 3 or min(frames[0].width, frames[0].height) < 16:
        return counts
    graph = simple_graph(frames[0], ("idet", ""))
    if graph is None:
        return counts
    for f in [*frames, None]:
        graph.push(f)
        for out in pulled(graph):
            verdict = out.metadata.get("lavfi.idet.multiple.current_frame", "undetermined")
            counts[verdict] = counts.get(verdict, 0) + 1
    return counts


def simple_graph(like: av.VideoFrame, *filters: tuple[str, str]) -> av.filter.Graph | None:
    """buffer -> filters -> sink for frames like this one; None where the filters do not take its format."""
    graph = av.filter.Graph()
    base = rational(like.time_base) or Fraction(1, 90000)
    args = f"video_size={like.width}x{like.height}:pix_fmt={like.format.name}:time_base={base}:pixel_aspect=1/1"
    args += f":colorspace={int(like.colorspace)}:range={int(like.color_range)}"
    try:
        nodes = [
            graph.add("buffer", args),
            *(graph.add(name, options) for name, options in filters),
            graph.add("buffersink"),
        ]
        for a, b in pairwise(nodes):
            a.link_to(b)
        graph.configure()
    except (av.error.FFmpegError, ValueError):
        return None
    return graph


def pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    """What a graph has ready."""
    while True:
        try:
            out = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(out, av.VideoFrame)
        yield out


def filtered(frames: Iterator[av.VideoFrame], chain: str) -> Iterator[av.VideoFrame]:
    """Frames through filters that give one frame for each; times stay the frames' own."""
    graph: av.filter.Graph | None = None
    stamps: list[tuple[Any, ...]] = []
    for f in frames:
        if graph is None:
            parts = [(part + "=").split("=", 1) for part in chain.split(",")]
            graph = simple_graph(f, *((name, options.rstrip("=")) for name, options in parts))
            if graph is None:
                raise InputError(
                    f"{chain.split('=')[0]} does not take {f.format.name} frames; convert the clip to yuv422p10le first"
                )
        stamps.append((f.pts, f.time_base, f.duration, f.colorspace, f.color_range))
        graph.push(f)
        yield from _stamped(graph, stamps)
    if graph is not None:
        graph.push(None)
        yield from _stamped(graph, stamps)


def _stamped(graph: av.filter.Graph, stamps: list[tuple[Any, ...]]) -> Iterator[av.VideoFrame]:
    for out in pulled(graph):
        pts, base, duration, out.colorspace, out.color_range = stamps.pop(0)  # the graph tags what was untagged
        out.pts, out.duration = pts, duration or 0
        out.time_base = base
        yield out
