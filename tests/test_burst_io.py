import sys
from importlib.util import find_spec

import numpy as np
import pytest

from misr.errors import InputError
from misr.io import burst as burst_module
from misr.io.burst import named_time, open_burst
from misr.io.view import View
from tests.rasters import PLACE, codes, geotiff, plain_tiff, png

# ---------------------------------------------------------------- one contract for every kind of burst


def folder_of_png(tmp_path, bands, dtype):
    pictures = [codes(n, bands, dtype=dtype) for n in range(3)]
    for n, picture in enumerate(pictures):
        png(tmp_path / f"view_{n + 8}.png", picture)  # 8, 9, 10: natural order
    return [str(tmp_path)], pictures


def png_8_gray(tmp_path):
    return folder_of_png(tmp_path, 1, "uint8")


def png_16_rgb(tmp_path):
    return folder_of_png(tmp_path, 3, "uint16")


def png_glob(tmp_path):
    _, pictures = folder_of_png(tmp_path, 1, "uint16")
    return [str(tmp_path / "view_*.png")], pictures


def png_alpha(tmp_path):
    picture = codes(1, 4, dtype="uint16")
    picture[3, :9], picture[3, 9:] = 0, 65535
    return [png(tmp_path / "a.png", picture)], [picture[:3]]


def geotiffs(tmp_path, dtype="uint16", bands=4):
    pictures = [codes(n, bands, dtype=dtype) for n in range(3)]
    return [geotiff(tmp_path / f"{n}.tif", p) for n, p in enumerate(pictures)], pictures


def geotiffs_float(tmp_path):
    return geotiffs(tmp_path, "float32", 2)


def geotiffs_int16(tmp_path):
    return geotiffs(tmp_path, "int16", 1)


def tiff_pages(tmp_path):
    pictures = [codes(n) for n in range(3)]
    return [plain_tiff(tmp_path / "pages.tif", [p[0] for p in pictures])], pictures


def npy_stack(tmp_path):
    pictures = [codes(n, dtype="float32") for n in range(4)]
    np.save(tmp_path / "a.npy", np.concatenate(pictures))
    return [str(tmp_path / "a.npy")], pictures


def npy_bands_first(tmp_path):
    pictures = [codes(n, 5) for n in range(4)]
    np.save(tmp_path / "a.npy", np.stack(pictures))
    return [str(tmp_path / "a.npy")], pictures


def npy_bands_last(tmp_path):
    pictures = [codes(n, 5) for n in range(4)]
    np.save(tmp_path / "a.npy", np.moveaxis(np.stack(pictures), 1, -1))
    return [str(tmp_path / "a.npy")], pictures


def npy_each(tmp_path):
    pictures = [codes(n, 3) for n in range(2)]
    np.save(tmp_path / "1.npy", pictures[0])
    np.save(tmp_path / "2.npy", pictures[1])
    return [str(tmp_path)], pictures


def npz_stack(tmp_path):
    pictures = [codes(n, 2) for n in range(3)]
    np.savez(tmp_path / "a.npz", views=np.stack(pictures), exposures=[1, 2, 4], times=["2025", "2026", "2027"])
    return [str(tmp_path / "a.npz")], pictures


def imgset(tmp_path):
    (tmp_path / "imgset0007").mkdir()
    pictures = [codes(n) for n in range(3)]
    for n, picture in enumerate(pictures):
        png(tmp_path / "imgset0007" / f"LR{n:03}.png", picture)
        png(tmp_path / "imgset0007" / f"QM{n:03}.png", np.full((1, 40, 56), 255, np.uint8))
    png(tmp_path / "imgset0007" / "HR.png", codes(9, 1, 120, 168))
    return [str(tmp_path / "imgset0007")], pictures


CONTRACT = [
    png_8_gray,
    png_16_rgb,
    png_glob,
    png_alpha,
    geotiffs,
    geotiffs_float,
    geotiffs_int16,
    tiff_pages,
    npy_stack,
    npy_bands_first,
    npy_bands_last,
    npy_each,
    npz_stack,
    imgset,
]


