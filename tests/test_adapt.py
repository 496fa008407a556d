"""`misr adapt`: the portions share no frame, the rule believes no gain alone, what stops goes on, what is kept is said."""

import json
from dataclasses import replace
from itertools import chain, pairwise

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import misr
from misr import zoo
from misr.adapting import Adapting, Gain, adapt
from misr.adapting.decide import against
from misr.adapting.judge import LEAST_DB, gain
from misr.adapting.optics import fitted, shrunk
from misr.adapting.portions import portions
from misr.adapting.watch import Watch
from misr.card import ModelCard
from misr.cli.adapt import camera
from misr.errors import InputError, ModelError
from misr.nets import NETS
from misr.registration.outlook import outlook
from misr.train import proxy
from misr.train.degrade import imaged, rounded
from misr.train.export import export, shape
from tests import command, media
from tests.test_train import TINY, Stop, stopping_at

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def few_questions(monkeypatch):
    monkeypatch.setattr(proxy, "EACH", 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return media.clip(tmp_path_factory.mktemp("clip"), name="clip", frames=30, codec="ffv1", size=(64, 48))


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """Models that have not learned yet, by the name of their net; and fast-x2 with noise on its weights."""
    root = tmp_path_factory.mktemp("starts")
    for name, options in TINY.items():
        torch.manual_seed(1)
        net = NETS[name](scale=2, **options)
        before, emit, after = shape(net)
        card = ModelCard(name=name, net=name, scale=2, options=options, before=before, emit=emit, after=after,
                         halo=int(net.halo), trained_on="nothing")  # fmt: skip
        export(net, card, root / name)
    net, card = zoo.build("fast-x2")
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.01 * torch.randn(p.shape))
    export(net, replace(card, name="worn"), root / "worn")
    return root


def how(starts, net="gru", **more):
    usual = {"model": str(starts / net), "steps": 4, "crop": 16, "frames": 6, "optics": 0.0, "device": "cpu"}
    return Adapting(**(usual | more))


def weights(model):
    return load_file(model / "weights.safetensors")


def same(one, two):
    return all(torch.equal(one[k], two[k]) for k in one)


# ---------------------------------------------------------------- the whole


@pytest.mark.parametrize("net", ["gru", "fast"])
def test_what_it_makes_upscales_whatever_the_verdict(clip, starts, tmp_path, capsys, net):
    out = tmp_path / "mine"
    code = command.misr("adapt", clip, "-o", out, "-m", starts / net, "--steps", "2", "--crop", "16", "--frames", "4")
    told = capsys.readouterr()
    assert code == 0, told.err
    assert len(told.out.splitlines()) == 4 and str(out) in told.out.splitlines()[0]
    facts = json.loads((out / "adapt.json").read_text())
    assert {"adopted", "why", "promise", "heldout", "shrunk", "baselines_db", "learnt", "settings"} <= set(facts)
    assert facts["learnt"]["steps"] == 2 and facts["promise"]["sentence"] in told.err
    assert not (out / "run").exists() and (out / "plot.png").is_file()
    it, first = zoo.card(out), zoo.card(starts / net)
    assert (it.name, it.before, it.emit, it.after, it.halo) == (
        "mine",
        first.before,
        first.emit,
        first.after,
        first.halo,
    )
    sharp = tmp_path / "sharp.mkv"
    assert command.up(clip, sharp, "-m", out, "-c:v", "ffv1") == 0
    assert {(f.width, f.height) for f in media.read(sharp)} == {(128, 96)}


def test_the_start_is_kept_and_said_where_learning_brings_nothing(clip, starts, tmp_path):
    done = adapt(clip, tmp_path / "mine", how(starts, rate=1e-12))
    assert not done.adopted and "as it was" in done.lines[0] and "not more than chance" in done.why
    assert same(weights(tmp_path / "mine"), weights(starts / "gru"))
    assert "as they were" in zoo.card(tmp_path / "mine").note and zoo.card(tmp_path / "mine").trained_on == "nothing"


