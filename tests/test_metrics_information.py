"""MS-SSIM, VIF and IFC against loops from the formulas, against other people's code, and against what papers published.

THEIRS are the numbers that pytorch-msssim 1.0.0, sewar 0.4.10 (vifp) and a port of the authors' ifcvec on the filters of pyrtools
1.1.1 give for textures(); on frames of Vid4 they agreed with misr to 1e-6, 1e-14 and 2e-8 of the value.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from misr.metrics import ifc, ms_ssim, vif

THEIRS = {"ms-ssim": 0.982934702009436, "vif": 0.4605554647830541, "ifc": 3.3913819054537004}
WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def textures(h, w):
    """(picture, truth): waves, a chequerboard and grain; the picture at less contrast, with noise."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:h, :w]
    truth = 120 + 50 * np.sin(x / 3) * np.cos(y / 5) + 40 * ((x // 16 + y // 12) % 2) + rng.normal(0, 6, (h, w))
    return 0.9 * truth + 8 + rng.normal(0, 9, (h, w)), truth


def blurred(x):
    """Means of 3x3, edges repeated."""
    wide = np.pad(x, 1, mode="edge")
    return sum(wide[i : i + x.shape[0], j : j + x.shape[1]] for i in range(3) for j in range(3)) / 9


def of(metric, picture, truth, **more):
    return metric(torch.from_numpy(picture.copy()), torch.from_numpy(truth.copy()), **more)


def gaussian(size, sigma):
    line = np.array([math.exp(-((k - size // 2) ** 2) / (2 * sigma**2)) for k in range(size)])
    return np.outer(line, line) / line.sum() ** 2


def moments(a, b, window):
    """Around every whole window: means, variances and covariance, as weighted sums."""
    n = len(window)
    for y in range(a.shape[0] - n + 1):
        for x in range(a.shape[1] - n + 1):
            p, q = a[y : y + n, x : x + n], b[y : y + n, x : x + n]
            mp, mq = (window * p).sum(), (window * q).sum()
            yield (
                mp,
                mq,
                (window * (p - mp) ** 2).sum(),
                (window * (q - mq) ** 2).sum(),
                (window * (p - mp) * (q - mq)).sum(),
            )


def plain_ms_ssim(a, b):
    c1, c2, product = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 1.0
    for scale, weight in enumerate(WEIGHTS):
        light, shape = [], []
        for mp, mq, vp, vq, c in moments(a, b, gaussian(11, 1.5)):
            light.append((2 * mp * mq + c1) / (mp**2 + mq**2 + c1))
            shape.append((2 * c + c2) / (vp + vq + c2))
        product *= float(np.mean(np.multiply(light, shape) if scale == 4 else shape)) ** weight
        a, b = (
            np.array(
                [
                    [np.mean([x[min(r + i, len(x) - 1), min(c + j, len(x[0]) - 1)] for i in (0, 1) for j in (0, 1)])
                     for c in range(0, x.shape[1], 2)]
                    for r in range(0, x.shape[0], 2)
                ]
            )
            for x in (a, b)
        )  # fmt: skip
    return product


def plain_vif(a, b):
    kept = there = 0.0
    for scale in range(1, 5):
        n = 2 ** (5 - scale) + 1
        window = gaussian(n, n / 5)
        if scale > 1:
            a, b = (
                np.array(
                    [
                        [(window * x[r : r + n, c : c + n]).sum() for c in range(0, x.shape[1] - n + 1, 2)]
                        for r in range(0, x.shape[0] - n + 1, 2)
                    ]
                )
                for x in (a, b)
            )
        for _, _, vp, vq, c in moments(a, b, window):
            gain = max(c, 0) / vq
            left = max(vp - gain * c, 1e-10)
            kept += math.log(1 + gain**2 * vq / (left + 2))
            there += math.log(1 + vq / 2)
    return kept / there


def test_ms_ssim_is_that_of_a_plain_loop():
    a, b = textures(161, 164)
    assert of(ms_ssim, a, b, peak=255) == pytest.approx(plain_ms_ssim(a, b), abs=1e-9)


def test_vif_is_that_of_a_plain_loop():
    a, b = textures(44, 47)
    assert of(vif, a, b, peak=255) == pytest.approx(plain_vif(a, b), abs=1e-8)


def test_all_three_are_those_of_other_peoples_code():
    assert of(ms_ssim, *textures(176, 192), peak=255) == pytest.approx(THEIRS["ms-ssim"], abs=2e-6)
    assert of(vif, *textures(96, 111), peak=255) == pytest.approx(THEIRS["vif"], rel=1e-9)
    assert of(ifc, *textures(96, 111)) == pytest.approx(THEIRS["ifc"], rel=1e-7)


@pytest.mark.parametrize(("metric", "best"), [(ms_ssim, 1.0), (vif, 1.0), (ifc, math.inf)])
def test_equal_pictures_have_the_best_value(metric, best):
    truth = textures(170, 180)[1]
    assert of(metric, truth, truth) == pytest.approx(best)


@pytest.mark.parametrize("metric", [ms_ssim, vif, ifc])
def test_more_blur_is_always_worse(metric):
    truth = textures(176, 176)[1]
    steps = [blurred(truth)]
    for _ in range(3):
        steps.append(blurred(steps[-1]))
    scores = [of(metric, x, truth, **({} if metric is ifc else {"peak": 255})) for x in steps]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 1.04 * scores[-1]


@pytest.mark.parametrize("metric", [ms_ssim, vif])
def test_the_peak_only_scales(metric):
    a, b = textures(176, 176)
    assert of(metric, a / 255, b / 255) == pytest.approx(of(metric, a, b, peak=255), rel=1e-6)


def test_more_contrast_than_the_truth_is_a_vif_above_one():
    truth = textures(96, 96)[1]
    assert of(vif, (truth - 128) * 1.2 + 128, truth, peak=255) > 1.02
    assert of(vif, (truth - 128) * 0.8 + 128, truth, peak=255) < 0.98


def test_ifc_knows_no_gain_and_no_offset():
    a, b = textures(96, 96)
    assert of(ifc, 0.5 * a + 30, b) == pytest.approx(of(ifc, a, b), rel=1e-6)


def test_a_flat_truth_has_nothing_to_lose():
    flat, noise = np.full((96, 96), 90.0), textures(96, 96)[0]
    assert of(vif, noise, flat, peak=255) == 1
    assert of(ifc, noise, flat) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("metric", "smallest"), [(ms_ssim, 161), (vif, 41), (ifc, 80)])
def test_the_smallest_pictures_are_measured_and_smaller_ones_refused(metric, smallest):
    assert of(metric, *textures(smallest, smallest)) > 0
    with pytest.raises(ValueError, match=str(smallest)):
        of(metric, *textures(smallest - 1, 300))


def test_several_planes_count_alike():
    a, b = textures(176, 180)
    both = torch.from_numpy(np.stack([a, blurred(b)])), torch.from_numpy(np.stack([b, b]))
    for metric in (ms_ssim, vif, ifc):
        each = [of(metric, a, b), of(metric, blurred(b), b)]
        assert metric(*both) == pytest.approx(np.mean(each))


def test_bicubic_on_set5_has_the_ifc_that_papers_print(shared_data: Path):
    """LapSRN's tables (Lai et al., TPAMI 2019; from memory): 2.337 at x4. They shrink floats, here LR is rounded to 8 bits."""
    from misr import Measure, evaluate_models

    report = evaluate_models(["bicubic"], [shared_data / "test" / "Set5"], Measure(metrics=("psnr", "ifc"), scale=4))
    assert report.rows[0].mean["psnr_db"] == pytest.approx(28.42, abs=0.005)
    assert report.rows[0].mean["ifc"] == pytest.approx(2.337, rel=0.03)
