"""How fast this machine is with a model on this clip: decoder, net and encoder at work at one time, as in a real run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from math import sqrt

import torch

from misr.ahead import prefetch
from misr.bench import retimed
from misr.frame import Frame
from misr.io.encoder import Encoder
from misr.io.reader import ClipInfo
from misr.pipeline import AnyReader, Job, sharp
from misr.report.detail import at
from misr.upscaler import Upscaler

FULL = 60  # frames after which x264, which looks 40 to 60 ahead, encodes as fast as it is fed
PROBE = (
    320,
    192,
)  # px, the part on which a net's cost for a pixel is guessed, and the least measured: less is mostly overhead
CHUNKS = 3  # of frames that leave a net together: one to warm up, two to be timed
LEAST_S = 0.3  # for what is timed, whatever went before
LARGE = 0.6  # share of a picture; a part as large as this spares nothing
HELD, DECODED = 24, 8  # frames of a part, at most and at least


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one way of upscaling is: frames per second of the whole job, measured on so many frames.

    part    (width, height) in source pixels, where whole pictures would have taken too long; the speed is scaled from it
    """

    model: str
    precision: str
    threads: int
    tile: int
    preset: str
    fps: float
    frames: int
    part: tuple[int, int] | None = None

    def told(self) -> str:
        """Which way this is, in words."""
        ways = [self.precision, f"{self.threads} thread{'s' * (self.threads != 1)}" if self.threads else ""]
        ways += [f"-preset {self.preset}" if self.preset else "", f"tiles of {self.tile}" if self.tile else ""]
        return f"{self.model}, {', '.join(way for way in ways if way)}"

    def how_measured(self) -> str:
        """What a reader must know to believe the number; "" where there is nothing."""
        return f"   scaled from a part of {self.part[0]}x{self.part[1]}" if self.part else ""

    def seconds(self, frames: int) -> float | None:
        """For a clip of so many frames; None where their number is not known."""
        return frames / self.fps if frames else None


def pace(
    up: Upscaler,
    job: Job,
    reader: AnyReader,
    moment: Fraction,
    seconds: float,
    *,
    threads: int = 0,
    like: Pace | None = None,
) -> Pace:
    """The speed of a job with this model, in about so many seconds (more, where a single chunk takes longer).

    threads    of net and of encoder, as --threads has it; 0: all
    Frames are decoded from `moment` on, and from there again where the clip ends. Pictures so large that they would take too
    long are measured in part, their decoding by itself; in the part that `like` was measured in, where that is given.
    """
    job = replace(job, encoding=replace(job.encoding, threads=threads or job.encoding.threads))
    with threaded(threads):
        began = time.perf_counter()
        part = like.part if like else None
        if not like and (reader.info.width > PROBE[0] and reader.info.height > PROBE[1]):
            _, rough_s = in_part(up, job, reader, moment, PROBE, LEAST_S)
            frames = max(CHUNKS * up.card.emit * up.batch, DECODED)
            part = fitting(reader.info, seconds / (rough_s * frames))
        left_s = max(seconds - (time.perf_counter() - began), LEAST_S)
        if part is None:
            count, each_s = through(up, job, looped(reader, moment), left_s)
        else:
            count, each_s = in_part(up, job, reader, moment, part, left_s)
    preset = dict(job.encoding.options).get("preset", "")
    return Pace(up.card.name, up.precision, threads, up.tile, preset, 1 / each_s, count, part)


@contextmanager
def threaded(threads: int) -> Iterator[None]:
    """The net's share of the CPU for a while; 0 leaves it."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)


def fitting(info: ClipInfo, share: float) -> tuple[int, int] | None:
    """The (width, height) of about that share of a picture, in whole blocks of 16; None where all of it is as well."""
    if share >= LARGE:
        return None
    side = sqrt(share)
    return max(PROBE[0], int(info.width * side) // 16 * 16), max(PROBE[1], int(info.height * side) // 16 * 16)


def in_part(
    up: Upscaler, job: Job, reader: AnyReader, moment: Fraction, part: tuple[int, int], seconds: float
) -> tuple[int, float]:
    """Frames done, and seconds for a whole one: the net and the encoder by pixels, the decoder as it is."""
    w, h = part
    held: list[Frame] = []
    stamps: list[float] = []
    for frame in islice(at(reader, moment), HELD):
        held.append(cut(frame, (frame.width - w) // 2, (frame.height - h) // 2, w, h))
        stamps.append(time.perf_counter())
        if len(held) >= DECODED and stamps[-1] - stamps[0] > seconds / 3:
            break
    decode_s = (stamps[-1] - stamps[0]) / max(len(held) - 1, 1)  # the first frame waits for the decoder to fill
    info, encoding = job.info, job.encoding
    size = (even(encoding.width * w / info.width), even(encoding.height * h / info.height))
    small = replace(job, encoding=replace(encoding, width=size[0], height=size[1]))
    count, each_s = through(up, small, retimed(cycle(held), info.rate), seconds)
    return count, decode_s + each_s * info.width * info.height / (w * h)


def even(side: float) -> int:
    """The nearest even number."""
    return max(2, round(side / 2) * 2)


def cut(frame: Frame, left: int, top: int, width: int, height: int) -> Frame:
    """A part of a frame, begun where its chroma has samples."""
    fx, fy = frame.color.subsampling
    left, top = left // fx * fx, top // fy * fy
    planes = []
    for n, plane in enumerate(frame.planes):
        sx, sy = (fx, fy) if frame.color.model == "yuv" and n in (1, 2) else (1, 1)
        planes.append(plane[top // sy : -(-(top + height) // sy), left // sx : -(-(left + width) // sx)].copy())
    return replace(frame, planes=tuple(planes), source=None)


def looped(reader: AnyReader, moment: Fraction) -> Iterator[Frame]:
    """The clip from a moment on, again and again, in times that increase."""

    def rounds() -> Iterator[Frame]:
        while True:
            yield from at(reader, moment)

    return retimed(rounds(), reader.info.rate)


def through(up: Upscaler, job: Job, frames: Iterable[Frame], seconds: float) -> tuple[int, float]:
    """(frames done, seconds for one) of net and encoder fed without end, three chunks at least.

    Where time is too short for the encoder's lookahead to fill, emptying it is counted too.
    """
    encoder, chunk = Encoder(job.encoding), up.card.emit * up.batch
    marks: list[tuple[int, float]] = []
    began = time.perf_counter()
    with closing(prefetch(frames)) as decoded, closing(prefetch(sharp(up, decoded, job))) as ready:
        for n, frame in enumerate(ready, 1):
            encoder.push(frame)
            if n % chunk == 0:
                marks.append((n, time.perf_counter()))
                if len(marks) >= CHUNKS and marks[-1][1] - began > seconds:
                    break
        steady = [mark for mark in marks if mark[0] >= FULL]
        if steady and marks[-1][0] >= 2 * FULL:
            return marks[-1][0], (marks[-1][1] - steady[0][1]) / (marks[-1][0] - steady[0][0])
        stopped = time.perf_counter()
        encoder.flush()
        emptied_s = (time.perf_counter() - stopped) / marks[-1][0]
    return marks[-1][0], (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0]) + emptied_s
