"""How fast this machine is, stage by stage: decode, model, encode, all together, and which stage binds."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from misr.ahead import prefetch
from misr.frame import Color, Frame
from misr.io.encoder import Encoder, Encoding
from misr.io.reader import Reader
from misr.io.scaler import swscale
from misr.pipeline import run, sharp
from misr.plan import Settings, plan

Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
HELD = 24  # sharp frames kept in memory for the encode-only figure


@dataclass(frozen=True, slots=True)
class Stages:
    """Frames per second of each stage alone, of everything but the encoder, and of the whole job; medians."""

    decode: float
    model: float
    no_encode: float
    encode: float
    end_to_end: float
    lanczos: float  # the whole job with swscale's Lanczos in place of the model

    @property
    def ideal(self) -> float:
        """What the whole job could reach if stages only shared the cores: 1 / (1 / no_encode + 1 / encode)."""
        return 1 / (1 / self.no_encode + 1 / self.encode)

    @property
    def binds(self) -> str:
        """The slowest stage."""
        return min(("decode", "model", "encode"), key=lambda name: float(getattr(self, name)))


def sample(path: Path, *, width: int = 480, height: int = 270, frames: int = 120) -> Path:
    """A detailed moving H.264 clip at `path`, the same on every machine."""
    rng = np.random.default_rng(7)
    board = blurred(rng.random((height * 2, width * 2), dtype=np.float32))
    color = Color("yuv", subsampling=(2, 2), matrix=6, range=1)
    encoding = Encoding(
        "libx264",
        "yuv420p",
        color,
        width,
        height,
        Fraction(1, 30),
        Fraction(30),
        Fraction(1),
        options=(("crf", "18"), ("preset", "veryfast")),
    )
    from misr.io.writer import write_clip

    def pictures() -> Iterator[Frame]:
        for n in range(frames):
            x, y = (3 * n) % width, (2 * n) % height
            luma = (board[y : y + height, x : x + width] * 200 + 25).astype(np.uint8)
            chroma = luma[::2, ::2] // 4 + 96
            yield Frame((luma, chroma, 255 - chroma), color, Fraction(n, 30), Fraction(1, 30))

    write_clip(path, pictures(), encoding)
    return path


def blurred(noise: np.ndarray) -> np.ndarray:
    """Noise with structure of several sizes, in [0, 1]."""
    import cv2

    layers = [cv2.GaussianBlur(noise, (0, 0), s) * s for s in (1.2, 4.0, 12.0)]
    x: np.ndarray = np.sum(layers, 0)
    return (x - x.min()) / (x.max() - x.min())


def fps(work: Callable[[], int], runs: int) -> float:
    """Median frames per second of work(), which returns how many frames it did."""
    rates = []
    for _ in range(runs):
        began = time.perf_counter()
        count = work()
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def measure(clip: Path, settings: Settings, *, runs: int = 3, progress: Progress | None = None) -> Stages:
    """Every stage of the job `clip` -> settings, each alone and together; the first run of each is warm-up and not counted.

    progress is told between stages alone, so that nothing else runs while one is timed.
    """
    tell = progress or (lambda doing, done, of: None)
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "out.mkv")
        job, reader, up = plan(str(clip), target, replace(settings, overwrite=True))
        assert isinstance(reader, Reader)
        frames = list(reader.frames())
        held = list(islice(sharp(up, islice(cycle(frames), HELD), job), HELD))

        def whole() -> int:
            return run(job, reader, up)

        def lanczos() -> int:
            return encoded(job.encoding, swscale(reader.frames(), job.encoding))

        stages: dict[str, Callable[[], float]] = {
            "timing decode": lambda: counted(lambda: prefetch(reader.frames()), runs),
            "timing model": lambda: counted(lambda: sharp(up, retimed(frames), job), runs),
            "timing all but encode": lambda: counted(lambda: sharp(up, prefetch(reader.frames()), job), runs),
            "timing encode": lambda: fps(
                lambda: encoded(job.encoding, retimed(islice(cycle(held), len(frames)))), runs
            ),
            "timing end to end": lambda: fps(whole, runs),
            "timing lanczos": lambda: fps(lanczos, runs),
        }
        figures: list[float] = []
        for doing, timed in stages.items():
            tell(doing, len(figures), len(stages))
            figures.append(timed())
        tell(doing, len(figures), len(stages))
        reader.close()
    return Stages(*figures)


def counted(make: Callable[[], Iterator[Frame]], runs: int) -> float:
    """Median frames per second at which an iterator of frames runs dry."""

    def work() -> int:
        with closing(make()) as frames:  # type: ignore[type-var]
            return sum(1 for _ in frames)

    work()
    return fps(work, runs)


def retimed(frames: Iterable[Frame], rate: Fraction = Fraction(30)) -> Iterator[Frame]:
    """The frames with times that increase, `rate` of them a second, however often they come round."""
    for n, frame in enumerate(frames):
        yield replace(frame, time=n / rate)


def encoded(encoding: Encoding, frames: Iterable[Frame]) -> int:
    """Frames through an encoder, packets thrown away; how many."""
    encoder = Encoder(encoding)
    count = 0
    for frame in frames:
        encoder.push(frame)
        count += 1
    encoder.flush()
    return count


__all__ = ["Stages", "measure", "sample"]
