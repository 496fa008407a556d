"""misr fuse --adapt: the rule decides which model fuses, what is said of a burst reaches it, what stops goes on, all is said."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import misr
from misr import zoo
from misr.adapting import burst, burst_lesson, decide
from misr.adapting.burst_views import FEWEST
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets import NETS
from misr.train import burst_lessons
from misr.train.export import export
from tests import burst_scenes as scenes
from tests import command
from tests.command import one_sentence
from tests.test_train import Stop, stopping_at
from tests.test_train_bursts import TINY

pytestmark = pytest.mark.usefixtures("one_thread")

VIEWS, SIZE = 6, (40, 48)


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(burst_lessons, "TRIALS", 1)
    monkeypatch.setattr(burst, "FRAMES", 8)
    monkeypatch.setattr(burst, "CROP", 16)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A burst model that has not learned yet."""
    folder = tmp_path_factory.mktemp("start") / "start"
    torch.manual_seed(1)
    net = NETS["burst"](scale=2, **TINY["burst"])
    export(
        net, ModelCard(name="start", net="burst", scale=2, options=TINY["burst"], halo=16, trained_on="nothing"), folder
    )
    return folder


def files(folder, number=VIEWS, seed=0):
    """Views of a synthetic scene, as PNGs of 16 bits."""
    folder.mkdir(exist_ok=True)
    planes = [scenes.seen(*SIZE, m, seed) for m in scenes.moves(number, reach=0.8)]
    for n, codes in enumerate(scenes.lit(planes, sigma=15.0)):
        cv2.imwrite(str(folder / f"view{n}.png"), codes)
    return folder


@pytest.fixture
def scene(tmp_path):
    return files(tmp_path / "scene")


def fusing_of(start, tmp_path, **more):
    usual = {
        "method": str(start),
        "adapt": str(tmp_path / "mine"),
        "adapt_steps": 2,
        "device": "cpu",
        "precision": "fp32",
    }
    return misr.Fusing(**(usual | more))


def fuse(*words):
    return command.misr("fuse", *words, "--progress", "none", "--device", "cpu", "--precision", "fp32")


def picture(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_too_few_views_are_refused_in_a_sentence_and_nothing_is_made(tmp_path, capsys):
    views = files(tmp_path / "few", FEWEST - 1)
    assert fuse(views, "-o", tmp_path / "out.png", "--adapt", tmp_path / "mine") != 0
    assert f"{FEWEST - 1} views can be used, too few to adapt to" in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["few"]


def test_views_too_small_to_learn_from_are_refused_by_name_and_nothing_is_made(start, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tests.test_adapt_burst.SIZE", (14, 40))
    views = files(tmp_path / "thin")
    assert fuse(views, "-o", tmp_path / "out.png", "--adapt", tmp_path / "mine", "-m", start) != 0
    assert "thin: its views are 14 pixels along the short side, too few" in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thin"]


def test_where_the_rule_keeps_the_start_the_picture_is_the_one_without_adapting_and_it_is_said(start, scene, tmp_path):
    said = []
    wish = fusing_of(start, tmp_path, report=str(tmp_path / "report"))
    done = misr.fuse([scene], tmp_path / "a.png", wish, say=said.append)
    misr.fuse([scene], tmp_path / "b.png", replace(wish, adapt=None, adapt_steps=0, report=None))
    assert np.array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))
    told = json.loads((tmp_path / "report.json").read_text())["adapted"]
    assert told["adopted"] is False and done.method == "start"
    assert any("start as it was: " + told["why"] in line for line in said)
    foretold, verdict = (next(k for k, line in enumerate(said) if word in line) for word in ("fusing   ", "adapted   "))
    assert foretold < verdict, "what fusing can bring is said before learning"
    assert set(told["baselines_db"]) == set(zoo.METHODS)
    better = [line for line in said if "predicts hidden views better than start" in line]
    assert len(better) == (told["baselines_db"]["map"] > told["heldout"]["start_db"]) and "-m map" in "".join(better)
    assert told["learnt"]["steps"] == 2 and told["learnt"]["views"] == {"learn": 4, "watch": 1, "judge": 1}
    assert "as it was" in (tmp_path / "report.html").read_text()
    kept, first = (load_file(d / "weights.safetensors") for d in (tmp_path / "mine", start))
    assert all(torch.equal(kept[k], first[k]) for k in first)
    assert "as they were" in zoo.card(tmp_path / "mine").note
    assert not (tmp_path / "mine" / "run").exists()


@pytest.fixture
def believed(monkeypatch):
    """A rule that has nothing against what was learned."""
    monkeypatch.setattr(decide, "against", lambda *told, **how: "")


def test_an_adopted_model_makes_the_picture_and_is_there_for_the_next(start, scene, tmp_path, believed):
    said = []
    wish = fusing_of(start, tmp_path, adapt_steps=4, report=str(tmp_path / "r.json"))
    done = misr.fuse([scene], tmp_path / "a.png", wish, say=said.append)
    assert done.method == "mine" and done.why == "start, adapted to these views"
    assert any("adapted to scene" in line for line in said)
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["adapted"]["adopted"] and told["method"]["name"] == "mine" and "--adapt " in told["command"]
    misr.fuse([scene], tmp_path / "b.png", replace(wish, method=str(tmp_path / "mine"), adapt=None, adapt_steps=0))
    assert np.array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))
    assert "then 4 views of scene" in zoo.card(tmp_path / "mine").trained_on

    said.clear()
    misr.fuse([scene], tmp_path / "a.png", wish, say=said.append)
    assert any("already" in line for line in said) and np.array_equal(
        picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    )


