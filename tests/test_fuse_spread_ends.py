"""misr fuse over a crew: however a run ends, what was finished is kept or nothing is left; what the command says and refuses."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import misr
from misr.errors import InputError, ModelError, WorkerError
from misr.fusion import pieces
from misr.fusion import render as at_work
from misr.spread.crew import Outcome
from misr.spread.local import Processes
from tests import command
from tests.spread_bursts import PLAIN, views
from tests.toy_crew import Shuffled

pytestmark = pytest.mark.usefixtures("one_thread")

# how a run ends


def stopped(files: list[str], out: Path, after: int, crew: Any) -> None:
    """In a process of its own: a run that is killed while it writes a tile; what was flushed before is on the disk."""
    at_work.FLUSH_S, write, count = 0.0, at_work.write_tile, iter(range(1000))

    def stop(*args: Any) -> int:
        if next(count) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args)

    at_work.write_tile = stop
    misr.fuse(files, out, PLAIN, crew=crew)


@pytest.mark.parametrize(
    ("first", "then"),
    [(Shuffled(8), Shuffled(9)), (Shuffled(8), None), (None, Shuffled(9))],
    ids=["both", "first", "then"],
)
def test_a_driver_that_was_killed_goes_on_where_it_was_with_a_crew_or_without(tmp_path, first, then):
    files, out, said = views(tmp_path / "in"), tmp_path / "out.npy", []
    child: Any = command.FORKS.Process(target=stopped, args=(files, out, 4, first))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not out.exists()
    steps: list[int] = []
    misr.fuse(files, out, PLAIN, crew=then, say=said.append, progress=lambda what, n, of: steps.append(n))
    assert "resuming at tile 5 of 9" in said
    assert steps[-5:] == [5, 6, 7, 8, 9]
    if then:
        assert sorted(then.given) == [f"{out}, tile {n}" for n in range(5, 10)]
    misr.fuse(files, tmp_path / "alone.npy", PLAIN)
    assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(out))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


class Failing(Shuffled):
    """The task of one tile comes to an error."""

    def __init__(self, error: misr.MisrError, tile: int) -> None:
        super().__init__(0, in_flight=1)
        self.error, self.tile = error, tile

    def _done(self, task: Any, packed: bytes, tell: Any) -> Outcome:
        return Outcome(task, error=self.error) if task.number == self.tile else super()._done(task, packed, tell)


def test_a_run_that_loses_its_workers_keeps_every_tile_and_goes_on(tmp_path):
    files, out, said = views(tmp_path / "in"), tmp_path / "out.npy", []
    with pytest.raises(WorkerError, match="all dead"):
        misr.fuse(files, out, PLAIN, crew=Failing(WorkerError("all dead"), 5))
    assert not out.exists()
    misr.fuse(files, out, PLAIN, crew=Shuffled(), say=said.append)
    assert "resuming at tile 6 of 9" in said
    misr.fuse(files, tmp_path / "alone.npy", PLAIN)
    assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(out))


def test_what_cannot_be_fused_ends_the_run_and_leaves_nothing(tmp_path):
    files, crew = views(tmp_path / "in"), Failing(ModelError("no numbers"), 2)
    with pytest.raises(ModelError, match="no numbers"):
        misr.fuse(files, tmp_path / "out.npy", PLAIN, crew=crew)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert len(crew.given) == 3


def test_a_worker_without_memory_says_which_tiles_would_do(tmp_path, monkeypatch):
    def full(method: Any, stack: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(pieces, "fused", full)
    with pytest.raises(ModelError, match="too little memory for tiles of 32 px; give --tile 16"):
        misr.fuse(views(tmp_path / "in"), tmp_path / "out.npy", PLAIN, crew=Shuffled())


def test_a_view_that_cannot_be_read_ends_the_run_as_it_does_alone(tmp_path, monkeypatch):
    def broken(self: Any, *window: Any) -> None:
        raise InputError("view1.npy: broken off")

    files, crew = views(tmp_path / "in"), Shuffled()
    monkeypatch.setattr("misr.burst.Ready.stack", broken)
    with pytest.raises(InputError, match="broken off"):
        misr.fuse(files, tmp_path / "out.npy", PLAIN, crew=crew)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_burst_that_fails_does_not_stop_the_others(tmp_path):
    for name in ("one", "two"):
        views(tmp_path / name)
    crew = Failing(WorkerError("it died"), 0)
    with pytest.raises(InputError, match=r"2 of 2 bursts failed.*it died"):
        misr.fusion.fuse_folders([tmp_path / "one", tmp_path / "two"], tmp_path / "out", PLAIN, crew=crew)


def test_what_is_said_of_the_device_is_true_of_the_crew(tmp_path):
    crew = Shuffled()
    crew.kind = "cuda"
    said: list[str] = []
    done = misr.fuse(views(tmp_path / "in"), tmp_path / "out.npy", PLAIN, crew=crew, say=said.append)
    assert (done.report["method"]["device"], done.report["method"]["precision"]) == ("cuda", "auto")
    assert any("on cuda" in line for line in said)


# the command


def said_by(capsys: pytest.CaptureFixture[str]) -> str:
    return command.one_sentence(capsys.readouterr().err)


def test_the_command_shares_the_tiles_and_shows_one_bar(tmp_path, capsys):
    views(tmp_path / "in", 2)
    words = ("fuse", tmp_path / "in", "-m", "mean", "--tile", "32", "--device", "cpu")
    assert command.misr(*words, "-o", tmp_path / "alone.npy", "--progress", "none") == 0
    capsys.readouterr()
    assert command.misr(*words, "-o", tmp_path / "out.npy", "--workers", "2", "--progress", "json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert (rows[-1]["event"], rows[-1]["doing"], rows[-1]["done"], rows[-1]["total"]) == ("end", "fusing", 9, 9)
    assert rows[-1]["figures"]["workers"] == 2
    assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(tmp_path / "out.npy"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--workers -1", "--workers -1"),
        ("--workers 2 --device cpu,cpu", "leave --workers out"),
        ("--gpus-per-task 1", "--on ray"),
        ("--on slurm", "ray://HOST:PORT"),
        ("--on ray --device cuda", "--device"),
    ],
)
def test_crews_that_make_no_sense_are_refused_before_a_view_is_opened(tmp_path, capsys, words, says):
    assert command.misr("fuse", tmp_path / "nowhere", "-o", tmp_path / "out.npy", *words.split()) != 0
    assert says in said_by(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_asks_no_worker(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Processes, "__enter__", lambda self: pytest.fail("workers begin"))
    views(tmp_path / "in", 2)
    assert command.misr("fuse", tmp_path / "in", "-o", tmp_path / "out.npy", "--dry-run", "--workers", "2") == 0
    assert "2 of 2 used" in capsys.readouterr().out
