import shutil
import sys

import numpy as np
import pytest

from misr.errors import InputError
from misr.io.raster import rasters
from misr.io.view import is_mask
from tests.rasters import codes, geotiff, plain_tiff


def one(path, **told):
    views, notes = rasters(path, **told)
    assert len(views) == 1 and notes == ()
    return views[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_a_window_is_the_whole_cropped(tmp_path, dtype, layout):
    picture = codes(1, 4, dtype=dtype) if dtype != "uint8" else codes(1, 3, dtype=dtype)
    view = one(geotiff(tmp_path / "a.tif", picture, **layout))
    assert np.array_equal(view.read(0, 0, view.width, view.height), picture)
    assert np.array_equal(view.read(11, 7, 30, 20, [2, 0]), picture[[2, 0], 7:27, 11:41])
    assert view.read(0, 0, 4, 4).dtype == dtype == view.dtype.name


def test_nodata_is_known_band_by_band(tmp_path):
    picture = codes(2, 2)
    picture[0, 3, 4] = picture[1, 5, 6] = 0
    view = one(geotiff(tmp_path / "a.tif", picture, nodata=0))
    assert view.nodata == 0
    assert np.argwhere(~view.valid(0, 0, 56, 40)).tolist() == [[3, 4], [5, 6]]
    assert np.argwhere(~view.valid(0, 0, 56, 40, [1])).tolist() == [[5, 6]]
    assert np.argwhere(~view.valid(2, 1, 20, 20)).tolist() == [[2, 2], [4, 4]]


def test_a_nodata_given_replaces_the_file_s(tmp_path):
    picture = codes(3)
    picture[0, 0, 0], picture[0, 0, 1] = 0, 4095
    view = one(geotiff(tmp_path / "a.tif", picture, nodata=0), nodata=4095.0)
    assert view.valid(0, 0, 3, 1).tolist() == [[True, False, True]]
    assert view.geo.nodata == 4095


@pytest.mark.parametrize("nodata", [-9999.0, -3.4028234663852886e38, float("nan")])
def test_floats_without_data_are_found(tmp_path, nodata):
    picture = codes(4, dtype="float32")
    picture[0, 0, :3] = nodata, np.nan, np.inf
    view = one(geotiff(tmp_path / "a.tif", picture, nodata=nodata))
    assert view.valid(0, 0, 5, 1).tolist() == [[False, False, False, True, True]]


def test_the_mask_in_a_file_counts(tmp_path):
    mask = np.full((40, 56), 255, np.uint8)
    mask[10:20, 5:9] = 0
    view = one(geotiff(tmp_path / "a.tif", codes(5, 3, dtype="uint8"), mask=mask))
    assert np.array_equal(view.valid(0, 0, 56, 40), mask > 0)


def test_alpha_is_the_mask_and_no_band(tmp_path):
    picture = codes(6, 4, dtype="uint8")
    picture[3] = 255
    picture[3, :7] = 0
    view = one(geotiff(tmp_path / "a.tif", picture, photometric="RGB", alpha="YES"))
    assert (view.bands, view.alpha, view.names) == (3, 4, ("red", "green", "blue"))
    assert np.array_equal(view.valid(0, 0, 56, 40), picture[3] > 0)


def test_a_fourth_band_of_data_that_is_called_alpha_is_data(tmp_path):
    picture = codes(7, 4)
    view = one(geotiff(tmp_path / "a.tif", picture, photometric="RGB", alpha="YES"))
    assert (view.bands, view.alpha) == (4, 0)
    assert view.valid(0, 0, 56, 40).all()
    assert np.array_equal(view.read(0, 0, 56, 40), picture)


def test_a_mask_is_all_or_nothing():
    assert is_mask(np.array([0, 255, 255, 0], np.uint8))
    assert not is_mask(np.zeros(9, np.uint16))
    assert not is_mask(np.arange(100, dtype=np.uint16))


def test_where_it_lies_and_what_bands_are_called(tmp_path):
    import rasterio

    path = geotiff(tmp_path / "a.tif", codes(8, 2))
    with rasterio.open(path, "r+") as out:
        out.descriptions = ["B4", None]
        out.update_tags(TIFFTAG_DATETIME="2025:06:17 10:20:30", EXPOSURE_TIME="0.004 s")
    view = one(path)
    assert view.names == ("B4", "band 2")
    assert view.geo.transform == (10, 0, 500_000, 0, -10, 6_200_000)
    assert "UTM zone 33N" in view.geo.crs
    assert (view.time, view.exposure) == ("2025-06-17T10:20:30", 0.004)


def test_pages_are_views_and_a_page_of_another_size_is_left_out(tmp_path):
    pages = [codes(n)[0] for n in range(3)]
    views, notes = rasters(plain_tiff(tmp_path / "a.tif", [*pages, codes(9)[0][:10, :10]]))
    assert [v.name.split("#")[1] for v in views] == ["1", "2", "3"]
    assert all(np.array_equal(v.read(0, 0, 56, 40)[0], p) for v, p in zip(views, pages, strict=True))
    assert len(notes) == 1 and "1 of 4 pages" in notes[0]
    assert views[0].geo is None


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.6])
def test_a_truncated_file_is_one_sentence_that_names_it(tmp_path, keep):
    path = tmp_path / "cut.tif"
    geotiff(tmp_path / "whole.tif", codes(10, 2, 300, 300), tiled=True, blockxsize=64, blockysize=64)
    data = (tmp_path / "whole.tif").read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(InputError, match=r"cut\.tif: .*; copy or download it again, or leave it out"):
        one(str(path)).read(0, 0, 300, 300)


def test_a_block_that_does_not_decode_says_where(tmp_path):
    geotiff(tmp_path / "a.tif", codes(11, 1, 128, 128), tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:-2000] + b"\xff" * 2000)
    with pytest.raises(InputError, match=r"a\.tif: damaged between \(64, 64\) and \(128, 128\)"):
        one(str(tmp_path / "a.tif")).read(64, 64, 64, 64)


@pytest.mark.parametrize("name", ["palette", "complex"])
def test_codes_that_are_no_light_are_refused(tmp_path, name):
    import rasterio

    path = str(tmp_path / "a.tif")
    if name == "palette":
        geotiff(tmp_path / "a.tif", codes(12, dtype="uint8"), photometric="palette")
        with rasterio.open(path, "r+") as out:
            out.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255)})
    else:
        geotiff(tmp_path / "a.tif", codes(12, dtype="float32").astype("complex64"))
    with pytest.raises(InputError, match=f"{'palette' if name == 'palette' else 'complex64'}"):
        one(path)


def test_without_rasterio_the_way_to_it_is_told(tmp_path, monkeypatch):
    path = geotiff(tmp_path / "a.tif", codes(13))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r'pip install "misr\[geo\]"'):
        rasters(path)


def test_real_files_are_read(shared_data, tmp_path):
    folder = shared_data / "test" / "geotiff"
    assert one(str(folder / "l1b_00.tif")).bands == 4
    rgba = one(str(folder / "RGBA.byte.tif"))
    assert rgba.bands == 3 and 0.6 < rgba.valid(0, 0, rgba.width, rgba.height).mean() < 0.7
    shutil.copy(folder / "corrupt.tif", tmp_path / "corrupt.tif")
    broken = one(str(tmp_path / "corrupt.tif"))
    assert broken.read(0, 0, 512, 512).shape == (3, 512, 512)
    with pytest.raises(InputError, match=r"corrupt\.tif: damaged between \(512, 512\)"):
        broken.read(512, 512, 512, 512)
