"""`misr train --net NAME` for every net of one view: what it makes is a model that misr upscales a clip with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import misr
from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError, ModelError
from misr.nets import NETS
from misr.nets.single import Single
from misr.resample import resample
from misr.train import valid
from misr.train.fit import FLOOR, Training, fit, student
from misr.train.loop import Recipe, Run, distance
from misr.train.scenes import Batch
from misr.train.soap import Soap
from misr.train.video import supervised, unshuffled
from tests import media
from tests.small_nets import SMALL
from tests.test_train import Stop, stopping_at

CLASSICS = [name for name, net in NETS.items() if issubclass(net, Single)]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def little_validation(monkeypatch):
    monkeypatch.setattr(valid, "SIDE", 64)
    monkeypatch.setattr(valid, "MOST_STILLS", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three pictures and a clip."""
    root = tmp_path_factory.mktemp("data")
    media.photos(root)
    media.clip(root, name="clip", frames=3, codec="ffv1", size=(26, 18))
    return root


def training(data, out, net, **more):
    usual = {"scale": 2, "steps": 3, "crop": 16, "frames": 4, "device": "cpu", "options": SMALL[net][1]}
    return Training(data=tuple(str(p) for p in data.glob("*.png")), out=out, net=net, **(usual | more))


@pytest.mark.parametrize("name", CLASSICS)
def test_every_classic_learns_and_enlarges_a_clip(name, data, tmp_path):
    scale = 4 if name in ("lapsrn", "prosr") else 2
    made = fit(training(data, tmp_path / "model", name, scale=scale, run=tmp_path / "run"))
    net, card = zoo.build(str(made.folder))
    assert np.isfinite(made.valid_db) and (card.net, card.channels) == (name, 1)
    assert (card.multiple, card.halo) == (net.multiple, net.halo)
    clip, out = next(data.glob("clip.*")), tmp_path / "out.mkv"
    misr.upscale(clip, out, misr.Settings(model=str(made.folder)))
    frames = media.read(out)
    assert [(f.width, f.height) for f in frames] == [(26 * scale, 18 * scale)] * 3


def test_a_net_that_draws_while_it_learns_goes_on_after_a_stop_as_if_there_had_been_none(data, tmp_path):
    options = SMALL["swinir"][1] | {"drop_path": 0.5}
    whole, broken = (
        training(data, tmp_path / "model", "swinir", steps=5, every=2, options=options, run=tmp_path / name)
        for name in ("whole", "broken")
    )
    found = [fit(whole).card.sha256]
    with pytest.raises(Stop):
        fit(replace(broken, out=tmp_path / "other"), stepped=stopping_at(4))
    found.append(fit(replace(broken, out=tmp_path / "other")).card.sha256)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["srresnet", "swinir", "prosr"])
def test_every_part_learns_by_the_end_of_a_run(name, data, tmp_path):
    net, _ = student(training(data, tmp_path / "model", name, scale=4))
    net.train()
    for parameter in net.parameters():
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    batch = Batch(torch.rand(2, 1, 1, 8, 8), torch.rand(2, 1, 1, 32, 32))
    supervised(net, batch, False).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


class Steps(Single):
    """Two levels whose pictures are the input, enlarged."""

    def levels(self, x):
        return [resample(x, (2 * x.shape[-2], 2 * x.shape[-1])), self.picture(x)]

    def picture(self, x):
        return resample(x, (4 * x.shape[-2], 4 * x.shape[-1])) + 0.25


def test_the_loss_is_the_mean_over_levels_each_against_the_truth_shrunk_to_its_size():
    net = Steps(4, 1)
    x, sharp = torch.rand(2, 1, 1, 6, 6), torch.rand(2, 1, 1, 24, 24)
    low, high = net.levels(x[:, 0])
    wanted = (
        distance(low, resample(sharp[:, 0], (12, 12)), squares=False) + distance(high, sharp[:, 0], squares=False)
    ) / 2
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(supervised(net, Batch(x, sharp), False), wanted)
    assert torch.equal(unshuffled(net, x)[0], high)  # what hidden views are held against


def test_prosr_learns_its_lower_levels_first(tmp_path):
    torch.manual_seed(0)
    net = NETS["prosr"](scale=4, **SMALL["prosr"][1])
    batch = Batch(torch.rand(2, 1, 1, 8, 8), torch.rand(2, 1, 1, 32, 32))
    touched = []
    for done in (0.0, 0.2, 0.5):
        net.zero_grad(set_to_none=True)
        supervised(net, batch, False, done=lambda done=done: done).backward()
        touched.append([part.weight.grad is not None for part in net.detail])
    assert touched == [[True, False], [True, True], [True, True]]


class Normed(nn.Module):
    """A batch norm and a weight."""

    def __init__(self):
        super().__init__()
        self.norm, self.weight = nn.BatchNorm1d(2), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.weight * self.norm(x)


def test_what_a_batch_norm_has_seen_is_averaged_with_the_weights_and_judging_adds_nothing_to_it(tmp_path):
    run = Run(Recipe(steps=400, bf16=False, average=0.9), Normed(), tmp_path)
    for _ in range(200):
        x = 3 + 2 * torch.randn(64, 2)
        run.update(lambda net, squares, x=x: net(x).square().mean())
    seen = run.average.norm.running_mean.clone()
    assert torch.allclose(seen, torch.full((2,), 3.0), atol=0.3)
    assert int(run.average.norm.num_batches_tracked) == 200
    run.average(torch.zeros(8, 2))
    assert torch.equal(run.average.norm.running_mean, seen)


def test_gradients_of_low_rank_throw_no_weight_far():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.zeros(24, 216))
    steps = Soap([kernel], 1e-3, floor=FLOOR)
    for _ in range(3):
        kernel.grad = torch.randn(24, 2) @ torch.randn(2, 216)
        before = kernel.detach().clone()
        steps.step()
        assert (kernel - before).abs().max() < 20e-3


def test_what_cannot_be_meant_is_said(data, tmp_path):
    for name, more, said in [
        ("lapsrn", {"scale": 3}, "--net lapsrn: Lapsrn enlarges by 2, 4 or 8, not by 3"),
        ("edsr", {"options": {"channels": 3}}, "misr learns from luma alone, so leave out channels=3"),
        ("edsr", {"options": {"wide": 3}}, "do not fit net edsr"),
    ]:
        with pytest.raises(InputError, match=said):
            fit(training(data, tmp_path / "model", name, **more))
    assert not (tmp_path / "model").exists()


def test_a_model_whose_net_cannot_have_its_scale_is_refused(tmp_path):
    ModelCard(name="x", net="lapsrn", scale=3).write(tmp_path / "card.json")
    with pytest.raises(ModelError, match="enlarges by 2, 4 or 8, not by 3"):
        zoo.build(str(tmp_path))
