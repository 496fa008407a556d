"""DRTL, a handful of pairs helped by made ones that are like them: `misr train SHARP --small SMALL --auxiliary CLEAN`."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from misr.errors import InputError
from misr.train import relations
from misr.train.data import Material, Twin
from misr.train.degrade import bi, jpeg
from misr.train.fit import Training, fit
from misr.train.relations import Auxiliary, Relating, Task, Transfer, distorted, related
from tests import command
from tests.small_nets import SMALL
from tests.test_counterparts import drawn, write

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
THREE = (Task(), Task(noise=16.0), Task(blur=1.2))


@pytest.fixture
def three_tasks(monkeypatch):
    """Clean, noise and blur in place of all tasks, and so few steps that the network knows them just well enough."""
    monkeypatch.setattr(relations, "TASKS", THREE)
    monkeypatch.setattr(relations, "SORTS", torch.tensor([[0, 0, 1], [0, 1, 0], [0, 0, 0]]))
    monkeypatch.setattr(relations, "STEPS", 100)
    monkeypatch.setattr(relations, "CROPS", 12)


@pytest.fixture
def quick(monkeypatch):
    """A network and a bank that have hardly learned."""
    for name, value in (("STEPS", 2), ("CROPS", 4), ("KEPT", 2)):
        monkeypatch.setattr(relations, name, value)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three pairs, and two clean pictures."""
    root = write(tmp_path_factory.mktemp("few"), 3)
    (root / "clean").mkdir()
    for n in (7, 8):
        cv2.imwrite(str(root / "clean" / f"{n}.png"), drawn(n, (112, 128)))
    return root


def planes(count=3):
    return [drawn(n, (192, 192)) for n in range(count)]


def twins(task, count=2, seed=3):
    rng = np.random.default_rng(seed)
    sharp = [drawn(1 + n, (128, 160)) for n in range(count)]
    made = distorted(sharp, [task] * count, 2, rng)
    return [Twin(str(n), small, large) for n, (small, large) in enumerate(zip(made, sharp, strict=True))]


def training(data, out, **more):
    usual = {"scale": 2, "steps": 4, "crop": 16, "frames": 4, "device": "cpu", "options": SMALL["fast"][1]}
    both = {"small": str(data / "small"), "auxiliary": (str(data / "clean"),)}
    return Training(data=(str(data / "sharp"),), out=out, net="fast", **(usual | both | more))


