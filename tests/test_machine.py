"""What a container may have, on made-up trees of /proc and /sys: both versions of control groups, with and without limits."""

import os
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest

import misr
from misr import machine
from misr.frame import Color
from misr.io.encoder import Encoder, Encoding
from misr.io.probe import encoder_fault
from tests import media

GIB = 2**30
FREE = {"proc/meminfo": f"MemTotal: {64 * GIB // 1024} kB\nMemAvailable: {32 * GIB // 1024} kB\n"}
V2 = {"proc/self/cgroup": "0::/box/job\n"}
V1 = {"proc/self/cgroup": "5:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n0::/\n"}
UNLIMITED = str(2**63 - 4096)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def tree(folder: Path, *files: dict[str, str]) -> Path:
    """A root with these files."""
    for name, text in (item for some in files for item in some.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def group(name: str, **files: str) -> dict[str, str]:
    """The files of a group; `_` stands for the first dot."""
    return {f"sys/fs/cgroup/{name}/{key.replace('_', '.', 1)}": text for key, text in files.items()}


def test_openmp_is_told_of_limits_alone(tmp_path):
    assert machine.openmp(tmp_path) == {}
    assert machine.openmp(tree(tmp_path, V2, group("box/job", cpu_max="200000 100000"))) == {"OMP_NUM_THREADS": "2"}


def test_without_groups_the_machine_is_what_there_is(tmp_path):
    root = tree(tmp_path, FREE)
    assert (machine.cores(root), machine.free_bytes(root)) == (8, 32 * GIB)


def test_where_nothing_tells_nothing_is_made_up(tmp_path):
    assert (machine.cores(tmp_path), machine.free_bytes(tmp_path)) == (8, None)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("9900000 100000", 8), ("", 8)],
)
def test_cpu_time_of_version_2_counts_in_cores(tmp_path, quota, cores):
    assert machine.cores(tree(tmp_path, V2, group("box/job", cpu_max=quota))) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3), ("50000", 1)])
def test_cpu_time_of_version_1_counts_in_cores(tmp_path, quota, cores):
    limits = group("cpu/box", cpu_cfs_quota_us=quota, cpu_cfs_period_us="100000")
    assert machine.cores(tree(tmp_path, V1, limits)) == cores


def test_the_tightest_group_counts(tmp_path):
    outer, inner = group("box", cpu_max="100000 100000"), group("box/job", cpu_max="400000 100000")
    assert machine.cores(tree(tmp_path, V2, outer, inner)) == 1


def test_a_container_that_sees_its_group_as_the_mount_is_limited_by_it(tmp_path):
    limits = group(".", cpu_max="200000 100000", memory_max=str(4 * GIB), memory_current=str(GIB))
    root = tree(tmp_path, FREE, V2, limits)  # the path that /proc names is not there
    assert (machine.cores(root), machine.free_bytes(root)) == (2, 3 * GIB)


def test_files_that_would_be_forgotten_are_free_memory(tmp_path):
    stat = {"memory_stat": f"anon 5\ninactive_file {GIB // 2}\nactive_file 7\n"}
    limits = group("box/job", memory_max=str(2 * GIB), memory_current=str(GIB), **stat)
    assert machine.free_bytes(tree(tmp_path, FREE, V2, limits)) == GIB + GIB // 2


@pytest.mark.parametrize(("limit", "free"), [(UNLIMITED, 32 * GIB), (str(3 * GIB), 2 * GIB), (str(GIB // 2), 0)])
def test_memory_of_version_1_is_what_its_limit_leaves(tmp_path, limit, free):
    limits = group("memory/box", memory_limit_in_bytes=limit, memory_usage_in_bytes=str(GIB))
    assert machine.free_bytes(tree(tmp_path, FREE, V1, limits)) == free


def test_no_limit_leaves_what_the_system_has(tmp_path):
    limits = group("box/job", memory_max="max", memory_current=str(GIB))
    assert machine.free_bytes(tree(tmp_path, FREE, V2, limits)) == 32 * GIB


def test_here_it_says_something_sensible():
    assert machine.cores() >= 1
    free = machine.free_bytes()
    assert free is None or free >= 0


# ---------------------------------------------------------------- scheduling


REAL_TIME = hasattr(os, "sched_setscheduler") and os.access("/proc/self/task", os.R_OK)


@pytest.fixture
def may_be_real_time() -> None:
    """Skips where nobody may have real time, where SVT-AV1 has none either."""
    if not REAL_TIME:
        pytest.skip("this system has no real-time scheduling that Python knows")
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("this user may not ask for real time")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def in_real_time() -> list[str]:
    """The threads of this process, by number, that others have to wait for."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # it has just ended
            found += [task] if os.sched_getscheduler(int(task)) != os.SCHED_OTHER else []
    return found


@pytest.mark.usefixtures("may_be_real_time")
def test_scheduling_is_as_it_was_here_and_in_threads_begun_meanwhile() -> None:
    over = threading.Event()
    with machine.scheduling_kept():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        begun = threading.Thread(target=over.wait)
        begun.start()
        assert os.sched_getscheduler(begun.native_id or 0) == os.SCHED_FIFO
    assert not in_real_time()
    over.set()
    begun.join()


@pytest.mark.usefixtures("may_be_real_time")
def test_no_encoder_takes_real_time_for_itself(tmp_path: Path) -> None:
    color = Color("yuv", 8, (2, 2))
    it = Encoding(
        "libsvtav1", "yuv420p", color, 64, 64, Fraction(1, 25), Fraction(25), Fraction(1), (("preset", "12"),)
    )
    encoder = Encoder(it)
    assert not in_real_time()
    assert encoder.flush() == []
    assert encoder_fault("libsvtav1") == ""
    picture = media.picture(tmp_path, "avif")
    assert not in_real_time()
    during = []
    misr.upscale(picture, tmp_path / "out.avif", model="bicubic")
    assert not in_real_time()
    clip = media.clip(tmp_path, name="clip", frames=3, size=(64, 64))
    misr.upscale(clip, tmp_path / "out.webm", model="bicubic", progress=lambda *_: during.extend(in_real_time()))
    assert not during and not in_real_time()
