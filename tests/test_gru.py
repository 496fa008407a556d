"""Laws of the video net: pure in its window, blind to padding, the same however the window is cut."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr.nets.gru import Block, Gru
from misr.nets.motion import finer, inside, places, warp, warp_cells
from misr.resample import phases
from tests.small_nets import random_gru

pytestmark = pytest.mark.usefixtures("one_thread")


def moving(t: int, h: int = 24, w: int = 32, b: int = 1, step: int = 1) -> torch.Tensor:
    """t views (b, t, 1, h, w) of one smooth picture that moves `step` pixels to the left per view."""
    generator = torch.Generator().manual_seed(3)
    wide = F.interpolate(torch.rand(b, 1, h // 3, w, generator=generator), size=(h, 3 * w), mode="bicubic").clamp(0, 1)
    return torch.stack([wide[..., n * step : n * step + w] for n in range(t)], 1)


@torch.inference_mode()
def call(net: Gru, views: torch.Tensor, valid: list[int] | None = None, centres: range | None = None) -> torch.Tensor:
    b, t = views.shape[:2]
    real = torch.tensor(valid or [1] * t, dtype=torch.float32).reshape(1, t, 1, 1, 1).expand(b, -1, -1, -1, -1)
    return net(views, real, centres or range(t))


def test_the_past_is_used():
    net, x = random_gru(4), moving(3)
    other = x.clone()
    other[:, 0] = other[:, 0].flip(-1)
    assert not torch.allclose(call(net, x)[:, 2], call(net, other)[:, 2], atol=1e-4)


def test_the_future_is_not_used():
    net, x = random_gru(4), moving(4)
    other = x.clone()
    other[:, 3] = float("nan")
    assert torch.equal(call(net, x, centres=range(3)), call(net, other, centres=range(3)))


def test_a_view_that_is_not_valid_changes_nothing_wherever_it_is():
    net, x = random_gru(2), moving(4)
    results = []
    for garbage in (0.0, 0.7, float("nan")):
        blank = torch.full_like(x[:, :1], garbage)
        padded = torch.cat([blank, x[:, :2], blank, blank, x[:, 2:], blank], 1)
        results.append(call(net, padded, [0, 1, 1, 0, 0, 1, 1, 0])[:, [1, 2, 5, 6]])
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert torch.allclose(
        results[0], call(net, x), atol=1e-6
    )  # motion is searched for in groups, and these fall otherwise


def test_a_window_of_one_view_is_the_first_of_a_longer_one():
    net, x = random_gru(4), moving(4)
    assert torch.equal(call(net, x[:, :1]), call(net, x)[:, :1])


def test_windows_in_one_batch_do_not_mix_also_when_padded_differently():
    net, x = random_gru(4), moving(4, b=2)
    valid = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1.0]]).reshape(2, 4, 1, 1, 1)
    with torch.inference_mode():
        both = net(x, valid, range(2, 4))
        alone = torch.cat([net(x[n : n + 1], valid[n : n + 1], range(2, 4)) for n in range(2)])
    assert torch.allclose(both, alone, atol=1e-5)


def test_phases_are_the_picture_before_its_shuffle():
    net, x = random_gru(4), moving(3)
    with torch.inference_mode():
        cells = net.phases(x, torch.ones(1, 3, 1, 1, 1), range(1, 3))
    assert cells.shape == (1, 2, 16, 24, 32)
    assert torch.equal(F.pixel_shuffle(cells, 4), call(net, x, centres=range(1, 3)))


def test_an_untrained_net_is_bicubic():
    x = moving(2)
    want = F.pixel_shuffle(phases(x[:, 1], 4), 4)
    assert torch.allclose(call(Gru(scale=4, blocks=1), x)[:, 1], want, atol=1e-6)


def numpy_conv(x: np.ndarray, layer: torch.nn.Conv2d) -> np.ndarray:
    """A 3x3 convolution (c, h, w) with zero padding, by its definition."""
    weight = layer.weight.detach().double().numpy()
    out = np.zeros((len(weight), *x.shape[1:]))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    for dy in range(3):
        for dx in range(3):
            out += np.einsum("oi,ihw->ohw", weight[:, :, dy, dx], padded[:, dy : dy + x.shape[1], dx : dx + x.shape[2]])
    return out + (0 if layer.bias is None else layer.bias.detach().double().numpy()[:, None, None])


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_block(x: np.ndarray, block: Block) -> np.ndarray:
    return x + numpy_conv(relu(numpy_conv(x, block.one)), block.two)


@torch.no_grad()
def test_the_update_is_the_gru_of_its_formula():
    torch.manual_seed(5)
    net = Gru(scale=4, width=16, blocks=2)
    view, added, state = torch.rand(1, 1, 6, 7), torch.randn(1, 16, 6, 7), torch.randn(1, 16, 6, 7)
    x = relu(numpy_conv(view[0].double().numpy(), net.encode))
    h = state[0].double().numpy()
    seen = np.concatenate([added[0].double().numpy(), h, x])
    fresh, keep = sigmoid(numpy_conv(seen, net.fresh)), sigmoid(numpy_conv(seen, net.keep))
    candidate = relu(numpy_conv(seen, net.candidate)) + keep * h
    for block in net.blocks:
        candidate = numpy_block(candidate, block)
    want = h + fresh * (candidate - h)
    np.testing.assert_allclose(net.update(view, added, state)[0].numpy(), want, atol=1e-5)


def test_the_last_picture_comes_back_on_the_hr_grid_less_the_base():
    """Where nothing moves, what is fed back is exactly what the last step added."""
    net, x = random_gru(4), moving(1)
    with torch.inference_mode():
        picture, state = net.step(x[:, 0], None, None)
        memory = net.remember(F.pixel_shuffle(picture, 4), state, None, None)
        base = phases(x[:, 0], 4)
        added, again = net.aligned(torch.zeros(1, 2, 24, 32), base, memory)
    assert torch.allclose(added, picture - base, atol=1e-5)
    assert torch.allclose(again, state, atol=1e-5)


def test_many_equal_views_settle():
    net = random_gru(4)
    x = moving(1).expand(-1, 60, -1, -1, -1)
    out = call(net, x)
    assert out.isfinite().all()


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    """One sample of a plane (h, w), pixel centres at integers, the border's value beyond it."""
    h, w = plane.shape
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    top, left = min(int(y), h - 2), min(int(x), w - 2)
    v, u = y - top, x - left
    a, b, c, d = plane[top, left], plane[top, left + 1], plane[top + 1, left], plane[top + 1, left + 1]
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


