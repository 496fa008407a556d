"""Shift and pool: HDR-DSP as published, without the faults of its code."""

import pytest
import torch
from torch import Tensor

from misr.nets.lattice import OPTICS, Stack
from misr.nets.shift_and_pool import ShiftAndPool, blurred, grounded, pooled, splat

pytestmark = [pytest.mark.usefixtures("one_thread")]


def small(scale: int = 2, seed: int = 1) -> ShiftAndPool:
    torch.manual_seed(seed)
    return ShiftAndPool(scale=scale, width=8, before=1, after=1)


def shifts(t: int) -> Tensor:
    """Motion (1, t, 2, 1, 1) up to 1.5 px, that of the reference 0."""
    found = 3 * torch.rand(1, t, 2, 1, 1, generator=torch.Generator().manual_seed(t)) - 1.5
    found[:, 0] = 0
    return found


def stack(t: int = 5, h: int = 18, w: int = 21, motion: Tensor | None = None) -> Stack:
    views = torch.rand(1, t, 1, h, w, generator=torch.Generator().manual_seed(t))
    noise = torch.full((1, t, 1, 1, 1), 0.02)
    return Stack(views, torch.ones_like(views), shifts(t) if motion is None else motion, noise, torch.tensor([OPTICS]))


def ramp(t: int, motion: Tensor, size: int = 40) -> Stack:
    """Views of the plane (x + 2 y) / 100, x and y those of the reference."""
    x = torch.arange(size) - motion[:, :, :1]
    y = torch.arange(size)[:, None] - motion[:, :, 1:]
    views = (x + 2 * y) / 100
    return stack(t, size, size, motion)._replace(views=views)


def fuse(net: ShiftAndPool, one: Stack) -> tuple[Tensor, Tensor, Tensor]:
    with torch.inference_mode():
        return net.fuse(one)


def plain(net: ShiftAndPool) -> ShiftAndPool:
    """The net with a decoder that adds nothing: its picture is its base."""
    for p in net.decode[-1].parameters():
        torch.nn.init.zeros_(p)
    return net


# as published


def test_it_is_built_as_published():
    net = ShiftAndPool()
    assert net.encode[0].weight.shape == (64, 2, 3, 3)
    assert net.decode[0].weight.shape == (64, 193, 3, 3)
    assert (len(net.encode) - 2, len(net.decode) - 2) == (4, 10)
    assert {m.padding_mode for m in net.modules() if isinstance(m, torch.nn.Conv2d)} == {"reflect"}


def test_base_and_detail_make_the_view():
    one = stack()
    base = blurred(one.views, one.valid)
    assert base.std() < one.views.std() / 2
    flat = torch.full_like(one.views, 0.3)
    assert torch.allclose(blurred(flat, one.valid), flat, atol=1e-6)


def test_the_pool_is_mean_maximum_and_deviation():
    low, high = torch.full((1, 2, 6, 6), 1.0), torch.full((1, 2, 6, 6), 3.0)
    pool = pooled([low, high, high], stack(3, 6, 6, torch.zeros(1, 3, 2, 1, 1)), width=2, scale=2)
    mean, most, deviation, weight = (p[..., 4:8, 4:8] for p in pool.split([2, 2, 2, 1], 1))
    assert torch.allclose(mean, torch.tensor(7 / 3), atol=1e-4)
    assert torch.allclose(most, torch.tensor(3 / 4), atol=1e-5)  # a sample half a fine pixel away both ways weighs 1/4
    assert torch.allclose(deviation, torch.tensor(8 / 9).sqrt(), atol=1e-3)
    assert torch.allclose(weight.expm1(), torch.tensor(3 / 4), atol=1e-5)


# the splat


