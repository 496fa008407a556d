"""Views hidden from the net as its labels: which are shown, which judge, and what they say of a picture."""

import math
from types import SimpleNamespace

import pytest
import torch

from misr.errors import InputError
from misr.nets import NETS
from misr.nets.lattice import OPTICS, Stack
from misr.train import burst_lessons, bursts, revisits
from misr.train.camera import Dice
from tests.test_train import texture
from tests.test_train_bursts import TINY, size_of, tiny

pytestmark = pytest.mark.usefixtures("one_thread")


def place(t=7, noise=0.01, optics=OPTICS, seed=3):
    """A piece of a synthetic burst x2, motion known exactly, and the picture it shows."""
    truth = torch.from_numpy(texture(104, 112, seed)).float().sub(16).div(219)[None, None]
    how = bursts.Conditions(optics=(optics, optics), noise=(noise, noise), off=(1e-9, 1e-9), plain=True)
    known = bursts.made(truth, t, 2, how, Dice(seed))
    return revisits.Place(known.stack, tuple(range(2, t, 4))), known.truth


# which views are shown, which judge


def numbered(t, h=20, w=24):
    """A place whose views are constant, view n everywhere (n + 1) / 100."""
    value = (torch.arange(t) + 1.0)[None, :, None, None, None] / 100
    views = value.expand(1, t, 1, h, w).contiguous()
    stack = Stack(
        views, torch.ones_like(views), torch.zeros(1, t, 2, h, w), torch.full_like(value, 0.01), torch.full((1,), 0.27)
    )
    return revisits.Place(stack, tuple(range(2, t, 4)))


def number(view):
    """Which view of numbered() this is; -1: none."""
    assert bool((view == view.flatten()[0]).all())
    return round(float(view.flatten()[0]) * 100) - 1


@pytest.mark.parametrize(("t", "longest"), [(4, 16), (9, 4), (11, 16), (6, 1)])
def test_judges_are_never_learned_from_and_no_label_is_shown(t, longest):
    it = numbered(t)
    source = revisits.Revisits([it], crop=16, samples=12, longest=longest, device=torch.device("cpu"), seed=t)
    labels, seen = set(), set()
    for _ in range(200):
        batch = source.draw()
        label = number(batch.label.views)
        shown = [number(view) for view in batch.shown.views.unbind(1)]
        assert batch.shown.views.shape[-2:] == batch.label.views.shape[-2:] == (16, 16)
        assert label not in shown
        assert not {label, *shown} & set(it.judges)
        assert len(shown) == len(set(shown)) <= max(2, longest)
        if label == 0:
            assert shown[0] == -1
            assert not batch.shown.valid[:, 0].any()
            assert len(shown) > 1
        else:
            assert shown[0] == 0
            assert bool(batch.shown.valid.all())
        labels.add(label)
        seen |= set(shown) - {-1}
    assert labels == seen == set(it.learned)


@pytest.mark.parametrize("t", [3, 4, 5, 8, 17])
def test_a_quarter_of_the_views_judges_never_the_reference(t):
    def stack(x, y, w, h, band):
        return Stack(*(part[..., :h, :w] for part in numbered(t, 300, 300).stack[:3]), *numbered(t).stack[3:])

    it = SimpleNamespace(order=tuple(range(t)), width=300, height=600, bands=2, stack=stack)
    found = revisits.pieces(it)
    if t < revisits.FEWEST:
        assert not found
        return
    assert len(found) == 2 * 2
    for p in found:
        assert p.judges
        assert 0 not in p.judges
        assert len(p.judges) <= math.ceil(t / 4)
        assert len(p.learned) >= 3
    assert len(revisits.pieces(it, most_bytes=1)) == 2  # one of each band
    assert float(revisits.pieces(it, 0.4)[0].stack.optics) == pytest.approx(0.4)


def test_a_window_too_large_for_all_views_is_refused():
    with pytest.raises(InputError, match="smaller --crop"):
        revisits.Revisits([numbered(5)], crop=32, samples=8, longest=4, device=torch.device("cpu"), seed=0)


def test_hidden_views_go_on_with_exactly_the_next_batch():
    it, _ = place()
    make = {"crop": 16, "samples": 12, "longest": 5, "device": torch.device("cpu")}
    one, two = (revisits.Revisits([it], **make, seed=n) for n in (1, 2))
    one.draw()
    two.restore(one.state())
    for _ in range(3):
        a, b = one.draw(), two.draw()
        assert all(torch.equal(x, y) for x, y in zip((*a.shown, *a.label), (*b.shown, *b.label), strict=True))


# what a hidden view says


