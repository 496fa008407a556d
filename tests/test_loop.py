"""Laws of the training loop: it goes down, stops and goes on as if it had not, and a broken batch does no harm."""

import json

import pytest
import torch
import torch.nn.functional as F

from misr.nets import Fast
from misr.train.loop import Recipe, Run, distance, rate, train
from misr.train.scenes import Batch
from misr.train.soap import Soap
from misr.train.video import supervised

RECIPE = Recipe(steps=24, warm_up=2, bf16=False)


pytestmark = pytest.mark.usefixtures("one_thread")


class Noise:
    """A source of pictures that are the bicubic and a little more, from one generator."""

    def __init__(self, scale=2):
        self.dice, self.scale, self.broken = torch.Generator().manual_seed(5), scale, -1
        self.drawn = 0

    def draw(self):
        self.drawn += 1
        views = torch.rand(2, 1, 1, 12, 12, generator=self.dice)
        sharp = Fast(scale=self.scale).base(views[:, 0]) + 0.1 * (views[:, 0] - 0.5)
        sharp = F.pixel_shuffle(sharp, self.scale)[:, None]
        return Batch(views * (float("nan") if self.drawn == self.broken else 1), sharp)

    def state(self):
        return self.dice.get_state()

    def restore(self, state):
        self.dice.set_state(state)


def fast(scale=2, **options):
    torch.manual_seed(0)
    return Fast(scale=scale, **({"width": 8, "depth": 3} | options))


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_soap_goes_down_a_crooked_valley_faster_than_adam():
    torch.manual_seed(0)
    x = torch.randn(256, 12) @ torch.diag(torch.logspace(0, -1.5, 12)) @ torch.linalg.qr(torch.randn(12, 12))[0]
    wanted = x @ torch.randn(12, 4)

    def end(make):
        w = torch.zeros(4, 12, requires_grad=True)
        optimiser = make([w])
        for _ in range(200):
            optimiser.zero_grad()
            F.mse_loss(x @ w.T, wanted).backward()
            optimiser.step()
        return float(F.mse_loss(x @ w.detach().T, wanted))

    begin = float(wanted.square().mean())
    adam, soap = end(lambda p: torch.optim.Adam(p, lr=0.03)), end(lambda p: Soap(p, lr=0.03))
    assert soap < adam / 2
    assert soap < begin / 100


@pytest.mark.parametrize("kind", ["smooth-l1", "charbonnier", "l2"])
def test_a_distance_is_nothing_at_nothing_and_grows(kind):
    zero = torch.zeros(4, 4)
    values = [float(distance(zero + error, zero, squares=False, kind=kind)) for error in (0, 0.01, 0.05, 0.2)]
    assert values[0] == pytest.approx(0, abs=1e-9) and values == sorted(values) and values[-1] > values[0]


def test_the_last_part_is_squares_over_one_code_value():
    error = torch.tensor([0.3, -0.1])
    assert float(distance(error, torch.zeros(2), squares=True)) == pytest.approx(0.05 * 255 / 2)


@pytest.mark.parametrize("longest", [0, 40])
def test_soap_learns_a_kernel_as_a_matrix_or_as_a_block(longest):
    torch.manual_seed(0)
    kernel, target = torch.zeros(6, 5, 3, 3, requires_grad=True), torch.randn(6, 5, 3, 3)
    soap = Soap([kernel], lr=3e-2, longest=longest)
    for _ in range(250):
        x = torch.randn(4, 5, 8, 8) * torch.logspace(0, -1, 5)[:, None, None]
        loss = F.mse_loss(F.conv2d(x, kernel), F.conv2d(x, target))
        soap.zero_grad()
        loss.backward()
        soap.step()
    state = soap.state[kernel]
    assert [len(state["basis_" + a]) for a in "lrs" if "basis_" + a in state] == ([6, 5, 9] if longest else [6, 45])
    assert loss < 0.01 * target.square().sum() / 6


def test_there_can_be_enough_before_the_end(tmp_path):
    run = Run(RECIPE, fast(), tmp_path)
    train(run, Noise(), supervised, lambda net: 0.0, every=100, enough=lambda: run.step == 5)
    again = Run(RECIPE, fast(), tmp_path)
    assert again.step == 5 and same(run.net, again.net)


def test_the_rate_rises_then_falls_to_its_end():
    recipe = Recipe(steps=1000, warm_up=100)
    rates = [rate(recipe, n, n / 1000) for n in range(1000)]
    assert rates[:99] == sorted(rates[:99])
    assert rates[99:] == sorted(rates[99:], reverse=True)
    assert max(rates) == pytest.approx(recipe.rate, rel=0.03)
    assert rates[-1] < 2 * recipe.rate_end


@pytest.mark.parametrize("scale", [2, 4])
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path, scale):
    """Bit for bit, weights, average and data."""
    whole = Run(RECIPE, fast(scale), tmp_path / "whole")
    train(whole, Noise(scale), supervised, lambda net: 0.0, every=13)

    class Stop(Exception):
        pass

    def stop(run):
        if run.step == 17:
            raise Stop

    with pytest.raises(Stop):
        train(Run(RECIPE, fast(scale), tmp_path / "parts"), Noise(scale), supervised, lambda net: 0.0, every=13,
              stepped=stop)  # fmt: skip
    again = Run(RECIPE, fast(scale), tmp_path / "parts")
    assert again.step == 13
    train(again, Noise(scale), supervised, lambda net: 0.0, every=13)
    assert again.step == 24 and same(whole.net, again.net) and same(whole.average, again.average)
    first, second = ((tmp_path / n / "log.jsonl").read_text().splitlines() for n in ("whole", "parts"))
    assert [json.loads(a)["loss"] for a in first] == [json.loads(b)["loss"] for b in second]


def test_training_lowers_the_loss(tmp_path):
    lines = []
    run = Run(Recipe(steps=80, warm_up=5, bf16=False), fast(4), tmp_path)
    train(run, Noise(4), supervised, lambda net: 0.0, every=10, tell=lines.append)
    assert len(lines) == 8 and lines[5]["loss"] < lines[0]["loss"] / 2  # before the squares


def test_a_gradient_that_is_not_finite_moves_nothing(tmp_path):
    run, source = Run(RECIPE, fast(), tmp_path), Noise()
    source.broken = 1
    before = [p.clone() for p in run.net.parameters()]
    run.update(lambda net, squares: supervised(net, source.draw(), squares))
    assert run.step == 1 and all(torch.equal(a, b) for a, b in zip(before, run.net.parameters(), strict=True))
    assert torch.isfinite(run.update(lambda net, squares: supervised(net, source.draw(), squares)))


def test_a_checkpoint_of_before_the_ranks_is_taken_up(tmp_path):
    run, source = Run(RECIPE, fast(), tmp_path), Noise()
    run.update(lambda net, squares: supervised(net, source.draw(), squares))
    run.save(source)
    state = torch.load(run.path, weights_only=True)
    state["source"] = state.pop("sources")[0]
    torch.save(state, run.path)
    again = Run(RECIPE, fast(), tmp_path)
    assert again.step == 1 and torch.equal(again.source_state, source.state())
