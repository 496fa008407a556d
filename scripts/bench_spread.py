"""`scripts/bench spread`: what a crew costs beside one process, on the same two cores: time, first frame, bytes, memory.

    scripts/bench spread [--runs 5] [--json FILE] [--model fast-x2]

A long clip of four segments (40 s of 480x270) and a short one (4 s, one segment), made up here, upscaled by misr.upscale(), by
two processes, and by a Ray cluster of two CPUs that runs already: once with workers that see source and journal, once with
workers that are sent all they need, as on machines without a shared disk. Every row is a process of its own, which begins by
importing torch; medians of `runs` runs, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROWS = ("plain", "2 processes", "Ray, shared disk", "Ray, nothing shared")
CLIPS = {"long": 1200, "short": 120}  # frames, 30 a second
MIB = 1 << 20


def main(args: list[str]) -> int:
    """Measure all rows and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench spread", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="fast-x2")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
    it = parser.parse_args(args)
    if it.row:
        print(json.dumps(one(it.row, it.clip, it.model)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), it.runs, it.model)
    print(table(found))
    if it.json:
        it.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def measured(folder: Path, runs: int, model: str) -> dict[str, dict[str, dict[str, float]]]:
    """Medians by clip and row."""
    import ray

    from misr.bench import sample

    found: dict[str, dict[str, dict[str, float]]] = {}
    ray.init(num_cpus=2, object_store_memory=512 * MIB, include_dashboard=False, log_to_driver=False)
    try:
        for name, frames in CLIPS.items():
            clip = sample(folder / f"{name}.mkv", frames=frames)
            told: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
            for _ in range(runs):
                for row in ROWS:
                    told[row].append(child(row, clip, model, ray.get_runtime_context().gcs_address))
            found[name] = {
                row: {key: statistics.median(run[key] for run in many) for key in many[0]} for row, many in told.items()
            }
    finally:
        ray.shutdown()
    return found


def child(row: str, clip: Path, model: str, address: str) -> dict[str, float]:
    """One run, in a process of its own."""
    words = [sys.executable, __file__, "--row", row, "--clip", str(clip), "--model", model]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "RAY_ADDRESS": address})
    if done.returncode:
        raise SystemExit(f"{row}: {done.stderr.strip()}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one(row: str, clip: Path, model: str) -> dict[str, float]:
    """One run in this process: seconds, frames, bytes, memory."""
    began, first = time.perf_counter(), list[float]()

    def progress(done: int, expected: int, *pace: Any) -> None:
        if done and not first:
            first.append(time.perf_counter() - began)

    from misr.plan import Settings, upscale

    wanted, out = Settings(model=model, options={"preset": "veryfast"}), clip.with_suffix(".out.mkv")
    moved, counts = {"in": 0, "out": 0}, list[int]()
    if row == "plain":
        frames = upscale(clip, out, wanted, progress=progress).frames
    else:
        from misr.spread.drive import upscale_all

        with crew(row, moved) as workers:
            frames = upscale_all([(str(clip), str(out))], wanted, workers, progress=progress)[0].frames
            counts = resident()
    took = time.perf_counter() - began
    return {
        "s": took,
        "fps": frames / took,
        "first_frame_s": first[0],
        "in_per_frame": moved["in"] / frames,
        "out_per_frame": moved["out"] / frames,
        "driver_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mib": max(counts, default=0) / 1024,
        "source_per_frame": clip.stat().st_size / frames,
    }


def crew(row: str, moved: dict[str, int]) -> Any:
    """The workers of a row; `moved` counts bytes that Ray carries for them."""
    if row == "2 processes":
        from misr.spread.local import Processes

        return Processes(("cpu", "cpu"))
    from misr.spread.clip import Order
    from misr.spread.cluster import Ray
    from misr.spread.errand import packed

    class Counted(Ray):
        """Ray, its bytes counted, and its workers blinded where nothing is shared."""

        def hold(self, value: Any) -> Any:
            if isinstance(value, Order) and row == "Ray, nothing shared":
                value = replace(value, job=replace(value.job, source="/nowhere/in.mkv"), journal="", mark="")
            held = super().hold(value)
            moved["in"] += len(held.blob())
            return held

        def begin(self, task: Any, number: int) -> Any:
            moved["in"] += len(packed(task)[0])
            return super().begin(task, number)

        def give(self, next_task: Any, tell: Any) -> Any:
            for came in super().give(next_task, tell):
                moved["out"] += len(getattr(came.result, "stored", None) or b"")
                yield came

    return Counted()


def resident() -> list[int]:
    """Peak memory in KiB of every process of this machine that renders for us."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ")
            status = (place / "status").read_text()
        except OSError:  # it has ended
            continue
        if b"ray::" in words or b"multiprocessing.spawn" in words or b"spawn_main" in words:
            found += [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """All rows as markdown."""
    lines = [
        "| clip | rendered by | s | of plain | first frame, s | KiB a frame in / out | driver, MiB | a worker, MiB |"
    ]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|"]
    for clip, rows in found.items():
        for row, r in rows.items():
            share = r["s"] / rows["plain"]["s"]
            moved = f"{r['in_per_frame'] / 1024:.1f} / {r['out_per_frame'] / 1024:.1f}"
            lines.append(
                f"| {clip} | {row} | {r['s']:.1f} | {share:.2f} | {r['first_frame_s']:.2f} | {moved} "
                f"| {r['driver_mib']:.0f} | {r['worker_mib'] or 0:.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
