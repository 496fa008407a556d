"""What a burst teaches by itself: views are dealt out fairly, it is shrunk as its camera would, and the questions are fair."""

from itertools import chain

import pytest
import torch

from misr import zoo
from misr.adapting.burst_exam import counted, decibels, exam, quartered
from misr.adapting.burst_lesson import Shrinking, Shrunk, rebased, shrunk
from misr.adapting.burst_views import FEWEST, dealt
from misr.adapting.judge import gain
from misr.nets import NETS
from misr.nets.lattice import Stack
from misr.train import bursts
from misr.train.burst_lessons import fusing
from misr.train.camera import Dice
from misr.train.revisits import Place, hidden
from tests.test_train import texture

pytestmark = pytest.mark.usefixtures("one_thread")

# ---------------------------------------------------------------- who learns, who watches, who judges


@pytest.mark.parametrize("t", [*range(FEWEST, 12), 22, 40])
def test_every_view_is_in_one_portion_and_the_reference_teaches(t):
    it = dealt([""] * t)
    assert sorted(chain(it.learn, it.watch, it.judge)) == list(range(t))
    assert it.learn[0] == 0 and len(it.learn) >= 3 and it.watch and it.judge
    assert len(it.judge) <= t / 4 + 1 and len(it.watch) <= t / 6 + 1


def test_views_of_one_time_stay_together_and_those_of_the_references_teach():
    days = ["05", "01", "01", "02", "03", "03", "04", "05", "06", "07"]
    it = dealt(days)
    for part in (it.watch, it.judge):
        elsewhere = {days[n] for n in range(len(days)) if n not in part}
        assert not {days[n] for n in part} & elsewhere
    assert 7 in it.learn
    assert it.times[1] == it.times[2] != it.times[3]


def test_views_of_too_few_times_are_dealt_out_singly():
    it = dealt(["1", "1", "1", "1", "1", "2"])
    assert it.watch and it.judge and len(set(it.times)) == 2


# ---------------------------------------------------------------- the burst shrunk once more


def known(t=6, seed=3, noise=0.005):
    """A synthetic burst x2, motion known exactly, and the picture it shows."""
    truth = torch.from_numpy(texture(120, 136, seed)).float().sub(16).div(219)[None, None]
    how = bursts.Conditions(noise=(noise, noise), optics=(0.27, 0.27), off=(1e-9, 1e-9), plain=True)
    return bursts.made(truth, t, 2, how, Dice(seed))


def as_fields(stack):
    """The same stack with its shifts said pixel by pixel."""
    return stack._replace(motion=stack.motion.expand(-1, -1, -1, *stack.views.shape[-2:]).contiguous())


@pytest.mark.parametrize("said", [lambda s: s, as_fields])
def test_a_stack_on_another_views_grid_says_where_the_others_lie_from_there(said):
    stack = said(known().stack)
    moved = rebased(stack, [3, 0, 5])
    assert torch.equal(moved.views, stack.views[:, [3, 0, 5]])
    wanted = stack.motion[:, [3, 0, 5]] - stack.motion[:, [3]]
    assert (moved.motion - wanted).abs().max() < 1e-5
    assert rebased(stack, [0, 2]).motion.equal(stack.motion[:, [0, 2]])


