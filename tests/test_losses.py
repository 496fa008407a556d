"""Losses that a user sums: what each term is by its laws, and what is said of a sum that means nothing."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from misr.errors import InputError
from misr.nets import NETS
from misr.nets.single import Single
from misr.resample import resample
from misr.train import losses
from misr.train.features import Features
from misr.train.fit import Training, fit, settings
from misr.train.losses import Objective, Term, gram, read
from misr.train.scenes import Batch
from misr.train.video import supervised, unshuffled
from tests import command, media
from tests.small_nets import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")
TERMS = [read(name) if name == "l1" else read(f"1*{name}") for name in ("l1", "l2", "smooth-l1", "charbonnier")]
SMALL_STAGES = ((4, 2), (6, 2), (8, 2))


def seeing():
    """A small net to ask, of random weights."""
    torch.manual_seed(3)
    return Features(SMALL_STAGES, (0.5,), (0.25,)).requires_grad_(False)


def every():
    """Each term that holds pictures against the truth."""
    net = seeing()
    return [*TERMS, *(read(name).bound(net) for name in ("content", "texture", "texture:relu1_2"))]


@pytest.mark.parametrize("objective", every(), ids=str)
def test_terms_are_zero_where_pictures_are_the_truth_and_above_it_elsewhere(objective):
    truth = torch.rand(2, 1, 16, 16)
    assert float(objective(truth, truth)) == pytest.approx(0, abs=1e-9)
    assert float(objective(truth + 0.1 * torch.rand_like(truth), truth)) > 0


@pytest.mark.parametrize("objective", every(), ids=str)
def test_terms_are_the_mean_over_a_batch(objective):
    made, truth = torch.rand(3, 1, 16, 16), torch.rand(3, 1, 16, 16)
    alone = [objective(made[n : n + 1], truth[n : n + 1]) for n in range(3)]
    torch.testing.assert_close(objective(made, truth), torch.stack(alone).mean())


@pytest.mark.parametrize("objective", every(), ids=str)
def test_terms_know_no_sign_and_lead_towards_the_truth(objective):
    made, truth = torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(objective(made, truth), objective(truth, made))
    made.requires_grad_(True)
    before = objective(made, truth)
    before.backward()
    with torch.no_grad():
        assert objective(made - 1e-3 * made.grad / made.grad.norm(), truth) < before


@pytest.mark.parametrize(("name", "power"), [("l1", 1), ("1*l2", 2)])
def test_differences_twice_as_large_count_by_their_power(name, power):
    made, truth = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    twice = truth + 2 * (made - truth)
    torch.testing.assert_close(read(name)(twice, truth), 2**power * read(name)(made, truth))


def test_large_differences_count_as_l1_where_l1_is_smoothed():
    truth = torch.zeros(1, 1, 8, 8)
    for name in ("1*smooth-l1", "1*charbonnier"):
        assert float(read(name)(truth + 0.5, truth)) == pytest.approx(0.5, abs=1 / 255)
        assert float(read(name)(truth + 1e-4, truth)) < 1e-5  # and small ones as squares


def test_the_variation_of_a_ramp_is_its_slope_and_of_flatness_none():
    ramp = (0.01 * torch.arange(20.0)).expand(1, 1, 12, 20)
    assert float(losses.tv(ramp)) == pytest.approx(0.01)
    assert float(losses.tv(ramp.transpose(-1, -2))) == pytest.approx(0.01)
    assert float(losses.tv(3 * ramp + 0.2)) == pytest.approx(0.03)
    assert float(losses.tv(torch.full((1, 1, 5, 5), 0.7))) == 0
    noise = torch.rand(2, 1, 9, 9)
    assert float(losses.tv(noise.flip(-1).transpose(-1, -2))) == pytest.approx(float(losses.tv(noise)))


def test_a_gram_matrix_knows_channels_and_not_places():
    maps = torch.randn(2, 5, 6, 7)
    shuffled = maps.flatten(2)[:, :, torch.randperm(42)].view_as(maps)
    torch.testing.assert_close(gram(shuffled), gram(maps))
    torch.testing.assert_close(gram(2 * maps), 4 * gram(maps))
    assert not torch.allclose(gram(maps.flip(1)), gram(maps))
    # twice the area with the same texture is the same texture
    torch.testing.assert_close(gram(torch.cat([maps, maps], -1)), gram(maps))
    one = gram(maps)[0, 1, 2]
    torch.testing.assert_close(one, (maps[0, 1] * maps[0, 2]).sum() / (5 * 6 * 7))


def test_content_and_texture_are_their_formulas_over_the_layers_asked_for():
    net, made, truth = seeing(), torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    ours, theirs = (net(x, net.layers) for x in (made, truth))
    both = [F.mse_loss(ours[k], theirs[k]) for k in ("relu1_2", "relu3_1")]
    torch.testing.assert_close(read("content:relu1_2,relu3_1").bound(net)(made, truth), sum(both) / 2)
    torch.testing.assert_close(read("content").bound(net)(made, truth), F.mse_loss(ours["relu3_2"], theirs["relu3_2"]))
    apart = [(gram(ours[k]) - gram(theirs[k])).square().sum((1, 2)).mean() for k in losses.TEXTURES]
    torch.testing.assert_close(read("texture").bound(net)(made, truth), sum(apart) / 3)


def test_a_sum_is_the_sum_of_its_weighted_terms():
    net, made, truth = seeing(), torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    whole = read(" l1+0.006 * content:relu2_1 + 2e-1*tv + 1e+1*l2").bound(net)
    one = read("l1")(made, truth) + 10 * read("1*l2")(made, truth) + 0.2 * losses.tv(made)
    torch.testing.assert_close(whole(made, truth), one + 0.006 * read("content:relu2_1").bound(net)(made, truth))
    torch.testing.assert_close(torch.stack(whole.parts(made, truth)).sum(), whole(made, truth))


def test_what_is_read_is_read_again():
    for text in ("l1 + 0.006*content:relu5_4 + 2e-08*tv", "0.5*smooth-l1 + 3*texture:relu1_1,relu2_1"):
        assert str(read(text)) == text and read(str(read(text))) == read(text)
    assert read("l1+.5*tv") == Objective((Term(1, "l1"), Term(0.5, "tv")))
    assert read("1e+3*l1+2e-8*tv").terms == (Term(1000, "l1"), Term(2e-8, "tv"))
    assert [read(name) for name in ("smooth-l1", "charbonnier", " l2")] == ["smooth-l1", "charbonnier", "l2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no term"),
        ("l1 +", "'' is no term"),
        ("l1 - tv", "'l1 - tv' is no term; write WEIGHT"),
        ("-1*l1", "'-1\\*l1' is no term"),
        ("content*0.006", "no term; write WEIGHT"),
        ("l1 + 0.1*gan", "no term 'gan'; there is l1, .*, tv, adversarial and feature-adversarial"),
        ("0*l1", "a weight of 0 for l1"),
        ("1e999*l1", "a weight of 1e999 for l1"),
        ("l1:relu1_1", "l1 has no layers; content, texture and feature-adversarial have"),
        ("l1 + l1", "l1 stands there twice"),
        ("0.1*tv", "nothing in it holds pictures against the truth"),
    ],
)
def test_what_is_no_sum_is_said(text, said):
    with pytest.raises(InputError, match=said):
        read(text)


def test_a_layer_that_is_not_there_is_said():
    with pytest.raises(InputError, match=r"content has no layer 'relu5_4' to ask; there is relu1_1, .*relu3_2"):
        read("content:relu5_4").bound(seeing())


def test_a_picture_too_small_for_a_layer_is_said():
    with pytest.raises(InputError, match="a picture of 3x3 is too small for relu3_2; give a larger --crop"):
        read("content").bound(seeing())(torch.rand(1, 1, 3, 3), torch.rand(1, 1, 3, 3))


class Steps(Single):
    """Two levels whose pictures are the input, enlarged."""

    def levels(self, x):
        return [resample(x, (2 * x.shape[-2], 2 * x.shape[-1])), self.picture(x)]

    def picture(self, x):
        return resample(x, (4 * x.shape[-2], 4 * x.shape[-1])) + 0.1


def test_a_sum_is_the_mean_over_the_levels_of_a_net():
    objective, net = read("l1 + 0.3*content + 0.2*tv").bound(seeing()), Steps(4, 1)
    x, sharp = torch.rand(2, 1, 1, 6, 6), torch.rand(2, 1, 1, 24, 24)
    low, high = net.levels(x[:, 0])
    wanted = (objective(low, resample(sharp[:, 0], (12, 12))) + objective(high, sharp[:, 0])) / 2
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(supervised(net, Batch(x, sharp), False, objective), wanted)
    torch.testing.assert_close(supervised(net, Batch(x, sharp), True, objective), wanted)  # the same to the end


@pytest.mark.parametrize(("name", "views"), [("fast", 1), ("gru", 3), ("srcnn", 1)])
def test_a_sum_sees_the_pictures_that_a_net_makes(name, views):
    torch.manual_seed(0)
    net = NETS[name](scale=2, **SMALL[name][1]).eval()
    x, sharp = torch.rand(2, views, 1, 16, 16), torch.rand(2, views, 1, 32, 32)
    with torch.no_grad():
        made = net(x, x.new_ones(2, views, 1, 1, 1), range(views)).flatten(0, 1)
        if (
            views > 1
        ):  # what learning unrolls has its borders elsewhere than what is shown; the shuffle is what matters here
            made = torch.stack([F.pixel_shuffle(p, 32 // p.shape[-1]) for p in unshuffled(net, x)], 1).flatten(0, 1)
        objective = read("l1 + tv")
        found = supervised(net, Batch(x, sharp), False, objective)
    torch.testing.assert_close(found, objective(made, sharp.flatten(0, 1)), rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three pictures."""
    root = tmp_path_factory.mktemp("photos")
    media.photos(root)
    return root


