"""misr eval over a crew: the report of one process, whichever worker measures what, and wherever the files are."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from misr import InputError, Measure, ModelError, evaluate, evaluate_models, zoo
from misr.evaluation import spreading
from misr.evaluation.asked import Comparison
from misr.evaluation.spreading import Files, Piece, Source, Unseen, grouped
from misr.spread.crew import Here, Seat
from misr.spread.local import Processes
from tests import media
from tests.test_evaluation import PSNR, written
from tests.toy_crew import Shuffled

pytestmark = pytest.mark.usefixtures("one_thread")
MOVING = Measure(metrics=("psnr", "warp"))
MODELS = ["bicubic", "fast-x2", "fast-robust-x2"]


class Strangers(Shuffled):
    """Workers on another machine, which sees nothing of this one's files but what it is sent."""

    def __init__(self, seed: int = 0, **more: int) -> None:
        super().__init__(seed, elsewhere=True, **more)

    def _done(self, task, packed, tell):
        away = pickle.loads(packed)
        clips = [
            (name, tuple(replace(s, place=f"/not/here{s.place}") for s in sources)) for name, sources in away.clips
        ]
        return super()._done(task, pickle.dumps(replace(away, clips=tuple(clips))), tell)


def piece(*paths: Path, number: int = 0) -> Piece:
    """A task that compares files, for a worker elsewhere."""
    sources = tuple(Source.of(str(p), elsewhere=True, carried=False) for p in paths)
    return Piece(number, Here(Comparison(PSNR)), (("x", sources),))


# the same report


@pytest.mark.parametrize("crew", [Shuffled(1), Shuffled(2, in_flight=9, twice=True), Strangers(3)])
def test_results_measured_by_a_crew_are_those_of_one_process(tmp_path: Path, crew: Shuffled) -> None:
    truth = written(tmp_path / "t", [f"{n}" for n in range(23)])
    results = [written(tmp_path / f"r{step}", [f"{n}" for n in range(23)], step) for step in (1, 4)]
    plain = evaluate(results, truth)
    with crew:
        assert evaluate(results, truth, crew=crew) == plain
    assert crew.most > 1


@pytest.mark.parametrize("crew", [Shuffled(1), Shuffled(2, in_flight=2, twice=True), Strangers(3)])
def test_models_measured_by_a_crew_have_the_rows_of_one_process(tmp_path: Path, crew: Shuffled) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=3) for n in range(3)]
    pictures = written(tmp_path / "p", ["a", "b", "c"])
    references = [*clips, pictures]
    how = replace(MOVING, color="rgb")
    assert evaluate_models(MODELS, references, how, crew=crew) == evaluate_models(MODELS, references, how)


def test_clips_sequences_and_patterns_travel_to_workers_that_do_not_see_them(tmp_path: Path) -> None:
    truth, result = written(tmp_path / "t", ["8", "9", "10"]), written(tmp_path / "r", ["f08", "f09", "f10"], 3)
    clip = media.clip(tmp_path, codec="ffv1", frames=3)
    for one, other in ((result, truth), (result / "f%02d.png", truth / "%d.png"), (clip, clip)):
        crew = Strangers()
        assert evaluate(one, other, PSNR, sequence=True, crew=crew) == evaluate(one, other, PSNR, sequence=True)
        assert crew.task_bytes[0] < 5_000 < crew.task_bytes[1], "first without the files, then with them"


