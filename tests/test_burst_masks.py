"""What is left out of a burst by itself: samples at the ceiling, clouds; and how noisy its views are."""

import cv2
import numpy as np
import pytest

from misr.burst import Preparing, ready
from misr.burst.bands import Band
from misr.burst.looks import Patch
from misr.burst.masks import ceiling
from misr.burst.noise import noise
from tests.burst_scenes import burst_of, lit, moves, seen

pytestmark = pytest.mark.usefixtures("one_thread")
H, W = 96, 120
FIRST = Preparing(reference="0")


def patch(plane: np.ndarray) -> Patch:
    """All of it valid."""
    return Patch(0, 0, plane.astype(np.float32), np.ones(plane.shape, bool))


@pytest.mark.parametrize(
    ("codes", "dtype", "top"),
    [
        (np.r_[np.arange(200), 255], np.uint8, 255.0),
        (np.arange(200), np.uint8, np.inf),
        (np.r_[np.arange(16000) % 15000, np.full(300, 16383)], np.uint16, 16383.0),  # 14 bits in 16
        (np.arange(16000), np.uint16, np.inf),
        (np.r_[np.linspace(0, 0.9, 5000), np.ones(50)], np.float32, 1.0),
        (np.full(900, 7), np.uint16, np.inf),  # flat is not saturated
    ],
)
def test_the_ceiling_is_where_codes_heap_up(codes, dtype, top):
    assert ceiling([patch(codes[None])], np.dtype(dtype)) == top


def test_saturated_samples_are_left_out_where_another_view_shows_more():
    planes = [seen(H, W, m) for m in moves(3)]
    codes = lit(planes, gains=[1.0, 1.0, 0.6], sigma=5.0)
    codes = [np.minimum(c, 3000) for c in codes]
    made = burst_of(codes)
    stack = ready(made, Preparing(reference="0", clouds=False)).stack(0, 0, W, H, 0)
    full = codes[0] == 3000
    assert full.mean() > 0.02 and (codes[2] < 3000).all()
    inner = cv2.erode((4000 * planes[0] + 400 > 3300).astype(np.uint8), np.ones((3, 3))) > 0
    inner[:3] = inner[-3:] = inner[:, :3] = inner[:, -3:] = False  # beyond it, the darker view has nothing
    assert (full & inner).sum() > 100
    assert not stack.valid[0, 0, 0].numpy()[full & inner].any() and stack.valid[0, 2].mean() > 0.97
    kept = ready(made, Preparing(reference="0", clouds=False, saturation=False)).stack(0, 0, W, H, 0)
    assert kept.valid[0, 0].all()


def test_what_is_saturated_in_every_view_stays():
    codes = [np.minimum(c, 2700) for c in lit([seen(H, W, m) for m in moves(3)], sigma=5.0)]
    stack = ready(burst_of(codes), Preparing(reference="0", clouds=False)).stack(0, 0, W, H, 0)
    assert (codes[0] == 2700).mean() > 0.1 and stack.valid[0, 0].all()


def test_a_cloud_is_left_out_and_the_rest_is_not():
    planes = [seen(H, W, m) for m in moves(5)]
    planes[3][20:60, 30:80] += 0.5
    stack = ready(burst_of(lit(planes, sigma=20.0)), FIRST).stack(0, 0, W, H, 0)
    valid = stack.valid[0, :, 0].numpy()
    assert valid[3, 24:56, 34:76].max() < 0.05
    assert np.delete(valid, 3, 0)[:, 4:-4, 4:-4].mean() > 0.99
    assert valid[3, 70:90].mean() > 0.95


def test_clouds_are_not_looked_for_with_two_views_or_when_not_asked():
    planes = [seen(H, W, m) for m in moves(3)]
    planes[1][20:60, 30:80] += 0.5
    two = ready(burst_of(lit(planes[:2], sigma=20.0)), FIRST)
    assert two.stack(25, 35, 20, 20, 0).valid.all()
    asked = ready(burst_of(lit(planes, sigma=20.0)), Preparing(reference="0", clouds=False))
    assert asked.stack(25, 35, 20, 20, 0).valid.all()


def test_where_the_cloud_is_does_not_depend_on_the_window():
    planes = [seen(H, W, m) for m in moves(4)]
    planes[2][20:60, 30:80] += 0.5
    got = ready(burst_of(lit(planes, sigma=20.0)), FIRST)
    whole = got.stack(0, 0, W, H, 0).valid
    for x, y in ((0, 0), (37, 13), (61, 45)):
        part = got.stack(x, y, 48, 40, 0).valid
        assert (part - whole[..., y : y + 40, x : x + 48]).abs().max() < 1e-4


@pytest.mark.parametrize("snr_db", [30, 40])
@pytest.mark.parametrize("count", [5, 9])
def test_noise_is_told_from_aliased_texture(count, snr_db):
    draw = np.random.default_rng(count)
    matrices = moves(count, seed=count)
    sigmas = 10 ** (-snr_db / 20) * draw.uniform(0.7, 1.4, count)
    noisy = [seen(128, 128, m) + s * draw.standard_normal((128, 128)) for m, s in zip(matrices, sigmas, strict=True)]
    found = noise([[patch(p)] for p in noisy], matrices)
    assert found == pytest.approx(list(sigmas), rel=0.15)


def test_noise_is_told_in_each_views_own_codes():
    sigmas, gains = [30.0, 60.0, 40.0, 50.0, 35.0], [1.0, 1.5, 0.7, 1.2, 0.9]
    codes = lit([seen(H, W, m) for m in moves(5)], gains=gains, sigma=sigmas)
    got = ready(burst_of(codes), FIRST)
    band: Band = got.facts[0]
    assert band.sigmas == pytest.approx(sigmas, rel=0.2)
    stack = got.stack(0, 0, 40, 40, 0)
    said = got.codes_sigma(stack.sigma, 0).flatten().tolist()
    assert said == pytest.approx([s / light.gain for s, light in zip(band.sigmas, band.lights, strict=True)], rel=1e-4)


def test_noise_that_is_given_follows_the_codes():
    codes = lit([seen(H, W, m) for m in moves(3)], gains=[1.0, 2.0, 1.0], sigma=10.0)
    got = ready(burst_of(codes), Preparing(reference="0", noise=(0.5, 100.0)))
    stack = got.stack(0, 0, W, H, 0)
    assert stack.sigma.shape == (1, 3, 1, H, W)
    said = got.codes_sigma(stack.sigma[0, :, 0], 0).numpy()
    inner = (slice(4, -4), slice(4, -4))
    for n, gain in enumerate((1.0, 2.0, 1.0)):
        view = got.stack(0, 0, W, H, 0).views[0, n, 0]
        expected = np.sqrt(0.5 * (gain * got.codes(view, 0).numpy()) + 100) / gain
        assert np.median(np.abs(said[n] / expected - 1)[inner]) < 0.03
