"""PSNR and SSIM against plain numpy, and the papers' luma and BI against hand-made values."""

import math

import numpy as np
import pytest
import torch

from misr.metrics import bi, cropped, luma601, luma_psnr_db, luma_ssim, psnr_db, ssim


def two_pictures(h=40, w=48):
    rng = np.random.default_rng(3)
    truth = rng.integers(16, 236, (h, w)).astype(np.float64)
    return np.clip(truth + rng.normal(0, 9, (h, w)), 0, 255), truth


def plain_ssim(a, b, peak):
    at = np.arange(11) - 5
    line = np.exp(-(at**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y:y + 11, x:x + 11], b[y:y + 11, x:x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            c = (window * (p - mp) * (q - mq)).sum()
            c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
            values.append((2 * mp * mq + c1) * (2 * c + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


def test_psnr_is_that_of_numpy():
    a, b = two_pictures()
    expected = 10 * math.log10(255**2 / np.mean((a - b) ** 2))
    assert psnr_db(torch.from_numpy(a), torch.from_numpy(b), peak=255) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_one_step_everywhere_is_48_13_db():
    assert psnr_db(torch.full((8, 8), 101.0), torch.full((8, 8), 100.0), peak=255) == pytest.approx(48.1308, abs=1e-3)
    assert psnr_db(torch.ones(3, 3), torch.ones(3, 3)) == math.inf


def test_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        psnr_db(torch.zeros(4, 4), torch.zeros(4, 5))
    with pytest.raises(ValueError, match="shape"):
        ssim(torch.zeros(10, 40), torch.zeros(10, 40))


def test_ssim_is_that_of_a_plain_loop():
    a, b = two_pictures(24, 20)
    assert ssim(torch.from_numpy(a), torch.from_numpy(b), peak=255) == pytest.approx(plain_ssim(a, b, 255), abs=1e-9)
    assert ssim(torch.from_numpy(b), torch.from_numpy(b), peak=255) == pytest.approx(1, abs=1e-12)


def test_luma_of_the_corners_of_rgb():
    rgb = torch.tensor([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=torch.uint8)
    assert luma601(rgb).tolist() == [[16, 235, 81, 145, 41]]  # as MATLAB's rgb2ycbcr gives for uint8


def test_the_border_does_not_count():
    truth = torch.from_numpy(two_pictures()[1])
    wrong = truth.clone()
    wrong[:4] = wrong[-4:] = 0
    wrong[:, :4] = wrong[:, -4:] = 255
    assert luma_psnr_db(wrong, truth, 4) == math.inf
    assert luma_ssim(wrong, truth, 4) == pytest.approx(1, abs=1e-12)
    wrong[4, 4] += 50
    assert luma_psnr_db(wrong, truth, 4) < 60


def test_pictures_are_rounded_before_they_are_measured():
    truth = torch.full((20, 20), 100.0)
    assert luma_psnr_db(truth + 0.4, truth, 2) == math.inf
    assert luma_psnr_db(truth + 0.6, truth, 2) == pytest.approx(48.1308, abs=1e-3)


def test_cropped_leaves_whole_cells():
    assert cropped(torch.zeros(11, 14), 4).shape == (8, 12)


def test_bi_keeps_flat_pictures_and_rounds():
    assert (bi(torch.full((16, 24), 77.0), 4) == 77).all()
    out = bi(torch.from_numpy(two_pictures()[1]), 4)
    assert out.shape == (10, 12)
    assert torch.equal(out, out.round())