@pytest.mark.parametrize("scale", [2, 3])
def test_a_splat_lands_where_the_motion_says(scale):
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 5] = 1
    for dx, dy in [(0.0, 0.0), (0.3, -0.4), (-1.25, 0.5)]:
        out = splat(point, torch.tensor([dx, dy]).reshape(1, 2, 1, 1), scale)[0, 0]
        at = torch.arange(9.0 * scale)
        assert float(out.sum()) == pytest.approx(1, abs=1e-5)
        assert float((out.sum(0) * at).sum()) == pytest.approx(scale * (5 - dx) + (scale - 1) / 2, abs=1e-4)
        assert float((out.sum(1) * at).sum()) == pytest.approx(scale * (4 - dy) + (scale - 1) / 2, abs=1e-4)


def test_samples_out_of_the_picture_are_dropped():
    ones = torch.ones(1, 1, 6, 6)
    away = splat(ones, torch.tensor([3.0, 0]).reshape(1, 2, 1, 1), 2)  # half of the view lies left of the picture
    assert float(away.sum()) < 0.55 * 36
    assert float(away.max()) <= 1
    assert float(splat(ones, torch.tensor([50.0, 0]).reshape(1, 2, 1, 1), 2).abs().max()) == 0


def test_a_field_that_is_a_shift_splats_as_the_shift():
    x, motion = torch.rand(2, 3, 12, 12), torch.tensor([[0.4, -0.7], [0.1, 1.2]]).reshape(2, 2, 1, 1)
    assert torch.allclose(splat(x, motion.expand(2, 2, 12, 12), 2), splat(x, motion, 2), atol=1e-5)


# faults not repeated


@pytest.mark.parametrize("scale", [2, 3])
def test_one_view_is_enough_and_its_deviation_is_finite(scale):
    net, one = small(scale), stack(1)
    assert all(bool(x.isfinite().all()) for x in fuse(net, one))
    net.fuse(one).picture.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters())
    pool = pooled([torch.rand(1, 4, 6, 6)], stack(1, 6, 6, torch.full((1, 1, 2, 1, 1), 0.3)), width=4, scale=2)
    assert float(pool[:, 8:12].abs().max()) < 0.01


@pytest.mark.parametrize("t", [1, 2, 9, 20])
def test_any_number_of_views_is_fine(t):
    picture, sigma, count = fuse(small(), stack(t))
    assert picture.shape == sigma.shape == count.shape == (1, 1, 36, 42)
    assert float(count.max()) == pytest.approx(t, rel=1e-4)
    assert float(sigma.min()) == pytest.approx(0.02 / t**0.5, rel=0.01)


