"""As much of VapourSynth's Python API as vsmisr calls, in numpy: for Pythons its wheels are not made for.

Frames are made on demand by one thread. `frames()` asks for them out of order, as the real core's threads do, and a node keeps
what it made only where std.SetVideoCache says so. tests/test_vapoursynth.py runs the same tests over this and the real core.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

Error = type("Error", (Exception,), {"__module__": "vapoursynth"})
MESSAGE_TYPE_WARNING = 2
INTEGER, FLOAT = 0, 1
GRAY, RGB, YUV = 1, 2, 3
DTYPES = {
    (INTEGER, 1): np.uint8,
    (INTEGER, 2): np.uint16,
    (INTEGER, 4): np.uint32,
    (FLOAT, 2): np.float16,
    (FLOAT, 4): np.float32,
}


class Range(IntEnum):
    RANGE_LIMITED = 0
    RANGE_FULL = 1


@dataclass(frozen=True)
class VideoFormat:
    """The real one's fields; `id` packs them."""

    color_family: int
    sample_type: int
    bits_per_sample: int
    subsampling_w: int = 0
    subsampling_h: int = 0

    @property
    def id(self) -> int:
        return (
            self.color_family << 28
            | self.sample_type << 24
            | self.bits_per_sample << 16
            | self.subsampling_w << 8
            | self.subsampling_h
        )

    @property
    def name(self) -> str:
        return f"format {self.id:#x}"

    @property
    def bytes_per_sample(self) -> int:
        return 1 if self.bits_per_sample <= 8 else 2 if self.bits_per_sample <= 16 else 4

    @property
    def num_planes(self) -> int:
        return 1 if self.color_family == GRAY else 3


class VideoFrame:
    """Planes as arrays; only copies and new ones can be written."""

    def __init__(self, fmt: VideoFormat, width: int, height: int) -> None:
        self.format, self.width, self.height, self.readonly = fmt, width, height, False
        self.props: dict[str, Any] = {}
        dtype, w, h = DTYPES[fmt.sample_type, fmt.bytes_per_sample], fmt.subsampling_w, fmt.subsampling_h
        self._planes = [
            np.zeros((height >> (h if p else 0), width >> (w if p else 0)), dtype) for p in range(fmt.num_planes)
        ]

    def __getitem__(self, plane: int) -> memoryview:
        view = memoryview(self._planes[plane])
        return view.toreadonly() if self.readonly else view

    def copy(self) -> VideoFrame:
        twin = VideoFrame(self.format, self.width, self.height)
        twin._planes = [p.copy() for p in self._planes]
        twin.props = dict(self.props)
        return twin


class VideoNode:
    """A clip: what it looks like, and how frame n is made."""

    def __init__(self, like: Any, make: Callable[[int], VideoFrame], num_frames: int) -> None:
        self.format, self.width, self.height = like.format, like.width, like.height
        self.fps_num, self.fps_den, self.num_frames = like.fps_num, like.fps_den, num_frames
        self._make, self._kept, self._room = make, OrderedDict[int, VideoFrame](), 0

    def get_frame(self, n: int) -> VideoFrame:
        if not 0 <= n < self.num_frames:
            raise Error(f"Requested frame {n} is not in the clip")
        frame = self._kept.pop(n, None) or self._make(n)
        frame.readonly = True
        self._kept[n] = frame
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        return frame

    def frames(self, prefetch: int = 7) -> Iterator[VideoFrame]:
        """All frames in order, asked for out of order in groups of `prefetch`."""
        for begin in range(0, self.num_frames, prefetch):
            numbers = list(range(begin, min(begin + prefetch, self.num_frames)))
            made = {n: self.get_frame(n) for n in numbers[1::2] + numbers[::-2] + numbers[::2]}
            yield from (made[n] for n in numbers)


def blank_clip(
    clip: VideoNode | None = None,
    width: int = 640,
    height: int = 480,
    format: int = 0,
    length: int = 240,
    *,
    fpsnum: int = 24,
    fpsden: int = 1,
    keep: bool = False,
    varsize: bool = False,
) -> VideoNode:
    """std.BlankClip; of a clip, what is not given is the clip's."""
    fmt = get_video_format(format or (clip.format.id if clip else RGB24))
    fps = (clip.fps_num, clip.fps_den) if clip else (fpsnum, fpsden)
    size = (0, 0) if varsize else (width, height)
    like = SimpleNamespace(format=fmt, width=size[0], height=size[1], fps_num=fps[0], fps_den=fps[1])
    length = clip.num_frames if clip and length == 240 else length
    return VideoNode(like, lambda n: VideoFrame(fmt, width, height), length)


