"""Steps made of numbered batches: the same whoever makes them, wherever they go on, and replayed or not."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from misr.nets.gru import Gru
from misr.train import numbered
from misr.train.captured import Captured
from misr.train.loop import Recipe, Run, train
from misr.train.numbered import Crew, Numbered
from misr.train.scenes import Scenes
from tests.test_train import texture

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def numbers(seed=0):
    scenes = Scenes([texture(160, 180)], scale=2, crop=16)
    return Numbered(scenes, frames=6, lengths=[(0, 2), (3, 3)], seed=seed)


def crew(workers=0, device=CPU):
    return Crew(numbers(), workers=workers, device=device)


def run(folder, device=CPU, *, bf16=False, steps=6):
    torch.manual_seed(0)
    net = Gru(scale=2, width=8, blocks=1, motion={"levels": 2, "width": 4, "depth": 1})
    net.motion.requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)
    return Run(Recipe(steps=steps, warm_up=2, bf16=bf16), net, folder, device=device, longest=30)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def equal(a, b):
    return torch.equal(a.views, b.views) and torch.equal(a.sharp, b.sharp)


def test_a_batch_is_its_number():
    one, other = numbers(), numbers()
    batches = [one[n] for n in range(5)]
    assert all(equal(other[n], batches[n]) for n in (4, 1, 3)) and not equal(batches[0], batches[1])
    assert not equal(numbers(seed=1)[0], batches[0])
    assert [b.views.shape for b in batches[2:4]] == [(3, 2, 16, 16), (2, 3, 16, 16)]
    assert batches[3].sharp.shape == (2, 3, 32, 32) and batches[3].sharp.dtype == torch.uint8


def test_processes_make_the_same_batches_in_order():
    alone, many = crew(), crew(workers=2)
    assert all(equal(alone.draw(), many.draw()) for _ in range(6))


def test_a_run_of_numbered_batches_goes_on_bit_for_bit(tmp_path):
    def go(folder, most):
        it, source = run(tmp_path / folder), crew()
        train(it, source, numbered.loss, lambda net: 0.0, update=Captured(it, numbered.loss), every=100,
              enough=lambda: it.step == most)  # fmt: skip
        return it

    whole = go("whole", 99)
    assert go("parts", 4).step == 4
    again = go("parts", 99)
    assert again.step == 6 and same(whole.net, again.net) and same(whole.average, again.average)


def test_without_a_gpu_a_step_is_the_runs_own(tmp_path):
    one, other, batch = run(tmp_path / "a"), run(tmp_path / "b"), numbers()[0]
    step = Captured(one, numbered.loss)
    assert step.reason == "on a cpu"
    a, b = step(batch), other.update(lambda net, squares: numbered.loss(net, batch, squares))
    assert a == b and same(one.net, other.net)


def test_a_step_asks_nothing_back(tmp_path):
    """No value of a tensor decides what comes next, and no constant is sent: else it could not be captured."""

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert not any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "lift_fresh")), func
            return func(*args, **(kwargs or {}))

    it, batch = run(tmp_path), numbers()[3]
    step = Captured(it, numbered.loss)
    step.eager(batch, False)  # constants are made once
    with Watch():
        step.eager(batch, False)


@pytest.mark.gpu
@pytest.mark.parametrize("bf16", [False, True])
def test_a_replayed_step_is_the_launched_one(tmp_path, bf16):
    """To rounding: sums of atomics come in any order."""
    cuda, losses = torch.device("cuda"), []
    for capture in (True, False):
        it = run(tmp_path / str(capture), cuda, bf16=bf16, steps=12)
        step, source = Captured(it, numbered.loss, capture=capture), crew(device=cuda)
        losses.append(torch.stack([step(source.draw()) for _ in range(12)]))
        assert (step.graph is not None) == capture and (not capture or not step.reason)
    assert torch.allclose(losses[0], losses[1], rtol=0.1 if bf16 else 0.02)