@pytest.mark.parametrize("make", CONTRACT)
def test_every_kind_of_burst_keeps_one_contract(make, tmp_path):
    paths, pictures = make(tmp_path)
    burst = open_burst(paths)
    assert len(burst.views) == len(pictures) and len(burst.names) == pictures[0].shape[0]
    for view, picture in zip(burst.views, pictures, strict=True):
        keeps_the_contract(view, picture)
    burst.close()


def keeps_the_contract(view: View, picture: np.ndarray) -> None:
    n, h, w = picture.shape
    assert (view.bands, view.height, view.width, view.dtype) == (n, h, w, picture.dtype)
    assert np.array_equal(view.read(0, 0, w, h), picture)
    window = view.read(13, 5, 21, 17, [n - 1])
    assert window.shape == (1, 17, 21) and np.array_equal(window[0], picture[n - 1, 5:22, 13:34])
    whole = view.valid(0, 0, w, h)
    assert whole.shape == (h, w) and whole.dtype == bool
    assert np.array_equal(view.valid(13, 5, 21, 17), whole[5:22, 13:34])
    assert view.exposure is None or view.exposure > 0


# ---------------------------------------------------------------- validity


def test_alpha_and_masks_of_arrays_count(tmp_path):
    paths, _ = png_alpha(tmp_path)
    assert open_burst(paths).views[0].valid(0, 0, 56, 40).mean() == pytest.approx(31 / 40)
    masks = np.zeros((2, 40, 56), np.uint8)
    masks[1, :, :7] = 1
    np.savez(tmp_path / "m.npz", views=np.stack([codes(0)[0], codes(1)[0]]), masks=masks)
    seen = [v.valid(0, 0, 56, 40).sum() for v in open_burst([str(tmp_path / "m.npz")]).views]
    assert seen == [0, 7 * 40]


def test_nan_everywhere_is_valid_nowhere(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 20, 30), np.nan, np.float32))
    assert not any(v.valid(0, 0, 30, 20).any() for v in open_burst([str(tmp_path / "a.npy")]).views)


def test_a_nodata_given_counts_for_every_kind(tmp_path):
    for make in (png_8_gray, npy_stack):
        folder = tmp_path / make.__name__
        folder.mkdir()
        paths, pictures = make(folder)
        code = float(pictures[0][0, 2, 3])
        view = open_burst(paths, nodata=code).views[0]
        assert not view.valid(3, 2, 1, 1)[0, 0]
        assert np.array_equal(view.valid(0, 0, 56, 40), pictures[0][0] != pictures[0][0, 2, 3])


@pytest.mark.parametrize("kind", ["one", "in order", "by name", "stack", "tif"])
def test_masks_are_matched_to_views(tmp_path, kind):
    views = tmp_path / "views"
    views.mkdir()
    paths, _ = folder_of_png(views, 1, "uint16")
    clear = [np.zeros((40, 56), np.uint8) for _ in range(3)]
    for n, mask in enumerate(clear):
        mask[:, : 10 * (n + 1)] = 1
    names = {"by name": ["c_view_8", "a_view_9", "b_view_10"]}.get(kind, ["1", "2", "3"])
    files = [png(tmp_path / f"{name}.png", m[None]) for name, m in zip(names, clear, strict=True)]
    want = [10, 20, 30]
    if kind == "one":
        files, want = files[:1], [10, 10, 10]
    elif kind == "by name":
        files = sorted(files)
    elif kind == "stack":
        np.save(tmp_path / "m.npy", np.stack(clear))
        files = [str(tmp_path / "m.npy")]
    elif kind == "tif":
        files = [geotiff(tmp_path / f"m{n}.tif", m[None]) for n, m in enumerate(clear)]
    burst = open_burst(paths, masks=files)
    assert [v.valid(0, 0, 56, 1).sum() for v in burst.views] == want
    assert burst.views[0].read(0, 0, 56, 40).shape == (1, 40, 56)


