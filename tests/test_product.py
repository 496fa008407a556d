import subprocess
import sys
import warnings
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from misr.errors import OutputError
from misr.io import product as product_module
from misr.io.burst import open_burst
from misr.io.product import Output
from tests.rasters import PLACE, codes, geotiff, png

warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)


def burst_of(tmp_path, picture, **profile):
    return open_burst([geotiff(tmp_path / "source.tif", picture, **profile)])


def written(out, picture, *, valid=None, step=512, sigma=None, count=None):
    """Write a whole picture in windows and finish."""
    _, h, w = picture.shape
    for y in range(0, h, step):
        for x in range(0, w, step):
            at = np.s_[..., y : y + step, x : x + step]
            more = {k: v[at] for k, v in (("valid", valid), ("sigma", sigma), ("count", count)) if v is not None}
            out.write(x, y, picture[at], **more)
    out.finish()


def finer(picture, scale):
    return picture.repeat(scale, 1).repeat(scale, 2)


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("suffix", ["png", "tif", "npy", "npz"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [1, 3])
def test_what_is_written_is_read_back(tmp_path, suffix, dtype, bands):
    picture = codes(1, bands, dtype=dtype)
    burst = burst_of(tmp_path, picture)
    path = tmp_path / f"out.{suffix}"
    written(Output.create(path, burst, scale=2), finer(picture, 2) + 0.4, step=30)
    views = open_burst([str(path)]).views
    back = np.concatenate([v.read(0, 0, v.width, v.height) for v in views])
    assert back.dtype == dtype and np.array_equal(back, finer(picture, 2))
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64", "uint32"])
def test_every_dtype_is_kept(tmp_path, dtype):
    picture = codes(2, 2, dtype=dtype)
    written(Output.create(tmp_path / "o.tif", burst_of(tmp_path, picture), scale=2), finer(picture, 2))
    with rasterio.open(tmp_path / "o.tif") as back:
        assert back.dtypes == (dtype, dtype)
        assert np.array_equal(back.read(), finer(picture, 2))


def test_codes_are_clipped_once_and_another_dtype_can_be_asked_for(tmp_path):
    burst = burst_of(tmp_path, codes(1, 1, 2, 2))
    values = np.array([[[-3.0, 70_000.0, 1.5, 2.5]] * 4])
    written(Output.create(tmp_path / "a.tif", burst, scale=2), values)
    written(Output.create(tmp_path / "b.tif", burst, scale=2, dtype="float32"), values)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        assert a.read(1)[0].tolist() == [0, 65535, 2, 2]
        assert b.read(1)[0].tolist() == [-3, 70_000, 1.5, 2.5]


def test_nodata_is_written_where_nothing_was_seen_and_nowhere_else(tmp_path):
    burst = burst_of(tmp_path, codes(1, 2, 4, 4), nodata=0)
    picture = np.full((2, 8, 8), 7.0)
    picture[0, 0, 0], picture[1, 0, 1], picture[0, 3, 3] = np.nan, 0.2, np.inf
    valid = np.ones((8, 8), bool)
    valid[5] = False
    written(Output.create(tmp_path / "o.tif", burst, scale=2), picture, valid=valid)
    with rasterio.open(tmp_path / "o.tif") as back:
        codes_back = back.read()
        assert back.nodata == 0
    assert (codes_back[:, 5] == 0).all()
    assert codes_back[0, 0, 0] == codes_back[0, 3, 3] == 0
    assert codes_back[1, 0, 0] == 7 and codes_back[1, 0, 1] == 1  # a valid 0 would read as nothing
    assert (codes_back == 0).sum() == 2 * 8 + 2


def test_floats_without_a_value_are_nan(tmp_path):
    burst = burst_of(tmp_path, codes(1, 1, 4, 4, dtype="float32"))
    valid = np.ones((8, 8), bool)
    valid[2, 3] = False
    written(Output.create(tmp_path / "o.tif", burst, scale=2), np.full((1, 8, 8), 0.5), valid=valid)
    with rasterio.open(tmp_path / "o.tif") as back:
        assert np.isnan(back.nodata) and np.argwhere(np.isnan(back.read(1))).tolist() == [[2, 3]]


@pytest.mark.parametrize("cog", [False, True])
def test_integers_without_nodata_get_a_mask_when_it_is_needed(tmp_path, cog):
    burst = burst_of(tmp_path, codes(1, 1, 300, 300, "uint8"))
    valid = np.ones((600, 600), bool)
    valid[550:, 520:] = False
    for name, seen in (("all", valid | True), ("some", valid)):
        written(
            Output.create(tmp_path / f"{name}.tif", burst, scale=2, cog=cog), np.full((1, 600, 600), 9.0), valid=seen
        )
        with rasterio.open(tmp_path / f"{name}.tif") as back:
            assert ("per_dataset" in [f.name for f in back.mask_flag_enums[0]]) == (name == "some")
            assert np.array_equal(back.dataset_mask() > 0, seen)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.tif", "some.tif", "source.tif"]


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_alpha_comes_back_as_alpha(tmp_path, suffix):
    picture = codes(1, 4, 20, 20, "uint8")
    picture[3], picture[3, :4] = 255, 0
    burst = burst_of(tmp_path, picture, photometric="RGB", alpha="YES")
    valid = finer(picture, 2)[3] > 0
    written(Output.create(tmp_path / f"o.{suffix}", burst, scale=2), finer(picture, 2)[:3], valid=valid)
    view = open_burst([str(tmp_path / f"o.{suffix}")]).views[0]
    assert view.bands == 3 and np.array_equal(view.valid(0, 0, 40, 40), valid)


# ---------------------------------------------------------------- place and metadata


@pytest.mark.parametrize("window", [None, (10, 20, 15, 12)])
@pytest.mark.parametrize("cog", [False, True])
def test_corners_are_those_of_the_source_or_its_window(tmp_path, window, cog):
    picture = codes(1, 2)
    burst = burst_of(tmp_path, picture)
    x, y, w, h = window or (0, 0, 56, 40)
    out = Output.create(tmp_path / "o.tif", burst, scale=3, window=window, cog=cog)
    assert (out.width, out.height) == (3 * w, 3 * h)
    written(out, finer(picture[:, y : y + h, x : x + w], 3))
    with rasterio.open(tmp_path / "source.tif") as source, rasterio.open(tmp_path / "o.tif") as fine:
        assert fine.transform @ (0, 0) == pytest.approx(source.transform @ (x, y), abs=1e-6)
        assert fine.transform @ (3 * w, 3 * h) == pytest.approx(source.transform @ (x + w, y + h), abs=1e-6)
        assert fine.crs == source.crs and fine.res == pytest.approx((10 / 3, 10 / 3))


def test_what_the_source_says_of_itself_is_carried(tmp_path):
    path = geotiff(tmp_path / "a.tif", codes(1, 3, 600, 600), photometric="RGB", nodata=0)
    with rasterio.open(path, "r+") as source:
        source.descriptions = ["B4", "B3", "B2"]
        source.scales, source.offsets, source.units = [1e-4] * 3, [-0.1] * 3, ["reflectance"] * 3
        source.update_tags(MISSION="S2", TIFFTAG_SOFTWARE="old", TIFFTAG_IMAGEDESCRIPTION='{"shape": [3, 600, 600]}')
        source.update_tags(1, WAVELENGTH="665", STATISTICS_MEAN="3")
        source.build_overviews([2])
    burst = open_burst([path])
    written(Output.create(tmp_path / "o.tif", burst, scale=2, bands=[2, 0]), np.ones((2, 1200, 1200)))
    with rasterio.open(tmp_path / "o.tif") as back:
        assert back.descriptions == ("B2", "B4") and [c.name for c in back.colorinterp] == ["blue", "red"]
        assert (back.scales, back.offsets, back.units) == ((1e-4,) * 2, (-0.1,) * 2, ("reflectance",) * 2)
        assert back.tags()["MISSION"] == "S2" and back.tags()["TIFFTAG_SOFTWARE"].startswith("misr ")
        assert "TIFFTAG_IMAGEDESCRIPTION" not in back.tags()
        assert back.tags(2)["WAVELENGTH"] == "665" and "STATISTICS_MEAN" not in back.tags(2)
        assert back.overviews(1) == [2, 4]
        assert back.block_shapes[0] == (512, 512) and back.compression.name == "deflate"


def test_control_points_and_rpcs_stay_on_the_same_ground(tmp_path):
    path = geotiff(tmp_path / "a.tif", codes(1, 1, 20, 30), crs=None, transform=PLACE.identity())
    with rasterio.open(path, "r+") as source:
        source.gcps = [GroundControlPoint(r, c, 10 + c, 50 - r, 0) for r, c in ((0, 0), (0, 30), (20, 0))], "EPSG:4326"
        numbers = {f"{a}_{b}_coeff": [1.0] + [0.0] * 19 for a in ("line", "samp") for b in ("num", "den")}
        places = {f"{a}_{b}": 1.0 for a in ("height", "lat", "long") for b in ("off", "scale")}
        source.rpcs = RPC(**numbers, **places, line_off=9.5, line_scale=10, samp_off=14.5, samp_scale=15)
    burst = open_burst([path])
    written(Output.create(tmp_path / "o.tif", burst, scale=2, window=(5, 4, 20, 10)), np.ones((1, 20, 40)))
    with rasterio.open(tmp_path / "o.tif") as back:
        points, system = back.gcps
        assert [(p.row, p.col, p.x, p.y) for p in points] == [(-8, -10, 10, 50), (-8, 50, 40, 50), (32, -10, 10, 30)]
        assert system.to_epsg() == 4326
        # the middle of 20 rows, 9.5 from the first centre, is 5.5 in the window, 11.5 in its finer grid
        assert (back.rpcs.line_off, back.rpcs.samp_off) == pytest.approx((11.5, 19.5))
        assert (back.rpcs.line_scale, back.rpcs.samp_scale) == (20, 30)


def test_a_picture_of_a_place_gets_a_world_file(tmp_path):
    burst = burst_of(tmp_path, codes(1))
    written(Output.create(tmp_path / "o.png", burst, scale=2), np.ones((1, 80, 112)))
    geo = open_burst([str(tmp_path / "o.png")]).views[0].geo
    assert geo is not None and geo.transform == (5, 0, 500_000, 0, -5, 6_200_000)


def test_a_cog_is_one(tmp_path):
    burst = burst_of(tmp_path, codes(1, 1, 600, 600))
    written(Output.create(tmp_path / "o.tif", burst, scale=2, cog=True), np.ones((1, 1200, 1200)))
    with rasterio.open(tmp_path / "o.tif") as back:
        assert back.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and back.overviews(1)


# ---------------------------------------------------------------- sigma


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_sigma_and_count_lie_beside_the_picture(tmp_path, suffix):
    burst = burst_of(tmp_path, codes(1, 3, 10, 10, "uint8"))
    sigma, count = codes(2, 3, 20, 20, "float32"), codes(3, 3, 20, 20, "float32")
    valid = np.ones((20, 20), bool)
    valid[4, 5] = False
    out = Output.create(tmp_path / f"o.{suffix}", burst, scale=2, sigma=True)
    written(out, np.ones((3, 20, 20)), valid=valid, sigma=sigma, count=count, step=9)
    if suffix == "tif":
        with rasterio.open(tmp_path / "o.sigma.tif") as back:
            both = back.read()
            assert back.descriptions[0] == "sigma of red" and back.descriptions[5] == "count of blue"
            assert back.transform == PLACE @ PLACE.scale(0.5)
        found_sigma, found_count = both[:3], both[3:]
    else:
        with np.load(tmp_path / "o.sigma.npz") as held:
            found_sigma, found_count = held["sigma"], held["count"]
    assert np.array_equal(found_count, count)
    assert np.isnan(found_sigma[:, 4, 5]).all()
    assert np.array_equal(found_sigma[:, valid], sigma[:, valid])
    assert {p.name for p in out.files} == {p.name for p in tmp_path.iterdir() if p.name.startswith("o.")} - {"o.pgw"}


# ---------------------------------------------------------------- half-way


@pytest.mark.parametrize("suffix", ["tif", "png", "npy"])
def test_a_half_written_picture_has_no_name_and_goes_when_abandoned(tmp_path, suffix):
    burst = burst_of(tmp_path, codes(1))
    before = {p.name for p in tmp_path.iterdir()}
    out = Output.create(tmp_path / f"o.{suffix}", burst, scale=2, sigma=True)
    out.write(0, 0, np.ones((1, 9, 9)), sigma=np.ones((1, 9, 9)), count=np.ones((1, 9, 9)))
    out.flush()
    assert {p.name[0] for p in tmp_path.iterdir() if p.name not in before} == {"."}
    assert all(p.is_file() for p in out.parts)
    out.abandon()
    assert {p.name for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", ["tif", "png", "npy"])
def test_windows_written_before_a_stop_are_there_after_it(tmp_path, suffix):
    picture = finer(codes(1, 3, 300, 300, "uint8"), 2)
    burst = burst_of(tmp_path, codes(1, 3, 300, 300, "uint8"))
    path, flat = tmp_path / f"o.{suffix}", np.ones((3, 600, 600), np.float32)
    out = Output.create(path, burst, scale=2, sigma=True)
    out.write(0, 0, picture[:, :300], sigma=flat[:, :300], count=flat[:, :300])
    out.flush()
    out.write(
        0, 300, 0 * picture[:, 300:], sigma=flat[:, 300:], count=flat[:, 300:]
    )  # not flushed: lost or not, no matter
    again = Output.reopen(path, burst, scale=2, sigma=True)
    assert again is not None
    again.write(0, 300, picture[:, 300:], sigma=flat[:, 300:], count=2 * flat[:, 300:])
    again.finish()
    view = open_burst([str(path)]).views
    back = np.concatenate([v.read(0, 0, 600, 600) for v in view])
    assert np.array_equal(back, picture)


KILLED = """
import os, sys, numpy as np
from misr.io.burst import open_burst
from misr.io.product import Output
out = Output.create(sys.argv[2], open_burst([sys.argv[1]]), scale=2)
valid = np.ones((600, 600), bool)
valid[3, 4] = False
out.write(0, 0, np.full((1, 600, 600), 9.0), valid=valid)
out.flush()
out.write(0, 600, np.full((1, 600, 600), 5.0))
os.kill(os.getpid(), 9)
"""


def test_what_was_flushed_outlives_a_kill(tmp_path):
    source, path = geotiff(tmp_path / "a.tif", codes(1, 1, 600, 300)), tmp_path / "o.tif"
    died = subprocess.run([sys.executable, "-c", KILLED, source, str(path)], check=False)
    assert died.returncode == -9 and not path.exists()
    again = Output.reopen(path, open_burst([source]), scale=2)
    assert again is not None
    again.write(0, 600, np.full((1, 600, 600), 7.0))
    again.finish()
    view = open_burst([str(path)]).views[0]
    seen, back = view.valid(0, 0, 600, 1200), view.read(0, 0, 600, 1200)[0]
    assert np.argwhere(~seen).tolist() == [[3, 4]]
    assert (back[:600][seen[:600]] == 9).all() and (back[600:] == 7).all()


def test_only_what_fits_is_reopened(tmp_path):
    burst = burst_of(tmp_path, codes(1))
    path = tmp_path / "o.tif"
    assert Output.reopen(path, burst, scale=2) is None
    Output.create(path, burst, scale=2).close()
    assert Output.reopen(path, burst, scale=3) is None
    assert Output.reopen(path, burst, scale=2, dtype="float32") is None
    assert Output.reopen(path, burst, scale=2, sigma=True) is None
    (tmp_path / ".o.tif.part").write_bytes(b"torn")
    assert Output.reopen(path, burst, scale=2) is None
    Output.create(path, burst, scale=2).abandon()


def test_a_mask_that_begins_after_a_resume_keeps_what_was_valid(tmp_path):
    burst = burst_of(tmp_path, codes(1, 1, 300, 300, "uint8"))
    path, nine = tmp_path / "o.tif", np.full((1, 300, 600), 9.0)
    out = Output.create(path, burst, scale=2)
    out.write(0, 0, nine)
    out.close()
    again = Output.reopen(path, burst, scale=2)
    assert again is not None
    again.write(0, 300, nine, valid=np.zeros((300, 600), bool))
    again.finish()
    with rasterio.open(path) as back:
        assert back.dataset_mask()[:300].all() and not back.dataset_mask()[300:].any()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "bands", "dtype", "said"),
    [
        ("o.gif", 1, "uint8", "no such kind"),
        ("o.png", 4, "uint16", "4 bands of uint16 do not fit into .png; write a .tif"),
        ("o.png", 1, "float32", "1 band of float32 do not fit"),
        ("o.jpg", 3, "uint16", "do not fit into .jpg"),
        ("no/o.tif", 1, "uint8", "cannot be written"),
        ("no/o.png", 1, "uint8", "cannot be written"),
    ],
)
def test_what_a_file_cannot_hold_is_said_at_once(tmp_path, name, bands, dtype, said):
    burst = burst_of(tmp_path, codes(1, bands, dtype=dtype))
    with pytest.raises(OutputError, match=said):
        Output.create(tmp_path / name, burst, scale=2)


