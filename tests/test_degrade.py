"""Shrinking against imresize worked out by hand, and what the codecs and kernels may and may not do."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr.train.data import Sampler, load, luma, pair, save, scaled, turned
from misr.train.degrade import bi, blurred, h264, jpeg, noisy, pan, shrink, worn


def texture(h=96, w=128, seed=1):
    coarse = np.random.default_rng(seed).integers(40, 216, (h // 8, w // 8)).astype(np.uint8)
    return shrink(np.kron(coarse, np.ones((16, 16), np.uint8)), (h, w))


def keys(x):
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def imresize_line(line, scale):
    """Antialiased bicubic of one line, as MATLAB documents it: kernel widened by scale, edges mirrored."""
    n = len(line)
    out = []
    for q in range(n // scale):
        centre = (q + 0.5) * scale - 0.5
        taps = range(int(np.floor(centre - 2 * scale)), int(np.ceil(centre + 2 * scale)) + 1)
        weight = np.array([keys((i - centre) / scale) for i in taps])
        mirrored = [min(i % (2 * n), 2 * n - 1 - i % (2 * n)) for i in taps]
        out.append((weight / weight.sum()) @ np.asarray(line, float)[mirrored])
    return np.array(out)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bi_is_imresize(scale):
    line = np.random.default_rng(0).integers(0, 256, 12 * scale).astype(np.uint8)
    plane = np.repeat(line[None], 4 * scale, 0)
    expected = np.clip(np.floor(imresize_line(line, scale) + 0.5), 0, 255)
    assert (bi(plane, scale) == expected).all()
    assert (bi(plane.T.copy(), scale) == expected[:, None]).all()


def test_bi_of_an_edge_by_hand():
    """A step 0 | 200 between samples 3 and 4, halved.

    Centre 2.5 sees the far side at distances 0.75, 1.25, 1.75: (0.2266 - 0.0703 - 0.0234) / 2 = 0.0664; centre 0.5 at
    1.75 alone: -0.0117. So -2.3 (clamped), 13.3, 186.7, 202.3.
    """
    plane = np.repeat(np.array([[0] * 4 + [200] * 4], np.uint8), 8, 0)
    assert bi(plane, 2)[1].tolist() == [0, 13, 187, 202]


def test_a_ramp_stays_a_ramp():
    plane = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 40, 0)
    inner = bi(plane, 4)[2:-2, 3:-3].astype(int)
    assert (np.diff(inner, axis=1) == 8).all()


def test_part_cells_are_refused():
    with pytest.raises(ValueError, match="x4"):
        bi(np.zeros((10, 12), np.uint8), 4)


@pytest.mark.parametrize("scale", [2, 4])
def test_blurred_keeps_the_grid_whatever_the_kernel(scale):
    """A linear ramp is its own blur: the value in the middle of each cell says that no kernel shifts the picture."""
    plane = np.repeat(np.arange(0, 240, 1, dtype=np.uint8)[None], 96, 0)
    centres = (np.arange(240 // scale) + 0.5) * scale - 0.5
    for seed in range(12):
        out = blurred(plane, scale, np.random.default_rng(seed)).astype(float)
        assert out.shape == (96 // scale, 240 // scale)
        assert abs(out[8:-8, 8:-8] - centres[8:-8]).max() <= 0.5


def test_noise_has_its_sigma():
    out = noisy(np.full((200, 200), 128, np.uint8), 4.0, np.random.default_rng(0)).astype(float)
    assert out.std() == pytest.approx(4, abs=0.1)
    assert out.mean() == pytest.approx(128, abs=0.1)


@pytest.mark.parametrize(("better", "worse"), [
    (lambda p: jpeg(p, 90), lambda p: jpeg(p, 30)),
    (lambda p: h264([p, p], 18)[1], lambda p: h264([p, p], 40)[1]),
])
def test_codecs_lose_more_when_told_to(better, worse):
    plane = noisy(texture(), 6, np.random.default_rng(1))
    error = [float(np.mean((f(plane).astype(float) - plane) ** 2)) for f in (better, worse)]
    assert 0 < error[0] < error[1]


def test_h264_gives_back_every_frame_in_order():
    clip = pan(texture(160, 200), (96, 128), np.random.default_rng(4), frames=5)
    out = h264(clip, 20)
    assert len(out) == 5
    for n, plane in enumerate(out):
        errors = [np.mean((plane.astype(float) - other) ** 2) for other in clip]
        assert errors[n] <= min(errors) + 1e-9


def test_pan_moves_steadily_and_stays_inside():
    plane = np.add.outer(np.arange(60) * 2, np.arange(70)).astype(np.uint8)
    for seed in range(20):
        clip = pan(plane, (40, 50), np.random.default_rng(seed))
        assert {p.shape for p in clip} == {(40, 50)}
        steps = np.diff([int(p[0, 0]) for p in clip])
        assert len(set(steps)) == 1


def test_worn_pairs_lie_on_one_grid():
    """The worn view, whatever was done to it, is nearer to BI of its own window than of a window 4 px beside."""
    plane = texture(240, 280)
    for seed in range(6):
        sharp, soft = worn(plane, 2, np.random.default_rng(seed))
        assert sharp.shape == (soft.shape[0] * 2, soft.shape[1] * 2)
        near, beside = bi(sharp, 2).astype(float), np.roll(bi(sharp, 2), 2, 1).astype(float)
        assert np.mean((soft - near) ** 2) < np.mean((soft - beside) ** 2)


@pytest.mark.parametrize("scale", [2, 4])
def test_turned_pairs_are_pairs_of_the_turned_picture(scale):
    """Shrinking knows no direction, so a turned pair is the pair of the turned plane: all eight differ, all fit."""
    sharp = texture(64, 64)
    it = pair(sharp, bi(sharp, scale), 4, 16)
    seen = set()
    for way in range(8):
        soft, cells = turned(torch.from_numpy(it.soft)[None], torch.from_numpy(it.cells)[None], way)
        plane = (F.pixel_shuffle(cells, 4)[0, 0] * 255).round().to(torch.uint8).numpy()
        assert abs(bi(plane, scale).astype(int) - (soft[0, 0] * 255).round().numpy()).max() <= 1
        seen.add(plane.tobytes())
    assert len(seen) == 8


def test_sampler_cuts_what_belongs_together():
    sharp = scaled(texture(200, 256), 0.9)
    sampler = Sampler([pair(sharp, bi(sharp, 2), 4, 16)], 16, seed=5)
    soft, cells = sampler.batch(6)
    assert soft.shape == (6, 1, 32, 32)
    assert cells.shape == (6, 16, 16, 16)
    assert (cells.mean((1, 2, 3)) - soft.mean((1, 2, 3))).abs().max() < 0.01
    assert soft.mean((1, 2, 3)).std() > 0.001  # not six times the same crop


def test_flat_crops_are_left_out():
    flat = np.full((128, 128), 90, np.uint8)
    assert len(pair(flat, bi(flat, 4), 4, 16).corners) == 0


def test_luma_is_16_to_235_whatever_the_file_says():
    av = pytest.importorskip("av")
    codes = np.array([[0, 16, 128, 235, 255, 100, 50, 200]] * 2, np.uint8)
    frame = av.VideoFrame.from_ndarray(codes, format="gray")
    frame.color_range = 1
    assert (luma(frame) == codes).all()
    frame.color_range = 2
    assert luma(frame)[0].tolist() == [16, 30, 126, 218, 235, 102, 59, 188]  # 16 + 219 / 255 * code


def test_a_pack_gives_back_its_planes(tmp_path):
    planes = [texture(256, 264, seed) for seed in range(3)]
    save(tmp_path / "pack.npz", [planes[0], texture(64, 64), planes[1]], [planes[2]])  # too small for a crop: left out
    train, valid = load(tmp_path / "pack.npz")
    assert [p.tobytes() for p in train] == [planes[0].tobytes(), planes[1].tobytes()]
    assert [p.tobytes() for p in valid] == [planes[2].tobytes()]
