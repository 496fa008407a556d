"""What every net that fuses bursts must hold, whether it learned or not: a list of laws, and the nets it is read to."""

from collections.abc import Callable
from itertools import pairwise
from math import pi

import pytest
import torch
from torch import Tensor, nn

from misr import zoo
from misr.nets import NETS
from misr.nets.lattice import OPTICS, Camera, Fused, Stack

SMALL = {  # options that make a net quick; the rest of its options as they are
    "burst": {"width": 8, "blocks": 1, "steps": 2},
    "misr_gru": {"width": 8, "blocks": 1},
    "shift_and_pool": {"width": 8, "before": 1, "after": 1},
}
BURSTS = [name for name, net in NETS.items() if getattr(net, "bursts", False)]
TRAINED = [name for name in zoo.names() if zoo.fuses(it := zoo.card(name)) and it.scale == 2]
PLAIN = [name for name in BURSTS if name in zoo.METHODS]  # they need no training to be right
CARRIED = {"shift-and-add": 0.05, "map": 0.6} | dict.fromkeys(
    TRAINED, 0.6
)  # least of a wave above Nyquist that comes back
ORDERED = {"misr_gru"}  # reads its views one by one, as published

pytestmark = pytest.mark.usefixtures("one_thread")


def made(name: str, scale: int = 2) -> nn.Module:
    """A net of which every part does something, or a shipped model."""
    if name in TRAINED:
        return zoo.build(name)[0]
    torch.manual_seed(3)
    net = NETS[name](scale=scale, **SMALL.get(name, {}))
    for parameter in net.parameters():
        if not bool(parameter.abs().sum() > 0):
            nn.init.normal_(parameter, std=0.02)
    return net


def shifts(t: int, reach: float = 1.5) -> Tensor:
    """Motion (1, t, 2, 1, 1); that of the reference is 0."""
    found = reach * (2 * torch.rand(1, t, 2, 1, 1, generator=torch.Generator().manual_seed(t)) - 1)
    found[:, 0] = 0
    return found


def smooth(h: int, w: int, seed: int = 0) -> Tensor:
    """A picture (1, 1, h, w) about 0.5 with detail up to its own Nyquist."""
    chance = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 1, h // 4 + 2, w // 4 + 2, generator=chance)
    large = nn.functional.interpolate(rough, (h, w), mode="bicubic")
    return 0.2 + 0.5 * large + 0.1 * torch.rand(1, 1, h, w, generator=chance)