def test_masks_that_do_not_fit_are_named(tmp_path):
    views = tmp_path / "views"
    views.mkdir()
    paths, _ = png_8_gray(views)
    small = png(tmp_path / "small.png", codes(1, 1, 8, 8))
    with pytest.raises(InputError, match=r"small\.png: a mask of 8x8 for .*view_8\.png of 56x40"):
        open_burst(paths, masks=[small])
    with pytest.raises(InputError, match="2 masks for 3 views"):
        open_burst(paths, masks=[small, small])


# ---------------------------------------------------------------- exposures and times


def test_a_name_tells_the_day():
    assert named_time("2025-04-10_S2A_33UUB_20250410_1_L2A.png") == "2025-04-10"
    assert named_time("S2B_20250410T101559_B04.tif") == "2025-04-10T10:15:59"
    assert named_time("frame_20251399.png") == named_time("12345678901.png") == ""


def test_exposures_are_the_user_s_where_given(tmp_path):
    paths, _ = png_8_gray(tmp_path)
    assert [v.exposure for v in open_burst(paths, exposures=[1, 2, 3.5]).views] == [1, 2, 3.5]
    table = tmp_path / "exposures.txt"
    table.write_text("# s\nview_10.png, 3\nview_8.png 1\nview_9 2\n")
    assert [v.exposure for v in open_burst(paths, exposures=str(table)).views] == [1, 2, 3]
    table.write_text("1\n2\n3\n")
    assert [v.exposure for v in open_burst(paths, exposures=str(table)).views] == [1, 2, 3]
    for wrong, said in (([1, 2], "2 exposures for 3 views"), ([1, 2, 0], "above 0"), (str(tmp_path / "no"), "no")):
        with pytest.raises(InputError, match=said):
            open_burst(paths, exposures=wrong)
    table.write_text("view_8.png 1\n")
    with pytest.raises(InputError, match=r"no exposure for .*view_9"):
        open_burst(paths, exposures=str(table))


# ---------------------------------------------------------------- what belongs together


def test_a_stranger_in_a_folder_is_left_out_and_named(tmp_path):
    paths, _ = folder_of_png(tmp_path, 1, "uint8")
    png(tmp_path / "sharp.png", codes(5, 1, 160, 224, "uint8"))
    burst = open_burst(paths)
    assert len(burst.views) == 3
    assert len(burst.notes) == 1 and "left out sharp.png (224x160, 1 band, uint8)" in burst.notes[0]


def test_two_folders_are_one_burst(tmp_path):
    for name, size in (("a", 56), ("b", 56)):
        (tmp_path / name).mkdir()
        for n in range(3):
            png(tmp_path / name / f"{n}.png", codes(n, 1, 40, size))
    png(tmp_path / "b" / "odd.png", codes(9, 1, 8, 8))
    burst = open_burst([str(tmp_path / "a"), str(tmp_path / "b")])
    assert len(burst.views) == 6 and len(burst.notes) == 1


def test_views_named_one_by_one_must_agree(tmp_path):
    a, b = png(tmp_path / "a.png", codes(1)), png(tmp_path / "b.png", codes(2, 1, 41, 56))
    c = png(tmp_path / "c.png", codes(3, 3))
    with pytest.raises(InputError, match=r"a\.png is 56x40, 1 band, uint16, .*b\.png is 56x41, .*; crop"):
        open_burst([a, b])
    with pytest.raises(InputError, match=r"a\.png is .*c\.png is 56x40, 3 bands, uint16; convert"):
        open_burst([a, c], any_size=True)
    assert len(open_burst([a, b], any_size=True).views) == 2


def test_half_and_half_in_a_folder_is_an_error(tmp_path):
    png(tmp_path / "a.png", codes(1))
    png(tmp_path / "b.png", codes(2, 1, 41, 56))
    with pytest.raises(InputError, match=r"a\.png.*b\.png"):
        open_burst([str(tmp_path)])