@pytest.mark.parametrize("scale", [2, 3])
def test_a_shrunk_burst_is_one_of_the_same_place_seen_coarser(scale):
    h, w, t = 36, 48, 4
    y, x = torch.meshgrid(torch.arange(h) * 0.011, torch.arange(w) * 0.007, indexing="ij")
    shift = torch.tensor([[0.0, 0.0], [0.4, -0.3], [-0.7, 0.2], [0.1, 0.6]])
    planes = [x - 0.007 * dx + y - 0.011 * dy for dx, dy in shift]
    ones = torch.ones(1, t, 1, h, w)
    stack = Stack(torch.stack(planes)[None, :, None], ones, shift[None, :, :, None, None], 0.01 * ones[..., :1, :1],
                  torch.tensor([0.27]))  # fmt: skip
    it = shrunk(stack, scale)
    assert it.shown.views.shape == (1, t, 1, h // scale, w // scale)
    assert torch.equal(it.truth, stack.views[:, 0]) and torch.allclose(it.shown.motion, stack.motion / scale)
    first, inner = it.shown.views[:, :1], (..., slice(3, -3), slice(3, -3))
    slope = torch.tensor([0.007, 0.011]) * scale
    moved = first - (it.shown.motion * slope[:, None, None]).sum(2, keepdim=True)
    assert torch.allclose(it.shown.views[inner], moved[inner], atol=1e-5), "each view lies where its motion says"
    middle = torch.nn.functional.avg_pool2d(stack.views[:, 0], scale)
    assert torch.allclose(first[:, 0][inner], middle[inner], atol=1e-5), "pixel centres are those of the area"


def test_what_a_mask_leaves_out_teaches_nothing_when_shrunk():
    stack = known().stack
    hole = stack.valid.clone()
    hole[:, 1, :, 10:14, 20:24] = 0
    masked = shrunk(stack._replace(valid=hole), 2)
    other = stack.views.clone()
    other[:, 1, :, 10:14, 20:24] = 50.0
    spoiled = shrunk(stack._replace(views=other, valid=hole), 2)
    assert masked.shown.views.equal(spoiled.shown.views)
    assert not masked.shown.valid[:, 1, :, 5:7, 10:12].any() and masked.shown.valid[:, 0].all()
    truth = shrunk(rebased(stack._replace(views=other, valid=hole), [1, 0]), 2)
    missed, belief = truth.missed(truth.truth.clamp(0, 1))
    assert not belief[..., 10:14, 20:24].any() and torch.isfinite(missed).all()


def test_shrunk_batches_show_no_view_that_watches_or_judges_and_go_on_exactly():
    stack = known(8).stack
    numbered = stack._replace(views=torch.zeros_like(stack.views) + torch.arange(8.0)[None, :, None, None, None] / 10)
    make = {"scale": 2, "crop": 8, "samples": 8, "longest": 4, "device": torch.device("cpu")}
    source = Shrinking([Place(numbered, (2, 5), (3,))], **make, seed=1)
    seen = set()
    for _ in range(60):
        batch = source.draw()
        assert isinstance(batch, Shrunk) and batch.truth.shape[-1] == 2 * batch.shown.views.shape[-1]
        seen |= {round(10 * float(v.mean())) for v in batch.shown.views.unbind(1)}
    assert seen == {0, 1, 4, 6, 7}
    other = Shrinking([Place(numbered, (2, 5), (3,))], **make, seed=2)
    other.restore(source.state())
    assert all(torch.equal(a, b) for a, b in zip(source.draw().shown, other.draw().shown, strict=True))


# ---------------------------------------------------------------- the questions


def test_the_truth_answers_better_than_any_method_and_noise_answers_worst():
    it = known(8)
    parts = dealt([""] * 8)
    place = Place(it.stack, parts.judge, parts.watch)
    those = exam([place], parts.judge, parts, scale=2, device=torch.device("cpu"), most=4)
    mean = lambda dbs: sum(dbs) / len(dbs)  # noqa: E731
    plain = those.baselines_db(2)
    assert set(plain) == set(zoo.METHODS)
    assert mean(those.hidden_db(lambda stack: it.truth)) > max(plain.values())
    noise = torch.rand(it.truth.shape, generator=torch.Generator().manual_seed(1))
    assert mean(those.hidden_db(lambda stack: it.truth + 0.6 * noise)) < min(plain.values())
    assert len(those.blocks) == len(those.small_blocks) == 4 * len(parts.judge)
    assert set(those.blocks) == {parts.times[n] for n in parts.judge}
    small = [[x for a in those.shrunk for x in a.answers_db(fusing(NETS[name](scale=2)))] for name in ("best", "map")]
    assert mean(small[1]) > mean(small[0]) + 3, "the views tell what one of them does not, shrunk too"


def test_quarters_where_a_place_has_changed_are_not_asked_about():
    stack = known(6).stack
    changed, (h, w) = stack.views.clone(), stack.views.shape[-2:]
    fields = torch.kron(torch.tensor([[0.4, -0.4], [-0.4, 0.4]]), torch.ones(8, 8)).repeat(4, 4)
    changed[:, 2, :, : h // 2, : w // 2] += fields[: h // 2, : w // 2]
    asked, blocks, spots = counted([(5, (2,), [hidden(stack._replace(views=changed), [1, 3], 2)])], range(6), 2)
    assert asked[0].quarters == ((1, 2, 3),) and blocks == (2, 2, 2) and spots == (21, 22, 23)


def test_quarters_are_the_whole_and_no_number_is_never_a_gain():
    plane = torch.arange(35.0).reshape(1, 1, 5, 7)
    assert sum(float(q.sum()) for q in quartered(plane)) == float(plane.sum())
    assert decibels(1e-4, 1.0) == pytest.approx(40)
    assert decibels(float("nan"), 1.0) == -float("inf")
    assert not gain([30.0, 31.0], [-float("inf"), 31.0], [0, 1]).clear


def test_what_differs_from_spot_to_spot_is_the_scene_and_from_view_to_view_is_chance():
    start, spots, views = [30.0] * 8, [0, 1, 2, 3] * 2, [0] * 4 + [1] * 4
    by_spot = gain(start, [30.1, 30.2, 30.4, 30.9] * 2, views, spots=spots, least_db=0.01)
    by_view = gain(start, [30.8] * 4 + [30.0] * 4, views, spots=spots, least_db=0.01)
    assert by_spot.clear and by_spot.gain_db == pytest.approx(by_view.gain_db) and not by_view.clear
    alone = gain(start[:4], [30.1, 30.2, 30.4, 30.9], views[:4], spots=spots[:4])
    assert alone == gain(start[:4], [30.1, 30.2, 30.4, 30.9], views[:4]), "one view alone: its spots are all there is"
