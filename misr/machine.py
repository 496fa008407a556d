"""What this process may have of the machine: cores and memory, as a container's limits (Linux control groups 1 and 2) leave them.

A group's limit holds for all groups within it, so the tightest from its own group up to the mount counts. Containers often see
their own group as the mount itself, whatever path /proc names: folders that are not there are passed over.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/")
TASKS = Path("/proc/self/task")


def cores(root: Path = ROOT) -> int:
    """Cores that this process may keep busy, at least 1: those it may run on, or fewer where its CPU time is limited."""
    return max(1, min([allowed(), *(math.ceil(share) for share in shares(root))]))


def openmp(root: Path = ROOT) -> dict[str, str]:
    """What OpenMP must be told, which counts cores but no limits: nothing where there are none."""
    may = cores(root)
    return {"OMP_NUM_THREADS": str(may)} if may < allowed() else {}


def allowed() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes(root: Path = ROOT) -> int | None:
    """Memory that may still be taken, counting files that the system would forget for it; None where nothing tells."""
    known = [*available(root), *spare(root)]
    return max(0, min(known)) if known else None


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Give this thread, and those begun meanwhile, the scheduling that this one had.

    SVT-AV1 asks for real time wherever it may, as root does, for its threads and the one that opens it: then nothing else on the
    machine has a turn, and a thread that waits busily for another waits for ever.
    """
    if not TASKS.is_dir() or not hasattr(os, "sched_getscheduler"):
        yield
        return
    usual, before = (os.sched_getscheduler(0), os.sched_getparam(0)), set(os.listdir(TASKS))
    try:
        yield
    finally:
        for task in {int(t) for t in os.listdir(TASKS) if t not in before} | {threading.get_native_id()}:
            with suppress(OSError):  # it has ended, or may not be changed
                if os.sched_getscheduler(task) != usual[0]:
                    os.sched_setscheduler(task, *usual)


def shares(root: Path) -> Iterator[float]:
    """Every limit of CPU time, in cores."""
    for folder in groups(root, "cpu"):
        quota = [
            *numbers(folder / "cpu.max"),
            *numbers(folder / "cpu.cfs_quota_us"),
            *numbers(folder / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and min(quota) > 0:  # "max" and -1 are no limit
            yield quota[0] / quota[1]


def available(root: Path) -> Iterator[int]:
    """What the system has left."""
    yield from (kib * 1024 for kib in stat(root / "proc/meminfo", "MemAvailable:"))


def spare(root: Path) -> Iterator[int]:
    """What every limit of memory leaves."""
    for folder in groups(root, "memory"):
        limit = [*numbers(folder / "memory.max"), *numbers(folder / "memory.limit_in_bytes")]
        used = [*numbers(folder / "memory.current"), *numbers(folder / "memory.usage_in_bytes")]
        files = [*stat(folder / "memory.stat", "total_inactive_file"), *stat(folder / "memory.stat", "inactive_file")]
        if limit and used:
            yield limit[0] - used[0] + (files[0] if files else 0)


def groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups that limit one thing, and of all around them, in both versions."""
    mount = root / "sys/fs/cgroup"
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controller if controllers else mount
        inner = top / path.lstrip("/")
        yield from (p for p in (inner, *inner.parents) if p.is_relative_to(top) and p.is_dir())


def numbers(path: Path) -> list[int]:
    """The whole numbers of a file; none where it is not there, or says that there is no limit."""
    return [int(word) for word in text(path).split() if word.lstrip("-").isdigit()]


def stat(path: Path, name: str) -> list[int]:
    """The number that a table has by a name, if it has."""
    rows = (line.split() for line in text(path).splitlines())
    return [int(row[1]) for row in rows if len(row) > 1 and row[0] == name and row[1].isdigit()]


def text(path: Path) -> str:
    """What a file says; nothing where it cannot be read, as on other systems."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
