"""Synthetic bursts: the views show the truth, what is told of them is right, and what is drawn is drawn again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from misr.nets.lattice import OPTICS, Camera
from misr.train import burst_lessons, bursts
from misr.train.camera import Dice
from tests.test_train import texture
from tests.test_train_bursts import size_of, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


def flat_truth(b, h=72, w=80):
    """Pictures (b, 1, 2h, 2w) about mid-grey: there the noise that follows the signal is as large as the other."""
    detail = torch.stack([torch.from_numpy(texture(2 * h, 2 * w, n)).float() for n in range(b)])[:, None]
    return 0.5 + 0.1 * (detail - detail.mean()) / detail.std()


def residual(known):
    """What views (b, t, 1, h, w) show beyond the truth, their light apart, and where it counts."""
    stack = known.stack
    inner = (..., slice(8, -8), slice(8, -8))
    clean, views, valid = (x[inner] for x in (Camera(stack, 2).see(known.truth), stack.views, stack.valid))
    gain, offset = [], []
    for x, y, v in zip(clean.flatten(0, 1), views.flatten(0, 1), valid.flatten(0, 1), strict=True):
        a, b = np.polyfit(x[v > 0].numpy(), y[v > 0].numpy(), 1)
        gain.append(a)
        offset.append(b)
    shape = (*views.shape[:2], 1, 1, 1)
    return views - torch.tensor(gain).reshape(shape).float() * clean - torch.tensor(offset).reshape(
        shape
    ).float(), valid


@pytest.mark.parametrize("plain", [True, False])
def test_views_show_the_truth_to_within_the_noise_that_is_told(plain):
    how = bursts.Conditions(optics=(OPTICS, OPTICS), noise=(0.02, 0.02), off=(1e-9, 1e-9), plain=plain)
    masked = 0
    for seed in range(5):
        known = bursts.made(flat_truth(3), 3, 2, how, Dice(seed))
        off, valid = residual(known)
        std = ((off.square() * valid).sum((-2, -1)) / valid.sum((-2, -1))).sqrt()[..., None, None]
        ratio = known.stack.sigma / std
        limit = 0.05 if plain else 0.2 + 0.06
        assert 1 - limit < float(ratio.min())
        assert float(ratio.max()) < 1 + limit
        assert float((off.abs() * valid / std).max()) < 7  # no garbage but under masks
        masked += int((valid == 0).sum())
        assert torch.isfinite(known.stack.views).all()
    assert (masked > 0) == (not plain)


def test_the_motion_told_is_off_by_as_much_as_was_asked():
    how = bursts.Conditions(off=(1e-9, 1e-9), far=1.0)
    exact = bursts.made(flat_truth(8, 24, 24), 9, 2, how, Dice(1)).stack
    told = bursts.made(flat_truth(8, 24, 24), 9, 2, replace(how, off=(0.05, 0.05)), Dice(1)).stack
    assert torch.equal(exact.views, told.views)
    assert not (told.motion - exact.motion)[:, 0].any()
    assert not told.motion[:, 0].any()
    assert size_of((told.motion - exact.motion)[:, 1:]) == pytest.approx(0.05, rel=0.2)
    assert 0.9 < float(exact.motion.abs().max()) <= 1.0


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip((*a.stack, a.truth), (*b.stack, b.truth), strict=True))


def test_synthetic_bursts_go_on_with_exactly_the_next_batch():
    stills = [texture(80, 90, n) for n in range(2)]
    make = {"scale": 3, "crop": 8, "device": torch.device("cpu"), "samples": 12, "longest": 6}
    one, two = (bursts.Bursts(stills, **make, seed=n) for n in (1, 2))
    one.draw()
    two.restore(one.state())
    drawn = [(one.draw(), two.draw()) for _ in range(4)]
    assert all(same(a, b) for a, b in drawn)
    assert not same(drawn[0][0], drawn[1][0])
    for a, _ in drawn:
        b, t, _, h, w = a.stack.views.shape
        assert (h, w) == (8, 8)
        assert a.truth.shape == (b, 1, 24, 24)
        assert t <= 6


def test_trials_are_always_the_same():
    stills = [texture(96, 96, n) for n in range(2)]
    for usual in (True, False):
        make = {"scale": 2, "crop": 24, "count": 2, "usual": usual}
        first, again = (bursts.trials(stills, **make) for _ in range(2))
        assert all(same(a, b) for a, b in zip(first, again, strict=True))
        if usual:
            assert all(it.stack.views.shape[1] == 9 and bool((it.stack.sigma == 0.01).all()) for it in first)


def test_calibration_covers_as_many_errors_as_it_promises():
    those = bursts.trials([texture(96, 96, 1)], scale=2, crop=24, count=2, usual=False)
    net = tiny()
    for _ in range(2):  # the second time it has nothing left to do
        burst_lessons.calibrate(net, those=those)
        with torch.inference_mode():
            each = [(net.fuse(it.stack), it.truth) for it in those]
        within = torch.cat([((f.picture - t).abs() <= 1.96 * f.sigma).float().flatten() for f, t in each])
        assert float(within.mean()) == pytest.approx(0.95, abs=0.02)
    burst_lessons.calibrate(tiny("misr_gru"), those=those)  # which promises nothing of its own


def test_the_surprise_teaches_the_deviation_alone():
    net = tiny()
    known = bursts.trials([texture(96, 96, 1)], scale=2, crop=24, count=1)[0]
    made, doubt, _ = net.pictures(known.stack)
    doubt.sum().backward()
    touched = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"doubt"}
    net.zero_grad()
    bursts.supervised(net, known, False).backward()
    assert all(bool(p.grad.any()) for p in net.decode.parameters())
    assert len(made) == 1
