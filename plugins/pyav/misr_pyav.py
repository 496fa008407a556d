"""misr in the place of a PyAV filter graph: frames pushed in, sharp frames pulled out, nothing but their size changed.

    upscale = Upscale("fast-x2")
    for frame in upscale.process(source.decode(video=0)):
        output.mux(stream.encode(frame))

push() and pull() are those of av.filter.Graph, so an Upscale goes wherever a graph does, before one or after one.
"""

from __future__ import annotations

import errno
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import av

import misr

END = av.error.tag_to_code(b"EOF ")  # FFmpeg's number for it


class Upscale:
    """A filter of one video stream: n frames in, n frames out, in order, each with its own time, tags and side data.

    model       a shipped name ("fast-x2"), or a directory with a card and weights
    scale       of "bicubic", which has no scale of its own
    device      "cpu", "cuda", "cuda:1"; None picks the GPU where there is one
    precision   "auto", "fp32", "bf16" or "fp16"
    tile        pixels of a square tile, 0 for whole pictures; halved by itself when memory runs out
    batch       windows that go through the net together; 0 leaves it to the device
    strength    0 plain interpolation .. 1 all learned detail
    size        (width, height) to deliver; by default the model's scale

    Frames may be YUV, gray or RGB of 8 to 16 bits or float, planar or packed, and come out in the format they had;
    palettes and formats of less than 8 bits become planar RGB or gray. ValueError for a model or option that cannot be.
    """

    configured = True  # as a graph says that needs no configure()

    def __init__(
        self,
        model: str = "fast-x2",
        *,
        scale: float | None = None,
        device: str | None = None,
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        tile: int = 0,
        batch: int = 0,
        strength: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> None:
        if precision not in ("auto", "fp32", "bf16", "fp16"):
            raise ValueError(f"precision {precision!r} is none of auto, fp32, bf16 and fp16")
        if min(tile, batch) < 0 or size is not None and min(size) < 1:
            raise ValueError(f"tile {tile}, batch {batch} and size {size} must not be negative, nor a side zero")
        try:
            self._upscaler = misr.Upscaler(
                model, scale=scale, device=device, precision=precision, tile=tile, batch=batch, strength=strength
            )
        except misr.MisrError as e:
            raise ValueError(str(e)) from None
        self._size = size
        self._like: tuple[Any, ...] = ()  # pixel format and size of the stream
        self._session: misr.Session | None = None
        self._color: misr.Color | None = None  # of the frames in the session
        self._pushed = 0
        self._stamps: deque[tuple[Any, ...]] = deque()  # pts, time base and duration of each frame that is inside
        self._ready: deque[av.VideoFrame] = deque()
        self._ended = False

    @property
    def latency(self) -> int:
        """How many frames must follow a frame, at most, before it can be pulled."""
        return self._upscaler.latency

    def configure(self, auto_buffer: bool = True, force: bool = False) -> None:
        """Nothing: there is nothing to link. Here for callers that configure their graphs."""

    def push(self, frame: av.VideoFrame | None, at: int = -1) -> None:
        """Take the next frame, or None for the end of the stream.

        ValueError for what is no video frame; av.error.ArgumentError for one that misr cannot read, or unlike the first
        in size or format; av.error.EOFError after the end.
        """
        if at > 0:
            raise IndexError(f"input {at} is out of range; misr has one")
        if frame is None:
            self._drain()
            self._ended = True
            return
        if not isinstance(frame, av.VideoFrame):
            raise ValueError(f"misr takes VideoFrame or None; got {type(frame)}")
        if self._ended:
            raise av.error.EOFError(END, "the stream ended with push(None); begin a new Upscale for another")
        try:
            self._take(frame, misr.from_av(frame))
        except misr.MisrError as e:
            raise av.error.ArgumentError(errno.EINVAL, f"frame {self._pushed}: {e}") from None

    def pull(self) -> av.VideoFrame:
        """The next sharp frame; av.error.BlockingIOError while it wants more frames, EOFError when there are no more."""
        if self._ready:
            return self._ready.popleft()
        if self._ended:
            raise av.error.EOFError(END, "all frames of the stream have been pulled")
        raise av.error.BlockingIOError(errno.EAGAIN, "no frame is ready; push the next one, or None at the end")

    vpush, vpull = push, pull  # as a graph calls them

    def process(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """All of a stream: push each frame, yield what is ready, and end."""
        for frame in frames:
            self.push(frame)
            while self._ready:
                yield self._ready.popleft()
        self.push(None)
        while self._ready:
            yield self._ready.popleft()

    def _take(self, frame: av.VideoFrame, ours: misr.Frame) -> None:
        like = frame.format.name, frame.width, frame.height
        if self._like not in ((), like):
            here, first = ("{} {}x{}".format(*it) for it in (like, self._like))
            raise misr.InputError(f"it is {here}, the stream began as {first}; begin a new Upscale at the change")
        if frame.interlaced_frame and not self._pushed:
            warnings.warn("the frames are marked as interlaced; push them through bwdif before misr", stacklevel=3)
        if ours.color != self._color:  # tags changed, as between programmes: a new shot, read by its own tags
            self._drain()
            self._session = self._upscaler.session(size=self._size, first=self._pushed)
        assert self._session is not None
        done = self._session.push(ours)
        self._stamps.append((frame.pts, frame.time_base, frame.duration))
        self._like, self._color = like, ours.color
        self._pushed += 1
        self._give(done)

    def _drain(self) -> None:
        session, self._session, self._color = self._session, None, None
        if session is not None:
            self._give(session.flush())

    def _give(self, frames: list[misr.Frame]) -> None:
        for frame in frames:
            form = frame.source.format
            coarse = form.has_palette or any(c.bits < 8 for c in form.components)
            out = misr.to_av(frame, None if coarse else form.name)
            out.pts, base, out.duration = self._stamps.popleft()
            out.time_base = base or 0
            if hasattr(out, "chroma_location"):  # PyAV 19; where chroma sits is the same, said or not
                out.chroma_location = frame.source.chroma_location
            out.pict_type = 0  # what a decoder found; encoders would take it for an order
            self._ready.append(out)
