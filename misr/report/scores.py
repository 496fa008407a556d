"""How close each frame is to the reference, as `misr eval` measures it, input by input, while frames pass."""

from __future__ import annotations

from collections.abc import Iterator

from misr.color import luma_view, on_host, picture_planes
from misr.evaluation.measure import SPATIAL, measured
from misr.evaluation.scores import Scores
from misr.evaluation.settings import Measure
from misr.frame import Frame
from misr.report.detail import CPU
from misr.resample import resample

METRICS = ("psnr", "ssim", "flicker")


def measure_for(size: tuple[int, int], frames: int) -> Measure:
    """What pictures of that size have room for; flicker takes two of them."""
    return Measure(tuple(m for m in METRICS if (min(size) >= SPATIAL[m][1] if m in SPATIAL else frames > 1)))


class Curve:
    """The scores of one input, frame after frame; where one is missing the next has no frame before it."""

    def __init__(self, how: Measure, name: str) -> None:
        self.how, self.name = how, name
        self.rows: list[Scores] = []
        self._pair: list[tuple[Frame, Frame]] = []
        self._scores = self._begin()

    def _begin(self) -> Iterator[Scores]:
        return measured(iter(self._pair.pop, None), self.how, self.name)

    def push(self, frame: Frame | None, truth: Frame | None) -> None:
        """The next frame and its reference; None where there is none."""
        if frame is None or truth is None:
            self.rows.append(dict.fromkeys(self.how.columns))
            self._scores = self._begin()
            return
        self._pair.append((at_size(frame, (truth.width, truth.height)), truth))
        self.rows.append(next(self._scores))


def at_size(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame at (width, height), by bicubic interpolation as `misr upscale -m bicubic` does it; as it is where it fits."""
    if (frame.width, frame.height) == size:
        return frame
    scale = size[0] / frame.width, size[1] / frame.height
    luma = resample(luma_view(frame, CPU)[None], (size[1], size[0]), scale)
    return Frame(on_host(picture_planes(frame, luma, frame.color, scale)), frame.color, frame.time, frame.duration)
