"""What a farm costs, measured: the driver of clips and a crew that is this process, which sees neither source nor journal."""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

MODEL = "fast-x2"
TASKS = 300  # that do nothing, to count what giving one costs
LOADED = (
    f"from misr.spread.local import Processes; from misr.upscaler import Upscaler; Upscaler({MODEL!r}, device='cpu')"
)


@dataclass
class Alone:
    """A crew of one, here: what each of its tasks took and weighed, and what the driver did between them.

    work_s       processor seconds of every segment, all threads
    bytes_in     of every task as it travels; bytes_out of what comes back
    give_s       processor seconds of the driver for each next_task(); take_s: for each outcome
    """

    slots: int = 1
    elsewhere: bool = True
    kind: str | None = "cpu"
    work_s: list[float] = field(default_factory=list)
    bytes_in: list[int] = field(default_factory=list)
    bytes_out: list[int] = field(default_factory=list)
    give_s: list[float] = field(default_factory=list)
    take_s: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)

    def hold(self, value: Any) -> Any:
        """Held here; an order without the journal, as on another machine."""
        from misr.spread.clip import Order
        from misr.spread.crew import Here

        return Here(replace(value, journal="", mark="") if isinstance(value, Order) else value)

    def give(self, next_task: Callable[[], Any], tell: Callable[[Any, int], None]) -> Iterator[Any]:
        """One task after the other; the first is not seen, so that all others bring their part of the source along."""
        from misr.spread.clip import Unseen
        from misr.spread.crew import Outcome, Seat

        seat = Seat("cpu")
        while True:
            task, seconds = timed(next_task)
            if task is None:
                return
            self.give_s.append(seconds)
            if task.own is None:
                yield Outcome(task, Unseen())
                continue
            self.bytes_in.append(len(pickle.dumps(task.own)))
            began = time.process_time()
            result = task.run(seat, lambda units: None)
            self.work_s.append(time.process_time() - began)
            self.bytes_out.append(len(result.stored))
            self.frames.append(result.frames)
            began = time.process_time()
            yield Outcome(task, result)
            self.take_s.append(time.process_time() - began)

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *error: object) -> None: ...


@dataclass(frozen=True)
class Nothing:
    """A task that does nothing."""

    name: str = "nothing"

    def run(self, seat: Any, tell: Any) -> None:
        """Nothing."""


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a function gives, and in how many seconds of this process's processors."""
    began = time.process_time()
    return work(), time.process_time() - began


def rendered(clips: list[Path], segment_s: int, codec: str | None = None) -> list[Alone]:
    """Every clip upscaled by a driver, in segments of so many seconds."""
    import misr.pipeline
    from misr.plan import Settings
    from misr.spread.drive import upscale_all

    misr.pipeline.SEGMENT_S = segment_s
    crews = []
    for clip in clips:
        with tempfile.TemporaryDirectory() as folder:
            crews.append(Alone())
            upscale_all([(str(clip), f"{folder}/out.mkv")], Settings(model=MODEL, device="cpu", codec=codec), crews[-1])
    return crews


def read(clips: list[Path]) -> float:
    """Seconds a frame that the driver needs to find a clip's frames."""
    from fractions import Fraction

    from misr.io.index import frame_times
    from misr.io.reader import Reader

    seconds, count = 0.0, 0
    for clip in clips:
        reader = Reader(str(clip))
        times, took = timed(lambda reader=reader: frame_times(reader))
        reader.close()
        assert all(isinstance(t, Fraction) for t in times[:1])
        seconds, count = seconds + took, count + len(times)
    return seconds / count


def given() -> float:
    """Processor seconds of the driver for a task that does nothing, given to a Ray cluster of its own on this machine."""
    import ray

    from misr.spread.cluster import Ray

    left = [Nothing()] * TASKS
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with Ray() as crew:
            outcomes = crew.give(lambda: left.pop() if left else None, lambda task, units: None)
            next(outcomes)  # the worker begins
            began = time.process_time()
            count = sum(1 for _ in outcomes)
            return (time.process_time() - began) / count
    finally:
        ray.shutdown()


def started() -> float:
    """Processor seconds until a new process has a model ready; median of three."""
    seconds = []
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", LOADED])
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0, LOADED
        seconds.append(usage.ru_utime + usage.ru_stime)
    return statistics.median(seconds)


