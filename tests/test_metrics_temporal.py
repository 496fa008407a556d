"""Warping error and flicker of clips whose motion is known."""

import cv2
import numpy as np
import pytest
import torch

from misr.metrics import Motion, flicker, motion, warp_error


def scene(h=96, w=128):
    """Smooth structure that optical flow can hold on to, code values 0-255."""
    grain = np.random.default_rng(5).normal(0, 1, (h, w))
    soft = cv2.GaussianBlur(grain, (0, 0), 3)
    return 128 + 90 * soft / np.abs(soft).max()


def frame(picture):
    return torch.from_numpy(np.ascontiguousarray(picture))[None]


def shifted(picture, dx, dy):
    """What was at (x, y) is at (x + dx, y + dy); edges wrap."""
    return np.roll(picture, (dy, dx), (0, 1))


def plain_warp_error(now, before, flow, seen):
    """Bilinear look-up and mean of squares, pixel by pixel."""
    total, count = 0.0, 0
    h, w = now.shape
    for y in range(h):
        for x in range(w):
            if not seen[y, x]:
                continue
            u, v = x + flow[y, x, 0], y + flow[y, x, 1]
            x0, y0 = int(np.floor(u)), int(np.floor(v))
            fx, fy = u - x0, v - y0
            there = sum(
                (fx if i else 1 - fx) * (fy if j else 1 - fy) * before[min(max(y0 + j, 0), h - 1), min(max(x0 + i, 0), w - 1)]
                for i in (0, 1)
                for j in (0, 1)
            )  # fmt: skip
            total += ((now[y, x] - there) / 255) ** 2
            count += 1
    return 1000 * total / count


def test_motion_points_to_where_a_pixel_was():
    before = scene()
    found = motion(frame(shifted(before, 3, -2)), frame(before))
    inner = found.flow[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(-3, abs=0.2)
    assert np.median(inner[..., 1]) == pytest.approx(2, abs=0.2)
    assert found.seen[16:-16, 16:-16].mean() > 0.95


def test_what_leaves_or_is_uncovered_is_not_seen():
    before = scene()
    found = motion(frame(shifted(before, 8, 0)), frame(before))
    assert found.seen[:, :6].mean() < 0.4  # came in from beyond the edge
    ground, thing = scene(), 255 - scene(48, 48)
    before, now = ground.copy(), ground.copy()
    before[24:72, 30:78], now[24:72, 40:88] = thing, thing
    found = motion(frame(now), frame(before))
    assert found.seen[30:66, 31:39].mean() < 0.6  # ground that the thing hid
    assert found.seen[30:66, 46:82].mean() > 0.8


def test_the_warping_error_is_that_of_a_plain_loop():
    rng = np.random.default_rng(2)
    now, before = scene(20, 24), scene(20, 24) + rng.normal(0, 5, (20, 24))
    sixteenths = rng.integers(-48, 48, (20, 24, 2)) / 16  # OpenCV interpolates in steps of 1/32
    moved = Motion(sixteenths.astype(np.float32), rng.random((20, 24)) < 0.7)
    expected = plain_warp_error(now, before, moved.flow, moved.seen)
    assert warp_error(frame(now), frame(before), moved) == pytest.approx(expected, rel=1e-4)


def test_a_clip_that_only_moves_has_no_warping_error_and_a_restless_one_has_its_noise():
    before = scene()
    now = shifted(before, 2, 1)
    moved = motion(frame(now), frame(before))
    assert warp_error(frame(now), frame(before), moved) < 0.2
    rng = np.random.default_rng(1)
    restless = [frame(x + rng.normal(0, 10, x.shape)) for x in (now, before)]
    noise = 1000 * 2 * (10 / 255) ** 2  # of the difference of two; interpolation takes some off one of them
    assert 0.5 * noise < warp_error(*restless, moved) < 1.1 * noise


def test_flicker_counts_static_pixels_alone():
    still = scene()
    moving = still.copy()
    moving[:, 64:] = shifted(scene(96, 64), 5, 0)
    truth = frame(moving), frame(still)  # the left half is static
    assert flicker(truth, truth) == 0
    nervous = moving.copy()
    nervous[:, :50] += 4
    assert flicker((frame(nervous), frame(still)), truth) == pytest.approx(4 * 50 / 62, rel=0.02)
    nervous = moving.copy()
    nervous[:, 70:] += 40
    assert flicker((frame(nervous), frame(still)), truth) == 0


def test_a_calmer_result_than_its_reference_has_negative_flicker():
    still, noise = scene(), np.random.default_rng(4).uniform(-0.9, 0.9, (96, 128))
    assert flicker((frame(still), frame(still)), (frame(still + noise), frame(still))) == pytest.approx(-0.45, abs=0.02)


def test_where_nothing_is_static_or_seen_there_is_no_value():
    a, b = frame(scene()), frame(scene() + 20)
    assert flicker((a, b), (a, b)) is None
    assert warp_error(a, b, Motion(np.zeros((96, 128, 2), np.float32), np.zeros((96, 128), bool))) is None


def test_planes_share_one_motion():
    before = scene()
    both = [torch.cat([frame(x), frame(255 - x)]) for x in (shifted(before, 2, 0), before)]
    moved = motion(frame(shifted(before, 2, 0)), frame(before))
    assert warp_error(*both, moved) == pytest.approx(
        warp_error(frame(shifted(before, 2, 0)), frame(before), moved), abs=1e-4
    )