def test_learning_that_helps_is_kept(starts, tmp_path):
    place = tmp_path / "walk"
    place.mkdir()
    for n, frame in enumerate(stack([6 * k for k in range(24)], size=(96, 64))):
        cv2.imwrite(str(place / f"{n:03d}.png"), frame)
    done = adapt(place, tmp_path / "mine", how(starts, "worn", steps=100, rate=1e-3))
    assert done.adopted and done.shrunk.clear and done.heldout.gain_db >= 0
    assert done.heldout.adapted_db > max(done.baselines_db.values())
    assert not same(weights(tmp_path / "mine"), weights(starts / "worn"))
    assert "frames of walk" in zoo.card(tmp_path / "mine").trained_on


@pytest.mark.parametrize("net", ["gru", "fast"])
def test_a_stopped_adaptation_ends_bit_for_bit_as_an_unbroken_one(clip, starts, tmp_path, net):
    wish = how(starts, net, steps=20, rate=3e-3)
    whole = adapt(clip, tmp_path / "whole", wish)
    with pytest.raises(Stop):
        adapt(clip, tmp_path / "broken", wish, stepped=stopping_at(11))
    assert not (tmp_path / "broken" / "card.json").exists()
    said = []
    broken = adapt(clip, tmp_path / "broken", wish, say=said.append)
    assert any("going on at step 10" in line for line in said)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    assert whole.heldout == broken.heldout and whole.told["learnt"]["best_step"] == broken.told["learnt"]["best_step"]


def test_a_stop_between_the_model_and_its_report_loses_nothing(clip, starts, tmp_path, monkeypatch):
    def stop(*_):
        raise Stop

    with monkeypatch.context() as broken, pytest.raises(Stop):
        broken.setattr("misr.adapting.run.told", stop)
        adapt(clip, tmp_path / "mine", how(starts))
    assert (tmp_path / "mine" / "card.json").is_file() and not (tmp_path / "mine" / "adapt.json").exists()
    mended = adapt(clip, tmp_path / "mine", how(starts))
    assert mended.told["learnt"]["steps"] == 4 and (tmp_path / "mine" / "adapt.json").is_file()


def test_what_is_done_is_told_again_and_done_again_only_when_asked(clip, starts, tmp_path):
    out, said = tmp_path / "mine", []
    first = adapt(clip, out, how(starts))
    again = adapt(clip, out, how(starts), say=said.append)
    assert again == first and len(said) == 1 and "--restart" in said[0]
    with pytest.raises(InputError, match="steps 4, not 5"):
        adapt(clip, out, how(starts, steps=5))
    assert adapt(clip, out, how(starts, steps=5, restart=True)).told["learnt"]["steps"] == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "bicubic"}, "no weights"),
        ({"model": "burst-x2"}, "misr fuse VIEWS .* --adapt"),
        ({"minutes": 1.0}, "not both"),
        ({"rate": -1.0}, "not negative"),
        ({"model": "nothing"}, "no model"),
    ],
)
def test_what_cannot_be_adapted_is_refused_before_anything_is_written(clip, starts, tmp_path, change, words):
    with pytest.raises((InputError, ModelError), match=words):
        adapt(clip, tmp_path / "mine", how(starts, **change))
    assert not (tmp_path / "mine").exists()


def test_a_clip_that_is_missing_or_too_short_is_named(starts, tmp_path):
    short = media.clip(tmp_path, name="short", frames=12, codec="ffv1", size=(64, 48))
    with pytest.raises(InputError, match=r"short\.mkv: too short"):
        adapt(short, tmp_path / "mine", how(starts))
    with pytest.raises(InputError, match=r"none\.mkv: no such clip"):
        adapt(tmp_path / "none.mkv", tmp_path / "mine", how(starts))
    assert not (tmp_path / "mine").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        adapt(short, tmp_path / "file", how(starts))