def test_sizes_may_differ_where_the_earth_tells_how(tmp_path):
    a = geotiff(tmp_path / "a.tif", codes(1))
    b = geotiff(tmp_path / "b.tif", codes(2, 1, 30, 30), transform=PLACE @ PLACE.translation(3, 2))
    first, second = open_burst([a, b]).views
    assert first.geo is not None and second.geo is not None
    assert first.geo.onto(second.geo) == pytest.approx((1, 0, -3, 0, 1, -2, 0, 0, 1), abs=1e-6)


def test_mixed_coordinate_systems_name_two_files(tmp_path):
    a, b = geotiff(tmp_path / "a.tif", codes(1)), geotiff(tmp_path / "b.tif", codes(2), crs="EPSG:32634")
    with pytest.raises(InputError, match=r"a\.tif and .*b\.tif are in different coordinate systems; .*gdalwarp"):
        open_burst([a, b])


def test_one_system_written_in_two_ways_is_one(tmp_path):
    from rasterio.crs import CRS

    a = geotiff(tmp_path / "a.tif", codes(1))
    b = geotiff(tmp_path / "b.tif", codes(2), crs=CRS.from_epsg(32633).to_wkt(version="WKT2_2019"))
    first, second = open_burst([a, b]).views
    assert first.geo == second.geo


def test_a_view_without_a_place_beside_others_is_told(tmp_path):
    a, b = geotiff(tmp_path / "a.tif", codes(1)), plain_tiff(tmp_path / "b.tif", [codes(2)[0]])
    assert "b.tif: no coordinate system" in open_burst([a, b]).notes[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing.png", "no such file"), ("*.webp", "no file matches"), (".", "no picture or raster in this folder")],
)
def test_nothing_to_open_is_said(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        open_burst([str(tmp_path / name)])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.npy", "a.npz", "a.tif"])
@pytest.mark.parametrize("content", [b"", b"not a picture at all"])
def test_a_file_that_is_no_picture_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: "):
        open_burst([str(tmp_path / name)])


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2, 2, 2), (0, 8, 8)])
def test_an_array_that_is_no_stack_is_named(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    with pytest.raises(InputError):
        open_burst([str(tmp_path / "a.npy")])


def test_codes_of_no_use_are_named(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 8, 8), np.int64))
    with pytest.raises(InputError, match="int64 codes; convert"):
        open_burst([str(tmp_path / "a.npy")])


# ---------------------------------------------------------------- without rasterio


def test_without_rasterio_plain_tiffs_work_and_places_are_never_lost(tmp_path, monkeypatch):
    paths, pictures = tiff_pages(tmp_path)
    placed = geotiff(tmp_path / "placed.tif", codes(4))
    big = geotiff(tmp_path / "big.tif", codes(4), BIGTIFF="YES")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setattr(burst_module, "find_spec", lambda name: None if name == "rasterio" else find_spec(name))
    views = open_burst(paths).views
    assert len(views) == 3
    for view, picture in zip(views, pictures, strict=True):
        keeps_the_contract(view, picture)
    for path in (placed, big):
        with pytest.raises(InputError, match=r'pip install "misr\[geo\]"'):
            open_burst([path])


def test_a_world_file_gives_a_png_its_place(tmp_path):
    path = png(tmp_path / "a.png", codes(1))
    (tmp_path / "a.pgw").write_text("10\n0\n0\n-10\n500005\n6199995\n")
    geo = open_burst([path]).views[0].geo
    assert geo is not None and geo.transform == (10, 0, 500_000, 0, -10, 6_200_000)


def test_real_bursts_open(shared_data):
    burst = open_burst([str(shared_data / "test" / "bursts" / "s2_cph")])
    assert len(burst.views) == 22 and "sr_sample_000.png" in burst.notes[0]
    assert burst.views[0].time == "2025-04-03"
