"""CinCGAN: what its cycles lose and who learns from it, that a stopped run goes on as it would have, and what is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import misr
from misr import zoo
from misr.errors import InputError
from misr.nets import NETS
from misr.nets.cincgan import Cincgan, Cleaner
from misr.resample import resample
from misr.train import alone, cycles, plot, valid
from misr.train.cycles import Apart, Cycles, Shrinker
from misr.train.fit import Training, fit, student
from misr.train.loop import Recipe
from tests import command, media
from tests.small_nets import alive

pytestmark = pytest.mark.usefixtures("one_thread")
FRONT = {"front": {"width": 4, "blocks": 1}}


@pytest.fixture(autouse=True)
def little_validation(monkeypatch):
    monkeypatch.setattr(valid, "SIDE", 64)
    monkeypatch.setattr(valid, "MOST_STILLS", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three sharp pictures, and two small noisy ones of other things with a clip of such."""
    root = tmp_path_factory.mktemp("data")
    for name in ("sharp", "noisy"):
        (root / name).mkdir()
    media.photos(root / "sharp")
    media.clip(root / "noisy", name="clip", frames=9, codec="ffv1", size=(64, 48))
    rng = np.random.default_rng(0)
    for n in range(2):
        codes = 128 + 40 * np.sin(np.arange(64) / (3 + n)) + rng.normal(0, 12, (48, 64))
        cv2.imwrite(str(root / "noisy" / f"snap{'ab'[n]}.png"), codes.clip(0, 255).astype(np.uint8))
    return root


def training(data, out, **more):
    usual = {"steps": 4, "crop": 16, "frames": 4, "device": "cpu", "start": "fast-x2", "discriminator": 4}
    usual |= {"unpaired": (str(data / "noisy"),), "options": FRONT, "precision": "fp32", "run": out.parent / "run"}
    return Training(data=(str(data / "sharp"),), out=out, **(usual | more))


def net_and_cycles(done=1.0, width=4):
    """A small Cincgan of which every part does something, what learns beside it, and a batch."""
    torch.manual_seed(1)
    net = alive(Cincgan(front=FRONT["front"], back_options={"depth": 2}))
    partner = Cycles(net, torch.device("cpu"), recipe=Recipe(steps=10), width=width, done=lambda: done)
    alive(partner.made)
    batch = Apart(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16), torch.rand(2, 1, 32, 32))
    return net, partner, batch