def measure(clips: list[Path]) -> dict[str, tuple[float, str]]:
    """All constants, as (value, unit), from consecutive parts of one film; none is shorter than 15 s.

    What a segment costs beside its frames is told by segments of 1 s beside those of 5 s. All seconds are those of processors, so
    that other work on the machine does little harm: no waiting for a disk is in them.
    """
    import torch

    torch.set_num_threads(1)
    pairs = [
        (rendered([clip], 1)[0], rendered([clip], 5)[0]) for clip in clips
    ]  # in turns, as a busy machine is not even
    short, long = ([pair[k] for pair in pairs] for k in (0, 1))
    frames = sum(sum(c.frames) for c in long)
    segment_s, frame_s = split(short, long, lambda c: sum(c.work_s))
    preroll_s = max(0.0, segment_s - context() * frame_s)
    cut_s, cut_frame_s = split(short, long, lambda c: statistics.median(c.give_s[2:-1]) * len(c.frames))
    store_s, store_frame_s = split(short, long, lambda c: statistics.median(c.take_s[:-1]) * len(c.frames))
    segment_bytes, frame_bytes = split(short, long, lambda c: float(sum(c.bytes_in)))
    shares = [(w - segment_s) / (f * frame_s) for c in short for w, f in zip(c.work_s[:-1], c.frames[:-1], strict=True)]
    even = statistics.fmean(shares)
    apart = [s - even for s in shares]
    alike = sum(a * b for a, b in pairwise(apart)) / sum(a * a for a in apart)
    index = min(read(clips) for _ in range(3))
    joins = [(c.take_s[-1] - statistics.median(c.take_s[:-1])) / sum(c.frames) for c in [*short, *long]]
    begin = min(c.give_s[0] - index * sum(c.frames) for c in [*short, *long])
    return {
        "frame_s": (frame_s, "s of a core: decoder, net and encoder of a frame"),
        "segment_cv": (statistics.pstdev(shares) / even, "standard deviation / mean of what seconds of the clip cost"),
        "segment_alike": (max(0.0, alike), "correlation of a second's cost with the next one's"),
        "worker_start_s": (started(), "s of a core: a process begins and loads its model"),
        "dispatch_s": (given(), "s of the driver: a task given to a Ray cluster, and heard of"),
        "cut_s_per_segment": (cut_s, "s of the driver: what a worker needs of the source, found and read"),
        "cut_s_per_frame": (cut_frame_s, "s of the driver more for each frame"),
        "store_s_per_segment": (store_s, "s of the driver: what came back, kept"),
        "store_s_per_frame": (store_frame_s, "s of the driver more for each frame"),
        "preroll_s_per_segment": (preroll_s, "s of a core: seek, decode from the key frame before, begin an encoder"),
        "context_frames": (context(), "frames that are rendered twice for each segment"),
        "bytes_in_per_segment": (segment_bytes, "bytes to a worker: from the key frame before, and what is read ahead"),
        "bytes_in_per_frame": (frame_bytes, "bytes to a worker"),
        "bytes_out_per_frame": (sum(sum(c.bytes_out) for c in long) / frames, "bytes from a worker"),
        "bytes_lossless_per_frame": (lossless(clips[-1]), "bytes from a worker, where FFV1 is asked for"),
        "join_s_per_frame": (max(0.0, min(joins)), "s of the driver: a clip joined"),
        "first_segment_read_s": (max(0.0, begin), "s of the driver for each clip, before its first segment"),
        "index_s_per_frame": (index, "s of the driver for each clip: its frames found"),
    }


def split(short: list[Alone], long: list[Alone], total: Callable[[Alone], float]) -> tuple[float, float]:
    """What of a total belongs to each segment, and what to each frame, by runs of short and of long segments; none below 0."""
    one, other = (sum(total(c) for c in crews) for crews in (short, long))
    few, many = (sum(len(c.frames) for c in crews) for crews in (long, short))
    frames = sum(sum(c.frames) for c in long)
    each = min(max(0.0, (one - other) / (many - few)), other / few)
    return each, (other - few * each) / frames


def lossless(clip: Path) -> float:
    """Bytes that come back for a frame, encoded as FFV1."""
    (crew,) = rendered([clip], 5, "ffv1")
    return sum(crew.bytes_out) / sum(crew.frames)


def context() -> float:
    """Neighbours that the model looks at on both sides of a segment."""
    from misr import zoo

    card = zoo.card(MODEL)
    return float(card.context + card.after)


def write(path: Path, clips: list[Path], machine: str, command: str) -> None:
    """Measure, and keep the constants, each with its unit and the command that measured it."""
    rows = {key: {"value": value, "unit": unit, "command": command} for key, (value, unit) in measure(clips).items()}
    told = {"on": machine, "constants": rows}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