def test_a_directory_with_another_model_is_left_alone(clip, starts, tmp_path):
    before = weights(starts / "fast")
    with pytest.raises(InputError, match="not made"):
        adapt(clip, starts / "fast", how(starts, restart=True))
    with pytest.raises(InputError, match="the model to start from"):
        adapt(clip, starts / "gru", how(starts, restart=True))
    assert same(before, weights(starts / "fast"))


def test_misr_adapt_is_public():
    assert misr.adapt is adapt and misr.Adapting is Adapting


# ---------------------------------------------------------------- the rule


@pytest.mark.parametrize("lengths", [[18], [24], [24, 24, 12], [5, 24, 9, 24, 24, 24], [24] * 12])
def test_portions_share_no_frame_and_leave_none_out(lengths):
    ends = np.cumsum([0, *lengths])
    stacks = [np.arange(a, b, dtype=np.uint16).reshape(-1, 1, 1) for a, b in pairwise(ends)]
    parts = portions(stacks, "clip")
    found = [np.concatenate(part).ravel().tolist() for part in (parts.learn, parts.watch, parts.judge)]
    assert sorted(chain(*found)) == list(range(sum(lengths)))
    assert len(found[0]) >= len(found[1]) and len(found[0]) >= len(found[2])
    assert all(len(s) >= proxy.VIEWS for s in (*parts.watch, *parts.judge))
    assert all((np.diff(s.ravel()) == 1).all() for s in parts.learn), "stacks are consecutive frames"


def test_fewer_than_three_blocks_are_too_short():
    with pytest.raises(InputError, match="18 frames"):
        portions([np.zeros((17, 4, 4), np.uint8)], "clip")


GOOD, NONE, WORSE = Gain(30, 30.5, 0.5, 0.05, 9), Gain(30, 30.01, 0.01, 0.05, 9), Gain(30, 29.5, -0.5, 0.05, 9)
PLAIN = {"bicubic": 28.0, "motion-compensated mean": 27.0}


@pytest.mark.parametrize(
    ("heldout", "shrunk", "baselines", "fuses", "words"),
    [
        (GOOD, GOOD, PLAIN, True, ""),
        (GOOD, NONE, PLAIN, True, ""),
        (GOOD, WORSE, PLAIN, True, "not to be believed"),
        (NONE, GOOD, PLAIN, True, "not more than chance"),
        (WORSE, GOOD, PLAIN, True, "not more than chance"),
        (NONE, GOOD, PLAIN, False, ""),
        (WORSE, GOOD, PLAIN, False, "not to be believed"),
        (GOOD, NONE, PLAIN, False, "not more than chance"),
        (GOOD, GOOD, {"bicubic": 31.0}, True, "bicubic predicts"),
        (replace(GOOD, gain_db=float("nan")), GOOD, PLAIN, True, "not more than chance"),
        (GOOD, replace(GOOD, gain_db=float("nan")), PLAIN, True, "not to be believed"),
    ],
)
def test_no_gain_is_believed_alone(heldout, shrunk, baselines, fuses, words):
    found = against(heldout, shrunk, baselines, "start", fuses=fuses)
    assert words in found and bool(found) == bool(words)


def test_a_gain_within_chance_is_none():
    start = [30.0] * 8
    steady, shaky = [30.3] * 8, [30.3 + (3 if n % 2 else -3) for n in range(8)]
    assert gain(start, steady, range(8)).clear and not gain(start, shaky, range(8)).clear
    assert gain(start, [30 + 0.9 * LEAST_DB] * 8, range(8)).margin_db == LEAST_DB
    often = [30.1, 30.5] * 4
    assert gain(start, often, [0] * 4 + [1] * 4).margin_db > gain(start, often, range(8)).margin_db, (
        "frames of a block are one"
    )


