"""Adversarial terms: the nets that judge, what deceiving them means, and a run that learns beside one."""

import pytest
import torch
from torch import nn

from misr.errors import InputError
from misr.train.adversary import Discriminator, Patches

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
    with pytest.raises(InputError, match="a picture of 40x20 is too small .* wants 24 pixels"):
        Patches(width=2)(torch.rand(1, 1, 20, 40))
    assert Patches(width=2)(torch.rand(1, 1, 24, 24)).shape == (1, 1, 1, 1)
    assert Patches(width=2, stride=1)(torch.rand(1, 1, 6, 6)).shape == (1, 1, 1, 1)


def test_made_and_true_pictures_are_judged_the_same_in_training_and_in_evaluation():
    torch.manual_seed(0)
    for net in (Discriminator(width=2), Patches(width=2)):
        x = torch.rand(2, 1, 32, 32)
        assert torch.equal(net(x), net.eval()(x))
        assert not dict(net.named_buffers())
