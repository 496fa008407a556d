"""Pairs with known motion: the flow brings one view onto the other, and Motion learns from it."""

import pytest
import torch

from misr.nets.motion import Motion, inside, warp
from misr.train import pairs
from misr.train.camera import Path
from misr.train.loop import Recipe, Run
from misr.train.pairs import Pairs, between, error_px, learn, missed
from tests.test_train import texture

pytestmark = pytest.mark.usefixtures("one_thread")


OPTIONS = {"levels": 2, "width": 8, "depth": 1}
STILLS = [texture(360, 400), texture(380, 360, seed=2)]


def source(**more):
    return Pairs(STILLS, **({"scale": 2, "crop": 64, "many": 6, "seed": 3} | more))


def residuals(it):
    """Mean differences of each pair before and after warping, in code values, where the flow stays inside."""
    seen = inside(it.flow)
    plain, warped = ((255 * (x - it.here).abs() * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3)) for x in
                     (it.there, warp(it.there, it.flow, "bicubic")))  # fmt: skip
    return plain, warped


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_flow_brings_there_onto_here(scale):
    plain, warped = residuals(source(layers=0, scale=scale, crop=48).draw())
    assert warped.max() < 5 and (warped < plain + 0.3).all() and warped.mean() < plain.mean() / 3


def test_so_it_does_where_something_in_front_moves_apart():
    """All but what is hidden from one view, and the soft edge."""
    it = source(layers=1, many=8).draw()
    off = 255 * (warp(it.there, it.flow, "bicubic") - it.here).abs() * inside(it.flow)
    still = 255 * (it.there - it.here).abs()
    assert off.median() < 1.5 and off.mean() < still.mean() / 3
    spread = it.flow.flatten(2).amax(2) - it.flow.flatten(2).amin(2)
    assert spread.amax() > 1


def test_a_known_shift_is_the_same_flow_everywhere(monkeypatch):
    """The camera goes right and down, so that what it sees goes left and up."""
    shift = torch.tensor([3.0, -5.0])

    def way(dice, scale):
        return Path(torch.stack([0 * shift, shift]), torch.zeros(2), torch.full((2,), 0.9), torch.zeros(2, 2))

    monkeypatch.setattr(pairs, "way", way)
    it = source(layers=0).draw()
    assert torch.allclose(it.flow, -shift[None, :, None, None] / 2 * torch.ones_like(it.flow), atol=2e-3)
    assert residuals(it)[1].max() < 2


def test_one_pose_twice_is_no_motion():
    poses = Path(torch.ones(2, 2), torch.full((2,), 0.3), torch.full((2,), 0.8), torch.full((2, 2), 1e-4)).poses()
    assert between(poses, 20).abs().max() < 1e-4


def test_the_same_seed_gives_the_same_pairs_and_goes_on():
    one, other = source(many=2), source(many=2)
    one.draw()
    other.restore(one.state())
    a, b = one.draw(), other.draw()
    assert torch.equal(a.here, b.here) and torch.equal(a.flow, b.flow)


def test_the_truth_loses_next_to_nothing():
    it = source(many=2).draw()
    net = Motion(levels=2, width=4, depth=1)
    start = missed(net, it)
    net.fields = lambda here, there: [torch.nn.functional.avg_pool2d(it.flow, 2) / 2]
    assert missed(net, it) < 0.03 < start


def test_some_steps_lower_the_loss(tmp_path):
    torch.manual_seed(0)
    run, it = (
        Run(Recipe(steps=60, warm_up=20, bf16=False), Motion(**OPTIONS, repeats=1), tmp_path),
        source(crop=32).draw(),
    )
    losses = [float(run.update(lambda net, squares: missed(net, it))) for _ in range(30)]
    assert losses[-1] < 0.85 * losses[0]


def test_what_was_learned_once_is_there_already(tmp_path):
    def learned():
        recipe = Recipe(steps=8, warm_up=8)
        return learn(STILLS, STILLS, tmp_path, recipe, options=OPTIONS, scale=2, crop=32, many=2, every=50)

    net, again = learned(), learned()
    assert net.repeats == 2 and all(
        torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True)
    )
    assert error_px(net, [source(seed=9, crop=32).draw()])[0] < 3
