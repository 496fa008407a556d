from fractions import Fraction

import numpy as np
import pytest

from misr.errors import InputError
from misr.io.burst import open_burst
from misr.io.reader import Reader
from tests.media import DARK, clip
from tests.rasters import codes, exif, jpeg, png

# ---------------------------------------------------------------- photographs


def test_a_phone_s_burst_is_upright_and_tells_its_exposure(tmp_path):
    picture = np.zeros((3, 40, 56), np.uint8)
    picture[0, :, :20] = 200  # red on the left
    first = jpeg(tmp_path / "1.jpg", picture, exif=exif(orientation=6, seconds=(1, 50), iso=200, stop=2.0))
    second = jpeg(tmp_path / "2.jpg", picture, exif=exif(orientation=6, seconds=(1, 25), iso=200, stop=2.0))
    burst = open_burst([first, second])
    a, b = burst.views
    assert (a.width, a.height, burst.names) == (40, 56, ("red", "green", "blue"))
    assert a.read(20, 5, 1, 1)[0, 0, 0] > 150 > 50 > a.read(20, 50, 1, 1)[0, 0, 0]  # turned clockwise: red on top
    assert a.exposure == pytest.approx(1 / 50 * 2 / 4)
    assert b.exposure == pytest.approx(2 * a.exposure)
    assert a.time == "2025-06-17T10:20:30"


@pytest.mark.parametrize("cut", [3, 9, 20, 60, 80])
def test_broken_exif_is_as_none(tmp_path, cut):
    view = open_burst([jpeg(tmp_path / "1.jpg", codes(1, 3, dtype="uint8"), exif=exif()[:cut])]).views[0]
    assert view.exposure is None


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_picture_cut_short_is_named(tmp_path, kind):
    picture = codes(1, 3, 100, 100, "uint8")
    path = tmp_path / f"a.{kind}"
    (png if kind == "png" else jpeg)(path, picture)
    open_burst([str(path)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match=rf"a\.{kind}: damaged"):
        open_burst([str(path)])


# ---------------------------------------------------------------- video


@pytest.mark.usefixtures("one_thread")
def test_a_span_of_a_video_has_the_moment_in_its_middle(tmp_path):
    path = str(clip(tmp_path))  # 12 frames, 25 per second
    at = {0: "0.000s 0.040s 0.080s", Fraction("0.21"): "0.160s 0.200s 0.240s", Fraction("0.44"): "0.360s 0.400s 0.440s"}
    for moment, want in at.items():
        burst = open_burst([path], at=Fraction(moment), count=3)
        assert [v.name.split("#")[1] for v in burst.views] == want.split()
    view = burst.views[0]
    assert (view.width, view.height, view.dtype, burst.names) == (96, 64, np.uint8, ("red", "green", "blue"))
    assert np.array_equal(view.read(9, 5, 20, 10), view.read(0, 0, 96, 64)[:, 5:15, 9:29])
    assert len(open_burst([path], at=Fraction(0), count=99).views) == 12


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "dtype", "bands"),
    [("libx264", "yuv420p10le", "uint16", 3), ("ffv1", "gray", "uint8", 1), ("libx264rgb", "rgb24", "uint8", 3)],
)
def test_frames_become_codes_of_their_depth_from_black_to_white(tmp_path, codec, pix_fmt, dtype, bands):
    view = open_burst([str(clip(tmp_path, codec=codec, pix_fmt=pix_fmt))], at=Fraction(0), count=1).views[0]
    assert (view.dtype.name, view.bands) == (dtype, bands)
    shares = view.read(2, 2, 8, 4).astype(float) / np.iinfo(dtype).max  # inside a dark cell of its number
    luma = 0.299 * shares[0] + 0.587 * shares[bands // 2] + 0.114 * shares[-1]
    assert np.abs(luma - DARK).max() < 0.05


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_frames_near_a_moment_are_those_of_the_whole_clip(tmp_path, suffix):
    path = clip(tmp_path, frames=80, fps=10, suffix=suffix, options={"g": "10"})
    reader = Reader(path)
    whole = list(reader.frames())
    for moment in (0, 3, 6, Fraction("7.9")):
        near = list(reader.near(reader.info.start + moment))
        assert near[0].time <= max(reader.info.start + moment, whole[0].time)
        same = whole[-len(near) :]
        assert [f.time for f in near] == [f.time for f in same]
        assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(near, same, strict=True))
    assert len(list(reader.near(reader.info.start + 7))) < 80  # it did seek
    reader.close()


@pytest.mark.usefixtures("one_thread")
def test_a_moment_needs_a_video_and_a_video_a_moment(tmp_path):
    path = str(clip(tmp_path))
    with pytest.raises(InputError, match=r"nothing is shown at 9\.000 s"):
        open_burst([path], at=Fraction(9))
    with pytest.raises(InputError, match="--at SECONDS"):
        open_burst([path])
    with pytest.raises(InputError, match="this is no video"):
        open_burst([png(tmp_path / "a.png", codes(1))], at=Fraction(1))