def test_a_stopped_adaptation_goes_on_to_the_same_weights(start, scene, tmp_path, believed, monkeypatch):
    monkeypatch.setattr(burst, "EVERY", 1)
    how = {k: fusing_of(start, tmp_path, adapt=str(tmp_path / k), adapt_steps=4) for k in ("whole", "stopped")}
    misr.fuse([scene], tmp_path / "a.png", how["whole"])
    learned = burst.learned
    stop = stopping_at(2)
    monkeypatch.setattr(burst, "learned", lambda run, lesson, watch, every, stepped, tell: learned(
        run, lesson, watch, every, stop, tell))  # fmt: skip
    with pytest.raises(Stop):
        misr.fuse([scene], tmp_path / "b.png", how["stopped"])
    assert not (tmp_path / "b.png").exists() and (tmp_path / "stopped" / "run").is_dir()
    monkeypatch.setattr(burst, "learned", learned)
    said = []
    misr.fuse([scene], tmp_path / "b.png", how["stopped"], say=said.append)
    assert any("going on at step" in line for line in said)
    one, two = (load_file(tmp_path / k / "weights.safetensors") for k in ("whole", "stopped"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_what_is_said_of_the_burst_reaches_what_is_learned_and_another_word_is_another_burst(
    start, scene, tmp_path, monkeypatch
):
    found = []
    monkeypatch.setattr(burst, "study", lambda net, places, *rest: found.extend(places) or burst_lesson.study(
        net, places, *rest))  # fmt: skip
    mask = np.full(SIZE, 255, np.uint8)
    mask[:, :10] = 0
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    wish = fusing_of(start, tmp_path, masks=(str(tmp_path / "mask.png"),), mtf=0.3, noise=(0.0, 400.0))
    misr.fuse([scene], tmp_path / "a.png", wish)
    stack = found[0].stack
    assert float(stack.optics) == pytest.approx(0.39, abs=0.01), "the optics whose MTF is 0.3"
    assert not stack.valid[:, 0, :, :, :10].any() and stack.valid[:, 0, :, :, 10:].mean() > 0.9
    assert stack.sigma.std() < 0.01 * stack.sigma.mean(), "the noise as told, the same wherever it is bright"
    with pytest.raises(InputError, match=r"was begun with options of the views .*; remove it"):
        misr.fuse([scene], tmp_path / "a.png", replace(wish, mtf=0.4))


def test_of_several_folders_each_has_a_model_of_its_own(start, tmp_path):
    (tmp_path / "scenes").mkdir()
    for n, name in enumerate(("one", "two")):
        files(tmp_path / "scenes" / name, seed=n)
    words = ("-m", start, "--adapt", tmp_path / "models", "--adapt-steps", "1")
    assert fuse(tmp_path / "scenes", "-o", tmp_path / "out", *words) == 0
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["one", "two"]
    assert all((tmp_path / "models" / n / "adapt.json").is_file() for n in ("one", "two"))


def test_a_dry_run_says_what_would_be_learned_and_learns_nothing(start, scene, tmp_path, capsys):
    words = ("-m", start, "--adapt", tmp_path / "mine", "--adapt-minutes", "3", "--dry-run")
    assert fuse(scene, "-o", tmp_path / "a.png", *words) == 0
    assert "for 3 min, into" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene"]


def test_progress_tells_of_learning_in_seconds_or_steps(start, scene, tmp_path, capsys):
    for words, unit, total in ((("--adapt-minutes", "0.02"), "second", 1), (("--adapt-steps", "2"), "step", 2)):
        more = ("-m", start, "--adapt", tmp_path / unit, *words, "--progress", "json", "-y", "--device", "cpu")
        assert command.misr("fuse", scene, "-o", tmp_path / "a.png", *more) == 0
        rows = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
        assert {(r["unit"], r["total"]) for r in rows if r["doing"] == "adapting"} == {(unit, total)}
        assert {r["unit"] for r in rows if r["doing"] == "fusing"} == {"step"} and rows[-1]["event"] == "end"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-m", "map", "--adapt", "mine"), "no weights to adapt"),
        (("-m", "fast-x2", "--adapt", "mine"), "looks at one view"),
        (("-s", "5", "--adapt", "mine"), "no trained burst model is made for x5"),
        (("--adapt", "mine", "--adapt-steps", "2", "--adapt-minutes", "1"), "not both"),
        (("--adapt", "mine", "--adapt-steps", "-2"), "not negative"),
        (("--adapt-steps", "2"), "give --adapt DIR too"),
        (("--adapt", "scene/mine"), "among the views"),
        (("--adapt", "no/such/mine"), "no such folder"),
        (("--adapt", "scene/view0.png"), "is a file"),
    ],
)
def test_what_cannot_be_adapted_is_refused_in_a_sentence(scene, tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert fuse("scene", "-o", "out.png", *words) != 0
    assert told in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scene"]
