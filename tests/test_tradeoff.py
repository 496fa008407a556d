"""scripts/tradeoff, at sizes of no use, and NIQE, by which it judges without a reference."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np
import pytest

from misr.train import data, features
from tests import media
from tests.test_train import texture

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch):
    """Gives a script, or what scripts share, as a module."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name):
        loader = SourceFileLoader(name, str(SCRIPTS / name))
        module = module_from_spec(spec_from_loader(name, loader))
        loader.exec_module(module)
        return module

    return load


@pytest.fixture
def pristine(tmp_path):
    """Parameters of NIQE that anything is far from."""
    path = tmp_path / "pristine.npz"
    np.savez(path, mu_pris_param=np.zeros((1, 36)), cov_pris_param=np.eye(36))
    return path


def generalized(shape, left, n=200_000, seed=0):
    """Values of an asymmetric generalized Gaussian, `left` wide below 0 and 1 above: |x / width|^shape is gamma distributed."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(1 / shape, size=n) ** (1 / shape)
    return np.where(rng.random(n) < left / (left + 1), -left * size, size)


@pytest.mark.parametrize("shape", [0.8, 1, 2, 4])
@pytest.mark.parametrize("width", [1, 2])
def test_niqe_finds_the_shape_the_mean_and_the_widths_that_values_were_drawn_with(script, shape, width):
    values = generalized(shape, width)
    found, mean, left, right = script("niqe.py").fitted(values)
    assert [found, left, right] == pytest.approx([shape, width, 1], rel=0.03)
    assert mean == pytest.approx(values.mean(), abs=0.02)


def test_niqe_sees_contrast_and_not_brightness(script):
    plane = texture(120, 120).astype(float)
    normal = script("niqe.py").normal
    np.testing.assert_allclose(normal(plane + 7), normal(plane), atol=1e-6)
    assert normal(plane).std() > 0.3 > normal(np.full((50, 50), 99.0)).std()


def test_niqe_is_the_authors_on_a_picture_that_they_measured(script, shared_data):
    """MATLAB gives 5.72957338, as those tell who wrote it anew."""
    import cv2

    colour = cv2.imread(str(shared_data / "test" / "Set14" / "baboon.webp")).astype(float)
    luma = (colour @ np.array([24.966, 128.553, 65.481]) / 255 + 16).round()  # of B, G, R; BT.601
    niqe = script("niqe.py").Niqe(shared_data / "peers" / "niqe_pris_params.npz")
    assert niqe(luma) == pytest.approx(5.72957338, abs=1e-4)
    assert niqe(np.asarray(cv2.GaussianBlur(luma, (0, 0), 2)).round()) > niqe(luma) + 1


def test_one_command_trains_judges_and_prints_and_goes_on_where_it_was(script, pristine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(features, "STEPS", 2)
    it = script("tradeoff")
    for name, value in (("SIDE", 192), ("LEAST", 192), ("JUDGES", 2)):
        monkeypatch.setattr(it, name, value)
    data.save(tmp_path / "pack.npz", [texture(256, 264, n) for n in range(15)], [texture(256, 256, 20)])
    words = [tmp_path / "pack.npz", "--out", tmp_path / "out", "--weights", 0, 1e-3, "--sums", "l1 + 0.1*content"]
    words += ["--steps", 4, "--width", 4, "--niqe", pristine]
    monkeypatch.setattr(sys, "argv", ["tradeoff", *map(str, words)])
    it.main()
    told = capsys.readouterr().out
    rows = [line for line in told.splitlines() if line.startswith("| ")]
    learned = ["learned by", "the truth", "nothing: bicubic", "l2: the start", "1*l2", "1*l2 + 0.001*adversarial"]
    assert [row.split(" | ")[0][2:] for row in rows[:7]] == [*learned, "l1 + 0.1*content"]
    assert "| step | d_loss | d_real | d_fake | adversarial | valid_db |" in rows
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("weights.safetensors")}
    assert len(before) == 4
    it.main()
    assert capsys.readouterr().out == told and {p: p.stat().st_mtime_ns for p in before} == before


def test_the_halves_share_no_photograph(script, tmp_path):
    it = script("tradeoff")
    data.save(tmp_path / "pack.npz", [np.full((480, 480), 20 + n, np.uint8) for n in range(24)], [texture(256, 256)])
    pack, those = it.halves(str(tmp_path / "pack.npz"), tmp_path / "out")
    ours = {int(p[0, 0]) for side in data.load(pack) for p in side}
    theirs = {int(trial.sharp[0, 0, 0]) for trial in those}
    assert max(ours) + 3 < min(theirs)  # packs keep three sizes of each photograph, one after the other
    assert len(ours) == 9 and len(theirs) >= 10


def test_too_few_photographs_are_said(script, tmp_path):
    for n in range(3):
        media.picture(tmp_path, "png", name=f"photo{n}", n=n, size=(128, 96))
    with pytest.raises(
        script("tradeoff").InputError, match="at least 14 photographs are wanted, of 480 pixels or more"
    ):
        script("tradeoff").halves(str(tmp_path), tmp_path / "out")