def test_borders_are_right():
    flat = stack(6)._replace(views=torch.full((1, 6, 1, 18, 21), 0.4))
    assert torch.allclose(fuse(plain(small()), flat)[0], torch.tensor(0.4), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("t", [1, 6])
def test_a_ramp_stays_in_place(t, scale):
    one = ramp(t, shifts(t))
    found = fuse(plain(small(scale)), one)[0][0, 0]
    at = (torch.arange(40 * scale) - (scale - 1) / 2) / scale  # in the reference's pixels: the grid is area-aligned
    wanted = (at + 2 * at[:, None]) / 100
    inner = (slice(8 * scale, -8 * scale),) * 2
    off_px = (found - wanted)[inner] * 100 / 3
    assert abs(float(off_px.mean())) < 0.005
    assert float(off_px.abs().max()) < 0.1  # torch's bicubic (a = -3/4) ripples by 1/20 px about a straight line


def test_a_field_that_is_a_shift_gives_the_same_picture():
    one, net = stack(4), small()
    field = one._replace(motion=one.motion.expand(1, 4, 2, 18, 21))
    for a, b in zip(fuse(net, one), fuse(net, field), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


# what every net of bursts keeps


def test_the_order_of_views_changes_nothing():
    net, one = small(), stack(6)
    order = [3, 0, 5, 1, 4, 2]
    other = one._replace(**{k: getattr(one, k)[:, order] for k in ("views", "valid", "motion", "sigma")})
    for a, b in zip(fuse(net, one), fuse(net, other), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("garbage", [9.0, float("nan")])
def test_what_is_under_a_mask_changes_nothing(garbage):
    net, one = small(), stack(4)
    valid = one.valid.clone()
    valid[:, 0, :, :6], valid[:, 2], valid[..., 8:12, 8:12] = 0, 0, 0
    clean = one._replace(valid=valid)
    wrong = clean._replace(views=torch.where(valid > 0, one.views, garbage))
    for a, b in zip(fuse(net, clean), fuse(net, wrong), strict=True):
        assert torch.equal(a, b)
        assert bool(a.isfinite().all())
    fewer = Stack(*(x[:, [0, 1, 3]] for x in clean[:4]), one.optics)
    assert torch.allclose(fuse(net, clean)[0], fuse(net, fewer)[0], atol=1e-6)


def test_where_nothing_is_seen_the_picture_is_finite_and_the_count_is_0():
    one = stack(3)
    for valid in (torch.zeros_like(one.valid), one.valid * (torch.arange(21) < 9)):
        picture, sigma, count = fuse(small(), one._replace(valid=valid))
        assert bool(picture.isfinite().all() and sigma.isfinite().all())
        assert float(count[..., 24:].max()) == 0


def test_a_noisy_view_has_little_say_in_the_base():
    one = stack(2, motion=torch.zeros(1, 2, 2, 1, 1))
    views = torch.cat([torch.full((1, 1, 1, 18, 21), 0.2), torch.full((1, 1, 1, 18, 21), 0.8)], 1)
    noise = torch.tensor([0.01, 0.1]).reshape(1, 2, 1, 1, 1)
    base, sigma, count = grounded(one._replace(views=views, sigma=noise), views, 2)
    assert float(base.max()) < 0.21
    assert float(sigma.max()) < 0.0102
    assert 1 <= float(count.min()) < 1.1


def test_what_is_beyond_the_halo_changes_nothing():
    net = small()
    wide = stack(3, 24, 2 * net.halo + 12, 0.3 * shifts(3))
    other = wide.views.clone()
    other[..., net.halo + 9 :] = torch.rand_like(other[..., net.halo + 9 :])
    found = [fuse(net, wide._replace(views=v))[0][..., :12] for v in (wide.views, other)]
    assert torch.allclose(*found, atol=1e-6)


def test_every_weight_learns_through_the_splat():
    net = small()
    net.fuse(stack(3)).picture.square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)] == []


def test_the_slope_of_the_splat_is_its_adjoint():
    torch.manual_seed(2)
    x, y = torch.rand(1, 2, 7, 8, requires_grad=True), torch.rand(1, 2, 14, 16)
    motion = torch.tensor([0.3, -1.6]).reshape(1, 2, 1, 1)
    (splat(x, motion, 2) * y).sum().backward()
    other = torch.rand(1, 2, 7, 8)
    assert float((x.grad * other).sum()) == pytest.approx(float((splat(other, motion, 2) * y).sum()), rel=1e-5)


def test_registered_views_give_a_picture_for_each_centre():
    net, one = small(), stack(3)
    with torch.inference_mode():
        found = net(one.views, torch.ones(1, 3, 1, 1, 1), range(1, 3))
    assert found.shape == (1, 2, 1, 36, 42)
    assert torch.equal(found[:, 0], found[:, 1])


def test_bfloat16_is_close():
    net, one = small(), stack(4)
    with torch.autocast("cpu", torch.bfloat16):
        rough = fuse(net, one)[0]
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, fuse(net, one)[0], atol=0.02)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_picture():
    net, one = small(), stack(5)
    wanted = fuse(net, one)[0]
    found = fuse(net.cuda(), Stack(*(x.cuda() for x in one)))[0]
    assert torch.allclose(found.cpu(), wanted, atol=1e-3)
