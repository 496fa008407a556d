"""MISR-GRU: what was published, and what bursts ask of it beyond that."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from misr.nets.lattice import OPTICS, Stack
from misr.nets.misr_gru import MisrGru, from_published

PUBLISHED = "peers/MISR-GRU.pth"

pytestmark = [pytest.mark.usefixtures("one_thread")]


def small(scale: int = 3, seed: int = 1) -> MisrGru:
    torch.manual_seed(seed)
    return MisrGru(scale=scale, width=8)


def burst(t: int = 5, h: int = 14, w: int = 17, b: int = 1) -> tuple[Tensor, Tensor]:
    views = torch.rand(b, t, 1, h, w, generator=torch.Generator().manual_seed(t))
    return views, torch.ones(b, t, 1, 1, 1)


def stack(t: int = 5, h: int = 14, w: int = 17, motion: Tensor | None = None) -> Stack:
    views, valid = burst(t, h, w)
    moved = torch.zeros(1, t, 2, 1, 1) if motion is None else motion
    return Stack(views, valid.expand_as(views), moved, torch.full((1, t, 1, 1, 1), 0.02), torch.tensor([OPTICS]))


@torch.inference_mode()
def call(net: MisrGru, views: Tensor, valid: Tensor, centres: range = range(1)) -> Tensor:
    return net(views, valid, centres)


# what was published


def by_formula(p: dict[str, Tensor], views: Tensor) -> Tensor:
    """Section by section of the paper, in plain functions: whole views (b, t, h, w) to a picture (b, 3h, 3w)."""

    def conv(x: Tensor, name: str) -> Tensor:
        return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=1)

    def unit(x: Tensor, name: str) -> Tensor:
        x = F.prelu(conv(x, f"{name}.init_layer.0"), p[f"{name}.init_layer.1.weight"])
        for n in range(2):
            block = f"{name}.res_layers.{n}.block"
            y = F.prelu(conv(x, f"{block}.0"), p[f"{block}.1.weight"])
            x = x + F.prelu(conv(y, f"{block}.2"), p[f"{block}.3.weight"])
        return conv(x, f"{name}.final.0")

    reference = unit(views[:, :9].median(1, keepdim=True).values, "encode.unit1")
    layers, pictures = [0, 1], []
    for view in views.unbind(1):
        one = unit(view[:, None], "encode.unit1")
        pictures.append(unit(torch.cat([one, reference], 1), "encode.unit2"))
    for layer in layers:
        state, states = torch.zeros_like(pictures[0]), []
        for x in pictures:
            name = f"fuse.gru_units.{layer}"
            r = torch.sigmoid(conv(torch.cat([x, state], 1), f"{name}.reset_gate"))
            u = torch.sigmoid(conv(torch.cat([x, state], 1), f"{name}.update_gate"))
            c = torch.tanh(conv(torch.cat([x, r * state], 1), f"{name}.out_gate"))
            state = (1 - u) * state + u * c
            states.append(state)
        pictures = states
    x = torch.stack(pictures).mean(0)
    x = F.conv_transpose2d(x, p["decode.deconv.0.weight"], p["decode.deconv.0.bias"], stride=3)
    x = F.prelu(x, p["decode.deconv.1.weight"])
    return F.conv2d(x, p["decode.final.weight"], p["decode.final.bias"])[:, 0]


def published(net: MisrGru) -> dict[str, Tensor]:
    """A net's weights under the published names."""
    return {key.replace("fuse_states.", "fuse."): w.detach() for key, w in net.state_dict().items()}


def test_it_has_as_many_parameters_as_published():
    assert sum(p.numel() for p in MisrGru(scale=3).parameters()) == 923_468


@pytest.mark.parametrize("t", [1, 4, 9, 12])
def test_it_is_the_formulas_of_the_paper(t):
    net, (views, valid) = small(seed=t), burst(t)
    with torch.inference_mode():
        wanted = by_formula(published(net), views[:, :, 0])
    assert torch.allclose(call(net, views, valid)[:, 0, 0], wanted, atol=1e-5)
    assert wanted.std() > 1e-3


def test_the_published_weights_give_the_published_picture(shared_data: Path):
    weights = torch.load(shared_data / PUBLISHED, map_location="cpu", weights_only=True)
    net = MisrGru(scale=3)
    net.load_state_dict(from_published(weights))
    noise, valid = burst(12, 24, 24)
    scene = F.interpolate(noise[:, :1, 0, :6, :6], (24, 24), mode="bicubic")
    smooth = (0.9 * scene + 0.1 * noise[:, :, 0]) / 4  # light from 0 to 0.25, as 14 bits in 16
    with torch.inference_mode():
        wanted = by_formula(weights, smooth)
    found = call(net, smooth[:, :, None], valid)[:, 0, 0]
    assert (found - wanted).abs().max() < 1e-4
    wide = F.interpolate(smooth.mean(1, keepdim=True), scale_factor=3, mode="bicubic")[0, 0]
    alike = torch.corrcoef(torch.stack([x[9:-9, 9:-9].flatten() for x in (found[0], wide)]))[0, 1]
    assert alike > 0.9  # a picture of the views, not noise


