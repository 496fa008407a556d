"""Adversarial terms: the nets that judge, what deceiving them means, how they learn, and how far pictures look from the truth."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from misr.errors import InputError
from misr.nets import NETS
from misr.train import adversary, ranks
from misr.train.adversary import Discriminator, Patches
from misr.train.features import Features
from misr.train.looks import middle, perceptual
from misr.train.losses import read
from misr.train.scenes import Batch
from misr.train.valid import Trial
from misr.train.video import supervised
from tests.small_nets import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_discriminators_are_the_papers_at_their_widths():
    convolutions = [m for m in Discriminator().modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [c.stride[0] for c in convolutions] == [1, 2] * 4
    assert [m.out_features for m in Discriminator().modules() if isinstance(m, nn.Linear)] == [1024, 1]
    patches = [m for m in Patches().modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in patches] == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]


@pytest.mark.parametrize(("h", "w"), [(8, 8), (24, 40), (96, 96), (31, 17)])
def test_a_discriminator_judges_pictures_of_any_size_with_one_number_each(h, w):
    torch.manual_seed(0)
    net = Discriminator(width=2)
    assert net(torch.rand(3, 1, h, w)).shape == (3, 1)
    assert net(torch.rand(3, 1, h, w)).isfinite().all()


@pytest.mark.parametrize(("stride", "seen"), [(2, 70), (1, 16)])
def test_a_logit_of_patches_sees_as_much_as_published(stride, seen):
    torch.manual_seed(0)
    net = Patches(width=2, stride=stride)
    for norm in [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.forward = lambda x: x  # its statistics see the whole batch
    x = torch.rand(1, 1, 112, 112, requires_grad=True)
    made = net(x)
    made[0, 0, made.shape[2] // 2, made.shape[3] // 2].backward()
    assert int((x.grad[0, 0].abs().sum(0) > 0).sum()) == seen


def test_what_is_too_small_to_be_judged_is_said():
    with pytest.raises(InputError, match="cannot judge one picture of 16x16 at a time; give more --frames"):
        Discriminator(width=2)(torch.rand(1, 1, 16, 16))
    with pytest.raises(InputError, match=r"a picture of 40x20 is too small .* wants 24 pixels"):
        Patches(width=2)(torch.rand(1, 1, 20, 40))
    assert Patches(width=2)(torch.rand(1, 1, 24, 24)).shape == (1, 1, 1, 1)
    assert Patches(width=2, stride=1)(torch.rand(1, 1, 6, 6)).shape == (1, 1, 1, 1)


def test_made_and_true_pictures_are_judged_the_same_in_training_and_in_evaluation():
    torch.manual_seed(0)
    for net in (Discriminator(width=2), Patches(width=2)):
        x = torch.rand(2, 1, 32, 32)
        assert torch.equal(net(x), net.eval()(x))
        assert not dict(net.named_buffers())


# ---------------------------------------------------------------- terms


def judged(text="l1 + 0.1*adversarial", channels=(4, 6, 8)):
    """A sum with a judge for each of its adversarial terms, and their partner."""
    torch.manual_seed(3)
    kind = read(text)
    if kind.sees:
        seen = Features([(c, 2) for c in channels], (0.5,), (0.25,)).requires_grad_(False)
        kind = kind.bound(seen)
    return adversary.met(kind, torch.device("cpu"), seed=5, width=2)


def parameters(partner):
    return torch.cat([p.detach().flatten() for judge in partner.judges.values() for p in judge.net.parameters()])


def test_an_adversarial_term_is_how_little_pictures_deceive_and_its_gradient_is_of_that_formula():
    kind, partner = judged()
    made, truth = torch.rand(2, 1, 32, 32, requires_grad=True), torch.rand(2, 1, 32, 32)
    net = partner.judges["adversarial"].net
    wanted = F.l1_loss(made, truth) - 0.1 * net(2 * made - 1).sigmoid().log().mean()
    (slope,) = torch.autograd.grad(wanted, made)
    found = kind(made, truth)
    found.backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(made.grad, slope)
    assert slope.abs().max() > 0.1 * F.l1_loss(made, truth) / made.numel()


def test_a_feature_adversarial_term_judges_maps_of_the_layer_it_names_else_of_the_deepest():
    made, truth = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    for text, layer, channels in (("feature-adversarial", "relu3_2", 8), ("feature-adversarial:relu1_2", "relu1_2", 4)):
        kind, partner = judged(f"l1 + {text}")
        net = partner.judges["feature-adversarial"].net
        assert net.layers[0].in_channels == channels
        maps = kind.features(made, {layer})[layer]
        torch.testing.assert_close(kind.parts(made, truth)[1], -net(maps).sigmoid().log().mean())


def test_what_is_made_learns_from_a_judge_and_the_judge_learns_nothing_by_that():
    kind, partner = judged("l1 + 0.1*adversarial + 0.1*feature-adversarial")
    before = parameters(partner)
    made = torch.rand(2, 1, 32, 32, requires_grad=True)
    kind(made, torch.rand(2, 1, 32, 32)).backward()
    assert made.grad.abs().sum() > 0
    assert [p for judge in partner.judges.values() for p in judge.net.parameters() if p.grad is not None] == []
    assert torch.equal(parameters(partner), before)


def test_a_judge_learns_by_adam_from_both_cross_entropies_and_moves_nothing_else():
    kind, partner = judged()
    twin = copy.deepcopy(partner.judges["adversarial"].net).requires_grad_(True)
    adam = torch.optim.Adam(twin.parameters(), 1e-4)
    weight = torch.ones(1, requires_grad=True)
    made, truth = torch.rand(2, 1, 32, 32) * weight, torch.rand(2, 1, 32, 32)
    kind(made, truth).backward()
    slope = weight.grad.clone()
    partner.step()
    sure, unsure = twin(2 * truth - 1), twin(2 * made.detach() - 1)
    true = -0.9 * F.logsigmoid(sure) - 0.1 * F.logsigmoid(-sure)
    (true.mean() - F.logsigmoid(-unsure).mean()).backward()
    adam.step()
    torch.testing.assert_close(parameters(partner), torch.cat([p.detach().flatten() for p in twin.parameters()]))
    assert torch.equal(weight.grad, slope)
    assert [p for p in partner.judges["adversarial"].net.parameters() if p.grad is not None or p.requires_grad] == []


def test_a_judge_comes_to_tell_noise_from_smoothness_and_says_how_well():
    _, partner = judged()
    judge = partner.judges["adversarial"]
    rough = lambda: torch.rand(4, 1, 16, 16)  # noqa: E731
    smooth = lambda: torch.rand(4, 1, 1, 1).expand(4, 1, 16, 16)  # noqa: E731
    told = []
    for _ in range(3):
        for _ in range(15):
            judge(smooth(), rough())
            judge.step(3e-3)
        told.append(partner.figures())
    assert told[0]["d_loss"] > told[-1]["d_loss"] > 0.325  # the least that 0.9 leaves
    assert 0 <= told[-1]["d_fake"] < 0.2 and 0.7 < told[-1]["d_real"] <= 1
    assert partner.figures() == {"d_loss": 0, "d_real": 0, "d_fake": 0}


def test_of_several_levels_the_picture_alone_is_judged_and_all_are_held_against_the_truth():
    kind, partner = judged("1*l1 + 0.1*adversarial")
    levels = [torch.rand(2, 1, 16, 16), torch.rand(2, 1, 32, 32)]
    truth = [torch.rand(2, 1, 16, 16), torch.rand(2, 1, 32, 32)]
    wanted = (F.l1_loss(levels[0], truth[0]) + F.l1_loss(levels[1], truth[1])) / 2
    wanted = wanted + kind.parts(levels[1], truth[1])[1]
    torch.testing.assert_close(kind.over(levels, truth), wanted)
    assert partner.judges["adversarial"].asked[0].shape == (2, 1, 32, 32)


@pytest.mark.parametrize(("name", "views"), [("gru", 3), ("fast", 1), ("lapsrn", 1)])
def test_every_view_of_a_window_is_a_picture_to_the_judge(name, views):
    torch.manual_seed(0)
    scale = 4 if name == "lapsrn" else 2
    net = NETS[name](scale=scale, **SMALL[name][1])
    kind, partner = judged()
    x, sharp = torch.rand(2, views, 1, 16, 16), torch.rand(2, views, 1, 16 * scale, 16 * scale)
    supervised(net, Batch(x, sharp), False, kind).backward()
    made, truth = partner.judges["adversarial"].asked
    assert made.shape == truth.shape == (2 * views, 1, 16 * scale, 16 * scale)
    assert {tuple(map(float, t.flatten()[:3])) for t in truth} == {
        tuple(map(float, t.flatten()[:3])) for t in sharp.flatten(0, 1)
    }
    partner.step()


def test_judging_is_in_float32_whatever_the_net_runs_in():
    kind, partner = judged("l1 + 0.1*adversarial + 0.1*feature-adversarial")
    made, truth = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    plain = kind(made, truth)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kind(made, truth), plain)
        partner.step()
    seen = partner.figures()
    again, other = judged("l1 + 0.1*adversarial + 0.1*feature-adversarial")
    again(made, truth)
    other.step()
    assert seen == other.figures() and torch.equal(parameters(partner), parameters(other))


def test_a_gradient_that_is_no_number_teaches_a_judge_nothing():
    kind, partner = judged()
    before = parameters(partner)
    kind(torch.full((2, 1, 32, 32), math.nan), torch.rand(2, 1, 32, 32))
    partner.step()
    assert torch.equal(parameters(partner), before)


def test_from_the_middle_of_a_run_on_a_judge_learns_at_a_tenth_of_its_rate():
    rates = []
    for done in (0.0, 0.49, 0.5, 1.0):
        kind, partner = adversary.met(read("l1 + adversarial"), torch.device("cpu"), width=2, done=lambda: done)  # noqa: B023
        kind(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
        partner.step()
        rates.append(partner.judges["adversarial"].optimiser.param_groups[0]["lr"])
    assert rates == [1e-4, 1e-4, 1e-5, 1e-5]


def test_judges_of_several_processes_begin_alike_and_learn_by_the_mean_of_their_gradients(monkeypatch):
    shared, averaged = [], []
    monkeypatch.setattr(ranks, "alike", shared.extend)
    monkeypatch.setattr(ranks, "average", averaged.extend)
    kind, partner = judged()
    count = len(list(partner.judges["adversarial"].net.parameters()))
    assert len(shared) == count
    kind(torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32))
    partner.step()
    assert len(averaged) == count


def test_a_seed_gives_the_judges_that_it_gave_and_leaves_the_nets_own_chance_alone():
    torch.manual_seed(1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    one, two = (adversary.met(read("l1+adversarial"), torch.device("cpu"), seed=n, width=2)[1] for n in (5, 6))
    assert torch.equal(torch.rand(1), drawn)
    assert torch.equal(parameters(one), parameters(judged()[1])) and not torch.equal(parameters(one), parameters(two))


def test_sums_without_adversarial_terms_have_no_partner():
    assert adversary.met(read("l1 + tv"), torch.device("cpu"))[1] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adversarial", "nothing in it holds pictures against the truth; add a term, as l1"),
        ("0.1*tv + adversarial + feature-adversarial", "nothing in it holds pictures against the truth"),
        ("l1 + adversarial:relu1_1", "adversarial has no layers; content, texture and feature-adversarial have"),
        ("l1 + feature-adversarial:relu1_1,relu2_1", "feature-adversarial judges one layer, not 2; keep one"),
        ("l1 + feature-adversarial:relu1_1 + feature-adversarial:relu2_1", "one feature-adversarial is enough"),
        ("l1 + adversarial + 2*adversarial", "stands there twice"),
    ],
)
def test_what_adversarial_terms_cannot_be_is_said(text, said):
    with pytest.raises(InputError, match=said):
        read(text)


# ---------------------------------------------------------------- looks


def test_pictures_look_as_far_off_as_their_features_point_elsewhere():
    torch.manual_seed(0)
    net, truth = Features(((4, 2), (6, 2)), (0.5,), (0.25,)).requires_grad_(False), torch.rand(2, 1, 32, 32)
    assert float(perceptual(net, truth, truth)) == 0
    near, far = (perceptual(net, truth + d * torch.randn(2, 1, 32, 32), truth) for d in (0.02, 0.2))
    assert 0 < near < far <= 2
    one = {k: maps / maps.norm(dim=1, keepdim=True).clamp(min=1e-6) for k, maps in net(truth, net.layers).items()}
    other = {k: maps / maps.norm(dim=1, keepdim=True).clamp(min=1e-6) for k, maps in net(1 - truth, net.layers).items()}
    wanted = [(one[k] - other[k]).square().sum(1).mean() for k in ("relu1_2", "relu2_2")]
    torch.testing.assert_close(perceptual(net, 1 - truth, truth), sum(wanted) / 2)


def test_the_middles_that_are_looked_at_show_the_same_in_views_and_in_sharp_frames():
    sharp = torch.arange(0, 240.0).repeat(200, 1)[None].repeat(3, 1, 1)
    views = sharp[None, :, None, ::2, ::2] / 255
    small, large = middle(Trial(views, sharp))
    assert small.shape == (1, 3, 1, 64, 64) and large.shape == (1, 1, 128, 128)
    assert torch.equal(small[:, -1], large[..., ::2, ::2])