@pytest.mark.parametrize("net", TINY)
def test_garbage_under_masks_changes_neither_loss_nor_score(net):
    it, _ = place()
    valid = it.stack.valid.clone()
    valid[:, 0, :, :9, :12], valid[:, 1, :, 5:20, 5:20], valid[:, 2, :, 12:30, 10:22], valid[:, 4] = 0, 0, 0, 0
    model, found = tiny(net), []
    for garbage in (0.5, -30.0):
        stack = it.stack._replace(views=torch.where(valid > 0, it.stack.views, garbage), valid=valid)
        losses = [
            float(revisits.loss(model, revisits.hidden(stack, shown, label), False).detach())
            for shown, label in (([1, 3], 5), ([1, 3], 0), ([0, 3], 1))
        ]
        where = revisits.Place(stack, it.judges)
        found.append([*losses, revisits.score_db(burst_lessons.fusing(model), [where])])
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert all(math.isfinite(x) for x in found[0])


def test_a_label_that_is_the_reference_is_not_seen_by_the_net():
    it, _ = place()
    other = it.stack._replace(views=torch.cat([it.stack.views[:, :1] + 0.3, it.stack.views[:, 1:]], 1))
    for net in map(tiny, TINY):
        a, b = (net.fuse(revisits.hidden(s, [1, 3], 0).shown).picture for s in (it.stack, other))
        assert torch.allclose(a, b, atol=1e-6)


def test_the_true_picture_misses_nothing_and_a_wrong_one_or_a_wrong_motion_does():
    it, truth = place(noise=1e-7)
    label = revisits.part(it.stack, [3])

    def missed(picture, view):
        error, belief = revisits.missed(picture, view)
        inner = (..., slice(8, -8), slice(8, -8))
        assert float(belief[inner].min()) > 0
        return size_of(error[inner])

    right = missed(truth, label)
    assert right < 1e-5
    assert missed(truth.roll(1, -1), label) > 0.01
    moved = [missed(truth, label._replace(motion=label.motion + px)) for px in (0.02, 0.1, 0.3)]
    assert 1e-4 < moved[0] < moved[1] / 3 < moved[2] / 4
    blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert missed(blurred, label) > 0.003


def test_what_a_label_does_not_know_is_not_judged():
    it, truth = place()
    label = revisits.part(it.stack, [3])
    label.valid[..., 9:20, 12:30] = 0
    label.motion[:, :, 0] = 2.6  # its first two columns and a half show what lies left of the picture
    _, belief = revisits.missed(truth, label)
    known = torch.ones_like(belief)
    known[..., 9:20, 12:30] = 0
    known[..., :2] = 0
    assert not belief[known == 0].any()
    assert float(belief[..., 25:, 5:].min()) > 0


def test_the_light_of_a_label_does_not_matter():
    it, truth = place(noise=1e-7)
    label = revisits.part(it.stack, [3])
    other = label._replace(views=1.1 * label.views - 0.07)
    for picture in (truth, truth.roll(1, -1)):
        (a, _), (b, _) = (revisits.missed(picture, view) for view in (label, other))
        assert size_of((a - b / 1.1)[..., 8:-8, 8:-8]) < 0.005 * size_of(label.views - label.views.mean())


def test_the_score_knows_the_truth_from_the_best_method_and_that_from_one_view():
    it, truth = place(t=9)
    plain = {name: revisits.score_db(burst_lessons.fusing(NETS[name](scale=2)), [it]) for name in ("map", "best")}
    best = revisits.score_db(lambda stack: truth, [it])
    assert best > plain["map"] + 0.3
    assert plain["map"] > plain["best"] + 1
    assert best == pytest.approx(40, abs=1)  # the noise of the judges is all that is left
    assert revisits.score_db(lambda stack: torch.full_like(truth, 0.5), [it]) < plain["best"] - 5


def test_a_noisy_place_counts_as_much_as_a_clean_one_and_an_unseen_one_nothing():
    clean, noisy = place(noise=0.003)[0], place(noise=0.05)[0]
    blind = revisits.Place(clean.stack._replace(valid=clean.stack.valid.clone()), clean.judges)
    blind.stack.valid[:, list(clean.judges)] = 0

    def score(*places):
        return revisits.score_db(burst_lessons.fusing(NETS["best"](scale=2)), places)

    assert score(clean) > score(noisy) + 2
    assert score(clean, noisy, blind) == pytest.approx((score(clean) + score(noisy)) / 2)
    assert math.isnan(score(blind))
    empty = torch.full((1, 1, 80, 88), math.nan)
    assert math.isnan(revisits.score_db(lambda stack: empty, [clean, blind]))
