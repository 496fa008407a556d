"""Learning without labels: what is turned and moved comes back exact, what is lost is what the paper says, a run goes on."""

import runpy
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from misr import zoo
from misr.errors import InputError
from misr.nets import NETS
from misr.nets.single import Single
from misr.resample import resample
from misr.train import consistency, valid
from misr.train import data as data_room
from misr.train.consistency import FARTHEST, Beside, Loose, Turn, inconsistency, inverse, symmetric, weight
from misr.train.degrade import bi
from misr.train.fit import Training, fit
from misr.train.loop import BETA, distance
from tests import command, media
from tests.small_nets import SMALL, Entry
from tests.test_train import Count, Stop, stopping_at, texture, weights

pytestmark = pytest.mark.usefixtures("one_thread")
WAYS = range(8)
TURNS = [Turn(way, way % (FARTHEST + 1), (3 * way) % (FARTHEST + 1)) for way in WAYS]


def loose(turn, side=20, n=2):
    x = torch.rand(n, 1, side + FARTHEST, side + FARTHEST, generator=torch.Generator().manual_seed(3))
    return Loose(x, turn)


# ---------------------------------------------------------------- what is turned


@pytest.mark.parametrize("way", WAYS)
def test_a_symmetry_is_undone_by_its_inverse(way):
    x = torch.rand(2, 1, 5, 5)
    assert torch.equal(symmetric(symmetric(x, way), inverse(way)), x)


