import pytest
import torch

from misr.nets import NETS, Fast, Gru, Interpolate
from misr.resample import RADIUS, resample

KERNELS = ["nearest", "bilinear", "bicubic", "lanczos"]
NET_LIST = [
    pytest.param(lambda k=k, s=s: Interpolate(scale=s, kernel=k), id=f"{k}-x{s}") for k in KERNELS for s in (2, 3, 1.5)
]
NET_LIST += [pytest.param(lambda s=s: random_fast(s), id=f"fast-x{s}") for s in (2, 4)]
NET_LIST += [pytest.param(lambda s=s: random_gru(s), id=f"gru-x{s}") for s in (2, 3, 4)]


pytestmark = pytest.mark.usefixtures("one_thread")


def random_fast(scale: int) -> Fast:
    torch.manual_seed(scale)
    return Fast(scale=scale, depth=3)


def random_gru(scale: int) -> Gru:
    """A Gru whose every part does something, its flow too."""
    torch.manual_seed(scale)
    net = Gru(scale=scale, blocks=1, motion={"levels": 2, "depth": 1})
    for layer in (net.decode, *(step.last for step in net.motion.steps)):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return net


def views(t: int = 1, h: int = 24, w: int = 32, b: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(b, t, 1, h, w, generator=torch.Generator().manual_seed(1))
    return x, torch.ones(b, t, 1, 1, 1)


@torch.inference_mode()
def call(net: torch.nn.Module, x: torch.Tensor, valid: torch.Tensor, centres: range = range(1)) -> torch.Tensor:
    return net(x, valid, centres)


@pytest.mark.parametrize("make", NET_LIST)
def test_every_net_enlarges_its_centres_by_scale(make):
    net = make()
    x, valid = views(t=5, b=2)
    out = call(net, x, valid, range(1, 4))
    assert out.shape == (2, 3, 1, round(24 * net.scale), round(32 * net.scale))


@pytest.mark.parametrize("make", NET_LIST)
def test_a_batch_is_the_loop_over_its_windows(make):
    net = make()
    x, valid = views(b=3)
    alone = torch.cat([call(net, x[i : i + 1], valid[i : i + 1]) for i in range(3)])
    assert torch.allclose(call(net, x, valid), alone, atol=1e-5)


@pytest.mark.parametrize("make", NET_LIST)
def test_padding_views_change_nothing(make):
    net = make()
    x, valid = views()
    padded = torch.cat([torch.rand_like(x), x, torch.rand_like(x)], 1)
    real = torch.tensor([0.0, 1, 0]).reshape(1, 3, 1, 1, 1)
    assert torch.allclose(call(net, padded, real, range(1, 2)), call(net, x, valid), atol=1e-6)


@pytest.mark.parametrize("make", NET_LIST)
def test_what_is_beyond_the_halo_changes_nothing(make):
    net = make()
    x, valid = views(h=40, w=net.halo + 36)
    other = x.clone()
    other[..., net.halo + 12 :] = torch.rand_like(other[..., net.halo + 12 :])
    safe = int(12 * net.scale)
    assert torch.allclose(call(net, x, valid)[..., :safe], call(net, other, valid)[..., :safe], atol=1e-6)
    assert not torch.allclose(call(net, x, valid), call(net, other, valid), atol=1e-2)


@pytest.mark.parametrize("make", NET_LIST)
def test_shift_in_shift_out(make):
    net = make()
    step = 4  # whole cells of every lattice, whole output pixels at every scale
    x, valid = views(w=2 * net.halo + 32)
    moved = call(net, x.roll(step, -1), valid)
    edge = int((net.halo + step) * net.scale) + 1
    wanted = call(net, x, valid).roll(int(step * net.scale), -1)
    assert torch.allclose(moved[..., edge:-edge], wanted[..., edge:-edge], atol=1e-5)


@pytest.mark.parametrize("make", NET_LIST)
def test_a_call_leaves_the_net_as_it_was(make):
    net = make()
    x, valid = views()
    first = call(net, x, valid)
    call(net, torch.rand_like(x), valid)
    assert torch.equal(call(net, x, valid), first)


@pytest.mark.parametrize("make", NET_LIST)
def test_phases_are_the_picture_before_its_shuffle(make):
    net = make()
    cell = getattr(net, "cell", 0)
    if not cell:
        assert net.scale != int(net.scale)
        return
    x, valid = views(t=2)
    with torch.inference_mode():
        parts = net.phases(x, valid, range(2))
    picture = torch.nn.functional.pixel_shuffle(parts, int(net.scale) * cell)
    assert torch.allclose(picture, call(net, x, valid, range(2)), atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_interpolation_is_resampling_at_every_scale(kernel, scale):
    x, valid = views()
    out = call(Interpolate(scale=scale, kernel=kernel), x, valid)
    assert torch.allclose(out, resample(x, (int(24 * scale), int(32 * scale)), kernel=kernel), atol=2e-6)


@pytest.mark.parametrize("scale", [0.25, 0.5])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_halo_of_interpolation_covers_the_kernel_widened_for_shrinking(kernel, scale):
    net = Interpolate(scale=scale, kernel=kernel)
    assert net.halo >= RADIUS[kernel] / scale


def test_every_net_is_in_the_table_under_keyword_options_alone():
    for make in NETS.values():
        assert make(scale=2).scale == 2