def test_warp_fetches_along_the_flow():
    torch.manual_seed(1)
    plane, flow = torch.rand(1, 1, 7, 9), 2 * torch.randn(1, 2, 7, 9)
    dx, dy = flow[0].numpy()
    want = [[bilinear(plane[0, 0].numpy(), y + dy[y, x], x + dx[y, x]) for x in range(9)] for y in range(7)]
    np.testing.assert_allclose(warp(plane, flow)[0, 0].numpy(), want, atol=1e-5)


def test_a_whole_shift_in_is_the_same_shift_out():
    plane = torch.rand(1, 3, 8, 10)
    flow = torch.zeros(1, 2, 8, 10)
    flow[:, 0], flow[:, 1] = 2, -1
    assert torch.allclose(warp(plane, flow)[..., 1:, :-2], plane[..., :-1, 2:], atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_strips_for_threads_do_not_show(threads):
    torch.manual_seed(2)
    plane, flow = torch.rand(1, 4, 12, 10), torch.randn(1, 2, 12, 10)
    want = warp(plane, flow)
    torch.set_num_threads(threads)
    assert torch.equal(warp(plane, flow), want)
    torch.set_num_threads(1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_cells_are_the_hr_plane_warped_by_the_finer_flow(scale):
    torch.manual_seed(scale)
    plane, flow = torch.rand(2, 1, 8 * scale, 10 * scale), torch.randn(2, 2, 8, 10)
    flow_hr = finer(F.pad(flow, (1, 1, 1, 1), mode="replicate"), scale)[..., scale:-scale, scale:-scale]
    got = F.pixel_shuffle(warp_cells(plane, flow, scale), scale)
    assert torch.allclose(got, warp(plane, flow_hr, "bicubic"), atol=1e-4)


def test_inside_is_where_the_flow_stays_in_the_picture():
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 2
    assert torch.equal(inside(flow)[0, 0], torch.tensor([1.0, 1, 1, 0, 0]).expand(4, 5))
    assert inside(flow * 0).all()


def test_places_of_no_motion_are_pixel_centres():
    at = places(torch.zeros(1, 2, 2, 4))
    assert torch.allclose(at[0, 0, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert torch.allclose(at[0, 1, :, 0], torch.tensor([-0.5, 0.5]))
