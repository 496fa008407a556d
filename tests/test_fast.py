"""Fast is the bicubic plus a local detail; what trains is what ships; a run that stops goes on as if it had not."""

import pytest
import torch
import torch.nn.functional as F

from misr.nets import Fast
from misr.resample import phases
from misr.train.loop import Recipe, Run, pull, rate
from misr.train.soap import Soap

ONE = torch.ones(1, 1, 1, 1, 1)


def net(scale, **options):
    torch.manual_seed(0)
    return Fast(scale=scale, **options).eval().requires_grad_(False)


@pytest.mark.parametrize(("scale", "cell"), [(2, 1), (2, 2), (3, 1), (4, 1), (4, 2)])
def test_without_detail_it_is_the_bicubic(scale, cell):
    bare = net(scale, cell=cell)
    for p in bare.layers[-1].parameters():
        p.zero_()
    x = torch.rand(2, 1, 1, 18, 22)
    expected = F.pixel_shuffle(phases(x[:, 0], scale), scale)
    torch.testing.assert_close(bare(x, ONE, range(1))[:, 0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("scale", "cell"), [(2, 1), (2, 2), (4, 1)])
def test_phases_are_the_picture_before_its_shuffle(scale, cell):
    it, x = net(scale, cell=cell), torch.rand(1, 3, 1, 12, 16)
    cells = it.phases(x, ONE, range(1, 3))
    assert cells.shape == (1, 2, (it.cell * scale) ** 2, 12 // it.cell, 16 // it.cell)
    torch.testing.assert_close(F.pixel_shuffle(cells[0], it.cell * scale), it(x, ONE, range(1, 3))[0])


@pytest.mark.parametrize("scale", [2, 4])
def test_only_the_centres_are_looked_at(scale):
    it, x = net(scale), torch.rand(1, 3, 1, 12, 16)
    other = x.clone()
    other[:, [0, 2]] = float("nan")
    assert torch.equal(it(x, ONE, range(1, 2)), it(other, ONE, range(1, 2)))


@pytest.mark.parametrize(("scale", "cell"), [(2, 1), (2, 2), (4, 1)])
def test_nothing_beyond_the_halo_changes_a_pixel(scale, cell):
    it, x = net(scale, depth=3, cell=cell), torch.rand(1, 1, 1, 40, 40)
    other = x.clone()
    other[..., 20:22, 20:22] += 0.5
    changed = (it(x, ONE, range(1)) != it(other, ONE, range(1)))[0, 0, 0].nonzero() // scale
    assert len(changed)
    assert changed.min() >= 20 - it.halo
    assert changed.max() <= 21 + it.halo


def test_the_base_stays_exact_under_bf16():
    it, x = net(2), torch.rand(1, 1, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(it.base(x), net(2).base(x))
        assert it.detail(x).dtype == torch.bfloat16


def test_it_has_the_size_it_is_meant_to_have():
    assert sum(p.numel() for p in Fast(scale=4).parameters()) == 160 + 5 * 2320
    assert sum(p.numel() for p in Fast(scale=2).parameters()) == 160 + 4 * 2320 + 580
    assert sum(p.numel() for p in Fast(scale=2, cell=2).parameters()) == 592 + 5 * 2320


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


def test_pull_is_the_gradient_of_its_loss():
    error = torch.linspace(-0.05, 0.05, 41, requires_grad=True)
    F.smooth_l1_loss(error, torch.zeros(41), beta=1 / 255).backward()
    torch.testing.assert_close(pull(error.detach(), squares=False), error.grad)
    error.grad = None
    (F.mse_loss(error, torch.zeros(41)) * 255 / 2).backward()
    torch.testing.assert_close(pull(error.detach(), squares=True), error.grad)


def test_the_rate_rises_then_falls_to_its_end():
    recipe = Recipe(iterations=1000, warm_up=100)
    rates = [rate(recipe, n) for n in range(1000)]
    assert max(rates) == rates[99] == recipe.rate
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 2 * recipe.rate_end


def batch(n, scale):
    g = torch.Generator().manual_seed(n)
    return torch.rand(2, 1, 8, 8, generator=g), torch.rand(2, scale**2, 8, 8, generator=g)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path, scale):
    recipe = Recipe(scale=scale, iterations=24, warm_up=2, bf16=False)
    whole, first = Run(recipe, tmp_path / "whole"), Run(recipe, tmp_path / "parts")
    for n in range(24):
        whole.update(*batch(n, scale))
    for n in range(13):
        first.update(*batch(n, scale))
    first.save()
    second = Run(recipe, tmp_path / "parts")
    assert second.step == 13
    for n in range(13, 24):
        second.update(*batch(n, scale))
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_training_lowers_the_error(tmp_path):
    torch.manual_seed(1)
    run = Run(Recipe(scale=4, iterations=60, warm_up=5, bf16=False), tmp_path)
    soft = torch.rand(4, 1, 12, 12)
    cells = run.net.base(soft) + 0.1 * (soft - 0.5)
    errors = [float(run.update(soft, cells)) for _ in range(60)]
    assert errors[-1] < errors[0] / 2
