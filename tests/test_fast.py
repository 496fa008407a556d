"""Fast is the bicubic plus a local detail; what trains is what ships."""

import pytest
import torch
import torch.nn.functional as F

from misr.nets import Fast
from misr.resample import phases

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