def test_words_that_make_no_sense_are_refused(tmp_path):
    burst = burst_of(tmp_path, codes(1))
    with pytest.raises(OutputError, match=r"only a \.tif can be a cloud"):
        Output.create(tmp_path / "o.png", burst, scale=2, cog=True)
    with pytest.raises(OutputError, match="no codes of int64"):
        Output.create(tmp_path / "o.tif", burst, scale=2, dtype="int64")


def test_without_rasterio_a_plain_tiff_is_written(tmp_path, monkeypatch):
    picture = codes(1, 3)
    burst = open_burst([png(tmp_path / "a.png", picture)])
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setattr(product_module, "find_spec", lambda name: None if name == "rasterio" else find_spec(name))
    written(Output.create(tmp_path / "o.tif", burst, scale=2), finer(picture, 2))
    assert np.array_equal(
        cv2.imread(str(tmp_path / "o.tif"), cv2.IMREAD_UNCHANGED)[..., ::-1].transpose(2, 0, 1), finer(picture, 2)
    )
    with pytest.raises(OutputError, match=r'pip install "misr\[geo\]"'):
        Output.create(tmp_path / "c.tif", burst, scale=2, cog=True)


def test_a_name_is_taken_only_at_the_end(tmp_path):
    burst = burst_of(tmp_path, codes(1))
    path = tmp_path / "o.tif"
    path.write_bytes(b"what was there")
    out = Output.create(path, burst, scale=2)
    out.write(0, 0, np.ones((1, 80, 112)))
    assert path.read_bytes() == b"what was there"
    out.finish()
    assert path.read_bytes() != b"what was there" and len(list(tmp_path.glob(".*"))) == 0
