import pytest

from misr.errors import InputError
from misr.geo import Geo

UTM = Geo("EPSG:32633", (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_200_000.0), 0.0)
TURNED = Geo("", (8.0, 3.0, 1000.0, 3.0, -8.0, 2000.0))


@pytest.mark.parametrize("geo", [UTM, TURNED])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_corners_stay_when_pixels_get_finer(geo, scale):
    for fine, coarse in zip(geo.finer(scale).corners(30 * scale, 20 * scale), geo.corners(30, 20), strict=True):
        assert fine == pytest.approx(coarse, abs=1e-6)


@pytest.mark.parametrize("geo", [UTM, TURNED])
def test_a_window_made_finer_is_the_finer_picture_s_window(geo):
    window_first, finer_first = geo.moved(7, 5).finer(3), geo.finer(3).moved(21, 15)
    assert window_first.transform == pytest.approx(finer_first.transform, abs=1e-6)
    assert window_first.corners(12, 9)[0] == pytest.approx(geo.place(7, 5), abs=1e-6)


@pytest.mark.parametrize("geo", [UTM, TURNED])
def test_pixel_undoes_place(geo):
    assert geo.pixel(*geo.place(3.25, 8.5)) == pytest.approx((3.25, 8.5), abs=1e-6)


def test_a_view_that_begins_two_and_a_half_pixels_later_is_onto_by_that_shift():
    later = UTM.moved(2.5, 1.25)
    a, b, c, d, e, f, *last = UTM.onto(later)
    assert (a, b, c, d, e, f) == pytest.approx((1, 0, -2.5, 0, 1, -1.25), abs=1e-6)
    assert last == [0, 0, 1]


def test_pixel_centres_of_a_finer_grid_follow_the_area_aligned_rule():
    a, b, c, d, e, f, *_ = UTM.onto(UTM.finer(2))
    assert (a, c, e, f) == pytest.approx((2, 0.5, 2, 0.5), abs=1e-6)  # q = s p + (s - 1) / 2


def test_onto_refuses_another_coordinate_system_and_a_map_without_area():
    with pytest.raises(InputError, match="coordinate systems"):
        UTM.onto(Geo("EPSG:3857", UTM.transform))
    with pytest.raises(InputError, match="no area"):
        TURNED.onto(Geo("", (1.0, 1.0, 0.0, 1.0, 1.0, 0.0)))


def test_nodata_and_system_stay_with_the_place():
    assert UTM.finer(2).moved(1, 1).nodata == 0.0
    assert UTM.finer(2).moved(1, 1).crs == UTM.crs