def test_the_best_net_is_kept_not_the_last(tmp_path):
    class Told:
        def both_db(self, net):
            return [self.value], [self.value + 1]

    exam = Told()
    exam.value, start, net = 0.0, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    start.scale = net.scale = 2
    torch.nn.init.constant_(start.weight, 0.1)
    watch = Watch(exam, start, tmp_path / "best.pt")
    for step, value in ((1, 0.2), (2, 0.7), (3, 0.4)):
        exam.value = value
        torch.nn.init.constant_(net.weight, value)
        assert watch.look(net, step) == pytest.approx(value)
    assert (watch.best_step, watch.looks_since) == (2, 1)
    assert watch.best(net).weight.item() == pytest.approx(0.4), "half way from 0.1 to 0.7"
    exam.value = 0.0
    again = Watch(exam, start, tmp_path / "best.pt")
    assert (again.best_step, again.looks_since) == (2, 1) and again.score == pytest.approx(0.7)


# ---------------------------------------------------------------- the camera, and the promise


def natural(h, w, seed=0):
    """A picture whose amplitudes fall as 1 / f, as those of the world do, uint8."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w))
    f[0, 0] = 1
    x = np.fft.ifft2(np.fft.fft2(rng.normal(size=(h, w))) / f).real
    return (126 + 40 * (x - x.mean()) / x.std()).clip(16, 235).astype(np.uint8)


@pytest.mark.parametrize(
    ("sigma", "low", "high"), [(0.0, 0.0, 0.0), (0.25, 0.0, 0.0), (0.45, 0.0, 0.0), (0.75, 0.65, 0.8)]
)
def test_the_camera_of_a_clip_is_found(sigma, low, high):
    sharp = np.stack([natural(512, 512, n) for n in range(2)])
    seen = rounded(imaged(torch.from_numpy(sharp)[:, None].float(), 4, sigma)[:, 0])
    assert low <= fitted([seen], 2) <= high


def test_a_soft_clip_is_taken_for_a_soft_lens_only_where_that_is_asked_for(clip, starts, tmp_path, monkeypatch):
    monkeypatch.setattr("misr.adapting.optics.fitted", lambda stacks, scale: 0.7)
    said = []
    plain = adapt(clip, tmp_path / "plain", how(starts), say=said.append)
    assert plain.told["learnt"]["camera_sigma_px"] == 0.0
    assert "camera: antialiased bicubic" in said and any("0.7 pixels" in it and "--optics fit" in it for it in said)
    fit = adapt(clip, tmp_path / "fit", how(starts, optics=None), say=said.append)
    assert fit.told["learnt"]["camera_sigma_px"] == 0.7


@pytest.mark.parametrize(("said", "meant"), [("0", 0.0), ("0.45", 0.45), ("fit", None)])
def test_optics_are_a_number_or_fit(said, meant):
    assert camera(said) == meant


@pytest.mark.parametrize("said", ["soft", "-1", "nan", "inf", ""])
def test_other_optics_are_refused(said):
    with pytest.raises(InputError, match="--optics"):
        camera(said)


def test_flat_frames_have_no_camera():
    assert fitted([np.full((3, 64, 64), 90, np.uint8)], 2) == 0.0
    assert shrunk(np.full((63, 65), 90, np.uint8), 2, 0.5).shape == (31, 32)


def stack(steps, size=(128, 128)):
    """Views of a moving picture, uint8, a pixel box of 4 sharp pixels each; steps in sharp pixels."""
    wide, (w, h) = natural(640, 640), size
    crops = [wide[8 : 8 + 4 * h, 8 + x : 8 + 4 * w + x] for x in steps]
    return np.stack([(c.reshape(h, 4, w, 4).mean((1, 3)) + 0.5).astype(np.uint8) for c in crops])


def test_frames_with_other_phases_promise_more_and_frames_alike_do_not():
    moving, still = outlook([stack([5 * n for n in range(6)])], 2), outlook([stack([0] * 6)], 2)
    assert moving.could and moving.coverage > still.coverage and moving.aliasing > 0.12
    assert not still.could and "same sub-pixel phase" in still.why


def test_what_does_not_move_as_a_whole_promises_nothing_certain():
    noise = np.random.default_rng(0).integers(0, 255, (6, 96, 96)).astype(np.uint8)
    found = outlook([noise], 2)
    assert found.coverage is None and "cannot be foretold" in found.why