def touched(module):
    return sum(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def copied(module):
    return {name: x.clone() for name, x in module.state_dict().items()}


def changed(module, before):
    return any(not torch.equal(x, before[name]) for name, x in module.state_dict().items())


def test_a_cincgan_begins_as_its_back_alone():
    net = Cincgan(front=FRONT["front"])
    x = torch.rand(2, 1, 9, 11)
    back = net.back(x[:, None], x.new_ones(2, 1, 1, 1, 1), range(1))[:, 0]
    assert torch.equal(net.picture(x), back)


def test_every_net_of_one_view_that_learns_by_gradients_can_be_a_back_and_no_other():
    wanted = {n for n in NETS if n == "fast" or issubclass(NETS[n], type(net_and_cycles()[0]).__bases__[0])}
    assert set(cycles.backs()) == wanted - {"cincgan", "sparse"}  # the latter learns without gradients
    assert not {"gru", "burst", "interpolate", "spandrel", "misr_gru"} & set(cycles.backs())


def test_a_back_that_takes_cells_enlarges_any_size():
    net = Cincgan(front=FRONT["front"], back_options={"cell": 2})
    assert net.picture(torch.rand(1, 1, 7, 9)).shape == (1, 1, 14, 18)
    assert net.multiple == 2


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_way_back_from_sharp_pictures_begins_as_the_bicubic_and_lies_evenly_about_the_grid(scale):
    net, x = Shrinker(scale, width=4, blocks=1), torch.rand(2, 1, 6 * scale, 7 * scale)
    assert torch.allclose(net(x), resample(x, (6, 7)), atol=1e-6)
    for module in alive(net).modules():
        if isinstance(module, torch.nn.Conv2d):
            with torch.no_grad():
                module.weight.copy_((module.weight + module.weight.flip(-1)) / 2)
    with torch.inference_mode():
        assert net(x).shape == (2, 1, 6, 7)
        assert torch.allclose(net(x.flip(-1)), net(x).flip(-1), atol=1e-5)


def test_the_loss_is_the_sum_of_its_published_terms():
    net, partner, batch = net_and_cycles()
    with torch.no_grad():
        value = float(partner.loss(net, batch, False))
        clean, large = net.front(batch.noisy), net.picture(batch.noisy)
        square, size = (lambda a, b: float((a - b).square().mean())), (lambda a, b: float((a - b).abs().mean()))
        told = partner.figures()
        slope = lambda x: float(x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean())  # noqa: E731
        made, w = partner.made, cycles.WEIGHTS
        wanted = {
            "cycle_lr": w["cycle_lr"] * square(made["g2"](clean), batch.noisy),
            "identity_lr": w["identity_lr"] * size(net.front(batch.clean), batch.clean),
            "tv_lr": w["tv_lr"] * slope(clean),
            "cycle_hr": w["cycle_hr"] * square(made["g3"](large), batch.noisy),
            "identity_hr": w["identity_hr"] * square(net.enlarged(batch.clean), batch.sharp),
            "tv_hr": w["tv_hr"] * slope(large),
        }
    assert {name: told[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)
    assert set(told) == {*wanted, "adversarial_lr", "adversarial_hr"}
    assert value == pytest.approx(sum(told.values()), rel=1e-5)


def test_the_inner_cycle_learns_alone_at_first_and_all_learn_then():
    for done, parts in ((cycles.INNER - 0.01, {"front", "g2"}), (cycles.INNER, {"front", "back", "g2", "g3"})):
        net, partner, batch = net_and_cycles(done)
        partner.loss(net, batch, False).backward()
        learning = {"front": net.front, "back": net.back, **partner.made}
        assert {name for name, part in learning.items() if touched(part)} == parts
        judged = {name.split("_")[1] for name in partner.figures()}
        assert judged == ({"lr", "hr"} if "back" in parts else {"lr"})


def test_those_who_judge_take_no_gradient_from_the_net_and_give_it_none():
    net, partner, batch = net_and_cycles()
    partner.loss(net, batch, False).backward()
    assert touched(partner.judging) == 0
    before, given = copied(net), [p.grad.clone() for p in net.parameters()]
    weights = copied(partner.judging), copied(partner.made)
    partner.step()
    assert not changed(net, before)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), given, strict=True))
    assert changed(partner.judging["d1"], {k[3:]: v for k, v in weights[0].items() if k.startswith("d1.")})
    assert changed(partner.judging["d2"], {k[3:]: v for k, v in weights[0].items() if k.startswith("d2.")})
    assert changed(partner.made, weights[1])
    assert touched(partner.judging) == touched(partner.made) == 0
    assert {"d1_loss", "d2_loss"} < set(partner.figures())


def test_who_judges_learns_to_tell_noise_from_none():
    torch.manual_seed(0)
    net = Cincgan(front=FRONT["front"])
    partner = Cycles(net, torch.device("cpu"), recipe=Recipe(steps=1000, warm_up=1), width=8, done=lambda: 0.0)
    smooth = resample(torch.rand(8, 1, 6, 6), (24, 24))
    noisy = smooth.flip(0) + 0.04 * torch.randn(8, 1, 24, 24)
    for _ in range(60):
        partner.loss(net, Apart(noisy, smooth, torch.rand(8, 1, 48, 48)), False)
        partner.step()
    with torch.no_grad():
        d1 = partner.judging["d1"]
        assert float(cycles.taken(d1, smooth, 1.0)) < 0.1 and float(cycles.taken(d1, noisy, 0.0)) < 0.1


