"""`misr fuse --adapt`: views are dealt out fairly, the burst is shrunk as its camera would, the rule decides, all is said."""

import json
from dataclasses import replace
from itertools import chain

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import misr
from misr import zoo
from misr.adapting import burst, burst_lesson, decide
from misr.adapting.burst_exam import counted, decibels, exam, quartered
from misr.adapting.burst_lesson import Shrinking, Shrunk, rebased, shrunk
from misr.adapting.burst_views import FEWEST, dealt
from misr.adapting.judge import gain
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets import NETS
from misr.nets.lattice import Stack
from misr.train import burst_lessons, bursts
from misr.train.burst_lessons import fusing
from misr.train.camera import Dice
from misr.train.export import export
from misr.train.revisits import Place, hidden
from tests import burst_scenes as scenes
from tests import command
from tests.command import one_sentence
from tests.test_train import Stop, stopping_at, texture
from tests.test_train_bursts import TINY

pytestmark = pytest.mark.usefixtures("one_thread")

VIEWS, SIZE = 6, (40, 48)


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(burst_lessons, "TRIALS", 1)
    monkeypatch.setattr(bursts, "SAMPLES", 8)
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


# ---------------------------------------------------------------- who learns, who watches, who judges


@pytest.mark.parametrize("t", [*range(FEWEST, 12), 22, 40])
def test_every_view_is_in_one_portion_and_the_reference_teaches(t):
    it = dealt([""] * t)
    assert sorted(chain(it.learn, it.watch, it.judge)) == list(range(t))
    assert it.learn[0] == 0 and len(it.learn) >= 3 and it.watch and it.judge
    assert len(it.judge) <= t / 4 + 1 and len(it.watch) <= t / 6 + 1


def test_views_of_one_time_stay_together_and_those_of_the_references_teach():
    days = ["05", "01", "01", "02", "03", "03", "04", "05", "06", "07"]
    it = dealt(days)
    for part in (it.watch, it.judge):
        elsewhere = {days[n] for n in range(len(days)) if n not in part}
        assert not {days[n] for n in part} & elsewhere
    assert 7 in it.learn
    assert it.times[1] == it.times[2] != it.times[3]


def test_views_of_too_few_times_are_dealt_out_singly():
    it = dealt(["1", "1", "1", "1", "1", "2"])
    assert it.watch and it.judge and len(set(it.times)) == 2


def test_too_few_views_are_refused_in_a_sentence_and_nothing_is_made(tmp_path, capsys):
    views = files(tmp_path / "few", FEWEST - 1)
    assert fuse(views, "-o", tmp_path / "out.png", "--adapt", tmp_path / "mine") != 0
    assert f"{FEWEST - 1} views can be used, too few to adapt to" in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["few"]


# ---------------------------------------------------------------- the burst shrunk once more


def known(t=6, seed=3, noise=0.005):
    """A synthetic burst x2, motion known exactly, and the picture it shows."""
    truth = torch.from_numpy(texture(120, 136, seed)).float().sub(16).div(219)[None, None]
    how = bursts.Conditions(noise=(noise, noise), optics=(0.27, 0.27), off=(1e-9, 1e-9), plain=True)
    return bursts.made(truth, t, 2, how, Dice(seed))


def as_fields(stack):
    """The same stack with its shifts said pixel by pixel."""
    return stack._replace(motion=stack.motion.expand(-1, -1, -1, *stack.views.shape[-2:]).contiguous())


@pytest.mark.parametrize("said", [lambda s: s, as_fields])
def test_a_stack_on_another_views_grid_says_where_the_others_lie_from_there(said):
    stack = said(known().stack)
    moved = rebased(stack, [3, 0, 5])
    assert torch.equal(moved.views, stack.views[:, [3, 0, 5]])
    wanted = stack.motion[:, [3, 0, 5]] - stack.motion[:, [3]]
    assert (moved.motion - wanted).abs().max() < 1e-5
    assert rebased(stack, [0, 2]).motion.equal(stack.motion[:, [0, 2]])


