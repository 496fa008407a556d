"""Hidden views as labels: truth predicts them, less than truth does so less, and what is hidden is not seen."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from misr.nets import Fast, Gru
from misr.resample import resample
from misr.train import heldout, proxy
from misr.train.degrade import bi, gaussian, imaged
from misr.train.heldout import Hidden, Hiding, believed, dis, light, missed
from tests.test_train import texture

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, T, SCALE = 48, 6, 2
STEPS = [(3 * n, 2 * n) for n in range(T)]  # sharp pixels right and down, view by view: 1.5 and 1 LR pixels


def moving(steps=STEPS, optics=0.0):
    """Sharp frames (t, 1, s*h, s*w) of a texture that moves, and their views (1, t, 1, h, w), not rounded."""
    room = max(max(abs(x), abs(y)) for x, y in steps)
    wide = torch.from_numpy(texture(SIZE * SCALE + room, SIZE * SCALE + room)).float() / 255
    crops = [wide[y : y + SIZE * SCALE, x : x + SIZE * SCALE] for x, y in steps]
    sharp = torch.stack(crops)[:, None]
    return sharp, imaged(sharp, SCALE, optics)[None]


def exact(steps=STEPS, optics=0.0):
    """The true motion, found by which views are asked for; scenes move, so views are told by their pixels."""
    _, views = moving(steps, optics)
    known = {v.numpy().tobytes(): s for v, s in zip(views[0], steps, strict=True)}

    def flow(here, there):
        (x0, y0), (x1, y1) = (known[v[0].numpy().tobytes()] for v in (here, there))
        way = torch.tensor([x0 - x1, y0 - y1]) / SCALE
        return way.reshape(1, 2, 1, 1).expand(len(here), 2, *here.shape[-2:]).contiguous()

    return flow


class Oracle(nn.Module):
    """A net that knows the sharp pictures, perhaps worse ones than it could."""

    def __init__(self, views, sharp):
        super().__init__()
        self.scale, self.known = SCALE, [(v, s) for v, s in zip(views[0], sharp, strict=True)]

    def phases(self, views, valid, centres):
        found = [next(s for v, s in self.known if torch.equal(v, view)) for view in views[0]]
        return F.pixel_unshuffle(torch.stack(found), SCALE)[None]


def score(change=lambda x: x, optics=0.0, path=0.0):
    sharp, views = moving(optics=optics)
    net = Oracle(views, torch.stack([change(s) for s in sharp]))
    return float(heldout.loss(net, Hidden(views, (2,)), False, flow=exact(optics=optics), optics=path))


def blurred(x, sigma=1.0):
    k = gaussian(1, sigma, sigma, 0.0)
    return F.conv2d(F.pad(x[None], (k.shape[-1] // 2,) * 4, mode="replicate"), k[None, None])[0]


def again_from_lr(x):
    return resample(resample(x, (SIZE, SIZE), edges="symmetric"), (SIZE * SCALE, SIZE * SCALE))


@pytest.mark.parametrize("worse", [blurred, again_from_lr, lambda x: x.roll(1, -1), lambda x: 2 * x - blurred(x, 2.0)],
                         ids=["blurred", "bicubic", "shifted", "sharpened"])  # fmt: skip
def test_truth_predicts_what_is_hidden_and_less_than_truth_does_so_less(worse):
    best = score()
    assert best < 2e-4
    assert score(worse) > 4 * best


def test_more_blur_is_a_larger_loss():
    found = [score(lambda x, s=s: blurred(x, s)) for s in (0.5, 1.0, 1.5, 2.5)]
    assert found == sorted(found)


def test_the_camera_of_the_path_is_that_of_the_views():
    right, wrong = score(optics=0.5, path=0.5), score(optics=0.5, path=0.0)
    assert right < 3e-4 and wrong > 4 * right


def test_light_that_changes_is_no_error():
    sharp, views = moving()
    flow = exact()
    same, _ = missed(sharp[1:2], views[:, 1], views[:, 2], flow, 0.0)
    lit, belief = missed(0.9 * sharp[1:2] + 0.005, views[:, 1], views[:, 2], flow, 0.0)
    assert float(lit.abs().mean()) < 2 * float(same.abs().mean()) + 2e-4
    gain, offset = light(0.9 * views[:, 2] + 0.01, views[:, 2], torch.ones(1, 1, SIZE, SIZE))
    assert float(gain) == pytest.approx(1 / 0.9, rel=0.02) and float(offset) == pytest.approx(-0.01 / 0.9, abs=0.005)


@pytest.mark.parametrize("make", [lambda: Gru(scale=2, width=8, blocks=1, motion={"levels": 2, "width": 4, "depth": 1}),
                                  lambda: Fast(scale=2, width=8, depth=2)], ids=["gru", "fast"])  # fmt: skip
def test_the_net_never_sees_its_label(make):
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.scale = make(), 2

        def phases(self, views, valid, centres):
            out = self.net.phases(views, valid, centres)
            seen.append(out.detach().clone())
            return out

    spy = Spy()
    views = torch.rand(2, 5, 1, 24, 24)
    other = views.clone()
    other[:, 2] = torch.rand(2, 1, 24, 24)
    still = lambda here, there: torch.zeros(2, 2, 24, 24)  # noqa: E731
    one, two = (heldout.loss(spy, Hidden(v, (2,)), False, flow=still) for v in (views, other))
    assert torch.equal(*seen) and not torch.equal(one, two) and seen[0].shape[1] == 4


def test_no_gradient_goes_through_motion_and_light():
    _, views = moving()
    picture = resample(views[:, 1], (SIZE * 2, SIZE * 2)).requires_grad_()
    motion = torch.zeros(1, 2, SIZE, SIZE, requires_grad=True)
    error, belief = missed(picture, views[:, 1], views[:, 2], lambda a, b: motion, 0.0)
    error.square().sum().backward()
    assert picture.grad.abs().sum() > 0 and motion.grad is None and not belief.requires_grad


def test_what_moved_away_is_not_believed():
    _, views = moving()
    label = views[:, 2].clone()
    label[..., 20:30, 20:30] = 0.9
    belief = believed(label, views[:, 2], torch.zeros(1, 2, SIZE, SIZE))
    assert belief[..., 22:28, 22:28].max() < 0.1 and belief[..., 35:, 35:].min() > 0.99
    gone = believed(label, views[:, 2], torch.full((1, 2, SIZE, SIZE), 10.0))
    assert gone[..., -10:].max() == 0


def test_who_does_not_come_back_is_not_believed():
    """An object that moves over a still ground: what it covers next has no way back."""
    motion, back = torch.zeros(1, 2, 24, 24), torch.zeros(1, 2, 24, 24)
    motion[:, 0, 8:16, 4:10] = 6.0  # the object, on its way right
    back[:, 0, 8:16, 10:16] = -6.0
    belief = heldout.returning(motion, back)
    assert belief[0, 0, 8:16, 10:16].max() < 0.01, "the ground that the object covers next"
    assert belief[0, 0, 8:16, 4:10].min() > 0.99 and belief[0, 0, :8].min() > 0.99


def test_imaging_without_optics_is_bi_and_with_it_keeps_the_grid():
    plane = texture(64, 64)
    ours = imaged(torch.from_numpy(plane).float()[None, None], 2, 0.0)[0, 0]
    assert float((ours - torch.from_numpy(bi(plane, 2)).float()).abs().max()) <= 1.0
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    for scale in (2, 3, 4):
        seen = imaged(ramp[..., :60, :60], scale, 0.4)[0, 0, 5]
        wanted = scale * torch.arange(60 // scale) + (scale - 1) / 2
        assert torch.allclose(seen[4:-4], wanted[4:-4], atol=1e-3)


def test_classical_motion_counts_as_ours():
    _, views = moving()
    flow = dis(views[:, 2], views[:, 1])[..., 12:-12, 12:-12]
    assert torch.allclose(flow.mean((0, 2, 3)), torch.tensor([1.5, 1.0]), atol=0.15)


def test_windows_hide_a_third_at_most_and_every_label_has_a_neighbour():
    clip = np.stack([texture(40, 40 + n)[:, n:] for n in range(9)])
    source = Hiding([clip], crop=16, frames=12, longest=8, device=torch.device("cpu"), seed=3)
    kinds = set()
    for _ in range(40):
        it = source.draw()
        t = it.views.shape[1]
        assert it.views.shape[2:] == (1, 16, 16) and 0 < len(it.hidden) <= max(1, t // 3)
        assert not set(it.shown) & set(it.hidden) and all(abs(c - j) == 1 and c in it.shown for c, j in it.pairs)
        assert {j for _, j in it.pairs} == set(it.hidden)
        kinds.add((t, len(it.hidden)))
    assert len(kinds) > 8
    state, first = source.state(), source.draw()
    source.restore(state)
    assert torch.equal(first.views, source.draw().views)


def test_the_proxy_ranks_as_truth_does():
    """Nets worse by HR PSNR are worse by what they predict of hidden views; the mean beats one view under noise."""
    sharp, views = moving()
    flow, window = exact(), [Hidden(views, (2,))]
    found, true = [], []
    for change in (
        lambda x: x,
        lambda x: blurred(x, 0.6),
        lambda x: blurred(x, 1.0),
        again_from_lr,
        lambda x: blurred(x, 2.0),
    ):
        made = torch.stack([change(s) for s in sharp])
        found.append(proxy.score_db(proxy.of_net(Oracle(views, made)), window, flow))
        true.append(-float((made - sharp).square().mean()))
    assert sorted(range(5), key=found.__getitem__) == sorted(range(5), key=true.__getitem__)
    noisy = [Hidden(views + 0.02 * torch.randn(views.shape, generator=torch.Generator().manual_seed(0)), (4,))]
    mean = proxy.score_db(proxy.of_mean(SCALE, dis), noisy, dis)
    assert mean > proxy.score_db(proxy.of_one(SCALE), noisy, dis)
