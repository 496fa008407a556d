"""What a crew of Ray's workers has of its own: nodes that come and go, resources, connections. See test_crews.py first."""

import importlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from misr.errors import WorkerError
from misr.spread import afar, cluster, connection, ray_worker
from misr.spread.cluster import Ray
from misr.spread.crew import Crew
from tests import ray_cluster
from tests.crew_drivers import drive, given
from tests.toy_tasks import Kept, Killed, Meeting, Square, Where, alive, begun, processes, waited

NODES = 2


@pytest.fixture(scope="module")
def far(ray_nodes) -> Iterator[Crew]:
    with Ray(ray_nodes.address) as crew:
        yield crew


def test_a_node_that_dies_takes_no_work_with_it(ray_nodes, far, tmp_path, monkeypatch):
    """Slots follow the nodes that are there."""
    monkeypatch.setattr(cluster, "NODES_S", 0.1)
    node = ray_cluster.add(ray_nodes)
    assert waited(lambda: far.slots == NODES + 1)
    tasks = iter([Meeting(tmp_path, n) for n in range(NODES + 1)])
    removed = False

    def tell(task: Any, units: int) -> None:
        nonlocal removed
        if not removed and len(begun(tmp_path)) == NODES + 1:
            removed = True
            ray_nodes.remove_node(node, allow_graceful=False)
            assert waited(lambda: sum(alive(pid) for pid in processes(tmp_path)) == NODES)
            (tmp_path / "go").touch()

    assert sorted(came.result for came in far.give(lambda: next(tasks, None), tell)) == list(range(NODES + 1))
    assert len(begun(tmp_path)) == NODES + 2, "it was not begun again"
    assert waited(lambda: far.slots == NODES)


def test_a_task_that_ray_would_try_for_ever_is_given_up(ray_nodes, far, tmp_path, monkeypatch):
    """Ray does not count the workers that it kills for memory itself."""
    with monkeypatch.context() as patient:
        patient.setattr(cluster, "RETRIES", -1)
        endless = Ray(ray_nodes.address).__enter__()
    monkeypatch.setattr(cluster, "RETRIES", 1)
    try:
        killed, square = given(endless, [Killed(tmp_path, 99), Square(3)])
    finally:
        endless.__exit__()
    assert square.result == 9
    assert str(killed.error).startswith("a large one: its workers died, perhaps for memory, at last on")
    assert "with a smaller --tile, or with more --cpus-per-task" in str(killed.error)
    error = cluster.how(importlib.import_module("ray").exceptions.OutOfMemoryError("it was"))
    assert error == "its worker was killed for memory"


def test_what_no_node_can_run_is_refused(ray_nodes, far, monkeypatch):
    monkeypatch.setattr(cluster, "NONE_S", 0.0)
    with (
        Ray(ray_nodes.address, gpus_per_task=0.5) as crew,
        pytest.raises(WorkerError, match=r"needs 1 CPU and 0\.5 GPUs; they have 1 CPU and 0 GPUs, or 0 CPUs"),
    ):
        given(crew, [Square(1)])
    assert given(far, [Square(2)])[0].result == 4, "it took the connection of others away"


def test_ray_sets_aside_what_a_task_needs(ray_nodes, far):
    with Ray(ray_nodes.address, cpus_per_task=0.5) as crew:
        (came,) = given(crew, [Where()])
        assert crew.slots == 2 * NODES
        assert crew.elsewhere
    assert came.result[1:3] == ("cpu", "1")
    assert [cluster.fits({"CPU": 8.0, "GPU": 2.0}, *needs) for needs in ((1, 0), (3, 0), (1, 0.5), (1, 3), (0, 1))] == [
        8,
        2,
        4,
        0,
        2,
    ]


def test_a_worker_with_a_gpu_lives_on(ray_nodes, far):
    """Ray would have each do one task, and load its model anew for the next. The GPU is one in Ray's books alone."""
    node = ray_cluster.add(ray_nodes, num_gpus=1)
    try:
        with Ray(ray_nodes.address, gpus_per_task=0.5, in_flight=1) as crew:
            assert crew.slots == 1, "its CPU allows one, its GPU two"
            came = [one.result for one in given(crew, [Where("a"), Where("b"), Where("c")])]
    finally:
        ray_nodes.remove_node(node)
        assert waited(lambda: not far.ray.cluster_resources().get("GPU")), "others would find it"
    assert {device for _, device, _, _ in came} == {"cuda"}
    assert len({pid for pid, _, _, _ in came}) == 1


