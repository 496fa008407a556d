"""What misr tune finds out about a clip, on pictures made so that it is known."""

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from misr.io.quantiser import quantiser
from misr.io.reader import Reader
from misr.tuning import facts, measures, run
from misr.tuning.advice import BLOCKY, SOFT
from tests import media

pytestmark = pytest.mark.usefixtures("one_thread")


@lru_cache
def scene(height: int = 192, width: int = 256, seed: int = 0) -> np.ndarray:
    """Fields with sharp edges over gentle shade, detail of every size like a photograph's, in codes of 255, seen by pixels."""
    draw = np.random.default_rng(seed)
    h, w = 4 * height, 4 * width
    plane = sum(
        (cv2.GaussianBlur(draw.standard_normal((h, w)).astype(np.float32), (0, 0), s) * s > 0.02).astype(np.float32) * a
        for s, a in ((60, 60), (24, 40), (9, 30))
    )
    plane = plane + 20 * cv2.GaussianBlur(draw.standard_normal((h, w)).astype(np.float32), (0, 0), 40) * 40 + 60
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA).clip(16, 235)


def film(path: Path, pictures, *, codec="ffv1", options=None, rate=25) -> Path:
    """A clip of lumas (h, w) in codes, which are stored as they are."""
    with media.av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "yuv420p"
        for n, picture in enumerate(pictures):
            frame = media.frame(0, "yuv420p", stream.width, stream.height)
            media.fill(frame.planes[0], np.round(picture).clip(0, 255).astype(np.uint8))
            frame.pts, frame.time_base = n, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def looked_at(path: Path) -> facts.Facts:
    """The facts of a clip."""
    reader = Reader(path, deinterlace="off")
    try:
        return facts.look(reader, 2, 60)
    finally:
        reader.close()


# ---------------------------------------------------------------- one plane


@pytest.mark.parametrize("sigma", [1, 2, 4, 8, 16])
def test_noise_is_found_to_within_a_fifth(sigma):
    noisy = scene() + np.random.default_rng(1).normal(0, sigma, (192, 256))
    assert measures.noise(np.round(noisy).clip(0, 255).astype(np.float32)) == pytest.approx(sigma, rel=0.2)


def test_a_picture_without_noise_has_none():
    assert measures.noise(np.round(scene()).astype(np.float32)) < 0.5


def test_noise_of_a_black_picture_is_not_told():
    assert measures.noise(np.zeros((64, 64), np.float32)) is None


def test_a_blur_of_one_pixel_is_soft_and_a_sharp_picture_is_not():
    sharp = scene()
    assert measures.reach([sharp], 0) >= SOFT
    assert measures.reach([cv2.GaussianBlur(sharp, (0, 0), 1)], 0) < SOFT


def test_noise_does_not_pass_for_detail():
    blurred = cv2.GaussianBlur(scene(), (0, 0), 2)
    noisy = blurred + np.random.default_rng(1).normal(0, 4, blurred.shape).astype(np.float32)
    assert measures.reach([noisy], 4.0) < 0.3


def test_an_enlarged_picture_reaches_less_far():
    small = scene(96, 128)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert measures.reach([large], 0) < measures.reach([small], 0)


def test_a_flat_picture_has_no_reach():
    assert measures.reach([np.full((128, 128), 90, np.float32)], 0) is None


def test_blocks_of_a_coarse_transform_are_seen():
    sharp = scene()
    means = cv2.resize(sharp, (32, 24), interpolation=cv2.INTER_AREA)
    blocky = 0.5 * sharp + 0.5 * cv2.resize(means, (256, 192), interpolation=cv2.INTER_NEAREST)
    assert measures.blocking(sharp) < BLOCKY < measures.blocking(blocky)


# ---------------------------------------------------------------- a clip


def pan(many: int, step: float = 1.0) -> list[np.ndarray]:
    """A scene that moves to the left by so many pixels a frame."""
    wide = scene(64, 256)
    return [cv2.warpAffine(wide, np.float32([[1, 0, -step * n], [0, 1, 0]]), (96, 64)) for n in range(many)]