def test_the_adversarial_term_leads_to_what_is_taken_for_true():
    _, partner, batch = net_and_cycles(width=8)
    made, d1 = batch.noisy.clone().requires_grad_(True), partner.judging["d1"]
    before = cycles.taken(d1, made, 1.0)
    before.backward()
    with torch.no_grad():
        assert cycles.taken(d1, made - 1e-3 * made.grad / made.grad.norm(), 1.0) < before


def test_a_gradient_that_is_no_number_moves_nothing():
    net, partner, batch = net_and_cycles()
    before = copied(partner.made), copied(partner.judging)
    broken = replace(batch, noisy=batch.noisy * float("nan"))
    partner.loss(net, broken, False).backward()
    partner.step()
    assert not changed(partner.made, before[0]) and not changed(partner.judging, before[1])


def test_what_is_made_is_a_model_with_the_start_behind_a_front_and_a_log_of_every_term(data, tmp_path):
    made = fit(training(data, tmp_path / "model", every=2, steps=6))
    net, card = zoo.build(str(made.folder))
    start = zoo.build("fast-x2")[1]
    assert (card.net, card.options["back"], card.options["back_options"]) == ("cincgan", "fast", start.options)
    assert card.halo == net.halo == Cleaner(**FRONT["front"]).halo + start.halo
    assert "4 small pictures without pairs" in card.trained_on and "learned without pairs" in card.note
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    inner = {"adversarial_lr", "cycle_lr", "identity_lr", "tv_lr", "d1_loss"}
    assert inner <= set(lines[0]) and "d2_loss" not in lines[0]
    assert inner | {name.replace("lr", "hr") for name in inner if "lr" in name} | {"d2_loss"} <= set(lines[-1])
    drawn, panels = cv2.imread(str(made.folder / "plot.png")), 5  # loss, dB, both cycles, those who judge
    assert drawn.shape[0] == panels * (plot.HIGH + plot.EDGE) + plot.EDGE
    clip, out = next((data / "noisy").glob("clip.*")), tmp_path / "out.mkv"
    misr.upscale(clip, out, misr.Settings(model=str(made.folder)))
    assert [(f.width, f.height) for f in media.read(out)] == [(128, 96)] * 9


def test_a_stopped_run_goes_on_as_it_would_have(data, tmp_path):
    whole = fit(training(data, tmp_path / "whole", run=tmp_path / "one", every=2, steps=6))

    class Stop(Exception):
        pass

    def stop(run):
        if run.step == 5:  # one step after a checkpoint, in the outer cycle
            raise Stop

    wanted = training(data, tmp_path / "parts", run=tmp_path / "two", every=2, steps=6)
    with pytest.raises(Stop):
        fit(wanted, stepped=stop)
    parts = fit(wanted)
    assert (parts.folder / "weights.safetensors").read_bytes() == (whole.folder / "weights.safetensors").read_bytes()
    ours, theirs = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True)["partner"] for n in ("one", "two"))
    for part in ("made", "judging"):
        assert all(torch.equal(x, theirs[part][name]) for name, x in ours[part].items())


def test_a_model_with_a_front_goes_on_with_it(data, tmp_path):
    first = fit(training(data, tmp_path / "first"))
    net, card = student(training(data, tmp_path / "second", start=str(first.folder), options={}))
    assert card.options == first.card.options
    theirs = zoo.build(str(first.folder))[0].state_dict()
    assert all(torch.equal(x, theirs[name]) for name, x in net.state_dict().items())


def test_a_back_that_is_frozen_stays(data, tmp_path):
    made = fit(training(data, tmp_path / "model", freeze=("back",)))
    net, start = zoo.build(str(made.folder))[0], zoo.build("fast-x2")[0]
    assert all(torch.equal(x, start.state_dict()[name]) for name, x in net.back.state_dict().items())
    assert net.front.last.weight.any()


