"""Where views lie: any model, any size of scene, by their geography or without, band by band; and how much of a scene is read."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from misr.burst import Preparing, ready
from misr.burst.looks import look, places, spots
from misr.errors import InputError
from misr.geo import Geo
from misr.io.burst import Burst
from misr.io.view import ArrayView
from misr.nets import Map
from misr.registration import IDENTITY, moved, register, shifted
from tests.burst_scenes import burst_of, lit, seen

pytestmark = pytest.mark.usefixtures("one_thread")
FIRST = Preparing(reference="0", clouds=False)
H, W = 96, 120


def ground(height: int, width: int, seed: int = 3) -> np.ndarray:
    """A large scene without much work: blocks of all sizes, interpolated; 64 px more on every side."""
    draw = np.random.default_rng(seed)
    size = (width + 128, height + 128)
    planes = (
        cv2.resize(
            draw.random((max(size[1] // n, 2), max(size[0] // n, 2))).astype(np.float32),
            size,
            interpolation=cv2.INTER_CUBIC,
        )
        for n in (3, 9, 31, 150)
    )
    return sum(planes) / 4


def picture(scene: np.ndarray, matrix, height: int, width: int) -> np.ndarray:
    """What a view shows, codes (1, h, w)."""
    inverse = tuple(np.linalg.inv(np.reshape(matrix, (3, 3))).ravel())
    x, y = places(inverse, (0, 0, width, height), (0, 0))
    plane = cv2.remap(scene, x + 64, y + 64, cv2.INTER_LANCZOS4)
    return (plane * 3000 + 500).astype(np.uint16)[None]


def off_px(found, truth, width: int, height: int) -> float:
    """How far off a placement is at its worst corner."""
    points = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    return float(np.abs(moved(found.matrix, points) - moved(truth, points)).max())


def test_a_turned_view_is_placed_by_an_affine_model():
    turn = (0.9998, -0.0175, 1.9, 0.0175, 0.9998, -1.3, 0.0, 0.0, 1.0)
    got = ready(burst_of(lit([seen(H, W, m) for m in (IDENTITY, shifted(0.4, 0.3), turn)], sigma=20.0)), FIRST)
    assert [p.model for p in got.placements[:2]] == ["shift", "shift"] and got.placements[2].model != "shift"
    assert off_px(got.placements[2], turn, W, H) < 0.1
    stack = got.stack(0, 0, W, H, 0)
    assert stack.motion.shape == (1, 3, 2, H, W)


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return ground(1100, 1200)


def test_a_large_scene_is_placed_through_patches(large):
    bent = (1.0004, -0.0011, 2.3, 0.0012, 0.9995, -1.1, 0.0, 0.0, 1.0)
    truths = [IDENTITY, shifted(0.37, -1.22), bent]
    geo = Geo("", (10.0, 0.0, 3e5, 0.0, -10.0, 5e6))
    made = burst_of([picture(large, m, 1100, 1200) for m in truths], geo=[geo] * 3)
    got = ready(made, FIRST)
    assert [p.model for p in got.placements] == ["shift", "shift", "affine"]
    assert max(off_px(p, t, 1200, 1100) for p, t in zip(got.placements, truths, strict=True)) < 0.05


def test_a_large_scene_without_geography_is_found_from_far(large):
    truth = shifted(48.4, -37.7)
    got = ready(burst_of([picture(large, m, 1100, 1200) for m in (IDENTITY, truth)]), FIRST)
    assert got.placements[1].used and off_px(got.placements[1], truth, 1200, 1100) < 0.03


def test_a_large_scene_may_be_turned_too(large):
    turn = (0.99985, -0.01745, 22.3, 0.01745, 0.99985, -17.1, 0.0, 0.0, 1.0)
    got = ready(burst_of([picture(large, m, 1100, 1200) for m in (IDENTITY, turn)]), FIRST)
    assert got.placements[1].model == "affine" and off_px(got.placements[1], turn, 1200, 1100) < 0.05


def test_a_strip_is_a_scene_too(large):
    made = burst_of([picture(large, m, 150, 1200) for m in (IDENTITY, shifted(1.3, 0.6))])
    for model in ("auto", "affine"):
        got = ready(made, Preparing(reference="0", model=model, clouds=False))
        assert got.placements[1].used is (model == "auto"), "patches in a row do not tell more than a shift"


def test_geography_says_where_to_begin(large):
    geos = [Geo("", (10.0, 0.0, 3e5 + 10 * x, 0.0, -10.0, 5e6 - 10 * y)) for x, y in ((0, 0), (300, 200))]
    whole = picture(large, IDENTITY, 1100, 1200)
    made = burst_of([whole[:, :800, :800], whole[:, 200:1000, 300:1100]], geo=geos)
    got = ready(made, FIRST)
    assert off_px(got.placements[1], shifted(-300, -200), 800, 800) < 0.02
    stack = got.stack(400, 300, 64, 64, 0)
    assert stack.valid.all() and (stack.views[0, 0] - stack.views[0, 1]).abs().max() < 0.01


def test_a_view_that_lies_elsewhere_does_not_overlap():
    geos = [Geo("", (10.0, 0.0, 3e5 + x, 0.0, -10.0, 5e6)) for x in (0, 4, 90_000)]
    got = ready(burst_of(lit([seen(H, W, shifted(-g.transform[2] / 10 % 10, 0)) for g in geos], sigma=10.0), geo=geos))
    assert [p.used for p in got.placements] == [True, True, False]
    assert "does not overlap" in got.placements[2].why


def test_views_in_different_coordinate_systems_are_one_sentence():
    geos = [Geo(crs, (10.0, 0.0, 3e5, 0.0, -10.0, 5e6)) for crs in ("A", "B")]
    with pytest.raises(InputError, match=r"coordinate system"):
        ready(burst_of(lit([seen(H, W)] * 2), geo=geos))


def test_a_view_of_quite_another_size_is_left_out_and_says_so():
    codes = lit([seen(H, W, m) for m in (IDENTITY, shifted(0.4, 0.1))], sigma=10.0)
    got = ready(burst_of([*codes, np.tile(codes[0], (4, 4))]), FIRST)
    assert [p.used for p in got.placements] == [True, True, False]
    assert got.placements[2].why == "it is 480x384, most views are 120x96"


def test_every_band_has_its_own_place_when_asked():
    def bands(dx: float, apart: float) -> np.ndarray:
        return np.stack(lit([seen(H, W, shifted(dx, 0.2)), seen(H, W, shifted(dx + apart, 0.2), seed=8)], sigma=15.0))

    made = burst_of([bands(0.0, 0.0), bands(0.6, 0.3), bands(-0.4, -0.25)])
    together, own = ready(made, FIRST), ready(made, Preparing(reference="0", clouds=False, bands=True))
    for n, (dx, apart) in enumerate(((0.0, 0.0), (0.6, 0.3), (-0.4, -0.25))):
        assert own.facts[0].matrices[n][2] == pytest.approx(dx, abs=0.03)
        assert own.facts[1].matrices[n][2] == pytest.approx(dx + apart, abs=0.03)
    assert together.facts[0].matrices == together.facts[1].matrices
    assert own.told()["views"][1]["band_shift_px"][1 - own.band][0] == pytest.approx(0.3 * (-1) ** own.band, abs=0.05)


def test_bands_that_lie_apart_in_the_reference_too_come_together_when_asked():
    apart = (1.3, -0.4)
    views = []
    for dx, dy in ((0.0, 0.0), (0.6, 0.3), (-0.4, -0.7), (0.2, 0.9)):
        planes = [seen(H, W, shifted(dx, dy)), 0.6 * seen(H, W, shifted(dx + apart[0], dy + apart[1]))]
        views.append(np.stack(lit(planes, sigma=8.0, seed=len(views))))
    got = ready(burst_of(views), Preparing(reference="0", clouds=False, bands=True))
    other, sign = got.facts[1 - got.band], 1 - 2 * got.band
    assert got.facts[got.band].own_px[0] == (0.0, 0.0)
    for own in other.own_px:
        assert own == pytest.approx((sign * apart[0], sign * apart[1]), abs=0.03)
    pictures = [Map(scale=2).fuse(got.stack(8, 8, W - 16, H - 16, b)).picture[0, 0].numpy() for b in range(2)]
    between = register(*pictures)
    assert between.used and between.shift_px(2 * W, 2 * H) == pytest.approx((0, 0), abs=0.06)


def test_spots_lie_within_the_scene_and_reach_its_ends():
    assert spots(900, 1000) == [(0, 0, 900, 1000)]
    for w, h in ((1025, 200), (5000, 3000), (10_000, 10_000)):
        found = spots(w, h)
        assert all(0 <= x and 0 <= y and x + a <= w and y + b <= h for x, y, a, b in found)
        assert min(x for x, *_ in found) < w / 8 and max(x + a for x, _, a, _ in found) > w * 7 / 8


def test_a_look_beyond_a_view_finds_nothing_valid_there():
    view = ArrayView("a", np.full((1, 6, 8), 7.0, np.float32))
    patch = look(view, (-2, 3, 5, 5), 0)
    assert patch.plane[:3, 2:].min() == 7 and patch.valid.sum() == 9
    assert not look(view, (50, 50, 4, 4), 0).valid.any()


@dataclass
class Endless:
    """A view of 10,000 x 10,000 pixels that is made where it is read, and counts what is read."""

    name: str
    tile: np.ndarray
    read_px: list[int] = field(default_factory=list)
    width = height = 10_000
    bands = 2
    dtype = np.dtype(np.uint16)
    nodata = exposure = None
    geo = Geo("", (10.0, 0.0, 3e5, 0.0, -10.0, 5e6))
    time = ""

    def read(self, x, y, w, h, bands=None):
        self.read_px.append(w * h * len(bands or range(2)))
        n = len(self.tile)
        window = self.tile[np.ix_(np.arange(y, y + h) % n, np.arange(x, x + w) % n)]
        return np.stack([window + 10 * b for b in (bands or range(2))])

    def valid(self, x, y, w, h, bands=None):
        return np.ones((h, w), bool)

    def close(self):
        pass


def test_a_very_large_scene_is_made_ready_by_looking_at_little_of_it():
    base = ground(896, 896)[:1024, :1024]
    spectrum = np.fft.rfft2(base)
    fy, fx = np.fft.fftfreq(1024)[:, None], np.fft.rfftfreq(1024)
    truths = [(0.0, 0.0), (0.4, -0.3)]
    views = tuple(
        Endless(
            str(n), (np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fx * dx + fy * dy))) * 3000 + 800).astype(np.uint16)
        )
        for n, (dx, dy) in enumerate(truths)
    )
    got = ready(Burst("endless", views, ("a", "b")), FIRST)
    for view, placement, (dx, dy) in zip(views, got.placements, truths, strict=True):
        assert off_px(placement, shifted(dx, dy), 10_000, 10_000) < 0.02
        assert max(view.read_px) <= 512 * 512, "no large window is ever read"
        assert sum(view.read_px) < 0.2 * 10_000**2, "of two bands of that size"
    stack = got.stack(9_000, 9_000, 64, 64, 1)
    assert stack.valid.all() and stack.motion.abs().max() <= 0.5