@pytest.mark.parametrize("address", ["ray://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_port_where_nobody_is_is_told_at_once(address):
    where = address.format(free_port())
    with pytest.raises(WorkerError, match=f"{where}: no Ray cluster answers there") as caught:
        connection.knock(where)
    assert "ray start --head" in str(caught.value)


@pytest.mark.parametrize("scheme", ["ray://", ""])
def test_a_port_of_something_else_is_told(scheme, tmp_path):
    port = free_port()
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert waited(lambda: answers(port))
        with pytest.raises(WorkerError, match="no Ray cluster answers there"):
            connection.knock(f"{scheme}127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait()


def test_a_process_that_is_connected_takes_no_other_cluster(ray_nodes, far):
    with pytest.raises(WorkerError, match="connected to another Ray cluster already"):
        Ray("ray://127.0.0.1:10001").__enter__()
    with Ray(gpus_per_task=0) as same:
        assert given(same, [Square(3)])[0].result == 9


def test_ray_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkerError, match=r'a Ray cluster needs ray: pip install "misr\[ray\]"'):
        Ray().__enter__()


@pytest.fixture(scope="module")
def door(ray_nodes) -> Iterator[Any]:
    """A port as `ray start --head` opens it for machines outside the cluster, and the process behind it."""
    pytest.importorskip("grpc")
    port = free_port()
    argv = [sys.executable, "-m", "ray.util.client.server", "--address", ray_nodes.address, "--port", str(port)]
    server = subprocess.Popen([*argv, "--host", "127.0.0.1", "--mode", "specific-server"], stderr=subprocess.DEVNULL)
    try:
        assert waited(lambda: answers(port), 60)
        yield f"ray://127.0.0.1:{port}", server
    finally:
        server.kill()
        server.wait()


def test_a_client_is_a_driver_too(door, tmp_path):
    driver = drive(tmp_path, door[0])
    assert waited(lambda: len(begun(tmp_path)) == NODES, 60)
    (tmp_path / "go").touch()
    assert driver.communicate(timeout=60) == (b"", b"")
    assert driver.returncode == 0


def test_a_connection_that_is_lost_is_told_and_no_other_made(door, tmp_path):
    """Ray itself would connect to whatever it finds."""
    address, server = door
    driver = drive(tmp_path, address, RAY_CLIENT_RECONNECT_GRACE_PERIOD="1")
    assert waited(lambda: len(begun(tmp_path)) == NODES, 60)
    server.kill()
    out, err = driver.communicate(timeout=60)
    assert (out, driver.returncode) == (b"", 1)
    assert err.splitlines()[-1].startswith(b"misr.errors.WorkerError: the connection to the Ray cluster was lost")
    assert b"Connecting to" not in err


def test_a_cluster_that_is_not_there_is_started_and_ended(tmp_path):
    """`local` is what Ray calls one of its own; elsewhere it is looked for first."""
    pytest.importorskip("ray")
    own = Path(tempfile.mkdtemp(prefix="ray"))  # the way to a socket must be short
    driver = drive(tmp_path, "local", RAY_TMPDIR=str(own), RAY_AUTH_MODE="disabled")
    try:
        assert waited(lambda: len(begun(tmp_path)) >= 1, 60)
        (tmp_path / "go").touch()
        assert driver.communicate(timeout=60) == (b"", b"")
        assert waited(lambda: not servants(own)), "processes of the cluster live on"
    finally:
        driver.kill()
        shutil.rmtree(own, ignore_errors=True)


def servants(folder: Path) -> list[str]:
    """Processes whose command line names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if str(folder).encode() in path.read_bytes() else []
        except OSError:
            continue
    return found


def test_a_worker_with_another_misr_or_none_says_so(monkeypatch):
    crew, heard = ("a crew", "9.9", "cpu", 1, 0.5), Heard()
    assert "install the same on both" in str(afar.errand(b"", [], crew, heard, 1))
    monkeypatch.setitem(sys.modules, "misr.spread.ray_worker", None)
    said = str(afar.errand(b"", [], crew, heard, 1))
    assert "has no misr" in said
    assert socket.gethostname() in said
    assert "install misr 9.9 there" in said


def test_what_ray_carries_by_value_needs_no_more_than_the_standard_library():
    names = {
        line.split()[1].split(".")[0]
        for line in Path(afar.__file__).read_text().splitlines()
        if line.startswith(("import", "from"))
    }
    assert names <= sys.stdlib_module_names


class Heard:
    """An actor that forgets."""

    begin = tell = property(lambda self: self)

    def remote(self, *told: Any) -> None:
        pass


def test_workers_of_another_crew_begin_with_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_worker, "SEATS", {})
    seat = ray_worker.seat_of("one", "cpu")
    Kept(tmp_path).run(seat, print)
    assert ray_worker.seat_of("one", "cpu") is seat
    assert not list(tmp_path.glob("closed-*"))
    assert ray_worker.seat_of("another", "cpu") is not seat
    assert list(tmp_path.glob("closed-*"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