def test_tasks_do_what_their_names_say():
    sharp = drawn(0, (128, 128))
    tasks = [Task(), Task(blur=0.8), Task(noise=8.0), Task(quality=25)]
    clean, soft, noisy, packed = distorted([sharp] * 4, tasks, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(clean, bi(sharp, 2))
    np.testing.assert_array_equal(packed, jpeg(clean, 25))
    assert np.abs(np.diff(soft.astype(float))).mean() < 0.9 * np.abs(np.diff(clean.astype(float))).mean()
    inside = (clean > 40) & (clean < 210)  # where noise is not cut off
    assert (noisy.astype(float) - clean)[inside].std() == pytest.approx(8, rel=0.1)
    assert [str(t) for t in (*tasks[:2], Task(0.5, 3, 75))] == ["clean", "blur 0.8", "blur 0.5, noise 3, JPEG 75"]


@pytest.mark.parametrize("blur", relations.BLURS)
def test_what_is_made_small_lies_on_the_grid_of_what_is_sharp(blur):
    sharp = drawn(1, (64, 64))
    both = distorted([sharp, np.ascontiguousarray(sharp[::-1, ::-1])], [Task(blur)] * 2, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(both[0], both[1][::-1, ::-1])


def test_the_network_gives_unit_vectors_and_learns_by_all_its_parts():
    net = Relating()
    small, clean = torch.rand(2, 4, 1, 32, 32)
    found = net(small, clean)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    relations.apart(found @ torch.randn(relations.WIDE, len(relations.TASKS)), torch.tensor([0, 5, 9, 63])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


def test_telling_tasks_apart_costs_the_task_and_each_of_its_sorts():
    n = len(relations.TASKS)
    assert float(relations.apart(torch.zeros(2, n), torch.tensor([0, 9]))) == pytest.approx(
        np.log(n) + sum(np.log(len(x)) for x in (relations.BLURS, relations.NOISES, relations.QUALITIES)), rel=1e-5
    )
    sure = 100 * F.one_hot(torch.tensor([7]), n).float()
    assert float(relations.apart(sure, torch.tensor([7]))) == pytest.approx(0, abs=1e-5)
    near, far = relations.TASKS.index(Task(0.0, 3.0, 25)), relations.TASKS.index(Task(1.2, 16.0, 0))
    told = relations.apart(sure, torch.tensor([near])), relations.apart(sure, torch.tensor([far]))
    assert relations.TASKS[7] == Task(0.0, 3.0, 25) or told[0] < told[1]


class Fixed(nn.Module):
    """A network that says the same of every picture."""

    def __init__(self, vector):
        super().__init__()
        self.vector = vector

    def forward(self, small, clean):
        return self.vector.expand(len(small), -1)


def test_relations_are_the_softmax_of_cosines():
    torch.manual_seed(0)
    bank = F.normalize(torch.randn(5, relations.WIDE), dim=1)
    found = related(Fixed(bank[3]), bank, twins(Task()))
    torch.testing.assert_close(found, torch.softmax(bank @ bank[3] / relations.HEAT, 0))
    assert int(found.argmax()) == 3 and float(found.sum()) == pytest.approx(1)


def test_pairs_without_detail_are_like_every_task():
    flat = Twin("flat", np.full((32, 32), 100, np.uint8), np.full((64, 64), 100, np.uint8))
    torch.testing.assert_close(
        related(Relating().eval(), torch.randn(4, relations.WIDE), [flat]), torch.full((4,), 0.25)
    )


def test_pairs_relate_most_to_the_task_that_is_most_like_theirs(three_tasks):
    net, bank = relations.learned(planes(12), planes(1), 2, 0, lambda line: None)
    torch.testing.assert_close(bank.norm(dim=1), torch.ones(3))
    for n, like in enumerate((Task(), Task(noise=13.0), Task(blur=1.0))):  # the last two are in no bank
        found = related(net, bank, twins(like))
        assert int(found.argmax()) == n and float(found[n]) > 0.5


def test_tasks_are_drawn_as_often_as_their_relations_say():
    shares = torch.zeros(len(relations.TASKS))
    noisy = relations.TASKS.index(Task(noise=16.0))
    shares[0], shares[noisy] = 0.75, 0.25
    source, found = Auxiliary(planes(), shares, 2, 16, 20, CPU, 1), []
    for _ in range(20):
        batch = source.draw()
        assert batch.views.shape == (20, 1, 1, 16, 16) and batch.sharp.shape == (20, 1, 1, 32, 32)
        boxes = F.avg_pool2d(batch.sharp[:, 0], 2)
        found += (255 * (batch.views[:, 0] - boxes)).std((1, 2, 3)).tolist()
    loud = np.mean(np.array(found) > 12)
    assert 0.18 < loud < 0.32
    with pytest.raises(AssertionError):  # the threshold tells the two apart
        assert 0.18 < np.mean(np.array(found) > 40) < 0.32


def test_clean_crops_are_what_bicubic_makes_of_the_sharp_ones():
    shares = F.one_hot(torch.tensor(0), len(relations.TASKS)).float()
    batch = Auxiliary(planes(), shares, 2, 32, 3, CPU, 1).draw()
    for view, sharp in zip(batch.views[:, 0, 0], batch.sharp[:, 0, 0], strict=True):
        made = bi((255 * sharp).round().byte().numpy(), 2)
        np.testing.assert_array_equal(made[4:-4, 4:-4], (255 * view).round().byte().numpy()[4:-4, 4:-4])


class Named:
    """A source that says its name."""

    def __init__(self, name):
        self.name = name

    def draw(self):
        return self.name

    def state(self):
        return self.name

    def restore(self, state):
        assert state == self.name


def test_pairs_come_by_turns_and_a_resumed_source_goes_on(monkeypatch):
    monkeypatch.setattr(relations, "ALONE", 0.5)
    monkeypatch.setattr(relations, "PAIRS", 0.25)
    at = [0.0]
    source = Transfer(Named("made"), Named("pairs"), lambda: at[0])
    assert [source.draw() for _ in range(4)] == ["made"] * 4
    at[0] = 0.5
    assert [source.draw() for _ in range(6)] == ["made", "made", "made", "pairs", "made", "made"]
    again = Transfer(Named("made"), Named("pairs"), lambda: 0.5)
    again.restore(source.state())
    assert [again.draw() for _ in range(3)] == [source.draw() for _ in range(3)] == ["made", "pairs", "made"]


def test_the_bank_of_a_run_is_learned_once_and_by_its_seed(quick, tmp_path, monkeypatch):
    material = Material(planes(), planes()[:1], [], [])
    drawn_before = torch.random.get_rng_state()
    net, bank = relations.own(material, tmp_path, 2, seed=0)
    assert torch.equal(torch.random.get_rng_state(), drawn_before)
    monkeypatch.setattr(relations, "learned", None)
    kept, same = relations.own(material, tmp_path, 2, seed=0)
    assert torch.equal(bank, same)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), kept.state_dict().values(), strict=True))
    monkeypatch.undo()
    for name, value in (("STEPS", 2), ("CROPS", 4), ("KEPT", 2)):
        monkeypatch.setattr(relations, name, value)
    for seed, alike in ((0, True), (1, False)):
        (tmp_path / str(seed)).mkdir()
        assert torch.equal(relations.own(material, tmp_path / str(seed), 2, seed=seed)[1], bank) == alike