@pytest.mark.parametrize(("crf", "low", "high"), [(10, 4, 16), (30, 24, 38)])
def test_the_quantiser_of_h264_is_near_its_crf(tmp_path, crf, low, high):
    told = {"crf": str(crf), "preset": "ultrafast", "threads": "1"}
    path = film(tmp_path / "a.mkv", pan(8), codec="libx264", options=told)
    assert low < quantiser(str(path), [Fraction(0)]) < high


def test_other_codecs_tell_no_quantiser(tmp_path):
    assert quantiser(str(film(tmp_path / "a.mkv", pan(3))), [Fraction(0)]) is None


def test_animation_on_twos_is_half_repeats(tmp_path):
    twos = [picture for picture in pan(8, 2.0) for _ in range(2)]
    assert looked_at(film(tmp_path / "twos.mkv", twos)).duplicates == pytest.approx(0.5, abs=0.06)


def test_a_pan_repeats_nothing_and_its_motion_is_measured(tmp_path):
    found = looked_at(film(tmp_path / "pan.mkv", pan(16, 0.6)))
    assert found.duplicates == 0
    assert found.moves_px == pytest.approx(0.6, abs=0.15)
    assert not found.still


def test_what_does_not_move_is_still_and_gains_nothing(tmp_path):
    found = looked_at(film(tmp_path / "still.mkv", [scene(64, 96)] * 12))
    assert found.still
    assert not found.helps
    assert found.duplicates == 0


def test_cuts_are_counted(tmp_path):
    other = [255 - p for p in pan(8)]
    assert looked_at(film(tmp_path / "cut.mkv", [*pan(8), *(np.rot90(p, 2) for p in other)])).cuts == 1


def woven(first: list[np.ndarray], order: list[tuple[int, int]]) -> list[np.ndarray]:
    """Frames whose even lines are of one picture and odd ones of another."""
    frames = []
    for upper, lower in order:
        frame = first[upper].copy()
        frame[1::2] = first[lower][1::2]
        frames.append(frame)
    return frames


def tall(many: int, step: float) -> list[np.ndarray]:
    """A pan 480 lines high, where interlace is looked for."""
    wide = scene(480, 160)
    return [cv2.warpAffine(wide, np.float32([[1, 0, -step * n], [0, 1, 0]]), (96, 480)) for n in range(many)]


def test_interlace_is_told_from_whole_frames_and_from_film_on_video(tmp_path):
    pictures = tall(32, 1.5)
    whole = looked_at(film(tmp_path / "whole.mkv", pictures[:16]))
    video = looked_at(film(tmp_path / "video.mkv", woven(pictures, [(2 * n, 2 * n + 1) for n in range(16)]), rate=30))
    turns = [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3)]  # four of film become five
    cadence = [(4 * k + a, 4 * k + b) for k in range(4) for a, b in turns][:16]
    pulled = looked_at(film(tmp_path / "film.mkv", woven(pictures, cadence), rate=30))
    assert (whole.fields, whole.pulled) == ("", False)
    assert (video.fields, video.pulled) == ("tff", False)
    assert (pulled.fields, pulled.pulled) == ("tff", True)


def test_combs_do_not_pass_for_aliasing(tmp_path):
    wide = scene(540, 200)
    pictures = [cv2.warpAffine(wide, np.float32([[1, 0, -0.7 * n], [0, 1, -0.4 * n]]), (96, 480)) for n in range(32)]
    whole = looked_at(film(tmp_path / "whole.mkv", pictures[::2], rate=30))
    path = film(tmp_path / "woven.mkv", woven(pictures, [(2 * n, 2 * n + 1) for n in range(16)]), rate=30)
    combed, (told, _) = looked_at(path), run.looked_at(str(path), run.Tuning(seconds=60))
    assert told.fields == "tff"
    assert abs(told.aliasing - whole.aliasing) < 0.1 < combed.aliasing - whole.aliasing
