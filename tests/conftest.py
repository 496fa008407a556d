"""What all tests share: their threads, and skips that are counted and can be turned into failures.

Where pytest-xdist runs them side by side, each of its processes and what they start have one thread; alone they have two.

@pytest.mark.gpu           skipped where torch sees no CUDA device; MISR_REQUIRE_GPU=1 makes that a failure
@pytest.mark.chromium      skipped where there is no Chromium; MISR_REQUIRE_CHROMIUM=1 likewise
@pytest.mark.shared_data   skipped where the data beside the checkout is absent; MISR_REQUIRE_DATA=1 likewise.
                           The fixture `shared_data` is its path, and marks the test by being asked for
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ
if SIDE_BY_SIDE:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported; children inherit it

import misr  # noqa: E402, F401  before torch: it sets how OpenMP threads wait

import torch  # noqa: E402  isort: skip

from misr.machine import cores  # noqa: E402  isort: skip
from tests.browser import CHROMIUM  # noqa: E402  isort: skip

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"

GIB_EACH = 1.5  # what a process of tests and its children hold at most
torch.set_num_threads(1 if SIDE_BY_SIDE else min(2, torch.get_num_threads()))
os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 reads it once; test media are made before misr sets it


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test material that is too large, or not ours, to be in the repository."""
    return DATA


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small take ten times longer on two threads that wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[Any]:
    """A Ray cluster, one for each process of tests: a head without CPUs, and two nodes of one; see tests/ray_cluster.py."""
    pytest.importorskip("ray", reason='no Ray: pip install "misr[ray]"')
    from tests.ray_cluster import cluster

    with cluster(2) as made:
        yield made


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: a process for each core that this one may use, as far as memory goes; with one core none at all."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 8.0
    return processes if (processes := min(cores(), int(gib / GIB_EACH))) > 1 else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs = [
        ("shared_data", DATA.is_dir(), "MISR_REQUIRE_DATA", "no ../shared/data beside the checkout"),
        ("chromium", CHROMIUM is not None, "MISR_REQUIRE_CHROMIUM", "no Chromium on this machine"),
        ("gpu", torch.cuda.is_available(), "MISR_REQUIRE_GPU", "torch sees no CUDA device"),
    ]
    for marker, there, switch, why in needs:
        if item.get_closest_marker(marker) and not there:
            if os.environ.get(switch, "0") not in ("", "0"):
                pytest.fail(f"{why}, and {switch} is set", pytrace=False)
            pytest.skip(why)
