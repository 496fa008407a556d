"""The contract of nets (misr/nets/__init__.py), as laws over every entry of NETS, each with small options."""

import pytest
import torch

from misr.nets import NETS, Interpolate
from misr.resample import RADIUS, resample
from tests.small_nets import KERNELS, NET_LIST, SMALL, call, views

every_net = pytest.mark.parametrize("it", NET_LIST, ids=str)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_laws_hold_over_every_net_there_is():
    assert set(SMALL) == set(NETS)


@every_net
def test_every_net_enlarges_its_centres_by_scale(it):
    net = it.make()
    x, valid = views(net, t=5, b=2)
    centres = range(1, 2) if getattr(net, "bursts", False) else range(1, 4)  # a burst gives one picture
    out = call(net, x, valid, centres)
    assert out.shape == (2, len(centres), x.shape[2], round(24 * net.scale), round(32 * net.scale))
    assert out.dtype == torch.float32


@every_net
def test_a_batch_is_the_loop_over_its_windows(it):
    net = it.make()
    x, valid = views(net, b=3)
    alone = torch.cat([call(net, x[i : i + 1], valid[i : i + 1]) for i in range(3)])
    assert torch.allclose(call(net, x, valid), alone, atol=1e-5)


@every_net
def test_padding_views_change_nothing(it):
    net = it.make()
    x, valid = views(net)
    padded = torch.cat([torch.rand_like(x), x, torch.rand_like(x)], 1)
    real = torch.tensor([0.0, 1, 0]).reshape(1, 3, 1, 1, 1)
    assert torch.allclose(call(net, padded, real, range(1, 2)), call(net, x, valid), atol=1e-6)


@every_net
def test_what_is_beyond_the_halo_changes_nothing(it):
    net = it.make()
    x, valid = views(net, h=40, w=net.halo + 36)
    other = x.clone()
    other[..., net.halo + 12 :] = torch.rand_like(other[..., net.halo + 12 :])
    safe = int(12 * net.scale)
    assert torch.allclose(call(net, x, valid)[..., :safe], call(net, other, valid)[..., :safe], atol=1e-6)
    assert not torch.allclose(call(net, x, valid), call(net, other, valid), atol=1e-4)


@every_net
def test_shift_in_shift_out(it):
    net = it.make()
    step = 4  # whole cells of every lattice and every multiple, whole output pixels at every scale
    assert step % getattr(net, "multiple", 1) == 0
    x, valid = views(net, w=2 * net.halo + 32)
    moved = call(net, x.roll(step, -1), valid)
    edge = int((net.halo + step) * net.scale) + 1
    wanted = call(net, x, valid).roll(int(step * net.scale), -1)
    assert torch.allclose(moved[..., edge:-edge], wanted[..., edge:-edge], atol=1e-5)


@every_net
def test_a_call_leaves_the_net_as_it_was(it):
    net = it.make()
    x, valid = views(net)
    first = call(net, x, valid)
    call(net, torch.rand_like(x), valid)
    assert torch.equal(call(net, x, valid), first)


@every_net
def test_phases_are_the_picture_before_its_shuffle(it):
    net = it.make()
    cell = getattr(net, "cell", 0)
    if not cell or getattr(net, "bursts", False):
        assert not hasattr(net, "phases") or net.scale != int(net.scale)
        return
    x, valid = views(net, t=2)
    with torch.inference_mode():
        parts = net.phases(x, valid, range(2))
    picture = torch.nn.functional.pixel_shuffle(parts, int(net.scale) * cell)
    assert torch.allclose(picture, call(net, x, valid, range(2)), atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_interpolation_is_resampling_at_every_scale(kernel, scale):
    net = Interpolate(scale=scale, kernel=kernel)
    x, valid = views(net)
    out = call(net, x, valid)
    assert torch.allclose(out, resample(x, (int(24 * scale), int(32 * scale)), kernel=kernel), atol=2e-6)


@pytest.mark.parametrize("scale", [0.25, 0.5])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_halo_of_interpolation_covers_the_kernel_widened_for_shrinking(kernel, scale):
    net = Interpolate(scale=scale, kernel=kernel)
    assert net.halo >= RADIUS[kernel] / scale


def test_every_net_is_in_the_table_under_keyword_options_alone():
    for make in NETS.values():
        assert make(scale=2).scale == 2