# masks


@pytest.mark.parametrize("garbage", [7.0, float("nan"), float("inf")])
def test_a_view_that_is_not_valid_changes_nothing(garbage):
    net, (views, valid) = small(), burst(5)
    wrong, real = views.clone(), valid.clone()
    wrong[:, [1, 3]], real[:, [1, 3]] = garbage, 0
    assert torch.allclose(call(net, wrong, real), call(net, views[:, [0, 2, 4]], valid[:, :3]), atol=1e-6)


@pytest.mark.parametrize("garbage", [7.0, float("nan")])
def test_what_is_under_a_mask_changes_nothing(garbage):
    net, (views, valid) = small(), burst(4)
    valid = valid.expand_as(views).clone()
    valid[:, 0, :, :5], valid[:, 2, :, 3:9, 6:] = 0, 0
    valid[..., :4, :4] = 0
    clean, wrong = torch.where(valid > 0, views, 0), torch.where(valid > 0, views, garbage)
    found = call(net, wrong, valid)
    assert torch.equal(found, call(net, clean, valid))
    assert bool(found.isfinite().all())


def test_the_reference_is_the_median_of_the_first_nine_valid_views():
    net, (views, valid) = small(), burst(12)
    valid[:, 0] = 0
    read = call(net, views, valid)
    later = views.clone()
    later[:, 0] = 0.9
    assert torch.equal(call(net, later, valid), read)
    assert torch.allclose(read, call(net, views[:, 1:], valid[:, 1:]), atol=1e-6)


def test_where_no_view_is_valid_the_picture_goes_on_smoothly():
    net, one = small(), stack(3)
    valid = one.valid.clone()
    valid[..., 4:8, 4:8] = 0
    with torch.inference_mode():
        found = net.fuse(one._replace(views=torch.full_like(one.views, 0.4), valid=valid))
        blank = net.fuse(one._replace(valid=torch.zeros_like(one.valid)))
    hole = (..., slice(12, 24), slice(12, 24))
    assert torch.allclose(found.picture[hole], torch.tensor(0.4), atol=1e-5)
    assert float(found.count[hole].max()) == 0
    assert all(bool(x.isfinite().all()) for x in (*found, *blank))


# bursts


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_makes_any_whole_scale(scale):
    with torch.inference_mode():
        found = small(scale).fuse(stack())
    assert {x.shape for x in found} == {(1, 1, 14 * scale, 17 * scale)}


def test_views_moved_by_whole_pixels_are_moved_back():
    net, scene = small(), torch.rand(1, 1, 1, 40, 40, generator=torch.Generator().manual_seed(3))
    at = [(0, 0), (3, -2), (-1, 4)]  # dx, dy: the reference's pixel p lies at p + motion in the view
    views = torch.cat([scene[..., 8 - dy : 32 - dy, 8 - dx : 32 - dx] for dx, dy in at], 1)
    moved = torch.tensor(at, dtype=torch.float32).reshape(1, 3, 2, 1, 1)
    shifted = stack(3, 24, 24, moved)._replace(views=views, valid=torch.ones_like(views))
    still = shifted._replace(views=views[:, :1].expand_as(views), motion=torch.zeros_like(moved))
    with torch.inference_mode():
        found, wanted = net.fuse(shifted), net.fuse(still)
        field = net.fuse(shifted._replace(motion=moved.expand(1, 3, 2, 24, 24)))
        part = net.fuse(shifted._replace(motion=moved + torch.tensor([0.3, -0.4]).reshape(2, 1, 1)))
    for one in (found, field, part):
        assert torch.allclose(one.picture[..., 33:39, 33:39], wanted.picture[..., 33:39, 33:39], atol=5e-3)
    assert torch.equal(found.picture, field.picture)
    assert float(found.count.max()) == 3
    assert float(found.count[..., -3:, -3:].max()) == 1  # beyond both moved views


def test_sigma_is_the_noise_of_the_mean():
    with torch.inference_mode():
        found = small().fuse(stack(4))
    assert torch.allclose(found.sigma, torch.tensor(0.02 / 2))
    assert torch.allclose(found.count, torch.tensor(4.0))


def test_every_weight_learns():
    net, (views, valid) = small(), burst(3)
    net(views, valid, range(2)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)] == []


def test_bfloat16_is_close():
    net, (views, valid) = small(), burst(6)
    with torch.autocast("cpu", torch.bfloat16):
        rough = call(net, views, valid)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, call(net, views, valid), atol=0.02)
