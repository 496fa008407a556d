"""One contract for all crews (misr/spread/crew.py): processes of this machine, and workers of a Ray cluster."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction

import pytest

from misr.errors import DecodeError, WorkerError
from misr.spread.cluster import Ray
from misr.spread.crew import KEPT, Crew
from misr.spread.local import Processes, last_words, share
from tests.crew_drivers import drive, given
from tests.toy_tasks import (
    Broken,
    Bug,
    Ends,
    Holding,
    Kept,
    Killed,
    Large,
    Meeting,
    Square,
    Talking,
    Unsendable,
    Where,
    alive,
    begun,
    processes,
    waited,
)

NODES = 2


@pytest.fixture(scope="module")
def local() -> Iterator[Crew]:
    with Processes(("cpu",) * NODES) as crew:
        yield crew


@pytest.fixture(scope="module")
def far(ray_nodes) -> Iterator[Crew]:
    with Ray(ray_nodes.address) as crew:
        yield crew


@pytest.fixture(params=["local", "far"])
def crew(request) -> Crew:
    """Either, in use by all tests, as one is by several clips."""
    return request.getfixturevalue(request.param)


def test_every_task_comes_back_once_with_its_result(crew):
    assert [came.result for came in given(crew, [Square(n) for n in range(20)])] == [n**2 for n in range(20)]
    assert given(crew, []) == []


def test_a_bounded_number_is_given_at_a_time(crew):
    asked, most, came = 0, 0, 0

    def next_task() -> Square | None:
        nonlocal asked
        asked += 1
        return Square(asked) if asked <= 30 else None

    for came, _ in enumerate(crew.give(next_task, lambda task, units: None), 1):
        most = max(most, min(asked, 30) - came)
    assert came == 30
    assert 0 < most <= crew.slots + 3


def test_none_means_none_now(crew):
    """A driver that knows its next task only from an outcome gets them all done."""
    ready = [Square(1)]
    results = []
    for came in crew.give(lambda: ready.pop() if ready else None, lambda task, units: None):
        results.append(came.result)
        if len(results) < 4:
            ready.append(Square(came.task.n + 1))
    assert results == [1, 4, 9, 16]


def test_an_error_of_a_task_is_its_outcome_and_knows_its_time(crew):
    broken, square = given(crew, [Broken(Fraction(7, 3)), Square(4)])
    assert square.result == 16
    assert isinstance(broken.error, DecodeError)
    assert (str(broken.error), broken.error.time) == ("it breaks off at 2.333 s", Fraction(7, 3))
    assert broken.result is None


def test_our_own_mistakes_are_raised_with_the_traceback_of_the_worker(crew):
    with pytest.raises(KeyError, match="no such thing") as caught:
        given(crew, [Bug()])
    assert "toy_tasks.py" in str(caught.value.__cause__)
    assert given(crew, [Square(2)])[0].result == 4, "the crew is of no use afterwards"


@pytest.mark.parametrize(("error", "said"), [(True, "1 and 2 do not go together"), (False, "pickle")])
def test_what_cannot_be_sent_is_told(crew, error, said):
    with pytest.raises(RuntimeError, match=said):
        given(crew, [Unsendable(error)])


def test_a_task_whose_worker_was_killed_is_done_by_another(crew, tmp_path, capfd):
    told: list[int] = []
    task = Killed(tmp_path, 1)
    killed, square = given(crew, [task, Square(5)], lambda t, units: told.append(units) if t is task else None)
    assert (killed.result, square.result) == ("survived", 25)
    assert len(list(tmp_path.iterdir())) == 1
    assert told[-1] == 7, "the last count was lost"
    assert capfd.readouterr() == ("", ""), "the crew talks"


def test_a_task_that_begins_again_begins_at_0_again(local, tmp_path):
    told: list[int] = []
    given(local, [Killed(tmp_path, 2)], lambda task, units: told.append(units))
    assert [units for units, before in zip(told, [-1, *told], strict=False) if units != before] == [7, 0, 7, 0, 7]


def test_a_task_that_always_kills_its_worker_is_given_up_and_the_others_are_done(crew, tmp_path):
    killed, *others = given(crew, [Killed(tmp_path, 99), *(Square(n) for n in range(4))])
    assert [one.result for one in others] == [0, 1, 4, 9]
    assert isinstance(killed.error, WorkerError)
    assert "a large one" in str(killed.error)
    assert "perhaps for memory" in str(killed.error)
    assert "finished work is kept" in str(killed.error)
    assert 3 <= len(list(tmp_path.iterdir())) <= 6


def test_counts_reach_the_driver_while_a_task_runs(crew, tmp_path):
    waits = Meeting(tmp_path)
    came = given(crew, [waits], lambda task, units: (tmp_path / "go").touch() if units else None)
    assert came[0].result == 0


def test_a_worker_makes_things_ready_once(crew, tmp_path):
    used = {came.result for came in given(crew, [Kept(tmp_path) for _ in range(8)])}
    assert sorted(int(mark.name.split("-")[1]) for mark in tmp_path.iterdir()) == sorted(used)
    assert len(used) <= crew.slots


def test_tasks_find_what_they_hold_however_much_is_held(crew):
    held = [crew.hold(bytes([n] * 100)) for n in range(2 * KEPT)]
    tasks = [Holding(held[k * 3 % len(held)], more=k) for k in range(30)]
    assert [came.result for came in given(crew, tasks)] == [k * 3 % len(held) * 10 + k for k in range(30)]
    assert held[1].value() == bytes([1] * 100)


def test_large_things_travel(crew):
    big = crew.hold(bytes([1]) * 30_000_000)
    large, holding = given(crew, [Large(30_000_000), Holding(big)])
    assert (len(large.result), holding.result) == (30_000_000, 10)


def test_a_driver_that_stops_listening_stops_what_runs(crew, tmp_path):
    """The crew goes on with other work; nothing of the old comes up."""
    left = iter([Meeting(tmp_path), Square(1)])
    with closing(crew.give(lambda: next(left, None), lambda task, units: None)) as came:
        next(came)
        assert waited(lambda: len(begun(tmp_path)) == 1)
    assert [one.result for one in given(crew, [Square(n) for n in range(5)])] == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("kind", ["local", "far"])
def test_no_worker_outlives_a_driver_that_is_killed(kind, tmp_path, request):
    address = request.getfixturevalue("ray_nodes").address if kind == "far" else ""
    driver = drive(tmp_path, address)
    assert waited(lambda: len(begun(tmp_path)) == NODES, 60)
    driver.kill()
    driver.wait()
    assert waited(lambda: not any(alive(pid) for pid in processes(tmp_path)), 30)


@pytest.mark.parametrize("kind", ["local", "far"])
def test_ctrl_c_ends_driver_and_workers_in_silence(kind, tmp_path, request):
    address = request.getfixturevalue("ray_nodes").address if kind == "far" else ""
    driver = drive(tmp_path, address)
    assert waited(lambda: len(begun(tmp_path)) == NODES, 60)
    os.killpg(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=30)
    assert (out, err) == (b"", b"interrupted\n")
    assert waited(lambda: not any(alive(pid) for pid in processes(tmp_path)), 30)


def test_a_process_has_its_device_and_its_share_of_the_threads(monkeypatch):
    with Processes(("cpu", "cuda:7"), threads=3) as crew:
        a, b = (came.result for came in given(crew, [Where("a"), Where("b")]))
    assert {a[1:], b[1:]} == {("cpu", "3", "worker 1"), ("cuda:7", "3", "worker 2")}
    monkeypatch.setattr("misr.spread.local.cores", lambda: 9)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [share(n) for n in (1, 2, 4, 9, 20)] == [9, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert share(2) == 3


def test_processes_begin_when_there_is_a_task_for_them():
    with Processes(("cpu",) * 50) as crew:
        given(crew, [Square(2)])
        assert sum(worker is not None for worker in crew._workers) == 1


def test_what_a_process_prints_is_not_taken_for_data(capfd):
    with Processes(("cpu",)) as crew:
        given(crew, [Talking("good morning")])
    assert capfd.readouterr() == ("", "good morning\n")


def test_a_process_that_ends_by_itself_says_how():
    with Processes(("cpu",)) as crew:
        (came,) = given(crew, [Ends(3)])
    assert str(came.error).startswith(
        "a worker ended 3 times at one that ends, at last with exit code 3; finished work is kept"
    )
    assert "signal 11" in last_words("x", -11)


def test_processes_let_go_of_what_they_keep_when_they_are_stopped(tmp_path):
    """One that is idle, and one that is not."""
    idle, busy = tmp_path / "idle", tmp_path / "busy"
    idle.mkdir()
    busy.mkdir()
    left = iter([Kept(idle), Meeting(busy)])
    with Processes(("cpu",) * 2) as crew, closing(crew.give(lambda: next(left, None), print)) as came:
        next(came)
        assert waited(lambda: len(begun(busy)) == 1)
    assert len(list(idle.glob("closed-*"))) == len(list(busy.glob("closed-*"))) == 1
