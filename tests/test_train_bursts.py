"""`misr train` of nets that fuse bursts: sharp pictures teach, or views hidden from the net; what judges never does."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets import NETS
from misr.train import burst_lessons
from misr.train import data as packs
from misr.train.fit import Training, fit, kept
from misr.train.lessons import Lesson
from tests import burst_scenes as scenes
from tests import command, media
from tests.test_train import Stop, stopping_at, texture, weights

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {
    "burst": {"width": 16, "blocks": 1, "steps": 1, "first": 2},
    "shift_and_pool": {"width": 8, "before": 1, "after": 1},
    "misr_gru": {"width": 8, "blocks": 1, "layers": 1},
}


@pytest.fixture(autouse=True)
def little_validation(monkeypatch):
    monkeypatch.setattr(burst_lessons, "TRIALS", 1)
    monkeypatch.setattr(burst_lessons, "SIDE", 24)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of three sharp pictures."""
    root = tmp_path_factory.mktemp("pictures")
    media.photos(root, (112, 96))
    return root


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A burst of eight views of 40 x 44 pixels, as a stack."""
    return stack_of(tmp_path_factory.mktemp("scene") / "scene.npz")


def codes(count=8, seed=0, size=(40, 44)):
    """Views (count, h, w) of a synthetic burst, uint16."""
    planes = [scenes.seen(*size, m, seed) for m in scenes.moves(count, reach=0.8)]
    return np.stack(scenes.lit(planes, sigma=20.0))


def stack_of(path, count=8, seed=0):
    np.savez(path, views=codes(count, seed))
    return path


def training(data, out, net="burst", **more):
    usual = {"scale": 2, "steps": 4, "crop": 16, "frames": 8, "views": 4, "every": 2, "device": "cpu"}
    usual |= {"options": TINY.get(net, {}), "run": out.parent / f"run {out.name}", "precision": "fp32"}
    return Training(data=tuple(str(d) for d in data), out=out, net=net, **(usual | more))


def words(net, **more):
    """A short training as words of a command."""
    usual = {"steps": 2, "crop": 16, "frames": 8, "views": 4, "device": "cpu"} | more
    options = [w for k, v in TINY.get(net, {}).items() for w in ("--option", f"{k}={json.dumps(v)}")]
    return [*(["--net", net, "-s", "2"] if net else []), *options,
            *(w for k, v in usual.items() for w in (f"--{k}", str(v)))]  # fmt: skip


def fused(views, model, out):
    """What `misr fuse -m` makes of a burst."""
    assert command.misr("fuse", views, "-o", out, "-m", model, "--device", "cpu", "--progress", "none") == 0
    return np.load(out)


def tiny(net="burst"):
    """A net of which every part does something."""
    torch.manual_seed(3)
    made = NETS[net](scale=2, **TINY[net])
    for parameter in made.parameters():
        if not bool(parameter.abs().sum() > 0):
            torch.nn.init.normal_(parameter, std=0.02)
    return made


def size_of(it: torch.Tensor) -> float:
    return float(it.square().mean().sqrt())


# from sharp pictures


@pytest.mark.parametrize("net", TINY)
def test_what_is_made_of_pictures_fuses(pictures, scene, tmp_path, capsys, net):
    out = tmp_path / "mine"
    assert command.misr("train", pictures, "-o", out, "--run", tmp_path / "run", *words(net)) == 0
    it = zoo.card(out)
    assert (it.net, it.scale, it.options, it.note) == (net, 2, TINY[net], "")
    assert 0 < it.scores["valid_psnr_db"] < 60
    assert f"{it.scores['valid_psnr_db']:.2f} dB on what was held out; map " in capsys.readouterr().err
    made = fused(scene, out, tmp_path / "out.npy")
    assert made.shape == (80, 88)
    if net == "burst":  # which begins as a fuser, and promises how far it is off
        assert abs(made.astype(float).mean() / codes().mean() - 1) < 0.2
        assert float(zoo.build(out)[0].calibration) != 1


@pytest.mark.parametrize("labels", ["hr", "heldout", "both"])
def test_a_stopped_training_ends_bit_for_bit_as_an_unbroken_one(pictures, scene, tmp_path, monkeypatch, labels):
    monkeypatch.setattr(burst_lessons, "METHODS", ("best",))  # which even so small a net beats
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    data = [pictures if labels == "hr" else scene]
    crop = 16 if labels == "hr" else 8
    fit(training(data, whole, labels=labels, crop=crop))
    with pytest.raises(Stop):
        fit(training(data, broken, labels=labels, crop=crop), stepped=stopping_at(3))
    assert not broken.exists()
    told = []
    fit(training(data, broken, labels=labels, crop=crop), say=told.append)
    assert any("going on at step 2" in line for line in told)
    assert weights(whole) == weights(broken)
    assert zoo.card(whole).net == "burst"


def test_what_only_learns_needs_no_decoder(tmp_path):
    packs.save(tmp_path / "pack.npz", [texture(256, 256, n) for n in range(2)], [texture(256, 256, 5)])
    wanted = training([tmp_path / "pack.npz"], tmp_path / "mine", steps=1)
    text = f"""
import sys
for name in ("av", "rasterio"):
    sys.modules[name] = None