def test_small_pictures_are_read_as_they_are(data, tmp_path):
    plane = np.random.default_rng(3).integers(0, 255, (520, 530), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), plane)
    for n in range(6):  # numbered, and yet pictures of six things
        cv2.imwrite(str(tmp_path / f"n{n}.png"), np.roll(plane, 50 * n)[:64, :72])
    (tmp_path / "six").mkdir()
    for n in range(6):
        (tmp_path / f"n{n}.png").rename(tmp_path / "six" / f"n{n}.png")
    cv2.imwrite(str(tmp_path / "tiny.png"), plane[:50, :50])
    found = alone.gather("--unpaired", [tmp_path], crop=60, most_bytes=1 << 30)
    assert sorted(p.shape for p in found.planes) == [(64, 72)] * 6 + [(520, 530)]
    assert found.notes == ("--unpaired: 1 of 8 pictures are smaller than 60x60; left out",)
    little = alone.gather("--unpaired", [tmp_path / "large.png"], crop=60, most_bytes=10000)
    assert [p.shape for p in little.planes] == [(100, 100)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"start": ""}, "--unpaired: what enlarges clean pictures is to be there already; give --start a model"),
        ({"start": "video-x2"}, "--start video-x2: net gru is not one that learns from single pictures; there is fast"),
        ({"start": "burst-x2"}, "--start burst-x2: net burst is not one"),
        ({"start": "bicubic"}, "--start bicubic: net interpolate is not one"),
        ({"net": "edsr"}, "--unpaired, --net edsr: a cincgan is made"),
        ({"labels": "heldout"}, "--unpaired, --labels heldout: DATA is sharp; leave --labels out"),
        ({"loss": "l1 + tv"}, "--unpaired, --loss l1 \\+ tv: it has losses of its own; leave --loss out"),
        ({"features": "self"}, "--unpaired, --features self: none of its losses sees features"),
        ({"degradation": "mixed"}, "--unpaired, --degradation mixed: what is wrong with pictures is learned"),
        ({"small": "x"}, "--unpaired, --small x: pairs are what there is none of"),
        ({"unlabelled": ("y",)}, "--unpaired, --unlabelled y: all of its pictures are without labels"),
        ({"freeze": ("front",)}, "--freeze front: the front is what learns first; freeze back, or nothing"),
        ({"discriminator": 0}, "--discriminator 0: at least 1 channel is wanted"),
        ({"crop": 10}, "--unpaired, --crop 10: its patches are larger; give 12 or more"),
        ({"crop": 50}, "--unpaired .*noisy: nothing is larger than 64x48, and crops are 50x50; give a smaller --crop"),
        ({"unpaired": ("gone",)}, "gone: no such file or folder"),
        ({"options": {"front": {"width": 0}}}, "--net cincgan: width 0, blocks 6"),
        ({"options": {"front": {"wide": 1}}}, "do not fit net cincgan"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_written(data, tmp_path, more, said):
    with pytest.raises(InputError, match=said):
        fit(training(data, tmp_path / "model", **more))
    assert list(tmp_path.iterdir()) == []


def test_the_same_pictures_are_not_sharp_and_noisy(data, tmp_path):
    with pytest.raises(InputError, match=r"photoa.png: in DATA, which is sharp, and in --unpaired, which is not"):
        fit(training(data, tmp_path / "model", unpaired=(str(data / "sharp"),)))


def test_the_command_takes_pictures_without_pairs(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "--start",
        "fast-x2",
        "-o",
        "mine",
        "--steps",
        "2",
        "--crop",
        "16",
        "--frames",
        "2",
        "--discriminator",
        "2",
    ]
    option = ["--option", 'front={"width": 2, "blocks": 0}', "--progress", "none"]
    assert command.misr("train", str(data / "sharp"), "--unpaired", str(data / "noisy"), *words, *option) == 0
    assert zoo.card("mine").net == "cincgan"
    assert command.misr("train", str(data / "sharp"), "--unpaired", str(data / "noisy"), *words[2:], *option) != 0
