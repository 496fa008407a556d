"""A burst made ready: where its views lie, their light, levels and reference, and windows that do not depend on the window."""

import json

import cv2
import numpy as np
import pytest
import torch

from misr.burst import Preparing, Ready, ready
from misr.errors import InputError
from misr.nets.lattice import OPTICS
from misr.registration import placements_to_json, shifted
from tests.burst_scenes import burst_of, lit, moves, seen

pytestmark = pytest.mark.usefixtures("one_thread")
H, W = 96, 120
GAINS = [1.0, 1.2, 0.8, 1.1, 0.9]
OFFSETS = [0.0, 150.0, -90.0, 60.0, -40.0]
FIRST = Preparing(reference="0")


def burst(count=5, *, sigma=20.0, reach=1.5, **told):
    """Views in different light, at known places: (burst, matrices)."""
    matrices = moves(count, reach=reach)
    planes = [seen(H, W, m) for m in matrices]
    return burst_of(lit(planes, gains=GAINS[:count], offsets=OFFSETS[:count], sigma=sigma), **told), matrices


@pytest.fixture(scope="module")
def prepared() -> tuple[Ready, list]:
    made, matrices = burst(reach=7.0)
    return ready(made, FIRST), matrices


def alike(a, b, **how):
    """Stacks that say the same."""
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, **how)


def test_views_are_placed_and_their_light_is_found(prepared):
    got, matrices = prepared
    for n, (placement, matrix) in enumerate(zip(got.placements, matrices, strict=True)):
        assert placement.used and placement.model == "shift"
        assert np.hypot(placement.matrix[2] - matrix[2], placement.matrix[5] - matrix[5]) < 0.02
        light = got.facts[0].lights[n]
        middle = 2000.0
        assert light.gain * middle + light.offset == pytest.approx(GAINS[n] * middle + OFFSETS[n], rel=0.005)
        assert light.gain == pytest.approx(GAINS[n], rel=0.01)


def test_a_stack_has_each_view_where_the_window_lies_in_it(prepared):
    got, matrices = prepared
    stack = got.stack(30, 20, 40, 32, 0)
    assert stack.views.shape == (1, 5, 1, 32, 40) and stack.motion.shape == (1, 5, 2, 1, 1)
    assert stack.motion.abs().max() <= 0.51 and not stack.motion[:, 0].any()
    whole = seen(H, W)
    for n, matrix in enumerate(matrices):
        left = stack.motion[0, n, :, 0, 0]
        dx, dy = matrix[2] - float(left[0]), matrix[5] - float(left[1])
        assert abs(dx - round(dx)) < 0.02 and abs(dy - round(dy)) < 0.02
        truth = seen(H, W, shifted(float(left[0]), float(left[1])))[20:52, 30:70]
        codes = got.codes(stack.views[0, n, 0], 0).numpy()
        assert np.std(codes - (4000 * truth + 400)) < 40, (
            "in the reference's place and light but for the motion that is left"
        )
    assert np.std(whole) * 4000 > 400


def test_a_window_is_a_crop_of_the_whole(prepared):
    got, _ = prepared
    whole = got.stack(0, 0, W, H, 0)
    for x, y, w, h in ((0, 0, 40, 30), (33, 17, 51, 60), (90, 70, 30, 26)):
        part = got.stack(x, y, w, h, 0)
        cut = (..., slice(y, y + h), slice(x, x + w))
        alike(part, whole._replace(views=whole.views[cut], valid=whole.valid[cut]), rtol=0, atol=1e-4)


def test_windows_may_reach_beyond_the_scene(prepared):
    got, _ = prepared
    stack = got.stack(-10, -6, 30, 20, 0)
    assert not stack.valid[:, 0, :, :6].any() and not stack.valid[:, 0, :, :, :10].any()
    assert stack.valid[:, 0, :, 6:, 10:].all() and stack.views.isfinite().all()


def test_levels_are_those_of_the_scene_and_codes_undo_them(prepared):
    got, _ = prepared
    low, high = got.levels[0]
    truth = 4000 * seen(H, W) + 400
    assert low == pytest.approx(np.percentile(truth, 0.5), abs=100) and high == pytest.approx(
        np.percentile(truth, 99.5), abs=100
    )
    plane = torch.rand(4, 5)
    torch.testing.assert_close(got.codes(plane, 0), plane * (high - low) + low)
    torch.testing.assert_close(got.codes_sigma(plane, 0), plane * (high - low))


def test_garbage_under_a_mask_changes_nothing():
    made, _ = burst(4)
    mask = np.ones((H, W), np.uint8)
    mask[20:50, 30:60] = 0
    stacks = []
    for garbage in (0, 65535):
        codes = [np.array(v.codes) for v in made.views]
        codes[1][:, mask == 0] = garbage
        got = ready(burst_of(codes, mask=[None, mask, None, None]), FIRST)
        stacks.append(got.stack(0, 0, W, H, 0))
    alike(*stacks, rtol=0, atol=0)
    assert stacks[0].valid[0, 1].mean() < 0.95


def test_nan_is_not_valid_and_never_comes_out():
    made, _ = burst(3, sigma=5.0)
    codes = [v.codes.astype(np.float32) for v in made.views]
    codes[1][:, 40:44] = np.nan
    codes[2][:, :, 7] = np.inf
    stack = ready(burst_of(codes), FIRST).stack(0, 0, W, H, 0)
    assert all(part.isfinite().all() for part in stack)
    assert stack.valid[0, 1, 0].mean() < 1 and stack.valid[0, 2, 0].mean() < 1


