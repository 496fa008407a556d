"""Pairs of small and sharp pictures as data: `misr train SHARP... --small FOLDER`."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from misr import zoo
from misr.errors import InputError
from misr.nets import NETS
from misr.nets.single import Single
from misr.train import counterparts, valid
from misr.train.data import Twin
from misr.train.degrade import bi
from misr.train.fit import Training, fit
from misr.train.loop import Recipe, Run
from tests import command
from tests.small_nets import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")
UNLIKE = ("sparse", "cincgan")  # learn in other ways
SINGLE = ["fast", *(name for name, net in NETS.items() if issubclass(net, Single) and name not in UNLIKE)]


def drawn(n, size=(96, 128)):
    """A plane with detail everywhere, 16 to 235."""
    h, w = size
    y, x = np.mgrid[:h, :w]
    noise = np.random.default_rng(n).normal(0, 12, size)
    return (125 + 60 * np.sin((x + n * y) / (3 + n % 3)) + noise).clip(16, 235).astype(np.uint8)


def write(folder, count, *, size=(96, 128), scale=2):
    """Pairs a, b, c ... below a folder: the small side shrunk, then made darker, which no shrinking does."""
    for n in range(count):
        sharp = drawn(n, size)
        for name, plane in (("sharp", sharp), ("small", (bi(sharp, scale) * 0.8).astype(np.uint8))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / f"{'abcdefgh'[n]}.png"), plane)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return write(tmp_path_factory.mktemp("three"), 3)


def training(data, out, net="fast", **more):
    usual = {"scale": 2, "steps": 3, "crop": 16, "frames": 4, "device": "cpu", "options": SMALL[net][1]}
    return Training(data=(str(data / "sharp"),), small=str(data / "small"), out=out, net=net, **(usual | more))


def footage(wanted):
    net = NETS[wanted.net](scale=wanted.scale, **wanted.options)
    return net, counterparts.gather(wanted, net, lambda line: None)


@pytest.mark.parametrize("name", SINGLE)
def test_every_net_of_one_view_learns_from_pairs(name, three, tmp_path):
    scale = 4 if name in ("lapsrn", "prosr") else 2
    data = three if scale == 2 else write(tmp_path, 3, scale=4)
    crop = 16 if scale == 2 else 8
    made = fit(training(data, tmp_path / "model", name, scale=scale, crop=crop, run=tmp_path / "run"))
    assert np.isfinite(made.valid_db) and made.card.net == name
    assert made.card.trained_on == "3 pairs of small and sharp pictures"


def test_sums_and_features_of_ones_own_learn_from_pairs_too(three, tmp_path, monkeypatch):
    monkeypatch.setattr("misr.train.features.STEPS", 2)
    lines = []
    wanted = training(three, tmp_path / "model", run=tmp_path / "run", loss="l1 + 0.01*content", features="self")
    fit(wanted, say=lines.append)
    assert any("of the bicubic: l1" in line for line in lines) and (tmp_path / "run/features.safetensors").is_file()


def test_a_net_learns_what_no_shrinking_does(three, tmp_path):
    wanted = training(three, tmp_path / "model", run=tmp_path / "run", steps=150, options={"width": 8, "depth": 2})
    made = fit(wanted)
    assert made.valid_db > made.baseline_db + 3  # the small pictures are darker, so that bicubic is off


def test_batches_are_the_small_pictures_as_they_are_and_what_is_sharp_lies_under_them(three, tmp_path):
    wanted = training(three, tmp_path / "model")
    net, found = footage(wanted)
    study = counterparts.lesson(wanted, Run(Recipe(steps=3), net, tmp_path), found, seed=0, kind="l2")
    batch = study.source.draw()
    assert batch.views.shape == (4, 1, 1, 16, 16) and batch.sharp.shape == (4, 1, 1, 32, 32)
    seen = {(255 * v).round().byte().numpy().tobytes() for v in batch.views[:, 0, 0]}
    there = set()
    for twin in found.twins[0]:
        for y in range(twin.small.shape[0] - 15):
            for x in range(twin.small.shape[1] - 15):
                piece = twin.small[y : y + 16, x : x + 16]
                for turned in (piece, piece.T):
                    for way in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
                        there.add(np.ascontiguousarray(way).tobytes())
    assert seen <= there
    means = batch.sharp.mean((1, 2, 3, 4)), batch.views.mean((1, 2, 3, 4))
    torch.testing.assert_close(means[0] * 0.8, means[1], atol=4 / 255, rtol=0)


@pytest.mark.parametrize("size", [(96, 128), (128, 96)])
def test_of_few_pairs_a_quarter_of_each_judges_and_no_pixel_is_on_both_sides(size):
    sharp = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size)
    small = sharp[::2, ::2]
    learn, judge = counterparts.dealt([Twin("a", small, sharp)] * 3, 2, 2)
    one, other = learn[0], judge[0]
    axis = int(size[1] >= size[0])
    np.testing.assert_array_equal(np.concatenate([one.small, other.small], axis), small)
    np.testing.assert_array_equal(np.concatenate([one.sharp, other.sharp], axis), sharp)
    assert other.small.shape[axis] == small.shape[axis] // 4
    for twin in (one, other):
        np.testing.assert_array_equal(twin.sharp[::2, ::2], twin.small)


def test_of_five_pairs_and_more_whole_ones_judge(tmp_path):
    wanted = training(write(tmp_path, 6), tmp_path / "model")
    _, found = footage(wanted)
    learn, judge = ({t.name for t in side} for side in found.twins)
    assert len(learn) == 5 and len(judge) == 1 and not learn & judge and not found.notes


def test_small_sides_are_cut_to_what_a_net_of_cells_takes(tmp_path):
    wanted = training(write(tmp_path, 3, size=(102, 130)), tmp_path / "model", options={"depth": 3, "cell": 2})
    net, found = footage(wanted)
    study = counterparts.lesson(wanted, Run(Recipe(steps=3), net, tmp_path), found, seed=0, kind="l2")
    assert {n % 4 for t in (*found.twins[0], *found.twins[1]) for n in t.small.shape} == {0}
    assert study.loss(net, study.source.draw(), False).isfinite() and np.isfinite(study.check(net))


def test_large_pairs_judge_by_their_middle():
    sharp = np.random.default_rng(0).integers(16, 235, (700, 1000)).astype(np.uint8)
    twin = Twin("a", sharp[::2, ::2], sharp)
    (trial,) = counterparts.trials([twin], torch.device("cpu"))
    assert trial.views.shape == (1, 1, 1, counterparts.MOST, counterparts.MOST)
    torch.testing.assert_close(trial.sharp[0, ::2, ::2], 255 * trial.views[0, 0, 0])
    assert np.isfinite(valid.psnr_db(NETS["interpolate"](scale=2), [trial]))


def test_a_stopped_run_on_pairs_ends_like_one_that_was_not(three, tmp_path):
    class Stop(Exception):
        pass

    def stop(run):
        if run.step == 3:
            raise Stop

    whole = fit(training(three, tmp_path / "a", run=tmp_path / "whole", steps=5, every=2))
    wanted = training(three, tmp_path / "b", run=tmp_path / "cut", steps=5, every=2)
    with pytest.raises(Stop):
        fit(wanted, stepped=stop)
    again = fit(wanted)
    assert (whole.folder / "weights.safetensors").read_bytes() == (again.folder / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match="small"):
        fit(replace(wanted, small=str(three / "sharp")))


def test_the_start_is_kept_where_pairs_made_it_no_better(three, tmp_path):
    start = fit(training(three, tmp_path / "start", run=tmp_path / "run0", steps=60, options={"width": 8, "depth": 2}))
    worse = {"start": str(start.folder), "net": "fast", "options": {}, "steps": 2, "rate": 10.0}
    made = fit(training(three, tmp_path / "model", run=tmp_path / "run", **worse))
    assert "the start's weights" in made.card.note and made.valid_db == pytest.approx(start.valid_db, abs=1e-6)
    ours, theirs = zoo.build(str(made.folder))[0].state_dict(), zoo.build(str(start.folder))[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_command_learns_from_pairs_and_the_run_says_whose(three, tmp_path):
    args = ("--net", "fast", "-s", "2", "--crop", "16", "--steps", "2", "--device", "cpu", "--run", tmp_path / "run")
    assert command.misr("train", three / "sharp", "--small", three / "small", "-o", tmp_path / "model", *args) == 0
    told = json.loads((tmp_path / "run/settings.json").read_text(encoding="utf-8"))
    assert told["small"] == str((three / "small").resolve())


def broken(three, folder, *, leave_out="", twice="", cut=""):
    shutil.copytree(three, folder)
    if leave_out:
        (folder / leave_out).unlink()
    if twice:
        (folder / "small/more").mkdir()
        shutil.copy(folder / twice, folder / "small/more")
    if cut:
        cv2.imwrite(str(folder / cut), cv2.imread(str(folder / cut), 0)[:-1, :-2])
    return folder


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"leave_out": "small/b.png"}, "b of DATA has no small picture of the same name there"),
        ({"twice": "small/a.png"}, "have the same name; pairs are found by name"),
        ({"cut": "small/c.png"}, "is 62x47 and .*c.png is 128x96; x2 wants 124x94"),
    ],
)
def test_what_is_no_pair_is_told_before_anything_is_written(how, told, three, tmp_path):
    wanted = training(broken(three, tmp_path / "data", **how), tmp_path / "model", run=tmp_path / "run")
    with pytest.raises(InputError, match=told) as error:
        fit(wanted)
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists() and not (tmp_path / "model").exists()


def test_small_pictures_without_a_sharp_one_are_left_out_and_named(three, tmp_path):
    _, found = footage(training(broken(three, tmp_path / "data", leave_out="sharp/b.png"), tmp_path / "model"))
    assert {t.name for t in found.twins[0]} == {"a", "c"} and any("b left out" in note for note in found.notes)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"labels": "heldout"}, "--labels heldout: pairs have sharp pictures as labels"),
        ({"degradation": "bd"}, "--degradation bd: nothing is shrunk"),
        ({"net": "gru", "options": SMALL["gru"][1]}, "fuses several views"),
        ({"net": "burst", "options": SMALL["burst"][1]}, "fuses several views"),
        ({"crop": 64}, "no small picture has 64 pixels with detail"),
        ({"memory": 1e-6}, "the pairs take"),
        ({"small": "nowhere"}, "--small nowhere: a folder is wanted"),
        ({"data": ("nowhere",)}, "nowhere: no such file"),
        ({"data": (__file__,)}, "not a picture; with --small"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_sentence(more, told, three, tmp_path):
    with pytest.raises(InputError, match=told) as error:
        fit(replace(training(three, tmp_path / "model", run=tmp_path / "run"), **more))
    assert "\n" not in str(error.value) and not (tmp_path / "model").exists()