def modify_frame(
    clip: VideoNode, clips: VideoNode | Sequence[VideoNode], selector: Callable[[int, Any], Any]
) -> VideoNode:
    """std.ModifyFrame: what the selector returns must look like `clip`; its own errors are VapourSynth's."""
    nodes = [clips] if isinstance(clips, VideoNode) else list(clips)

    def make(n: int) -> VideoFrame:
        given = [node.get_frame(min(n, node.num_frames - 1)) for node in nodes]
        try:
            frame = selector(n, given[0] if len(given) == 1 else given)
        except Exception as e:
            raise Error(f"Traceback of the callback:\n{e}") from None
        if (frame.format, frame.width, frame.height) != (clip.format, clip.width, clip.height):
            raise Error("ModifyFrame: the returned frame has the wrong format or size")
        return frame

    return VideoNode(clip, make, clip.num_frames)


def trim(clip: VideoNode, first: int = 0, last: int | None = None, length: int | None = None) -> VideoNode:
    stop = clip.num_frames if length is None else min(first + length, clip.num_frames)
    stop = stop if last is None else min(last + 1, stop)
    if stop <= first:
        raise Error("Trim: first frame beyond clip end")
    return VideoNode(clip, lambda n: clip.get_frame(n + first), stop - first)


def select_every(clip: VideoNode, cycle: int, offsets: int, *, modify_duration: bool = True) -> VideoNode:
    if cycle < 2 or offsets >= cycle or modify_duration:
        raise Error("SelectEvery: invalid cycle size (must be greater than 1), offset, or durations not left alone")
    count = clip.num_frames // cycle + (clip.num_frames % cycle > offsets)
    return VideoNode(clip, lambda n: clip.get_frame(n * cycle + offsets), count)


def interleave(clips: Sequence[VideoNode], *, modify_duration: bool = True) -> VideoNode:
    if modify_duration or len({c.num_frames for c in clips}) > 1:
        raise Error("Interleave: clips of one length, durations left alone, is all the fake can do")
    k = len(clips)
    return VideoNode(clips[0], lambda n: clips[n % k].get_frame(n // k), k * clips[0].num_frames)


def loop(clip: VideoNode, times: int) -> VideoNode:
    if times < 1:
        raise Error("Loop: cannot repeat clip a negative number of times, or for ever")
    return VideoNode(clip, lambda n: clip.get_frame(n % clip.num_frames), clip.num_frames * times)


def splice(clips: Sequence[VideoNode]) -> VideoNode:
    ends = np.cumsum([c.num_frames for c in clips])

    def make(n: int) -> VideoFrame:
        k = int(np.searchsorted(ends, n, side="right"))
        return clips[k].get_frame(n - (int(ends[k - 1]) if k else 0))

    return VideoNode(clips[0], make, int(ends[-1]))


def set_video_cache(clip: VideoNode, *, mode: int, fixedsize: int) -> None:
    if mode != 1 or fixedsize < 1:
        raise Error("SetVideoCache: only mode 1 of a fixed size")
    clip._room = fixedsize


def query_video_format(family: int, sample: int, bits: int, w: int = 0, h: int = 0) -> VideoFormat:
    return FORMATS.setdefault(it.id, it) if (it := VideoFormat(family, sample, bits, w, h)) else it


FORMATS: dict[int, VideoFormat] = {}
GRAY8, GRAY16, GRAY32 = (query_video_format(GRAY, INTEGER, bits).id for bits in (8, 16, 32))
RGB24, RGB30, RGB48 = (query_video_format(RGB, INTEGER, bits).id for bits in (8, 10, 16))
LOG: list[str] = []


def get_video_format(number: int) -> VideoFormat:
    return FORMATS[number]


core = SimpleNamespace(
    std=SimpleNamespace(
        BlankClip=blank_clip,
        ModifyFrame=modify_frame,
        Trim=trim,
        SelectEvery=select_every,
        Interleave=interleave,
        Loop=loop,
        Splice=splice,
        SetVideoCache=set_video_cache,
    ),
    num_threads=4,
    create_video_frame=VideoFrame,
    get_video_format=get_video_format,
    query_video_format=query_video_format,
    log_message=lambda kind, text: LOG.append(text),
)