def test_wrong_exposures_cost_nothing():
    plain, _ = burst(4)
    right = [g * 0.01 for g in GAINS[:4]]
    wrong = [e * f for e, f in zip(right, (1.0, 1.1, 0.9, 1.1), strict=True)]
    stacks = [
        ready(burst_of([v.codes for v in plain.views], exposure=e), FIRST).stack(0, 0, W, H, 0)
        for e in ([None] * 4, right, wrong)
    ]
    for other in stacks[1:]:
        assert (other.views - stacks[0].views).abs().max() < 2e-3


def test_exposures_alone_are_believed_where_light_is_not_to_be_estimated():
    plain, _ = burst(3)
    told = burst_of([v.codes for v in plain.views], exposure=[1.0, 1.5, 0.5])
    got = ready(told, Preparing(reference="0", light=False))
    assert [light.gain for light in got.facts[0].lights] == [1.0, 1.5, 0.5]


def test_the_reference_is_the_clear_and_sharp_view():
    planes = [seen(H, W, m) for m in moves(5)]
    planes[0] = cv2.GaussianBlur(planes[0], (0, 0), 1.2)
    planes[1] = planes[1] * 0.5 + 0.4  # haze
    planes[2][:50, :70] = 1.1  # cloud
    planes[4] = planes[4] + 0.1 * np.random.default_rng(2).standard_normal((H, W))
    got = ready(burst_of(lit(planes, sigma=8.0)))
    assert got.reference == 3 and got.told()["reference"]["why"] == "the clearest and sharpest"


@pytest.mark.parametrize("asked", ["2", "2.npy", "somewhere/2.npy"])
def test_a_reference_is_asked_for_by_number_or_name(asked):
    got = ready(burst(3)[0], Preparing(reference=asked))
    assert got.reference == 2 and got.order == (2, 0, 1)
    assert got.placements[2].shift_px(W, H) == (0.0, 0.0)


@pytest.mark.parametrize("asked", ["7", "-1", "nobody.npy"])
def test_a_reference_that_is_not_there_is_one_sentence(asked):
    with pytest.raises(InputError, match=r"reference.*view"):
        ready(burst(3)[0], Preparing(reference=asked))


def test_a_view_that_is_white_or_of_another_place_is_left_out_and_says_why():
    planes = [seen(H, W, m) for m in moves(6)]
    planes[1] = np.full((H, W), 20.0)
    planes[2] = seen(H, W, seed=77)
    got = ready(burst_of(lit(planes, sigma=10.0)), FIRST)
    assert [p.used for p in got.placements] == [True, False, False, True, True, True]
    assert "saturated" in got.placements[1].why and got.placements[2].why
    assert got.order == (0, 3, 4, 5) and got.stack(0, 0, 32, 32, 0).views.shape[1] == 4
    assert any("2 of 6 views are not used" in note for note in got.told()["notes"])


def test_one_view_is_enough_and_that_is_told():
    got = ready(burst(1)[0])
    stack = got.stack(0, 0, W, H, 0)
    assert stack.views.shape[1] == 1 and stack.valid.all()
    assert any("Only one view is left" in note for note in got.told()["notes"])


@pytest.mark.parametrize("nothing", [np.nan, 65535.0])
def test_nothing_to_see_is_one_sentence(nothing):
    dtype = np.float32 if np.isnan(nothing) else np.uint16
    with pytest.raises(InputError, match=r"no view can be used: .*masked or saturated"):
        ready(burst_of([np.full((H, W), nothing, dtype)] * 3))


def test_registration_that_is_given_is_honoured(tmp_path):
    made, matrices = burst(3)
    first = ready(made, FIRST)
    report = first.told()
    report["views"][1]["matrix"] = list(shifted(0.7, -0.2))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    got = ready(made, Preparing(reference="0", registration=str(path)))
    assert got.placements[1].matrix == shifted(0.7, -0.2)
    other = ready(made, Preparing(reference="1", registration=str(path)))
    assert other.placements[0].matrix == pytest.approx(shifted(-0.7, 0.2))
    path.write_text(json.dumps(placements_to_json(["0.npy", "1.npy"], first.placements[:2])))
    with pytest.raises(InputError, match=r"no placement for 2\.npy"):
        ready(made, Preparing(registration=str(path)))


def test_what_is_told_is_json(prepared):
    got, _ = prepared
    told = json.loads(json.dumps(got.told(), allow_nan=False))
    assert len(told["views"]) == 5 and told["bands"][0]["low"] == got.levels[0][0]
    assert {"dx_px", "dy_px", "residual_db", "clouds", "noise_codes", "used", "why"} <= set(told["views"][1])
    assert 0 <= told["coverage"] <= 1 and 0 <= told["aliasing"] <= 1 and told["verdict"]


@pytest.mark.parametrize(("mtf", "sigma"), [(None, OPTICS), (0.6366, 0.0), (0.44, 0.27), (0.35, 0.35)])
def test_the_mtf_says_what_the_optics_are(mtf, sigma):
    got = ready(burst(1)[0], Preparing(mtf=mtf))
    assert float(got.stack(0, 0, 16, 16, 0).optics) == pytest.approx(sigma, abs=0.01)


@pytest.mark.parametrize("how", [{"mtf": 0.7}, {"mtf": 0.0}, {"noise": (-1.0, 2.0)}, {"noise": (0.0, 0.0)}])
def test_impossible_cameras_are_refused(how):
    with pytest.raises(InputError):
        Preparing(**how)