def test_the_eight_symmetries_differ():
    x = torch.rand(1, 1, 4, 4)
    assert len({tuple(symmetric(x, way).flatten().tolist()) for way in WAYS}) == 8


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("scale", [2, 3])
def test_shrinking_does_not_see_how_a_picture_was_turned_so_that_labels_stay_true(turn, scale):
    sharp = torch.from_numpy(texture(16 * scale, 16 * scale)).float()[None, None]

    def small(picture):
        return resample(picture, (picture.shape[-2] // scale, picture.shape[-1] // scale), edges="symmetric")

    assert torch.allclose(small(symmetric(sharp, turn.way)), symmetric(small(sharp), turn.way), atol=1e-3)
    there = turn(small(sharp), 8)[..., 2:-2, 2:-2]
    assert torch.allclose(small(turn(sharp, 8 * scale, scale))[..., 2:-2, 2:-2], there, atol=1e-3)


class Flat(Single):
    """A net that knows nothing of its surroundings, or of where things are from."""

    def __init__(self, scale=2, lean=0.0):
        super().__init__(scale, 1)
        self.lean, self.halo = nn.Parameter(torch.tensor(lean)), 0

    def levels(self, x):
        return [x, self.picture(x)]

    def picture(self, x):
        made = resample(x, (self.scale * x.shape[-2], self.scale * x.shape[-1]), kernel="nearest")
        return made + self.lean * torch.linspace(0, 1, made.shape[-1])


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("scale", [2, 3])
def test_a_net_that_treats_all_alike_loses_nothing(turn, scale):
    assert inconsistency(Flat(scale), loose(turn)) == 0
    assert inconsistency(NETS["interpolate"](scale=scale, kernel="nearest"), loose(turn)) == 0


def test_what_is_lost_is_half_the_mean_square_over_one_code_value_in_every_level():
    lost = inconsistency(Flat(2, lean=0.1), loose(Turn(1)))
    ramp = torch.linspace(0, 0.1, 40)
    apart = (ramp - ramp.flip(0))[: 40 - 2 * FARTHEST]
    assert torch.allclose(lost, apart.square().mean() / (2 * BETA) / 2, rtol=1e-4)  # the first level loses nothing


def test_what_a_net_sees_beyond_the_edges_of_crops_is_not_held_against_it():
    net = Entry("srcnn", 2, {"kernels": [3, 1, 3], "widths": [4, 4]}).make()
    for part in net.modules():
        if isinstance(part, nn.Conv2d):  # a net that is symmetric, but for the zeros it sees beyond the picture
            part.weight.data = sum(symmetric(part.weight.data, way) for way in WAYS) / 8
    assert inconsistency(net, loose(Turn(5, 3, 1), side=24)) < 1e-12
    assert (
        net.picture(torch.ones(1, 1, 24, 24))[..., 0] - net.picture(torch.ones(1, 1, 24, 24))[..., 20]
    ).abs().max() > 1e-4


def test_far_from_the_end_of_a_run_what_is_lost_is_smooth_l1_as_on_labels():
    it, ramp = loose(Turn(1)), torch.linspace(0, 0.1, 40)
    apart = (ramp - ramp.flip(0))[: 40 - 2 * FARTHEST].expand(32, 32)
    wanted = distance(apart, torch.zeros(32, 32), squares=False) / 2
    assert torch.allclose(inconsistency(Flat(2, lean=0.1), it, squares=False), wanted, rtol=1e-4)


def test_both_sides_learn_and_the_gradient_is_that_of_the_formula():
    torch.manual_seed(0)
    net, it = Entry("srcnn", 2, SMALL["srcnn"][1]).make().requires_grad_(True), loose(Turn(2))
    inconsistency(net, it).backward()
    ours = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    x = it.views[..., :20, :20]
    apart = net.picture(x.flip(-2)).flip(-2) - net.picture(x)
    inner = slice(2 * 4, 40 - 2 * FARTHEST - 2 * 4)  # less a quarter on each side, which is less than its halo
    assert net.halo >= 4
    (apart[..., inner, inner].square().mean() / (2 * BETA)).backward()
    assert all(torch.allclose(g, p.grad, atol=1e-6) for g, p in zip(ours, net.parameters(), strict=True))
    assert all(g.any() for g in ours)


@pytest.mark.parametrize("name", ["fast", "espcn", "lapsrn", "prosr", "srresnet", "swinir", "hourglass"])
def test_every_kind_of_net_of_one_view_can_be_asked(name):
    net = Entry(name, 2, SMALL[name][1]).make().requires_grad_(True).train()
    lost = inconsistency(net, loose(Turn(5, 1, 2)), 0.5)
    lost.backward()
    assert lost > 0 and any(p.grad is not None and p.grad.any() for p in net.parameters())


def test_the_weight_grows_and_then_stays(tmp_path):
    wanted = Training(data=(), out=tmp_path, consistency=2.0)
    grown = [weight(wanted, done) for done in (0.0, 0.1, 0.2, 0.3, 0.6, 1.0)]
    assert grown == sorted(grown) and 0 < grown[0] < 0.02 and grown[3:] == [2.0] * 3
    assert weight(replace(wanted, consistency=None), 1.0) == consistency.WEIGHT


# ---------------------------------------------------------------- batches


def test_a_source_goes_on_with_the_same_pictures_and_never_leaves_one_as_it_is():
    planes = [texture(32, 40), texture(28, 24, seed=2)]
    it = Beside(Count("a"), planes, 16, 3, torch.device("cpu"), 1)
    drawn = [it.draw() for _ in range(40)]
    turns = {(b.turn.way, b.turn.down, b.turn.right) for _, b in drawn}
    assert (0, 0, 0) not in turns and len({way for way, *_ in turns}) == 8
    assert all(b.views.shape == (3, 1, 20, 20) and 0 <= b.views.min() and b.views.max() <= 1 for _, b in drawn)
    state = it.state()
    rest = [it.draw() for _ in range(5)]
    again = Beside(Count("a"), planes, 16, 3, torch.device("cpu"), 9)
    again.restore(state)
    for (one, ours), (other, theirs) in zip(rest, (again.draw() for _ in range(5)), strict=True):
        assert one == other and torch.equal(ours.views, theirs.views) and ours.turn == theirs.turn


# ---------------------------------------------------------------- misr train --unlabelled


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sharp pictures, and small ones and a small clip of other scenes."""
    root = tmp_path_factory.mktemp("data")
    for name in ("sharp", "small", "tiny"):
        (root / name).mkdir()
    for n in range(6):
        media.picture(root / ("sharp" if n < 3 else "small"), "png", name=f"photo{'abcdef'[n]}", n=n, size=(128, 96))
    media.clip(root / "small", name="clip", frames=9, codec="ffv1", size=(64, 48))
    media.picture(root / "tiny", "png", name="photo", n=1, size=(50, 50))
    return root


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(valid, "SIDE", 64)
    monkeypatch.setattr(valid, "MOST_STILLS", 1)


def training(data, out, net="srcnn", **more):
    usual = {
        "scale": 2,
        "steps": 6,
        "crop": 16,
        "frames": 4,
        "every": 3,
        "device": "cpu",
        "options": SMALL[net][1],
        "unlabelled": (str(data / "small"),),
        "run": out.parent / "run",
    }
    return Training(data=(str(data / "sharp"),), out=out, net=net, **(usual | more))


def test_it_learns_from_both_and_the_card_and_the_log_say_so(data, tmp_path):
    lines, said = [], []
    made = fit(training(data, tmp_path / "mine"), tell=lines.append, say=said.append)
    assert "3 sources" not in made.card.trained_on and "5 small pictures without pairs" in made.card.trained_on
    assert (
        made.card.note == "learned from 5 small pictures without labels by transformation consistency, weight 0.1, too"
    )
    assert all(line["consistency"] > 0 for line in lines) and any("4 sources" in line for line in said)
    alone = fit(training(data, tmp_path / "alone", unlabelled=(), run=tmp_path / "r2"))
    assert weights(tmp_path / "alone") != weights(tmp_path / "mine")
    assert alone.card.note == "" and "without pairs" not in alone.card.trained_on


@pytest.mark.parametrize(("net", "more"), [("srcnn", {}), ("fast", {"loss": "l1 + 0.1*tv", "consistency": 0.5})])
def test_a_stopped_run_ends_bit_for_bit_as_an_unbroken_one(data, tmp_path, net, more):
    whole, broken = (tmp_path / n / "mine" for n in ("whole", "broken"))
    fit(training(data, whole, net, **more))
    with pytest.raises(Stop):
        fit(training(data, broken, net, **more), stepped=stopping_at(4))
    fit(training(data, broken, net, **more))
    assert weights(whole) == weights(broken)


def test_real_pairs_and_pictures_without_go_together(data, tmp_path):
    small = tmp_path / "pairs"
    small.mkdir()
    media.photos(small, (64, 48))
    made = fit(training(data, tmp_path / "mine", small=str(small)))
    assert made.card.trained_on == "3 pairs of small and sharp pictures, and 5 small pictures without pairs"


def test_a_run_with_other_pictures_without_labels_is_another_run(data, tmp_path):
    fit(training(data, tmp_path / "mine"))
    with pytest.raises(InputError, match="holds a run with unlabelled"):
        fit(training(data, tmp_path / "mine", unlabelled=(str(data / "sharp"),)))
    with pytest.raises(InputError, match="holds a run with consistency"):
        fit(training(data, tmp_path / "mine", consistency=0.5))


def test_the_command_takes_it_and_what_it_makes_enlarges(data, tmp_path):
    words = ("--net", "fast", "-s", 2, "--steps", 2, "--crop", 16, "--frames", 2, "--option", "depth=3")
    assert command.misr("train", data / "sharp", *words, "-o", tmp_path / "mine", "--run", tmp_path / "run", "--unlabelled",
                        data / "small" / "clip.mkv", "--unlabelled", data / "small", "--consistency", 0.3) == 0  # fmt: skip
    assert "weight 0.3" in zoo.card(tmp_path / "mine").note
    out = tmp_path / "out.mkv"
    assert command.up(data / "small" / "clip.mkv", out, "-m", tmp_path / "mine") == 0
    assert (media.read(out)[0].width, media.read(out)[0].height) == (128, 96)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"unlabelled": (), "consistency": 0.1}, "--consistency 0.1: .*give --unlabelled"),
        ({"consistency": 0.0}, "--consistency 0: a weight above 0"),
        ({"consistency": float("nan")}, "--consistency nan: a weight above 0"),
        ({"labels": "heldout"}, "--unlabelled, --labels heldout: "),
        ({"unlabelled": ("nowhere",)}, "no such file"),
        ({"net": "gru", "options": {}}, "--unlabelled: the net fuses several views"),
        ({"net": "sparse", "options": {}}, "leave out --unlabelled"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_before_anything_is_made(data, tmp_path, more, said):
    with pytest.raises(InputError, match=said) as told:
        fit(training(data, tmp_path / "mine", **more))
    assert "\n" not in str(told.value) and not (tmp_path / "mine").exists() and not (tmp_path / "run").exists()


def test_pictures_too_small_to_compare_are_told(data, tmp_path):
    with pytest.raises(InputError, match=r"--unlabelled .*tiny.*50x50.*smaller --crop"):
        fit(training(data, tmp_path / "mine", unlabelled=(str(data / "tiny"),), crop=48))


def test_learning_without_labels_makes_a_net_more_consistent(tmp_path):
    """A sharp picture to learn from, small ones of others: with the term the net treats those more alike."""
    torch.manual_seed(0)
    planes = [bi(texture(96, 96, seed=n), 2) for n in range(3)]
    source = Beside(Count("a"), planes, 24, 4, torch.device("cpu"), 1)
    net = Entry("srcnn", 2, SMALL["srcnn"][1]).make().requires_grad_(True)
    batches = [source.draw()[1] for _ in range(8)]

    @torch.no_grad()
    def lost():
        return sum(float(inconsistency(net, b)) for b in batches)

    before = lost()
    steps = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(20):
        steps.zero_grad()
        inconsistency(net, source.draw()[1]).backward()
        steps.step()
    assert lost() < before / 2


# ---------------------------------------------------------------- scripts/semi_supervised


def test_the_study_tells_each_way_to_learn_with_labels_turned_and_not():
    study = runpy.run_path(str(Path(__file__).resolve().parent.parent / "scripts" / "semi_supervised"))
    args = Namespace(net="fast", scale=2, labelled=0.25, weight=[0.1], pool=4, steps=2, seeds=2, crop=8, frames=2)
    turned = data_room.turned
    lines = list(study["rows"](args, [texture(48, 48, seed=n) for n in range(5)]))
    assert [line.count("|") for line in lines] == [6] * 7 and data_room.turned is turned
    assert [line.split("|")[2].strip() for line in lines[1:]] == ["turned"] * 3 + ["never turned"] * 3
    names = [line.split("|")[1].strip() for line in lines]
    assert names == ["bicubic", *2 * ["25% with labels", "and the rest without, weight 0.1", "all with labels"]]
