"""misr.fuse over a crew: the picture is that of one machine, whoever did which tile in what order, and however a run ended."""

import hashlib
import json
import os
import pickle
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import misr
from misr.card import ModelCard
from misr.errors import InputError, ModelError, WorkerError
from misr.fusion import adapting, pieces, spreading
from misr.fusion import render as at_work
from misr.nets import NETS
from misr.spread.crew import Outcome
from misr.spread.local import Processes
from tests import burst_scenes as scenes
from tests import command
from tests.toy_crew import Shuffled

pytestmark = pytest.mark.usefixtures("one_thread")
PLAIN = misr.Fusing(scale=2, method="shift-and-add", device="cpu", tile=32)


def views(folder: Path, number: int = 3, size: tuple[int, int] = (72, 88), *, bands: int = 1) -> list[str]:
    """Files of a synthetic burst: shifted, noisy views, uint16; bands: 1 or 3."""
    made = []
    folder.mkdir(exist_ok=True)
    for n, matrix in enumerate(scenes.moves(number)):
        plane = np.stack([scenes.seen(*size, matrix, seed) for seed in range(bands)])
        codes = 1000 + 4000 * plane + 20 * np.random.default_rng(n).standard_normal(plane.shape)
        made.append(str(folder / f"view{n}.{'png' if bands > 1 else 'npy'}"))
        codes = codes.round().astype(np.uint16)
        if bands > 1:
            cv2.imwrite(made[-1], codes.transpose(1, 2, 0))
        else:
            np.save(made[-1], codes)
    return made


def model(folder: Path) -> Path:
    """A small learned model of one's own."""
    torch.manual_seed(1)
    options = {"width": 8, "steps": 2}
    net = NETS["burst"](scale=2, **options)
    torch.nn.init.normal_(net.decode.weight, std=0.05)
    folder.mkdir()
    save_file(net.state_dict(), str(folder / "weights.safetensors"))
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card = ModelCard(name="mine", net="burst", scale=2, options=options, halo=net.halo, sha256=digest)
    card.write(folder / "card.json")
    return folder


def alone_and_spread(folder: Path, files: list[str], how: misr.Fusing, crew: Any) -> None:
    """Both runs, and that every file they leave has the same bytes."""
    for name, with_whom in (("alone", None), ("spread", crew)):
        (folder / name).mkdir()
        misr.fuse(files, folder / name / "out.npy", how, crew=with_whom)
    left = sorted(p.name for p in (folder / "alone").iterdir())
    assert left == sorted(p.name for p in (folder / "spread").iterdir())
    assert left == ["out.npy", "out.sigma.npz"][: 1 + how.sigma]
    for name in left:
        a, b = (np.load(folder / k / name) for k in ("alone", "spread"))
        for one, other in zip(*([x[k] for k in x.files] if name.endswith("z") else [x] for x in (a, b)), strict=True):
            assert np.array_equal(one, other, equal_nan=True), name


# the picture is that of one machine


@pytest.mark.parametrize("name", ["best", "mean", "shift-and-add", "map", "fast-x2", "burst-x2"])
def test_spread_is_as_alone(tmp_path, name):
    crew = Shuffled(3)
    alone_and_spread(tmp_path, views(tmp_path / "in"), replace(PLAIN, method=name, sigma=name == "map"), crew)
    assert crew.ended != crew.given
    assert len(crew.given) == 9


def test_bands_come_in_order(tmp_path):
    crew = Shuffled(1, in_flight=5)
    alone_and_spread(tmp_path, views(tmp_path / "in", bands=3), replace(PLAIN, sigma=True, method="mean"), crew)
    assert len(crew.given) == 27
    assert crew.given[4] == f"{tmp_path / 'spread' / 'out.npy'}, tile 2, band 2"


def test_a_task_that_is_done_twice_is_done_once(tmp_path):
    crew = Shuffled(2, twice=True)
    alone_and_spread(tmp_path, views(tmp_path / "in"), PLAIN, crew)
    assert crew.runs == 18


def test_a_model_of_ones_own_goes_to_workers_that_do_not_see_it(tmp_path):
    own, files = model(tmp_path / "mine"), views(tmp_path / "in")
    how = replace(PLAIN, method=str(own), scale=None)

    class Elsewhere(Shuffled):
        """Its workers see no model's folder."""

        def _done(self, *given: Any) -> Outcome:
            if own.exists():
                own.rename(tmp_path / "hidden")
            return super()._done(*given)

    crew = Elsewhere(4, elsewhere=True)
    alone_and_spread(tmp_path, files, how, crew)
    assert not own.exists()


