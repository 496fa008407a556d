"""misr.fuse over a crew: the picture is that of one machine, whoever did which tile in what order."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import misr
from misr.fusion import adapting, spreading
from misr.spread.cluster import Ray
from misr.spread.crew import Outcome
from misr.spread.local import Processes
from tests.spread_bursts import PLAIN, alone_and_spread, model, views
from tests.toy_crew import Shuffled

pytestmark = pytest.mark.usefixtures("one_thread")

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


def test_little_travels(tmp_path):
    crew, pixels = Shuffled(), 72 * 88
    misr.fuse(views(tmp_path / "in"), tmp_path / "out.npy", replace(PLAIN, tile=0), crew=crew)
    assert crew.task_bytes[0] < 3 * pixels * (4 + 1) + 4000  # of three views a float and a weight
    assert crew.result_bytes[0] < 4 * pixels * (4 + 1) + 1000


@pytest.mark.parametrize("values", [[0, 1, 1], [0, 0.5, 1], [0, -0.25, 3]])
def test_what_travels_arrives_as_it_was(values):
    x = np.array(values, np.float32)
    sent = spreading.lean(x)
    sent.flags.writeable = False
    assert np.array_equal(spreading.whole(sent).numpy(), x)
    assert spreading.whole(sent).dtype == torch.float32


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


# workers of their own


def test_processes_make_the_same_picture(tmp_path):
    own = model(tmp_path / "mine")
    with Processes(("cpu", "cpu"), threads=1) as crew:
        alone_and_spread(
            tmp_path, views(tmp_path / "in"), replace(PLAIN, method=str(own), scale=None, sigma=True), crew
        )


def test_a_ray_cluster_makes_the_same_picture(tmp_path, ray_nodes):
    own = model(tmp_path / "mine")
    with Ray(ray_nodes.address) as crew:
        alone_and_spread(
            tmp_path, views(tmp_path / "in"), replace(PLAIN, method=str(own), scale=None, sigma=True), crew
        )
