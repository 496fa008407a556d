"""Sparse coding: codes, patches and the grid of the net; what a run without gradients learns, and where it goes on."""

import importlib
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr import zoo
from misr.errors import InputError
from misr.nets.sparse import FAINT, Sparse, derivatives, directions
from misr.resample import resample
from misr.train import dictionary, lessons, valid
from misr.train.data import Material
from misr.train.dictionary import Dictionary
from misr.train.fit import Training, fit
from misr.train.loop import Recipe, Run, train
from misr.train.scenes import Batch
from tests import command, media
from tests.test_train import Stop, stopping_at, texture, weights

pytestmark = pytest.mark.usefixtures("one_thread")
LITTLE = {"atoms": 32, "features": 8, "steps": 10}


def net_of(scale=2, **options):
    torch.manual_seed(scale)
    return Sparse(scale=scale, **(LITTLE | options)).eval()


def objective(net, y, z):
    return 0.5 * (y - z @ net.low).square().sum(1) + net.sparsity * z.abs().sum(1)


def rows(n, wide, seed=0):
    return F.normalize(torch.randn(n, wide, generator=torch.Generator().manual_seed(seed)), dim=1)


# ---------------------------------------------------------------- the net


@torch.no_grad()
def test_codes_are_what_makes_the_papers_objective_least():
    net, y = net_of(steps=2000), rows(20, 8)
    z = net.codes(y)
    slope = (
        z @ net.low - y
    ) @ net.low.T  # of the smooth part: minus the weight's sign where a code is, within it elsewhere
    held = torch.where(z != 0, slope + net.sparsity * z.sign(), F.relu(slope.abs() - net.sparsity))
    assert held.abs().max() < 1e-4
    few = net_of(steps=10).codes(y)
    assert (objective(net, y, few) >= objective(net, y, z) - 1e-6).all()
    assert (objective(net, y, few) < objective(net, y, torch.zeros_like(z))).all()


@torch.no_grad()
def test_codes_are_sparser_where_sparsity_weighs_more():
    y = rows(50, 8)
    used = [float((net_of(steps=200, sparsity=s).codes(y) != 0).float().mean()) for s in (0.02, 0.2, 0.6)]
    assert used[0] > used[1] > used[2] > 0
    assert not net_of(sparsity=0.999).codes(0.5 * y).any()


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_net_that_has_not_learned_is_the_bicubic(scale):
    x = torch.rand(2, 1, 9, 13)
    assert torch.equal(net_of(scale).picture(x), resample(x, (9 * scale, 13 * scale)))


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_patch_adds_to_the_pixels_it_has_seen_and_nine_of_them_to_each(scale):
    net = net_of(scale)
    net.detail = lambda features: torch.ones(len(features), (3 * scale) ** 2)  # every patch lacks one, everywhere
    x = torch.rand(1, 1, 5, 7)
    assert torch.allclose(net.picture(x), resample(x, (5 * scale, 7 * scale)) + 1, atol=1e-6)
    seen = net.seen(x)[1]
    assert seen.shape == (1, 8, 7, 9)
    lone = torch.zeros(63, (3 * scale) ** 2)
    lone[9 * 3 + 4] = 9.0  # the patch of LR pixel (2, 3): the outermost ones are beyond the edges
    net.detail = lambda features: lone
    added = net.picture(x) - resample(x, (5 * scale, 7 * scale))
    wanted = torch.zeros(5, 7)
    wanted[1:4, 2:5] = 1
    assert torch.allclose(added[0, 0], wanted.repeat_interleave(scale, 0).repeat_interleave(scale, 1), atol=1e-6)


@torch.no_grad()
def test_features_are_those_of_the_bicubic_where_the_patch_lies():
    net = net_of(3)
    x = torch.rand(1, 1, 8, 9)
    fine = resample(x, (24, 27))
    there = fine[
        ..., 3 * 3 - 2 : 3 * 6 + 2, 3 * 4 - 2 : 3 * 7 + 2
    ]  # LR rows 3 to 5, columns 4 to 6, and two more HR pixels
    seen = net.seen(x)[1][0, :, 4 + 1, 5 + 1]
    assert torch.allclose(seen, (net.look[:, 0] * there).sum((-2, -1)).squeeze(0), atol=1e-5)


