"""A simulation of 1 to 1,000 workers, run from measurements: `scripts/bench farm`.

    scripts/bench farm [--costs FILE] [--seed N] [--shared-disk] [--write]     tables; with --write docs/farm.svg too
    scripts/bench farm --measure CLIP... [--machine WORDS]                     scripts/farm.json, measured anew (6 minutes)

--costs         constants that go before those of scripts/farm.json: a JSON of {name: value}, such as {"frame_s": 0.01}
--shared-disk   workers read the source and store segments on a disk that all see: the driver cuts and stores nothing
--measure       consecutive parts of one film; --machine is what the plot says of where that was

What is simulated: one driver that does one thing at a time (begin a clip, cut a segment's part of the source out, give it, store
what came back, join a clip); a network of one speed in both directions at once, each shared by all, first come, first served; and
workers that take segments in order. A segment costs what its seconds of film cost, which differ as they were measured to. After
every so many results as a clip has segments the driver joins one; whose clip that is makes no difference to it. What is left out:
workers that differ or die, waiting for a disk, and whatever Ray itself needs for a thousand workers.

All of it is sums and maxima of services in a fixed order, so that no run gets longer by a lower cost or a faster network.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from heapq import heappop, heappush
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
COSTS, PLOT = HERE / "farm.json", HERE.parent / "docs" / "farm.svg"
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
SEGMENTS_S = (1, 2, 5, 10, 20, 60)
NETWORKS = (1, 10)  # Gbit/s
LIMITS = {"workers": "w", "tail": "t", "driver": "d", "network": "n", "join": "j", "start": "s"}


@dataclass(frozen=True, slots=True)
class Costs:
    """What is measured: seconds and bytes, as scripts/farm.json says of each."""

    frame_s: float
    segment_cv: float
    worker_start_s: float
    dispatch_s: float
    cut_s_per_frame: float
    store_s_per_frame: float
    preroll_s_per_segment: float
    context_frames: float
    bytes_in_per_frame: float
    bytes_out_per_frame: float
    join_s_per_frame: float
    first_segment_read_s: float
    segment_alike: float = 0.0
    cut_s_per_segment: float = 0.0
    store_s_per_segment: float = 0.0
    bytes_in_per_segment: float = 0.0
    index_s_per_frame: float = 0.0
    bytes_lossless_per_frame: float = 0.0  # bytes_out_per_frame where FFV1 is asked for

    @staticmethod
    def read(path: Path = COSTS, *more: Path) -> Costs:
        """From farm.json; constants of further files ({name: value}) go before its own. Ends the script at a strange name."""
        found = {key: row["value"] for key, row in json.loads(path.read_text(encoding="utf-8"))["constants"].items()}
        for file in more:
            found |= json.loads(file.read_text(encoding="utf-8"))
        names = [f.name for f in fields(Costs)]
        if strange := sorted({*found} - {*names}):
            raise SystemExit(f"no constant {strange[0]!r}; there is {', '.join(names)}")
        return Costs(**{name: float(value) for name, value in found.items()})

    def on_shared_disk(self) -> Costs:
        """Where workers read the source and store segments themselves."""
        return replace(self, cut_s_per_frame=0, cut_s_per_segment=0, store_s_per_frame=0, store_s_per_segment=0)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be upscaled: as many clips of one length in seconds, at 24 frames a second."""

    name: str
    clips: int
    clip_s: int
    rate: int = 24

    @property
    def clip_frames(self) -> int:
        """Frames of a clip."""
        return self.clip_s * self.rate

    def segments(self, segment_s: int) -> tuple[int, int]:
        """How many segments a clip has, and frames of each. They are equal: lengths divide clips, or hold a whole one."""
        length = min(segment_s, self.clip_s)
        assert self.clip_s % length == 0, (self.clip_s, length)
        return self.clip_s // length, length * self.rate

    def plain_s(self, c: Costs) -> float:
        """Seconds of one process that has one core and no crew."""
        each = c.first_segment_read_s + self.clip_frames * (c.frame_s + c.join_s_per_frame)
        return c.worker_start_s + self.clips * each


JOBS = (
    Job("film of 2 hours", 1, 7200),
    Job("clip of 10 minutes", 1, 600),
    Job("archive of 500 clips of 20 s", 500, 20),
)


@dataclass(frozen=True, slots=True)
class Came:
    """What a simulated run came to. tail_s: the last worker's end less the mean end; spent: seconds, by what may limit."""

    seconds: float
    speedup: float
    tail_s: float
    spent: dict[str, float]

    @property
    def limit(self) -> str:
        """What takes longest."""
        return max(self.spent, key=lambda what: self.spent[what])


@cache
def difficulty(cv: float, alike: float, seconds: int, seed: int) -> np.ndarray:
    """What each second of the material costs, mean 1: lognormal, each like the one before as far as was measured."""
    rng, spread = np.random.default_rng(seed), math.sqrt(math.log1p(cv**2))
    series = rng.standard_normal(seconds)
    for n in range(1, seconds):
        series[n] = alike * series[n - 1] + math.sqrt(1 - alike**2) * series[n]
    cost = np.exp(spread * series)
    return cost / cost.mean()


def works(c: Costs, job: Job, segment_s: int, seed: int) -> list[float]:
    """Seconds of a worker for each segment, in order. The same film for every length."""
    per_clip, frames = job.segments(segment_s)
    cost = difficulty(c.segment_cv, c.segment_alike, job.clips * job.clip_s, seed)
    means = cost.reshape(job.clips * per_clip, -1).mean(1)
    seconds: list[float] = (c.preroll_s_per_segment + means * (frames + c.context_frames) * c.frame_s).tolist()
    return seconds