def test_a_model_of_the_users_own_needs_no_files_at_the_worker(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    shutil.copytree(zoo.find("fast-x2"), tmp_path / "own")
    plain = evaluate_models([str(tmp_path / "own")], [clip])
    crew = Hiding(tmp_path / "own")
    assert evaluate_models([str(tmp_path / "own")], [clip], crew=crew) == plain


class Hiding(Strangers):
    """Strangers, and a folder that is gone before the first task runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def _done(self, task, packed, tell):
        shutil.rmtree(self.folder, ignore_errors=True)
        return super()._done(task, packed, tell)


def test_processes_of_this_machine_measure_the_same(tmp_path: Path) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=2) for n in range(3)]
    plain = evaluate_models(["bicubic", "fast-x2"], clips, PSNR)
    with Processes(("cpu",) * 2) as crew:
        assert evaluate_models(["bicubic", "fast-x2"], clips, PSNR, crew=crew) == plain
        assert evaluate([clips[0], clips[1]], clips[2], PSNR, crew=crew) == evaluate(clips[:2], clips[2], PSNR)
        with pytest.raises(InputError, match=r"has 2 frames, .* has 3"):
            evaluate(clips[0], media.clip(tmp_path, name="long", codec="ffv1", frames=3), crew=crew)


def test_a_ray_cluster_measures_files_that_its_workers_do_not_see(
    tmp_path: Path, ray_nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from misr.spread.cluster import Ray

    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=2) for n in range(3)]
    plain = evaluate_models(["fast-x2"], clips, PSNR)
    of, said = Source.of, set()

    def far(path: str, *, elsewhere: bool, carried: bool) -> Source:
        said.add(carried)
        return replace(of(path, elsewhere=elsewhere, carried=carried), place=f"/not/here{path}")

    monkeypatch.setattr(Source, "of", staticmethod(far))
    with Ray(ray_nodes.address) as crew:
        assert evaluate_models(["fast-x2"], clips, PSNR, crew=crew) == plain
    assert said == {False, True}


# what travels


def test_files_stay_where_they_are_when_workers_see_them(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    for crew in (Shuffled(), Shuffled(elsewhere=True)):
        evaluate_models(["fast-x2"], [clip], PSNR, crew=crew)
        assert max(crew.task_bytes) < 5_000 < clip.stat().st_size


def test_once_a_worker_saw_nothing_files_go_along_at_once(tmp_path: Path) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=2) for n in range(6)]
    crew = Strangers(in_flight=2)
    evaluate_models(["bicubic"], clips, PSNR, crew=crew)
    without = [size for size in crew.task_bytes if size < 5_000]
    assert (len(without), len(crew.task_bytes)) == (2, 8), "those that were under way when the first came back"


def test_another_file_of_the_same_name_is_not_taken_for_the_drivers(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    task = piece(clip, clip)
    assert task.run(Seat("cpu"), lambda frames: None) != Unseen()
    media.clip(tmp_path, codec="ffv1", frames=3)
    assert task.run(Seat("cpu"), lambda frames: None) == Unseen()


@pytest.mark.parametrize("path", ["one.png", "folder", "folder/%02d.png"])
def test_files_put_elsewhere_mean_what_they_meant(tmp_path: Path, path: str) -> None:
    written(tmp_path / "folder", ["01", "02"])
    shutil.copy(tmp_path / "folder" / "01.png", tmp_path / "one.png")
    for side in ("a", "b"):  # like-named ones do not meet
        Files.of(str(tmp_path / path)).put(tmp_path / "away" / side)
    there = Files.of(str(tmp_path / path)).put(tmp_path / "away" / "c")
    assert Path(there).name == Path(path).name
    assert evaluate(there, tmp_path / path, PSNR, sequence=True).rows[0].mean["psnr_db"] == float("inf")


def test_pictures_go_together_but_leave_no_worker_without() -> None:
    pictures = tuple((f"{n}", (f"{n}.png",)) for n in range(20))
    film = (("film", ("film.mkv",)),)
    assert [len(g) for g in grouped(pictures, 1, 1)] == [8, 8, 4]
    assert [len(g) for g in grouped(pictures, 10, 1)] == [1] * 20
    assert [len(g) for g in grouped(pictures, 10, 6)] == [6, 6, 6, 2]
    assert [len(g) for g in grouped(film + pictures + film * 2, 1, 1)] == [1, 8, 8, 4, 1, 1]
    mixed = grouped((*pictures, ("folder", ("frames/%d.png",)), *film), 4, 3)
    assert [clip for group in mixed for clip in group][-2:] == [("folder", ("frames/%d.png",)), *film]


# progress


@pytest.mark.parametrize("twice", [False, True])
def test_progress_counts_frames_of_all_workers(tmp_path: Path, twice: bool) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=3) for n in range(3)]
    told: list[int] = []
    evaluate_models(
        ["bicubic", "fast-x2"], clips, PSNR, crew=Shuffled(2, twice=twice), progress=lambda done, of: told.append(done)
    )
    assert max(told) == told[-1] == 2 * 3 * 3
    assert twice or told == sorted(told)


# what fails


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crew", [Shuffled, Strangers])
def test_of_several_errors_the_reports_first_ends_the_run(tmp_path: Path, seed: int, crew: type) -> None:
    truth = written(tmp_path / "t", [f"{n}" for n in range(6)])
    for n in (2, 4, 5):
        (truth / f"{n}.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as plain:
        evaluate(truth, truth)
    with pytest.raises(InputError) as spread:
        evaluate(truth, truth, crew=crew(seed, in_flight=5))
    assert str(spread.value) == str(plain.value)
    assert f"{truth / '2.png'}" in str(plain.value)


def test_nothing_is_given_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading, "TOGETHER", 1)
    truth = written(tmp_path / "t", [f"{n}" for n in range(9)])
    (truth / "0.png").write_bytes(b"no picture")
    crew = Shuffled(in_flight=1)
    with pytest.raises(InputError):
        evaluate(truth, truth, crew=crew)
    assert len(crew.given) == 1


def test_a_file_that_vanishes_is_one_sentence(tmp_path: Path) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=2) for n in range(3)]
    crew = Strangers(in_flight=1)
    told: list[int] = []

    def gone(done: int, of: int) -> None:
        told.append(done)
        clips[1].unlink(missing_ok=True)

    with pytest.raises(InputError, match=r"film 1.mkv: (cannot be read|no such file)"):
        evaluate_models(["bicubic"], clips, PSNR, crew=crew, progress=gone)
    assert told[-1] == 2


def test_a_device_is_the_crews_to_say(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    with pytest.raises(InputError, match="leave it out"):
        evaluate_models(["bicubic"], [clip], device="cpu", crew=Shuffled())


def test_a_model_that_fuses_is_refused_as_by_one_process(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    with pytest.raises(ModelError, match="misr fuse"):
        evaluate_models(["shift-and-add"], [clip], measure=Measure(scale=2), crew=Shuffled())