def test_derivatives_are_the_papers_four_filters():
    line = torch.arange(9.0)
    ramp, bow = line.expand(7, 9)[None, None], (line**2).expand(7, 9)[None, None]
    slope, down, bent, bent_down = derivatives(ramp)[0]
    assert (slope == 2).all() and not down.any() and not bent.any() and not bent_down.any()
    *_, bent, bent_down = derivatives(bow)[0]
    assert (bent == 4).all() and not bent_down.any()
    assert torch.equal(derivatives(bow.mT)[0, 3], derivatives(bow)[0, 2].T)


@torch.no_grad()
def test_detail_grows_with_contrast_and_fades_where_it_is_faint():
    net = net_of()
    net.high.normal_()
    y = rows(6, 8)
    assert torch.allclose(net.detail(3 * y), 3 * net.detail(y), atol=1e-5)
    unit, length = directions(y * FAINT / 2)
    assert torch.allclose(length, torch.full((6, 1), FAINT)) and torch.allclose(unit, y / 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"atoms": 0}, "1 or more"), ({"sparsity": 1.0}, "between 0 and 1"), ({"features": 145}, "a patch has 144")],
)
def test_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Sparse(scale=2, **options)


# ---------------------------------------------------------------- learning


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    media.photos(root)
    return root


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(valid, "SIDE", 64)
    monkeypatch.setattr(valid, "MOST_STILLS", 2)
    monkeypatch.setattr(dictionary, "BEGIN", 2)


def training(data, out, **more):
    usual = {
        "net": "sparse",
        "scale": 2,
        "steps": 8,
        "crop": 16,
        "frames": 4,
        "every": 2,
        "device": "cpu",
        "options": LITTLE,
    }
    return Training(data=(str(data),), out=out, **({"run": out.parent / "run"} | usual | more))


def learned(folder, steps, **options):
    """A net that has learned from textures, the lesson and the lines of its log."""
    planes = [texture(96, 128, seed=n) for n in range(4)]
    net, lines = net_of(**options), []
    run = Run(Recipe(steps=steps, bf16=False), net, folder)
    wanted = Training(data=(), out=folder, net="sparse", scale=2, steps=steps, crop=24, frames=4)
    study = lessons.lesson(wanted, net, Material(planes[:3], planes[3:], [], []), torch.device("cpu"), seed=1)
    study = dictionary.lesson(study, net, seed=1, done=lambda: run.done)
    train(run, study.source, study.loss, study.check, every=steps // 2, tell=lines.append,
          update=lambda batch: study.update(run, batch), partner=study.partner)  # fmt: skip
    return run, study, lines


def test_it_learns_more_than_the_bicubic_and_more_again_when_detail_is_fitted(tmp_path):
    run, study, lines = learned(tmp_path, 24)
    coupled, fitted = (line["valid_db"] for line in lines)
    assert fitted > coupled and fitted > study.baseline_db + 0.3
    assert torch.allclose(torch.linalg.vector_norm(run.average.low, dim=1), torch.ones(32), atol=1e-5)
    assert all(0 < line["atoms"] <= 32 for line in lines)
    assert all(
        torch.equal(x, y) for x, y in zip(run.net.state_dict().values(), run.average.state_dict().values(), strict=True)
    )


@torch.no_grad()
def test_features_are_principal_components_of_the_derivatives(tmp_path):
    net = net_of()
    batch = Batch(torch.rand(6, 1, 1, 24, 24), torch.rand(6, 1, 1, 48, 48))
    dictionary.Dictionary(net, 1, lambda: 0.0, lambda: batch).begin([batch])
    planes = dictionary.patches(net, batch.views[:, 0])
    seen = derivatives(planes).flatten(1)
    ours = F.conv2d(planes, net.look)[..., 0, 0]
    energy = ours.square().mean(0)
    assert (energy.diff() <= 1e-5).all()  # the strongest come first
    correlated = ours.T @ ours / len(ours)
    assert (correlated - correlated.diag().diag()).abs().max() < 1e-3 * energy[0]
    axes = torch.linalg.svd(seen, full_matrices=False).S.square()[:8] / len(seen)
    assert torch.allclose(energy, axes, rtol=0.05)


@torch.no_grad()
def test_what_is_fitted_is_the_least_squares_of_all_steps():
    atoms = Dictionary(net_of(), 0, lambda: 1.0, lambda: None)
    z, wanted = torch.randn(300, 32).double(), torch.randn(300, 36).double()
    for part in range(3):
        atoms.fit(z[100 * part : 100 * part + 100], wanted[100 * part : 100 * part + 100])
    exact = torch.linalg.lstsq(z, wanted).solution.float()
    assert torch.allclose(atoms.net.high, exact, atol=2e-3)