def simulate(c: Costs, job: Job, segment_s: int, workers: int, gbit_s: float, seed: int = 0) -> Came:
    """A run, event by event: whatever comes next is given, worked at, sent back, stored."""
    work = works(c, job, segment_s, seed)
    per_clip, frames = job.segments(segment_s)
    give = c.dispatch_s + c.cut_s_per_segment + c.cut_s_per_frame * frames
    begin = c.first_segment_read_s + c.index_s_per_frame * job.clip_frames
    store, join = c.store_s_per_segment + c.store_s_per_frame * frames, c.join_s_per_frame * job.clip_frames
    there = 8e-9 * (c.bytes_in_per_segment + c.bytes_in_per_frame * frames) / gbit_s
    back = 8e-9 * c.bytes_out_per_frame * frames / gbit_s
    idle = [c.worker_start_s] * workers  # when each worker is free
    running = list[float]()  # when each segment is rendered
    driver = out = home = 0.0  # until when each is busy: the driver, the network to workers, the network from them
    given, most = 0, min(len(work), workers + ahead(workers))
    for came in range(1 - most, len(work) + 1):
        if came > 0:
            home = max(home, heappop(running)) + back
            driver = max(driver, home) + store + (0 if came % per_clip else join)
        if given < len(work):
            driver += give + (0 if given % per_clip else begin)
            out = max(out, driver) + there
            end = max(heappop(idle), out) + work[given]
            heappush(idle, end)
            heappush(running, end)
            given += 1
    tail_s = max(idle) - math.fsum(idle) / workers
    spent = {
        "workers": math.fsum(work) / workers,
        "tail": tail_s,
        "driver": len(work) * (give + store) + job.clips * begin,
        "network": len(work) * max(there, back),
        "join": job.clips * join,
        "start": c.worker_start_s,
    }
    return Came(driver, job.plain_s(c) / driver, tail_s, spent)


def ahead(workers: int) -> int:
    """Segments that are given beyond those that can run, so that a worker finds its next one: as misr.spread.cluster does."""
    return max(2, workers // 8)


def table(c: Costs, job: Job, gbit_s: float, seed: int) -> str:
    """Markdown: the speed-up for every number of workers and length of segments, with the letter of what limits it."""
    head = ["workers", *(f"{s} s" for s in SEGMENTS_S), "best", "tail, s", "limit", "takes"]
    lines = [head, ["---:"] * len(head)]
    for workers in WORKERS:
        runs = {s: simulate(c, job, s, workers, gbit_s, seed) for s in SEGMENTS_S}
        best = min(runs, key=lambda s: runs[s].seconds)
        cells = [f"{run.speedup:.3g} {LIMITS[run.limit]}" for run in runs.values()]
        came = runs[best]
        lines.append([str(workers), *cells, f"{best} s", f"{came.tail_s:.3g}", came.limit, clock(came.seconds)])
    return f"Simulation: {job.name}, {gbit_s:g} Gbit/s\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ceilings(c: Costs) -> str:
    """Markdown: the speed-up that no number of workers gets beyond, by what stands in the way; segments of 10 s."""
    head = ["", "driver", "join", *(f"{g:g} Gbit/s, {kind}" for kind in ("x264", "FFV1") for g in NETWORKS)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lossless = replace(c, bytes_out_per_frame=c.bytes_lossless_per_frame)
    for job in JOBS:
        plain, spent = job.plain_s(c), simulate(c, job, 10, 1, 1).spent
        nets = [simulate(costs, job, 10, 1, g).spent["network"] for costs in (c, lossless) for g in NETWORKS]
        lines.append([job.name, *(f"{plain / s:,.0f}" for s in (spent["driver"], spent["join"], *nets))])
    return "Simulation: no number of workers gets beyond\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def clock(seconds: float) -> str:
    """1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def main(args: Sequence[str]) -> None:
    p = argparse.ArgumentParser(
        prog="scripts/bench farm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--costs", type=Path, action="append", default=[])
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--shared-disk", action="store_true")
    p.add_argument("--write", action="store_true")
    p.add_argument("--measure", type=Path, nargs="+", metavar="CLIP")
    p.add_argument("--machine", default="this machine")
    o = p.parse_args(args)
    if o.write and (o.costs or o.shared_disk or o.seed):
        p.error("--write draws the plot of scripts/farm.json as it is, without --costs, --shared-disk and --seed")
    if o.measure:
        from farm_measure import write

        write(COSTS, o.measure, o.machine, f"scripts/bench farm --measure {' '.join(clip.name for clip in o.measure)}")
        return
    costs = Costs.read(COSTS, *o.costs)
    costs = costs.on_shared_disk() if o.shared_disk else costs
    told = json.loads(COSTS.read_text(encoding="utf-8"))
    commands = "; ".join(sorted({row["command"] for row in told["constants"].values()}))
    print(f"Simulation, from measurements on {told['on']}\n({commands}).\n")
    print("Times faster than one process on one core, by workers of one core each and seconds of a segment;")
    letters = ", ".join(f"{letter} {what}" for what, letter in LIMITS.items())
    print(f"what takes longest: {letters}; a tail is uneven segments at the end, or fewer segments than workers.\n")
    for gbit_s in NETWORKS:
        for job in JOBS:
            print(table(costs, job, gbit_s, o.seed))
    print(ceilings(costs), end="")
    if o.write:
        from farm_plot import drawn

        PLOT.write_text(drawn(costs, told["on"], o.seed), encoding="utf-8")
