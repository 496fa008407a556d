from itertools import pairwise
from time import process_time

import cv2
import numpy as np
import pytest

from misr.frame import Color, Frame
from misr.scene import is_cut, is_cut_between, signature

W, H = 480, 270
SEEDS = range(6)


def texture(seed: int, w: int = 2 * W, h: int = 2 * H) -> np.ndarray:
    """A made-up landscape: clouds of every size with solid things before them; code values as floats, 16 to 235."""
    rng = np.random.default_rng(seed)
    x = np.zeros((h, w))
    for k in range(1, 8):
        cloud = rng.normal(size=(2**k + 1, 2 ** (k + 1) + 1))
        x += cv2.resize(cloud, (w, h), interpolation=cv2.INTER_CUBIC) / 2 ** (0.6 * k)
    for _ in range(24):
        at, size = rng.uniform(0, 1, 2) * (w, h), rng.uniform(0.05, 0.15, 2) * w
        corner = (at - size / 2).astype(int)
        cv2.rectangle(x, corner.tolist(), (corner + size.astype(int)).tolist(), rng.normal() * 1.5, -1)
    x = (x - x.mean()) / x.std()
    return np.clip(110 + 38 * x, 16, 235)


def window(picture: np.ndarray, x: float = 0, y: float = 0, zoom: float = 1.0) -> np.ndarray:
    """What a camera sees at (x, y) pixels from the picture's corner."""
    m = np.array([[1 / zoom, 0, x], [0, 1 / zoom, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, m, (W, H), flags=flags, borderMode=cv2.BORDER_REFLECT)


def gray(x: np.ndarray) -> Frame:
    return Frame((np.clip(np.rint(x), 16, 235).astype(np.uint8),), Color("gray"))


def noise(seed: int, sigma: float) -> np.ndarray:
    return np.random.default_rng(1000 + seed).normal(0, sigma, (H, W))


@pytest.mark.parametrize("seed", SEEDS)
def test_another_picture_is_a_cut(seed):
    assert is_cut(gray(window(texture(seed))), gray(window(texture(seed + 100))))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dark_cut_is_a_cut(seed):
    a, b = (16 + (window(texture(s)) - 16) * 0.15 + noise(s, 1) for s in (seed, seed + 100))
    assert is_cut(gray(a), gray(b))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_under_noise_is_a_cut(seed):
    a, b = window(texture(seed)), window(texture(seed + 100))
    assert is_cut(gray(a + noise(seed, 15)), gray(b + noise(seed + 9, 15)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_picture_under_new_noise_is_not_a_cut(seed):
    a = window(texture(seed))
    assert not is_cut(gray(a + noise(seed, 20)), gray(a + noise(seed + 9, 20)))


@pytest.mark.parametrize("gain", [0.4, 1.5, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_flash_is_not_a_cut(seed, gain):
    a = window(texture(seed))
    flash = 16 + (a - 16) * gain
    assert not is_cut(gray(a), gray(flash))
    assert not is_cut(gray(flash), gray(a))


@pytest.mark.parametrize("step", [(5, 0), (40, 10), (90, 0), (0, 50), (-70, 30)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fast_pan_is_not_a_cut(seed, step):
    picture = texture(seed)
    assert not is_cut(gray(window(picture, 200, 100)), gray(window(picture, 200 + step[0], 100 + step[1])))


@pytest.mark.parametrize("zoom", [0.95, 1.05])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_zoom_is_not_a_cut(seed, zoom):
    picture = texture(seed)
    assert not is_cut(gray(window(picture, 100, 100)), gray(window(picture, 100, 100, zoom)))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_step_of_a_fade_to_black_and_back_is_a_cut(seed):
    a = window(texture(seed))
    marks = [signature(gray(16 + (a - 16) * abs(g))) for g in np.linspace(-1, 1, 25)]
    assert not any(is_cut_between(p, q) for p, q in pairwise(marks))


@pytest.mark.parametrize("seed", SEEDS)
def test_black_and_a_picture_are_two_shots(seed):
    black, a = gray(16 + noise(seed, 0.5)), gray(window(texture(seed)))
    assert is_cut(black, a)
    assert is_cut(a, black)


def test_plain_pictures_are_one_shot():
    black = gray(np.full((H, W), 16.0))
    assert not is_cut(black, black)
    assert not is_cut(black, gray(16 + noise(1, 1)))
    assert not is_cut(gray(16 + noise(2, 1)), gray(16 + noise(3, 1)))


def test_letterbox_bars_hide_few_cuts():
    found = 0
    for seed in range(20):
        a, b = window(texture(seed)), window(texture(seed + 100))
        a[:35] = a[-35:] = b[:35] = b[-35:] = 16
        found += is_cut(gray(a), gray(b))
    assert found >= 18


def test_a_change_of_size_is_a_cut():
    a = window(texture(0))
    assert is_cut(gray(a), gray(a[:-2]))


@pytest.mark.parametrize(
    ("color", "dtype", "unit"),
    [
        (Color("gray", depth=10), np.uint16, 4),
        (Color("gray", depth=16), np.uint16, 256),
        (Color("gray", depth=32), np.float32, 1 / 255),
        (Color("yuv", depth=12), np.uint16, 16),
        (Color("rgb"), np.uint8, 1),
        (Color("rgb", alpha=True), np.uint8, 1),
    ],
)
def test_every_depth_and_model_is_judged_alike(color, dtype, unit):
    picture = texture(3)
    pictures = [window(picture), window(picture, 40), window(texture(103))]

    def frame(x: np.ndarray) -> Frame:
        plane = (x * unit).astype(dtype)
        return Frame(tuple([plane] * color.planes), color)

    a, moved, other = (frame(x) for x in pictures)
    assert not is_cut(a, moved)
    assert is_cut(a, other)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (14, 18), (1, 300), (1080, 8)])
def test_any_size_gets_an_answer(size):
    a, b = (Frame((np.full(size, v, np.uint8),), Color("gray")) for v in (30, 200))
    assert isinstance(is_cut(a, b), bool)
    assert not is_cut(a, a)


def test_signatures_say_what_frames_say_and_frames_are_left_alone():
    frames = [gray(window(texture(s), 30 * s)) for s in (1, 1, 2)]
    kept = [f.planes[0].copy() for f in frames]
    for a in frames:
        for b in frames:
            assert is_cut_between(signature(a), signature(b)) == is_cut(a, b)
    assert all(np.array_equal(f.planes[0], k) for f, k in zip(frames, kept, strict=True))


def test_a_big_frame_costs_little_more_than_a_small_one():
    def fastest_s(w: int, h: int) -> float:
        rng = np.random.default_rng(0)
        a, b = (Frame((rng.integers(16, 236, (h, w), dtype=np.uint8),), Color("gray")) for _ in range(2))
        spent = []
        for _ in range(30):
            start = process_time()
            is_cut(a, b)
            spent.append(process_time() - start)
        return min(spent)

    assert fastest_s(1920, 1080) < 3 * fastest_s(W, H)