def test_a_worker_builds_its_model_once_for_all_tiles_and_bursts(tmp_path, monkeypatch):
    built = []
    build = spreading.Model.build
    monkeypatch.setattr(spreading.Model, "build", lambda self: built.append(self) or build(self))
    for name in ("one", "two"):
        views(tmp_path / name)
    with Shuffled(5, seats=2) as crew:
        misr.fusion.fuse_folders([tmp_path / "one", tmp_path / "two"], tmp_path / "out", PLAIN, crew=crew)
        assert crew.alive
    assert len(crew.given) == 18
    assert len(built) == 2
    for name in ("one", "two"):
        misr.fuse([tmp_path / name], tmp_path / "alone.npy", PLAIN)
        assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(tmp_path / "out" / f"{name}.npy"))


# what nobody knows, and what waits


def holed(folder: Path, rows: slice, columns: slice) -> list[str]:
    """Views that all have 0, which is nodata, in a rectangle."""
    files = views(folder)
    for file in files:
        codes = np.load(file)
        codes[:, rows, columns] = 0
        np.save(file, codes)
    return files


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, 72), slice(30, 88)), (slice(0, 60), slice(0, 70)), (slice(20, 40), slice(30, 60))],
)
def test_tiles_that_no_view_knows_need_no_task(tmp_path, rows, columns):
    crew, how = Shuffled(6, in_flight=2), replace(PLAIN, method="mean", nodata=0.0, sigma=True, tile=16)
    alone_and_spread(tmp_path, holed(tmp_path / "in", rows, columns), how, crew)
    assert (len(crew.given) < 30) == (columns.stop - columns.start > 30)


def test_tiles_are_counted_as_they_end(tmp_path):
    steps = []
    files, how = holed(tmp_path / "in", slice(0, 60), slice(0, 70)), replace(PLAIN, nodata=0.0, tile=16)
    crew = Shuffled(7)
    misr.fuse(files, tmp_path / "out.npy", how, crew=crew, progress=lambda *step: steps.append(step))
    assert [s for s in steps if s[0] == "fusing"] == [("fusing", n + 1, 30) for n in range(30)]


def test_results_that_wait_for_a_slow_one_are_few(tmp_path, monkeypatch):
    class Slow(Shuffled):
        """Its first task ends when there is no other."""

        def give(self, next_task: Any, tell: Any) -> Iterator[Outcome]:
            slow, *more = (next_task() for _ in range(self.slots))
            while True:
                last, more = (slow, []) if not (quick := [t for t in more if t]) else (quick[0], quick[1:])
                yield self._done(last, pickle.dumps(last), tell)
                self.ended.append(last.name)
                if last is slow:
                    break
                more.append(next_task())
            yield from super().give(next_task, tell)

    crew = Slow(0, in_flight=2)
    misr.fuse(views(tmp_path / "in"), tmp_path / "out.npy", replace(PLAIN, tile=16), crew=crew)
    assert len(crew.ended) == 30
    assert crew.ended.index(f"{tmp_path / 'out.npy'}, tile 1") == spreading.AHEAD * 2 - 1
    misr.fuse([str(tmp_path / "in")], tmp_path / "alone.npy", replace(PLAIN, tile=16))
    assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(tmp_path / "out.npy"))


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


def test_the_driver_learns_and_the_crew_fuses_with_what_was_learned(tmp_path, monkeypatch):
    own, files, crew = model(tmp_path / "mine"), views(tmp_path / "in", 8), Shuffled()
    taught: Any = SimpleNamespace(folder=own, adopted=True, lines=(), told={"start": "burst-x2"})
    monkeypatch.setattr(adapting, "adapt_burst", lambda *given, **more: taught)
    monkeypatch.setattr(adapting, "learning_of", lambda job: {"adapting": None, "adapted": None})
    monkeypatch.setattr("misr.fusion.report.learning_of", lambda job: {"adapting": None, "adapted": None})
    how = replace(PLAIN, method="burst-x2", adapt=str(tmp_path / "kept"), adapt_steps=2)
    done = misr.fuse(files, tmp_path / "spread.npy", how, crew=crew)
    misr.fuse(files, tmp_path / "alone.npy", replace(PLAIN, method=str(own), scale=None))
    assert done.method == "mine"
    assert len(crew.given) == 9
    assert np.array_equal(np.load(tmp_path / "alone.npy"), np.load(tmp_path / "spread.npy"))


# processes


def test_processes_make_the_same_picture(tmp_path):
    own = model(tmp_path / "mine")
    with Processes(("cpu", "cpu"), threads=1) as crew:
        alone_and_spread(
            tmp_path, views(tmp_path / "in"), replace(PLAIN, method=str(own), scale=None, sigma=True), crew
        )


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