def training(photos, tmp_path, **more):
    usual = {
        "net": "srcnn",
        "scale": 2,
        "steps": 2,
        "crop": 16,
        "frames": 2,
        "device": "cpu",
        "options": SMALL["srcnn"][1],
    }
    return Training(data=(str(photos),), out=tmp_path / "model", run=tmp_path / "run", **(usual | more))


def test_a_net_learns_by_a_sum_and_what_each_term_comes_to_is_told(photos, tmp_path):
    lines: list[str] = []
    made = fit(training(photos, tmp_path, loss="l1+0.5*tv"), say=lines.append)
    assert math.isfinite(made.valid_db)
    assert [line for line in lines if line.startswith("--loss of the bicubic: l1 0.") and ", 0.5*tv 0." in line]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"loss": "l1 + x"}, "no term 'x'"),
        ({"features": "self"}, "no term of --loss 'smooth-l1' sees features; add content"),
        ({"loss": "l1", "labels": "both"}, "--labels both: sums of terms are for sharp frames"),
        (
            {"loss": "l1", "net": "burst", "options": {}},
            "--net burst fuses bursts, which has a loss of its own; leave --loss out",
        ),
        ({"loss": "content:relu4_1", "features": "self"}, "content has no layer 'relu4_1'"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_made(photos, tmp_path, more, said):
    with pytest.raises(InputError, match=said):
        fit(training(photos, tmp_path, **more))
    assert not (tmp_path / "run").exists() and not (tmp_path / "model").exists()


def test_the_command_says_it_in_one_line_and_fails(photos, tmp_path, capsys):
    words = (photos, "--net", "srcnn", "-s", 2, "-o", tmp_path / "model", "--steps", 2, "--loss", "l1 + 3*gan")
    assert command.misr("train", *words) != 0
    assert "there is no term 'gan'; there is l1, l2" in " ".join(capsys.readouterr().err.split())


def test_a_run_of_before_sums_and_the_same_sum_in_other_words_go_on(photos, tmp_path):
    wanted = training(photos, tmp_path)
    fit(wanted)
    path = tmp_path / "run" / "settings.json"
    told = path.read_text(encoding="utf-8")
    path.write_text(told.replace('  "features": null,\n', ""), encoding="utf-8")
    assert '"features": null' in told and '"loss": "smooth-l1"' in told
    assert settings(tmp_path / "run", wanted)["loss"] == "smooth-l1"
    with pytest.raises(InputError, match="holds a run with loss 'smooth-l1', not 'l1'"):
        fit(replace(wanted, loss="l1"))
    fit(replace(wanted, loss="l1 + 0.5*tv", restart=True))
    fit(replace(wanted, loss="l1+.5*tv"))
