import random

import pytest
import torch

from misr.window import Sliding, Window

SHAPES = [(0, 1, 0), (2, 1, 2), (1, 4, 1), (3, 5, 0), (0, 3, 2), (2, 8, 3)]  # before, emit, after


def view(number: int) -> torch.Tensor:
    return torch.full((1, 1, 1), float(number + 1))  # never 0, as padding is


def run(sliding: Sliding, numbers: range, cuts: set[int]) -> list[Window]:
    windows = [w for n in numbers for w in sliding.push(view(n), cut=n in cuts)]
    return windows + sliding.flush()


def seen(window: Window) -> tuple[list[int], list[int]]:
    """Numbers of the views, -1 for padding, and of the centres."""
    numbers = (window.views.flatten() - 1).int().tolist()
    return numbers, numbers[window.centres.start : window.centres.stop]


def clips(count: int = 30) -> list[tuple[tuple[int, int, int], int, set[int]]]:
    rng = random.Random(3)
    return [
        (rng.choice(SHAPES), length, set(rng.sample(range(1, length + 1), rng.randint(0, length // 4))))
        for length in (rng.randint(1, 40) for _ in range(count))
    ]


@pytest.mark.parametrize(("shape", "length", "cuts"), clips())
def test_every_frame_is_a_centre_once_and_in_order(shape, length, cuts):
    before, emit, after = shape
    windows = run(Sliding(before=before, emit=emit, after=after), range(length), cuts)
    assert [n for w in windows for n in seen(w)[1]] == list(range(length))


@pytest.mark.parametrize(("shape", "length", "cuts"), clips())
def test_windows_have_one_length_and_padding_is_invalid_and_blank(shape, length, cuts):
    before, emit, after = shape
    for window in run(Sliding(before=before, emit=emit, after=after), range(length), cuts):
        assert len(window.views) == before + emit + after
        assert window.valid.shape == (before + emit + after, 1, 1, 1)
        assert torch.equal(window.valid == 1, window.views != 0)


@pytest.mark.parametrize(("shape", "length", "cuts"), clips())
def test_a_window_never_looks_across_a_cut(shape, length, cuts):
    before, emit, after = shape
    for window in run(Sliding(before=before, emit=emit, after=after), range(length), cuts):
        views, _ = seen(window)
        shots = {sum(c <= n for c in cuts) for n in views if n >= 0}
        assert len(shots) == 1


@pytest.mark.parametrize(("shape", "length", "cuts"), clips())
def test_a_window_holds_all_neighbours_of_its_shot(shape, length, cuts):
    before, emit, after = shape
    for window in run(Sliding(before=before, emit=emit, after=after), range(length), cuts):
        views, centres = seen(window)
        start = max(c for c in cuts | {0} if c <= centres[0])
        stop = min(c for c in cuts | {length} if c > centres[0])
        wanted = range(max(start, centres[0] - before), min(stop, centres[-1] + 1 + after))
        assert [n for n in views if n >= 0] == list(wanted)


@pytest.mark.parametrize("seed", range(20))
def test_a_segment_rendered_alone_gives_the_windows_of_the_whole_run(seed):
    rng = random.Random(seed)
    before, emit, after = rng.choice(SHAPES)
    length = rng.randint(10, 60)
    cuts = set(rng.sample(range(1, length), rng.randint(0, 4)))
    whole = run(Sliding(before=before, emit=emit, after=after), range(length), cuts)
    step = emit * rng.randint(1, 3)
    parts = []
    for begin in range(0, length, step):
        end, first = min(begin + step, length), max(0, begin - before)
        alone = Sliding(before=before, emit=emit, after=after, first=first, begin=begin, end=end)
        parts += run(alone, range(first, min(end + after, length)), cuts)
    assert [seen(w) for w in parts] == [seen(w) for w in whole]
    assert all(a.centres == b.centres and torch.equal(a.valid, b.valid) for a, b in zip(parts, whole, strict=True))


def test_chunks_lie_on_the_clips_grid_and_a_cut_splits_one():
    windows = run(Sliding(emit=4), range(10), {6})
    assert [seen(w)[1] for w in windows] == [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9]]
    assert windows[2].centres == range(2, 4)


def test_a_window_comes_as_soon_as_its_last_neighbour():
    sliding = Sliding(before=1, emit=2, after=1)
    assert [len(sliding.push(view(n))) for n in range(6)] == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("limits", [(0, 0, None), (0, 24, None), (0, 8, 16)])  # first, begin, end
@pytest.mark.parametrize("shape", SHAPES)
def test_memory_is_one_window_however_many_views_come(shape, limits):
    before, emit, after = shape
    first, begin, end = limits
    sliding = Sliding(before=before, emit=emit, after=after, first=first, begin=begin, end=end)
    for n in range(first, 60):
        sliding.push(view(n), cut=n == 33)
        assert len(sliding._kept) <= before + emit + after


def test_an_empty_clip_gives_no_window():
    assert Sliding(before=2, emit=3, after=2).flush() == []