from pathlib import Path, PosixPath
from misr.train import burst_lessons
from misr.train.fit import Training, fit
burst_lessons.TRIALS, burst_lessons.SIDE = 1, 24
fit({wanted!r})
"""
    subprocess.run([sys.executable, "-c", text], check=True, timeout=120)
    assert zoo.card(tmp_path / "mine").net == "burst"


# from hidden views


@pytest.mark.parametrize("labels", ["heldout", "both"])
def test_bursts_teach_without_sharp_pictures(scene, tmp_path, capsys, monkeypatch, labels):
    monkeypatch.setattr(burst_lessons, "METHODS", ("best",))
    folder = tmp_path / "views"
    folder.mkdir()
    for n, view in enumerate(codes(5, 1, (60, 64))):
        np.save(folder / f"view{n}.npy", view)
    out = tmp_path / "mine"
    call = ["train", scene, folder, "--labels", labels, "-o", out, "--run", tmp_path / "run", *words("burst", crop=12)]
    assert command.misr(*call) == 0
    said = capsys.readouterr().err
    assert "2 pieces of 2 bursts" in said
    it = zoo.card(out)
    assert (it.net, it.note) == ("burst", "")
    assert 0 < it.scores["heldout_psnr_db"] < 60
    assert it.trained_on.startswith("2 bursts")
    assert float(zoo.build(out)[0].calibration) != 1  # by synthetic bursts of the larger views
    assert fused(scene, out, tmp_path / "out.npy").shape == (80, 88)


def test_bursts_that_teach_nothing_are_left_out_with_a_note(scene, tmp_path, capsys):
    few, white = stack_of(tmp_path / "few.npz", 3), tmp_path / "white.npz"
    np.savez(white, views=np.full((6, 40, 44), 65535, np.uint16))
    out = tmp_path / "mine"
    heldout = ["--labels", "heldout", "-o", out, "--run", tmp_path / "run", *words("burst")]
    assert command.misr("train", few, scene, white, *heldout) == 0
    left = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(left) == 2
    assert "few.npz" in left[0]
    assert "white.npz" in left[1]
    assert zoo.card(out).trained_on.startswith("1 burst,")


def test_no_burst_to_learn_from_is_one_sentence_and_nothing_is_written(tmp_path, capsys):
    few = stack_of(tmp_path / "few.npz", 3)
    before = set(tmp_path.rglob("*"))
    call = ["--labels", "heldout", "-o", tmp_path / "mine", "--run", tmp_path / "run", *words("burst")]
    assert command.misr("train", few, tmp_path / "nowhere", *call) != 0
    said = command.one_sentence(capsys.readouterr().err)
    assert "few.npz" in said
    assert "nowhere" in said
    assert set(tmp_path.rglob("*")) == before


def test_a_restart_that_cannot_begin_keeps_the_former_run(scene, tmp_path):
    wanted = training([scene], tmp_path / "mine", labels="heldout")
    fit(wanted)
    with pytest.raises(InputError, match="no burst to learn from"):
        fit(replace(wanted, data=(str(tmp_path / "nowhere"),), restart=True))
    assert (wanted.run / "checkpoint.pt").is_file()


def test_the_start_is_kept_where_training_made_it_worse(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(burst_lessons, "METHODS", ("best",))
    fit(training([scene], tmp_path / "first", labels="heldout", steps=2))
    assert zoo.card(tmp_path / "first").note == ""
    told, start = [], str(tmp_path / "first")
    wanted = training([scene], tmp_path / "second", "", scale=0, labels="heldout", start=start, rate=3.0, steps=6)
    made = fit(wanted, say=told.append)
    assert "no better" in made.card.note
    assert made.card.note.endswith("the start's weights")
    assert made.card.note in told
    one, two = (zoo.build(tmp_path / n)[0].state_dict() for n in ("first", "second"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_the_model_is_the_method_that_predicts_best(scene, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(burst_lessons, "METHODS", ("best", "map"))
    out = tmp_path / "mine"
    call = ["--labels", "heldout", "-o", out, "--run", tmp_path / "run", *words("burst", rate=3.0, steps=4)]
    assert command.misr("train", scene, *call) == 0
    it = zoo.card(out)
    assert (it.net, it.options, it.halo) == ("map", {}, NETS["map"](scale=2).halo)
    assert "map, which learns nothing, predicts them best" in it.note
    assert it.note in capsys.readouterr().err.replace("\n", " ")
    made = fused(scene, out, tmp_path / "out.npy")
    assert np.array_equal(made, fused(scene, "map", tmp_path / "map.npy"))


NAN = math.nan


@pytest.mark.parametrize(
    ("trained", "start", "plain", "wins"),
    [
        (30, 29, 28, "trained"),
        (30, 31, 28, "start"),
        (30, 29, 31, "map"),
        (30, 31, 32, "map"),
        (30, 30, 28, "start"),
        (30, None, 29, "trained"),
        (30, None, 30, "map"),
        (NAN, 20, 10, "start"),
        (NAN, None, 10, "map"),
        (NAN, NAN, 10, "map"),
    ],
)
def test_only_what_beats_start_and_methods_is_kept(tmp_path, monkeypatch, trained, start, plain, wins):
    run = SimpleNamespace(average=tiny(), device=torch.device("cpu"))
    card = ModelCard("mine", "burst", 2, TINY["burst"], halo=24)
    first = tiny()
    monkeypatch.setattr("misr.train.fit.student", lambda wanted: (first, card))
    dbs = {id(run.average): trained, id(first): start}
    nothing = torch.zeros(1, 2, 1, 8, 8)
    study = Lesson(None, None, lambda net: dbs[id(net)], plain, "map", nothing)
    wanted = training([], tmp_path / "mine", labels="heldout", start="" if start is None else "first")
    net, it, db, note = kept(run, study, card, wanted)
    assert it.net == ("map" if wins == "map" else "burst")
    assert {"trained": net is run.average, "start": net is first, "map": isinstance(net, NETS["map"])}[wins]
    assert db == {"trained": trained, "start": start, "map": plain}[wins]
    assert (note == "") == (wins == "trained")