@torch.no_grad()
def test_patches_are_drawn_with_what_the_bicubic_lacks_there():
    net = net_of(3)
    views = torch.rand(2, 1, 1, 9, 10)
    sharp = torch.rand(2, 1, 1, 27, 30)
    lacks = sharp[:, 0] - resample(views[:, 0], (27, 30))
    features, wanted = Dictionary(net, 0, lambda: 0.0, lambda: None).drawn(Batch(views, sharp), 10_000, 0)
    assert len(features) == 2 * 7 * 8
    seen = net.seen(views[:, 0])[1]
    for n, y, x in ((0, 1, 1), (1, 4, 7), (1, 7, 8)):  # LR pixels that patches are around
        (found,) = (features - seen[n, :, y + 1, x + 1]).abs().amax(1).lt(1e-6).nonzero()
        there = lacks[n, 0, 3 * y - 3 : 3 * y + 6, 3 * x - 3 : 3 * x + 6]
        assert torch.allclose(wanted[found[0]].reshape(9, 9), there, atol=1e-6)


@pytest.mark.parametrize("at", [3, 7])
def test_a_stopped_run_ends_bit_for_bit_as_an_unbroken_one(data, tmp_path, at):
    whole, broken = (tmp_path / n / "mine" for n in ("whole", "broken"))
    fit(training(data, whole))
    with pytest.raises(Stop):
        fit(training(data, broken), stepped=stopping_at(at))
    assert not broken.exists()
    fit(training(data, broken))
    assert weights(whole) == weights(broken)


def test_what_the_command_makes_enlarges_without_scikit_learn(data, tmp_path, monkeypatch):
    words = [w for k, v in LITTLE.items() for w in ("--option", f"{k}={v}")]
    assert command.misr("train", data, "--net", "sparse", "-s", 2, "-o", tmp_path / "mine", "--run", tmp_path / "run",
                        "--steps", 4, "--crop", 16, "--frames", 4, *words) == 0  # fmt: skip
    card = zoo.card(tmp_path / "mine")
    assert (card.net, card.halo, card.channels) == ("sparse", 5, 1) and card.scores["valid_psnr_db"] > 0
    without_scikit_learn(monkeypatch)
    out = tmp_path / "out.png"
    assert command.up(data / "photoa.png", out, "-m", tmp_path / "mine") == 0
    assert (media.read(out)[0].width, media.read(out)[0].height) == (256, 192)


def without_scikit_learn(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError):
        importlib.import_module("sklearn.decomposition")


def test_without_scikit_learn_it_says_how_to_have_it(data, tmp_path, monkeypatch):
    without_scikit_learn(monkeypatch)
    with pytest.raises(InputError, match=r'scikit-learn: pip install "misr\[sparse\]"'):
        fit(training(data, tmp_path / "mine"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"labels": "heldout"}, "leave out --labels heldout"),
        ({"loss": "l1"}, "leave out --loss l1"),
        ({"rate": 0.1}, "leave out --rate 0.1"),
        ({"precision": "bf16"}, "leave out --precision bf16"),
        ({"options": LITTLE | {"sparsity": 2}}, "--net sparse: .*between 0 and 1"),
        ({"options": LITTLE | {"atoms": 5000}}, "patches with detail to begin 5000 atoms with"),
    ],
)
def test_what_means_nothing_to_a_dictionary_is_one_sentence(data, tmp_path, more, said):
    with pytest.raises(InputError, match=said) as told:
        fit(training(data, tmp_path / "mine", **more))
    assert "\n" not in str(told.value) and not (tmp_path / "mine").exists()


def test_a_dictionary_does_not_begin_from_another(data, tmp_path):
    first = fit(training(data, tmp_path / "first", run=tmp_path / "r1", steps=2)).folder
    with pytest.raises(InputError, match="leave out --start"):
        fit(training(data, tmp_path / "second", run=tmp_path / "r2", start=str(first)))


@torch.no_grad()
def test_scikit_learns_state_comes_back_whole(tmp_path):
    run, study, _ = learned(tmp_path, 8)
    kept = study.partner.state()
    torch.save(kept, tmp_path / "state.pt")
    again = Dictionary(run.net, 1, lambda: 0.0, lambda: None)
    again.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    one, other = vars(study.partner.atoms), vars(again.atoms)
    assert set(one) == set(other)
    for name, value in one.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, other[name]) and value.dtype == other[name].dtype, name
    assert one["_random_state"].randint(1 << 30) == other["_random_state"].randint(1 << 30)