@pytest.mark.parametrize("scale", [2, 3])
def test_a_shrunk_burst_is_one_of_the_same_place_seen_coarser(scale):
    h, w, t = 36, 48, 4
    y, x = torch.meshgrid(torch.arange(h) * 0.011, torch.arange(w) * 0.007, indexing="ij")
    shift = torch.tensor([[0.0, 0.0], [0.4, -0.3], [-0.7, 0.2], [0.1, 0.6]])
    planes = [x - 0.007 * dx + y - 0.011 * dy for dx, dy in shift]
    ones = torch.ones(1, t, 1, h, w)
    stack = Stack(torch.stack(planes)[None, :, None], ones, shift[None, :, :, None, None], 0.01 * ones[..., :1, :1],
                  torch.tensor([0.27]))  # fmt: skip
    it = shrunk(stack, scale)
    assert it.shown.views.shape == (1, t, 1, h // scale, w // scale)
    assert torch.equal(it.truth, stack.views[:, 0]) and torch.allclose(it.shown.motion, stack.motion / scale)
    first, inner = it.shown.views[:, :1], (..., slice(3, -3), slice(3, -3))
    slope = torch.tensor([0.007, 0.011]) * scale
    moved = first - (it.shown.motion * slope[:, None, None]).sum(2, keepdim=True)
    assert torch.allclose(it.shown.views[inner], moved[inner], atol=1e-5), "each view lies where its motion says"
    middle = torch.nn.functional.avg_pool2d(stack.views[:, 0], scale)
    assert torch.allclose(first[:, 0][inner], middle[inner], atol=1e-5), "pixel centres are those of the area"


def test_what_a_mask_leaves_out_teaches_nothing_when_shrunk():
    stack = known().stack
    hole = stack.valid.clone()
    hole[:, 1, :, 10:14, 20:24] = 0
    masked = shrunk(stack._replace(valid=hole), 2)
    other = stack.views.clone()
    other[:, 1, :, 10:14, 20:24] = 50.0
    spoiled = shrunk(stack._replace(views=other, valid=hole), 2)
    assert masked.shown.views.equal(spoiled.shown.views)
    assert not masked.shown.valid[:, 1, :, 5:7, 10:12].any() and masked.shown.valid[:, 0].all()
    truth = shrunk(rebased(stack._replace(views=other, valid=hole), [1, 0]), 2)
    missed, belief = truth.missed(truth.truth.clamp(0, 1))
    assert not belief[..., 10:14, 20:24].any() and torch.isfinite(missed).all()


def test_shrunk_batches_show_no_view_that_watches_or_judges_and_go_on_exactly():
    stack = known(8).stack
    numbered = stack._replace(views=torch.zeros_like(stack.views) + torch.arange(8.0)[None, :, None, None, None] / 10)
    make = {"scale": 2, "crop": 8, "samples": 8, "longest": 4, "device": torch.device("cpu")}
    source = Shrinking([Place(numbered, (2, 5), (3,))], **make, seed=1)
    seen = set()
    for _ in range(60):
        batch = source.draw()
        assert isinstance(batch, Shrunk) and batch.truth.shape[-1] == 2 * batch.shown.views.shape[-1]
        seen |= {round(10 * float(v.mean())) for v in batch.shown.views.unbind(1)}
    assert seen == {0, 1, 4, 6, 7}
    other = Shrinking([Place(numbered, (2, 5), (3,))], **make, seed=2)
    other.restore(source.state())
    assert all(torch.equal(a, b) for a, b in zip(source.draw().shown, other.draw().shown, strict=True))


# ---------------------------------------------------------------- the questions


def test_the_truth_answers_better_than_any_method_and_noise_answers_worst():
    it = known(8)
    parts = dealt([""] * 8)
    place = Place(it.stack, parts.judge, parts.watch)
    those = exam([place], parts.judge, parts, scale=2, device=torch.device("cpu"), most=4)
    mean = lambda dbs: sum(dbs) / len(dbs)  # noqa: E731
    plain = those.baselines_db(2)
    assert set(plain) == set(zoo.METHODS)
    assert mean(those.hidden_db(lambda stack: it.truth)) > max(plain.values())
    noise = torch.rand(it.truth.shape, generator=torch.Generator().manual_seed(1))
    assert mean(those.hidden_db(lambda stack: it.truth + 0.6 * noise)) < min(plain.values())
    assert len(those.blocks) == len(those.small_blocks) == 4 * len(parts.judge)
    assert set(those.blocks) == {parts.times[n] for n in parts.judge}
    small = [[x for a in those.shrunk for x in a.answers_db(fusing(NETS[name](scale=2)))] for name in ("best", "map")]
    assert mean(small[1]) > mean(small[0]) + 3, "the views tell what one of them does not, shrunk too"


def test_quarters_where_a_place_has_changed_are_not_asked_about():
    stack = known(6).stack
    changed, (h, w) = stack.views.clone(), stack.views.shape[-2:]
    fields = torch.kron(torch.tensor([[0.4, -0.4], [-0.4, 0.4]]), torch.ones(8, 8)).repeat(4, 4)
    changed[:, 2, :, : h // 2, : w // 2] += fields[: h // 2, : w // 2]
    asked, blocks = counted([((2,), [hidden(stack._replace(views=changed), [1, 3], 2)])], range(6), 2)
    assert asked[0].quarters == ((1, 2, 3),) and blocks == (2, 2, 2)


def test_quarters_are_the_whole_and_no_number_is_never_a_gain():
    plane = torch.arange(35.0).reshape(1, 1, 5, 7)
    assert sum(float(q.sum()) for q in quartered(plane)) == float(plane.sum())
    assert decibels(1e-4, 1.0) == pytest.approx(40)
    assert decibels(float("nan"), 1.0) == -float("inf")
    assert not gain([30.0, 31.0], [-float("inf"), 31.0], [0, 1]).clear


# ---------------------------------------------------------------- the whole


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
