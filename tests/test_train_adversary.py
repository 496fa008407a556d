"""`misr train --loss` with adversarial terms: what stops goes on, all is told, and what cannot be meant is said."""

import math

import cv2
import pytest
import torch

from misr.errors import InputError
from misr.train import features, valid
from misr.train.export import history
from misr.train.fit import Training, fit
from tests import media
from tests.small_nets import SMALL
from tests.test_train import Stop

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three pictures."""
    root = tmp_path_factory.mktemp("photos")
    media.photos(root)
    return root


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(features, "STEPS", 2)
    monkeypatch.setattr(valid, "SIDE", 64)


def training(photos, out, **more):
    usual = {
        "net": "srresnet",
        "scale": 2,
        "steps": 6,
        "every": 2,
        "crop": 16,
        "frames": 4,
        "device": "cpu",
        "options": SMALL["srresnet"][1],
        "loss": "1*l2 + 0.006*content + 1e-3*adversarial + 1e-3*feature-adversarial",
        "features": "self",
        "discriminator": 2,
    }
    return Training(data=(str(photos),), out=out / "model", run=out / "run", **(usual | more))


@pytest.mark.usefixtures("quick")
def test_a_stopped_run_with_a_discriminator_ends_bit_for_bit_as_an_unbroken_one(photos, tmp_path):
    def stopped(run):
        if run.step == 5:
            raise Stop

    whole, broken = (training(photos, tmp_path / name) for name in ("whole", "broken"))
    fit(whole)
    with pytest.raises(Stop):
        fit(broken, stepped=stopped)
    fit(broken)
    one, two = (torch.load(it.run / "checkpoint.pt", weights_only=True) for it in (whole, broken))
    assert sorted(one["partner"]) == ["adversarial", "feature-adversarial"]
    for name in one["partner"]:
        ours, theirs = one["partner"][name], two["partner"][name]
        assert all(torch.equal(ours["net"][k], theirs["net"][k]) for k in ours["net"])
        assert [float(s["step"]) for s in ours["optimiser"]["state"].values()] == [6] * len(ours["net"])
        for n, moments in ours["optimiser"]["state"].items():
            assert all(torch.equal(moments[k], theirs["optimiser"]["state"][n][k]) for k in moments)
    assert (whole.out / "weights.safetensors").read_bytes() == (broken.out / "weights.safetensors").read_bytes()


@pytest.mark.usefixtures("quick")
def test_a_run_tells_terms_and_discriminators_and_its_card_that_db_are_not_its_aim(photos, tmp_path):
    lines = []
    made = fit(training(photos, tmp_path), tell=lines.append)
    assert [line["step"] for line in lines] == [2, 4, 6] == [line["step"] for line in history(tmp_path / "run")]
    for line in lines:
        terms = [line[k] for k in ("l2", "content:relu3_2", "adversarial", "feature-adversarial:relu3_2")]
        assert sum(terms) == pytest.approx(line["loss"], rel=1e-5)
        for before in ("", "feature_"):
            assert line[f"{before}d_loss"] > 0.325
            assert 0 < line[f"{before}d_real"] < 1 and 0 < line[f"{before}d_fake"] < 1
    assert made.card.scores["valid_perceptual"] == pytest.approx(lines[-1]["perceptual"], abs=1e-4)
    assert "learned to look true" in made.card.note and "costs dB" in made.card.note
    drawn = cv2.imread(str(tmp_path / "model" / "plot.png"))
    assert drawn.shape[0] == 6 * 360 + 60  # loss, dB, terms, looks, two discriminators


@pytest.mark.usefixtures("quick")
def test_srgan_goes_on_from_a_generator_that_learned_by_squares(photos, tmp_path):
    fit(training(photos, tmp_path / "pre", loss="l2", features=None, discriminator=None))
    start = str(tmp_path / "pre" / "model")
    made = fit(training(photos, tmp_path / "gan", net="", scale=0, options={}, start=start))
    assert made.card.net == "srresnet" and math.isfinite(made.valid_db)
    plain = fit(training(photos, tmp_path / "bare", loss="1*l2 + 1e-3*adversarial", features=None))
    assert "valid_perceptual" not in plain.card.scores  # nobody to ask
    seen = fit(training(photos, tmp_path / "seen", loss="1*l2 + 1e-3*adversarial"))
    assert seen.card.scores["valid_perceptual"] > 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"loss": "l1", "features": None}, "--discriminator 2: no term of --loss 'l1' asks one; add adversarial"),
        ({"loss": "smooth-l1", "features": None}, "--discriminator 2: no term of --loss 'smooth-l1' asks one"),
        ({"discriminator": 0}, "--discriminator 0: at least 1 channel is wanted"),
        ({"loss": "adversarial"}, "nothing in it holds pictures against the truth"),
        ({"labels": "heldout"}, "--labels heldout: sums of terms are for sharp frames"),
        ({"net": "burst", "options": {}}, "--net burst fuses bursts, which has a loss of its own; leave --loss out"),
        ({"net": "burst", "options": {}, "loss": "l2"}, "--loss 'l2': --net burst fuses bursts"),
        ({"loss": "l1 + feature-adversarial:relu9_1"}, "feature-adversarial has no layer 'relu9_1' to ask"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_made(photos, tmp_path, more, said):
    with pytest.raises(InputError, match=said):
        fit(training(photos, tmp_path, **more))
    assert not (tmp_path / "run").exists() and not (tmp_path / "model").exists()