def views_of(picture: Tensor, motion: Tensor, scale: int, noise: float = 0.0) -> Stack:
    """What cameras with this motion see of a fine picture (1, 1, s*h, s*w)."""
    t, (h, w) = motion.shape[1], (n // scale for n in picture.shape[-2:])
    blank = torch.zeros(1, t, 1, h, w)
    sigma = torch.full((1, t, 1, 1, 1), max(noise, 0.005))
    stack = Stack(blank, torch.ones_like(blank), motion, sigma, torch.tensor([OPTICS]))
    seen = Camera(stack, scale).see(picture)
    return stack._replace(views=seen + noise * torch.randn(seen.shape, generator=torch.Generator().manual_seed(t)))


def burst(t: int = 5, h: int = 20, w: int = 24, scale: int = 2, reach: float = 1.5) -> Stack:
    return views_of(smooth(scale * h, scale * w), shifts(t, reach), scale, 0.01)


@torch.inference_mode()
def fuse(net: nn.Module, stack: Stack) -> Fused:
    return net.fuse(stack)


def field(stack: Stack) -> Stack:
    """The same motion, told for every pixel."""
    return stack._replace(motion=stack.motion.expand(*stack.motion.shape[:3], *stack.views.shape[-2:]).contiguous())


def masked(stack: Stack) -> Stack:
    """Clouds of three kinds: part of the reference, a whole view, the same place in all views."""
    valid = stack.valid.clone()
    valid[:, 0, :, :6, :9], valid[:, 2], valid[..., 9:13, 12:17] = 0, 0, 0
    return stack._replace(valid=valid)


def alike(a: Fused, b: Fused, atol: float) -> bool:
    return all(torch.allclose(x, y, atol=atol) for x, y in zip(a, b, strict=True))


# the contract


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("name", BURSTS)
def test_picture_sigma_and_count_are_on_the_fine_grid(name, scale):
    net = made(name, scale)
    assert net.scale == scale
    assert isinstance(net.halo, int)
    found = fuse(net, burst(h=11, w=14, scale=scale))
    assert {x.shape for x in found} == {(1, 1, 11 * scale, 14 * scale)}
    assert float(found.sigma.min()) > 0
    assert float(found.count.min()) >= 0


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", BURSTS)
def test_a_batch_of_bursts_is_the_loop_over_them(name, kind: Callable[[Stack], Stack]):
    net = made(name)
    pair = kind(burst(4)), kind(burst(4)._replace(views=burst(5).views[:, 1:], sigma=torch.full((1, 4, 1, 1, 1), 0.03)))
    both = fuse(net, Stack(*(torch.cat(parts) for parts in zip(*pair, strict=True))))
    for n, one in enumerate(pair):
        assert alike(Fused(*(x[n : n + 1] for x in both)), fuse(net, one), 1e-5)


@pytest.mark.parametrize("name", BURSTS)
def test_a_call_leaves_the_net_as_it_was(name):
    net, stack = made(name), burst()
    first = fuse(net, stack)
    fuse(net, burst(3, 16, 16))
    assert alike(fuse(net, stack), first, 0)


@pytest.mark.parametrize("name", BURSTS)
def test_registered_views_are_a_burst_without_motion(name):
    net, stack = made(name), burst(reach=0)
    with torch.inference_mode():
        found = net(stack.views, torch.ones(1, 5, 1, 1, 1), range(1))
    wanted = fuse(net, stack._replace(sigma=torch.full_like(stack.sigma, 0.01)))
    assert torch.allclose(found[:, 0], wanted.picture, atol=1e-6)


# masks


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("garbage", [9.0, -1e4])
@pytest.mark.parametrize("name", BURSTS)
def test_garbage_under_a_mask_changes_nothing(name, garbage, kind: Callable[[Stack], Stack]):
    net, stack = made(name), kind(masked(burst()))
    wrong = stack._replace(views=torch.where(stack.valid > 0, stack.views, garbage))
    found = fuse(net, wrong)
    assert alike(found, fuse(net, stack._replace(views=stack.views * stack.valid)), 1e-5)
    assert all(bool(x.isfinite().all()) for x in found)


@pytest.mark.parametrize("name", BURSTS)
def test_nan_under_a_mask_of_registered_views_changes_nothing(name):
    net, stack = made(name), masked(burst(reach=0))
    with torch.inference_mode():
        clean = net(stack.views * stack.valid, stack.valid, range(1))
        wrong = net(torch.where(stack.valid > 0, stack.views, torch.nan), stack.valid, range(1))
    assert torch.equal(clean, wrong)
    assert bool(clean.isfinite().all())


@pytest.mark.parametrize("name", BURSTS)
def test_a_view_that_is_not_valid_might_as_well_not_be_there(name):
    net, stack = made(name), burst()
    valid = stack.valid.clone()
    valid[:, [1, 3]] = 0
    fewer = Stack(*(x[:, [0, 2, 4]] for x in stack[:4]), stack.optics)
    assert alike(fuse(net, stack._replace(valid=valid)), fuse(net, fewer), 1e-5)


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", BURSTS)
def test_where_no_view_is_valid_the_picture_is_finite_and_nothing_counts(name, kind: Callable[[Stack], Stack]):
    net, stack = made(name), kind(burst(4, 24, 48))
    nothing = fuse(net, stack._replace(valid=torch.zeros_like(stack.valid)))
    half = fuse(net, stack._replace(valid=stack.valid * (torch.arange(48) < 24)))
    assert all(bool(x.isfinite().all()) for x in (*nothing, *half))
    assert float(nothing.count.max()) == 0
    assert float(half.count[..., 62:].max()) < 0.01


@pytest.mark.parametrize("name", [*PLAIN, *TRAINED])
def test_a_hole_is_filled_with_what_lies_around(name):
    flat = burst(4, 24, 24)._replace(views=torch.full((1, 4, 1, 24, 24), 0.4))
    valid = flat.valid.clone()
    valid[..., 8:14, 8:14] = 0
    found = fuse(made(name), flat._replace(valid=valid, views=0.4 * valid))
    assert torch.allclose(found.picture, torch.tensor(0.4), atol=5e-3 if name in PLAIN else 1e-2)


# views


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", [n for n in BURSTS if n not in ORDERED])
def test_the_order_of_the_other_views_changes_nothing(name, kind: Callable[[Stack], Stack]):
    net, stack = made(name), kind(masked(burst(6)))
    order = [0, 4, 2, 5, 1, 3]
    other = Stack(*(x[:, order] for x in stack[:4]), stack.optics)
    assert alike(fuse(net, stack), fuse(net, other), 1e-5)


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", BURSTS)
def test_one_view_works(name, kind: Callable[[Stack], Stack]):
    found = fuse(made(name), kind(burst(1)))
    assert all(bool(x.isfinite().all()) for x in found)
    inner = found.count[..., 8:-8, 8:-8]
    assert float(inner.mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", BURSTS)
def test_the_count_is_that_of_the_views(name):
    inner = fuse(made(name), burst(8, 32, 32)).count[..., 16:-16, 16:-16]
    assert float(inner.mean()) == pytest.approx(1 if name == "best" else 8, rel=0.15)


@pytest.mark.parametrize("name", [n for n in [*PLAIN, *TRAINED] if n != "best"])
def test_more_views_never_raise_the_error(name):
    truth = smooth(64, 64, 5)
    net, errors = made(name), []
    for t in (1, 3, 9, 20):
        found = fuse(net, views_of(truth, shifts(20)[:, :t], 2, 0.03)).picture
        errors.append(float((found - truth)[..., 8:-8, 8:-8].square().mean().sqrt()))
    assert all(more < 1.02 * fewer for fewer, more in pairwise(errors)), errors
    assert errors[-1] < 0.9 * errors[0]


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", [*PLAIN, *TRAINED])
def test_clouds_leave_no_wild_pixels_at_their_edges(name, kind: Callable[[Stack], Stack]):
    stack, chance = kind(burst(5, 32, 32)), torch.Generator().manual_seed(4)
    valid = stack.valid * (torch.rand(stack.valid.shape, generator=chance) > 0.3) * (torch.arange(32) < 26)
    valid[..., 8:16, 10:18] = 0
    found = fuse(made(name), stack._replace(valid=valid, views=stack.views * valid)).picture
    assert float(found.min()) > float(stack.views.min()) - 0.15
    assert float(found.max()) < float(stack.views.max()) + 0.15


# the grid


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", PLAIN)
def test_a_ramp_stays_in_place(name, kind: Callable[[Stack], Stack], scale):
    """The grid is area-aligned: a quarter of a pixel to the side would be 0.25 here."""
    at = (torch.arange(32 * scale) - (scale - 1) / 2) / scale
    ramp = (at + 2 * at[:, None])[None, None] / 100
    motion = shifts(6)
    x, y = torch.arange(32) - motion[:, :, :1], torch.arange(32)[:, None] - motion[:, :, 1:]
    stack = kind(burst(6, 32, 32)._replace(views=(x + 2 * y) / 100, motion=motion))
    inner = (..., slice(8 * scale, -8 * scale), slice(8 * scale, -8 * scale))
    off_px = (fuse(made(name, scale), stack).picture - ramp)[inner] * 100 / 3
    assert abs(float(off_px.mean())) < 0.03
    assert float(off_px.abs().max()) < 0.3


@pytest.mark.parametrize("name", BURSTS)
def test_a_field_that_is_a_shift_gives_the_picture_of_the_shift(name):
    net, stack = made(name), burst(6, 32, 32)
    one, other = (fuse(net, s).picture[..., 12:-12, 12:-12] for s in (stack, field(stack)))
    assert float((one - other).abs().mean()) < 0.05 * float(one.std())


@pytest.mark.parametrize("kind", [lambda s: s, field])
@pytest.mark.parametrize("name", BURSTS)
def test_tiled_is_whole(name, kind: Callable[[Stack], Stack]):
    net = made(name)
    halo, core = net.halo, 16
    whole = kind(burst(3, 24, 2 * (core + halo), reach=0.7))
    width = core + halo
    planes = (x if x.shape[-1] == 1 else x[..., :width] for x in whole[:4])
    tile = Stack(*planes, whole.optics)
    for a, b, top in zip(fuse(net, whole), fuse(net, tile), (1, 1, 9), strict=True):
        assert float((a[..., : 2 * core] - b[..., : 2 * core]).abs().max()) < 2e-3 * top


@pytest.mark.parametrize("name", CARRIED)
def test_four_views_at_half_pixel_phases_recover_what_one_cannot_carry(name):
    """A wave of 0.7 cycles per pixel, above the 0.5 that a grid carries, is told from its alias at 0.3."""
    x = torch.arange(96)
    wave = (0.5 + 0.3 * torch.sin(2 * pi * 0.35 * x)).expand(1, 1, 64, 96).contiguous()
    phases = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]).reshape(1, 4, 2, 1, 1)
    stack = views_of(wave, phases, 2)._replace(sigma=torch.full((1, 4, 1, 1, 1), 0.002))

    def strength(picture: Tensor, cycles: float) -> float:
        line = picture[0, 0, 16:-16, 8:88].mean(0) - picture[0, 0, 16:-16, 8:88].mean()
        return float((line * torch.exp(-2j * pi * cycles * x[8:88])).mean().abs()) * 2 / 0.3

    found, alone = fuse(made(name), stack).picture, fuse(made("best"), stack).picture
    assert strength(found, 0.35) > max(CARRIED[name], 2 * strength(alone, 0.35))
    assert strength(found, 0.15) < (0.1 if name in PLAIN else 0.4) * strength(alone, 0.15)