def test_a_stopped_transfer_ends_like_one_that_was_not(data, quick, tmp_path):
    class Stop(Exception):
        pass

    def stop(run):
        if run.step == 3:
            raise Stop

    whole = fit(training(data, tmp_path / "a", run=tmp_path / "whole", steps=6, every=2))
    wanted = training(data, tmp_path / "b", run=tmp_path / "cut", steps=6, every=2)
    with pytest.raises(Stop):
        fit(wanted, stepped=stop)
    again = fit(wanted)
    assert (whole.folder / "weights.safetensors").read_bytes() == (again.folder / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match="auxiliary"):
        fit(replace(wanted, auxiliary=(str(data / "sharp"),)))


def test_relations_are_said_and_stand_on_the_card(data, quick, tmp_path):
    lines = []
    made = fit(training(data, tmp_path / "model", run=tmp_path / "run"), say=lines.append)
    told = next(line for line in lines if line.startswith("of the auxiliary tasks most like the pairs: "))
    assert made.card.note == told and told.count("%") == relations.TOLD
    assert made.card.trained_on == "3 pairs of small and sharp pictures, and made ones of 1 clean source"


def test_the_command_takes_clean_pictures_and_sums_of_terms(data, quick, tmp_path):
    args = ("--net", "fast", "-s", "2", "--crop", "16", "--steps", "2", "--device", "cpu", "--run", tmp_path / "run")
    args += ("--loss", "l1 + 0.01*tv", "--auxiliary", data / "clean", "--auxiliary", data / "clean/7.png")
    assert command.misr("train", data / "sharp", "--small", data / "small", "-o", tmp_path / "model", *args) == 0
    assert (tmp_path / "model/weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"small": None}, "clean pictures help real pairs; give --small too"),
        ({"auxiliary": ("nowhere",)}, "nowhere: no such file"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_sentence(more, told, data, tmp_path):
    with pytest.raises(InputError, match=told) as error:
        fit(replace(training(data, tmp_path / "model", run=tmp_path / "run"), **more))
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_clean_pictures_that_are_too_small_are_told(data, tmp_path):
    shutil.copytree(data / "small", tmp_path / "tiny")
    with pytest.raises(InputError, match="--auxiliary: no picture has 64 pixels along its short side"):
        fit(training(data, tmp_path / "model", run=tmp_path / "run", auxiliary=(str(tmp_path / "tiny"),)))
