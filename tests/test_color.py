"""Colour is read and written as the standards say, chroma stays where it was sampled, and every depth survives."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr.color import (
    luma_view,
    on_host,
    picture_planes,
    resample_chroma,
    rgb_planes,
    rgb_view,
    shuffle,
    store,
    view,
    weights,
    wrap_planes,
    yuv_chroma,
)
from misr.errors import InputError
from misr.frame import BOTTOM, BOTTOMLEFT, CENTER, FULL, LEFT, LIMITED, TOP, TOPLEFT, Color, Frame
from misr.resample import matrix, resample
from misr.upscaler import Upscaler

CPU = torch.device("cpu")
STANDARDS = {1: (0.2126, 0.7152, 0.0722), 6: (0.299, 0.587, 0.114), 9: (0.2627, 0.6780, 0.0593)}
SITED = {  # chroma sample 0 within the luma samples it stands for: 0 is on the first, 1 on the last
    LEFT: (0, 0.5),
    CENTER: (0.5, 0.5),
    TOPLEFT: (0, 0),
    TOP: (0.5, 0),
    BOTTOMLEFT: (0, 1),
    BOTTOM: (0.5, 1),
}
CODINGS = list(product(STANDARDS, (LIMITED, FULL), (8, 10)))


pytestmark = pytest.mark.usefixtures("one_thread")


def dtype(depth):
    return np.uint8 if depth == 8 else np.float32 if depth == 32 else np.uint16


def noise(color, h, w, seed=0):
    """A frame whose every code is random, over all that the depth can hold."""
    rng = np.random.default_rng(seed)
    sizes = [chroma_shape(color, h, w) if color.model == "yuv" and i in (1, 2) else (h, w) for i in range(color.planes)]
    if color.depth == 32:
        return Frame(tuple(rng.random(s, dtype=np.float32) for s in sizes), color)
    return Frame(tuple(rng.integers(0, 2**color.depth, s).astype(dtype(color.depth)) for s in sizes), color)


def chroma_shape(color, h, w):
    fx, fy = color.subsampling
    return -(-h // fy), -(-w // fx)


def stored(planes, color):
    """Stored tensors as arrays (h, w) of wide integers, or floats."""
    return [p.astype(np.float64 if color.depth == 32 else np.int64) for p in on_host(planes)]


def as_it_is(frame, out):
    """What picture_planes stores when the net changes nothing, at scale 1."""
    return stored(picture_planes(frame, luma_view(frame, CPU)[None], out, (1.0, 1.0)), out)


def most_off(frame, planes, color):
    """The largest difference of any code."""
    pairs = zip(frame.planes, stored(planes, color), strict=True)
    return max(int(np.abs(a.astype(np.int64) - b).max()) for a, b in pairs)


def codes_of_rgb(rgb, matrix_code, code_range, depth):
    """Y', Cb, Cr codes of R'G'B' (3, h, w) in [0, 1], written down from BT.601-7, BT.709-6, BT.2020-2 and H.273."""
    r, g, b = rgb.astype(np.float64)
    kr, kg, kb = STANDARDS[matrix_code]
    y = kr * r + kg * g + kb * b
    cb = (b - y) / {1: 1.8556, 6: 1.772, 9: 1.8814}[matrix_code]
    cr = (r - y) / {1: 1.5748, 6: 1.402, 9: 1.4746}[matrix_code]
    if code_range == FULL:
        top = 2**depth - 1
        exact = [top * y, top * cb + 2 ** (depth - 1), top * cr + 2 ** (depth - 1)]
    else:
        step = 2 ** (depth - 8)
        exact = [step * (219 * y + 16), step * (224 * cb + 128), step * (224 * cr + 128)]
    return [np.clip(np.floor(c + 0.5), 0, 2**depth - 1).astype(np.int64) for c in exact]


# ---------------------------------------------------------------- matrices, ranges, depths


@pytest.mark.parametrize(("matrix_code", "code_range", "depth"), CODINGS)
def test_yuv_to_rgb_to_yuv_gives_every_code_back(matrix_code, code_range, depth):
    frame = noise(Color("yuv", depth, matrix=matrix_code, range=code_range), 96, 96)
    back = rgb_planes(frame, rgb_view(frame, CPU)[None], frame.color, (1.0, 1.0))
    assert most_off(frame, back, frame.color) <= 1


@pytest.mark.parametrize(("matrix_code", "code_range", "depth"), CODINGS)
def test_smooth_420_survives_rgb_within_one_code(matrix_code, code_range, depth):
    color = Color("yuv", depth, (2, 2), matrix=matrix_code, range=code_range)
    y, x = np.mgrid[0:64, 0:64] / 64
    light = 0.5 + 0.3 * np.sin(3 * x + 2 * y), 0.5 + 0.2 * np.cos(2 * x)[::2, ::2], 0.5 + 0.2 * np.sin(2 * y)[::2, ::2]
    frame = Frame(tuple((p * (2**depth - 1)).round().astype(dtype(depth)) for p in light), color)
    back = stored(rgb_planes(frame, rgb_view(frame, CPU)[None], color, (1.0, 1.0)), color)
    for ours, was in zip(back, frame.planes, strict=True):
        inside = np.s_[2:-2, 2:-2]  # at the border a sample's neighbours are made up
        assert np.abs(ours[inside] - was.astype(np.int64)[inside]).max() <= 2 ** (depth - 8)


@pytest.mark.parametrize(("matrix_code", "code_range", "depth"), CODINGS)
def test_rgb_becomes_the_yuv_that_the_standards_say(matrix_code, code_range, depth):
    rgb = np.random.default_rng(1).random((3, 64, 64), dtype=np.float32)
    rgb[:, 0, :8] = np.array(list(product((0, 1), repeat=3))).T  # the corners: black, white, primaries
    out = Color("yuv", depth, matrix=matrix_code, range=code_range)
    planes = stored(rgb_planes(noise(out, 64, 64), torch.from_numpy(rgb)[None], out, (1.0, 1.0)), out)
    for ours, theirs in zip(planes, codes_of_rgb(rgb, matrix_code, code_range, depth), strict=True):
        assert np.abs(ours - theirs).max() <= 1
        assert (ours == theirs).mean() > 0.995  # a tie may round either way
    assert np.array_equal(planes[0][0, :8], codes_of_rgb(rgb, matrix_code, code_range, depth)[0][0, :8])


@pytest.mark.parametrize(("matrix_code", "code_range", "depth"), CODINGS)
def test_yuv_codes_of_the_standards_are_read_as_the_rgb_they_were(matrix_code, code_range, depth):
    rgb = np.random.default_rng(2).random((3, 48, 48))
    color = Color("yuv", depth, matrix=matrix_code, range=code_range)
    codes = codes_of_rgb(rgb, matrix_code, code_range, depth)
    frame = Frame(tuple(c.astype(dtype(depth)) for c in codes), color)
    assert np.abs(rgb_view(frame, CPU).numpy() - rgb).max() < 1.6 / 219 / 2 ** (depth - 8)  # half a code of Y' and of C


@pytest.mark.parametrize("depth", [8, 10, 12, 16, 32])
@pytest.mark.parametrize("model", ["nearest", "bicubic"])
def test_rgb_through_the_luma_path_at_scale_one_gives_every_code_back(model, depth):
    frame = noise(Color("rgb", depth, alpha=True), 18, 22)
    (out,) = Upscaler(model, scale=1, device="cpu").stream([frame])
    for ours, was in zip(out.planes, frame.planes, strict=True):
        assert ours.dtype == was.dtype
        assert np.abs(ours.astype(np.float64) - was).max() <= (1e-5 if depth == 32 else 1)


@pytest.mark.parametrize(("matrix_code", "code_range", "depth"), CODINGS)
def test_grey_stays_grey(matrix_code, code_range, depth):
    color = Color("yuv", depth, (2, 2), matrix=matrix_code, range=code_range)
    ramp = np.linspace(0, 2**depth - 1, 48).round().astype(dtype(depth))[None].repeat(16, 0)
    middle = np.full((8, 24), 2 ** (depth - 1), dtype(depth))
    frame = Frame((ramp, middle, middle), color)
    r, g, b = rgb_view(frame, CPU)
    assert max((r - g).abs().max(), (b - g).abs().max()) < 1e-5
    rgb = stored(rgb_planes(frame, rgb_view(frame, CPU)[None], Color("rgb", depth), (1.0, 1.0)), Color("rgb", depth))
    assert (rgb[0] == rgb[1]).all()
    assert (rgb[0] == rgb[2]).all()
    for s in (1, 2):
        (out,) = Upscaler("bicubic", scale=s, device="cpu").stream(
            [Frame((ramp,) * 3, Color("rgb", depth))], out=replace(color, subsampling=(1, 1))
        )
        assert (out.planes[1] == 2 ** (depth - 1)).all()
        assert (out.planes[2] == 2 ** (depth - 1)).all()


def test_black_and_white_meet_at_every_depth_and_range():
    for a, b in product((8, 10, 12, 16), (LIMITED, FULL)):
        color = Color("gray", a, range=b)
        black, white = (16 << a - 8, 235 << a - 8) if b == LIMITED else (0, 2**a - 1)
        x = rgb_view(Frame((np.array([[black, white]], dtype(a)),), color), CPU)
        np.testing.assert_allclose(x, np.array([[[0, 1]]] * 3), atol=1e-6)


def test_float_grey_becomes_limited_codes_where_the_output_is_limited():
    for tagged, (code_range, black, white) in product((0, FULL), ((LIMITED, 16, 235), (FULL, 0, 255))):
        frame, out = (
            Frame((np.array([[0, 1]], np.float32),), Color("gray", 32, range=tagged)),
            Color("gray", range=code_range),
        )
        assert as_it_is(frame, out)[0].tolist() == [[black, white]]


@pytest.mark.parametrize(("before", "after"), [(8, 10), (10, 8), (12, 10), (10, 16), (16, 8)])
@pytest.mark.parametrize("code_range", [LIMITED, FULL])
def test_another_depth_shows_the_same_light(before, after, code_range):
    source, out = (Color("yuv", d, (2, 2), matrix=1, range=code_range) for d in (before, after))
    frame = noise(source, 12, 16)
    planes = as_it_is(frame, out)
    for i, (ours, was) in enumerate(zip(planes, frame.planes, strict=True)):
        if code_range == LIMITED:
            exact = was.astype(np.float64) * 2.0 ** (after - before)
        else:
            middle = [2.0 ** (d - 1) if i else 0.0 for d in (before, after)]
            exact = (was - middle[0]) * (2.0**after - 1) / (2.0**before - 1) + middle[1]
        assert np.abs(ours - np.clip(exact, 0, 2**after - 1)).max() <= 0.51


def test_eight_bits_go_through_ten_and_come_back_the_same():
    wide, narrow = Color("yuv", 10, (2, 2), matrix=1), Color("yuv", 8, (2, 2), matrix=1)
    frame = noise(narrow, 16, 16)
    tens = Frame(tuple(p.astype(np.uint16) for p in as_it_is(frame, wide)), wide)
    assert all((a == b).all() for a, b in zip(as_it_is(tens, narrow), frame.planes, strict=True))


def test_limited_to_full_moves_black_and_white_to_the_ends():
    luma, chroma = np.array([[16, 235]], np.uint8), np.array([[16, 240]], np.uint8)
    frame = Frame((luma, chroma, chroma), Color("yuv", range=LIMITED))
    out = Color("yuv", range=FULL)
    y, cb, cr = as_it_is(frame, out)
    assert y.tolist() == [[0, 255]]
    assert cb.tolist() == cr.tolist()
    assert cb[0, 0] in (0, 1)  # 128 - 127.5, a tie
    assert cb[0, 1] == 255  # 128 + 127.5, clamped


def test_another_matrix_keeps_the_colours():
    rgb = np.random.default_rng(3).random((3, 24, 24))
    codes = codes_of_rgb(rgb, 1, LIMITED, 10)
    frame = Frame(tuple(c.astype(np.uint16) for c in codes), Color("yuv", 10, matrix=1, range=LIMITED))
    out = Color("yuv", 10, matrix=6, range=LIMITED)
    planes = as_it_is(frame, out)
    for ours, theirs in zip(planes, codes_of_rgb(rgb, 6, LIMITED, 10), strict=True):
        assert np.abs(ours - theirs).max() <= 2  # two roundings


def test_untagged_is_read_as_players_read_it():
    assert weights(Color("yuv"), 719)[0] == 0.299
    assert weights(Color("yuv"), 720)[0] == 0.2126
    assert weights(Color("rgb", matrix=0), 1080)[0] == 0.2126
    with pytest.raises(InputError, match="matrix 8"):
        weights(Color("yuv", matrix=8), 1080)


def test_codes_of_an_unknown_matrix_pass_untouched_through_luma():
    frame = noise(Color("yuv", 8, (2, 2), matrix=8), 16, 16)
    assert all((a == b).all() for a, b in zip(as_it_is(frame, frame.color), frame.planes, strict=True))


# ---------------------------------------------------------------- chroma


def ramp_at(color, h, w, slope=(300.0, 170.0), start=5000.0, scale=1.0):
    """A linear function of luma coordinates, sampled where chroma sits in a picture (h, w) enlarged by scale."""
    x0, y0 = SITED[color.siting]
    (fx, fy), (rows, columns) = color.subsampling, chroma_shape(color, h, w)
    x = np.arange(columns) * fx + x0 * (fx - 1)
    y = np.arange(rows) * fy + y0 * (fy - 1)
    x, y = (x + 0.5) / scale - 0.5, (y + 0.5) / scale - 0.5
    return start + slope[0] * x[None] + slope[1] * y[:, None]


@pytest.mark.parametrize("scale", [1, 2, 4, 1.5])
@pytest.mark.parametrize("siting", SITED)
@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1)])
def test_a_chroma_ramp_stays_a_ramp_at_the_right_place(subsampling, siting, scale):
    color = Color("yuv", 16, subsampling, matrix=1, range=FULL, siting=siting)
    h, w = 40, 56
    chroma = ramp_at(color, h, w).round().astype(np.uint16)
    frame = Frame((np.zeros((h, w), np.uint16), chroma, chroma), color)
    size = round(h * scale), round(w * scale)
    got = stored(wrap_planes(frame, torch.zeros(1, 1, *size, dtype=torch.int16), color, (scale, scale)), color)[1]
    want = ramp_at(color, *size, scale=scale)
    edge = round(4 * scale)
    assert got.shape == want.shape
    # 1/100 of a luma pixel is 3 codes; rounding takes 1
    assert np.abs(got - want)[edge:-edge, edge:-edge].max() <= 4


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("siting", [LEFT, CENTER, TOPLEFT])
@pytest.mark.parametrize(
    ("before", "after"),
    [((2, 2), (1, 1)), ((2, 2), (2, 1)), ((2, 1), (1, 1)), ((1, 1), (2, 2)), ((2, 1), (2, 2)), ((4, 1), (2, 1))],
)
def test_chroma_moves_between_samplings_in_place(before, after, siting, scale):
    source, out = (Color("yuv", 16, f, matrix=1, range=FULL, siting=siting) for f in (before, after))
    h, w = 40, 64
    chroma = ramp_at(source, h, w).round().astype(np.uint16)
    frame = Frame((np.zeros((h, w), np.uint16), chroma, chroma), source)
    size = h * scale, w * scale
    got = stored(wrap_planes(frame, torch.zeros(1, 1, *size, dtype=torch.int16), out, (scale, scale)), out)[1]
    want = ramp_at(out, *size, scale=scale)
    assert got.shape == want.shape
    assert np.abs(got - want)[6:-6, 8:-8].max() <= 4


def test_untagged_chroma_is_left_sited():
    untagged, left = Color("yuv", 8, (2, 2), matrix=1), Color("yuv", 8, (2, 2), matrix=1, siting=LEFT)
    frame = noise(untagged, 12, 12)
    luma = torch.zeros(1, 1, 24, 24, dtype=torch.uint8)
    ours = stored(wrap_planes(frame, luma, untagged, (2, 2)), untagged)
    theirs = stored(wrap_planes(replace(frame, color=left), luma, left, (2, 2)), left)
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_a_new_siting_moves_the_samples_not_the_picture():
    left, centre = (Color("yuv", 16, (2, 2), matrix=1, range=FULL, siting=s) for s in (LEFT, CENTER))
    chroma = ramp_at(left, 32, 32).round().astype(np.uint16)
    frame = Frame((np.zeros((32, 32), np.uint16), chroma, chroma), left)
    got = stored(wrap_planes(frame, torch.zeros(1, 1, 32, 32, dtype=torch.int16), centre, (1.0, 1.0)), centre)[1]
    assert np.abs(got - ramp_at(centre, 32, 32))[3:-3, 3:-3].max() <= 4
    assert np.abs(got - chroma.astype(int))[3:-3, 3:-3].min() > 100  # half a luma pixel is 150


@pytest.mark.parametrize("h,w", [(1, 1), (1, 5), (5, 1), (7, 9), (8, 9), (7, 10)])  # noqa: PT006
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 4)])
def test_odd_sizes_keep_flat_colours_flat(subsampling, h, w):
    color = Color("yuv", 8, subsampling, alpha=True, matrix=1)
    values = (90, 60, 200, 77)
    shapes = [(h, w), chroma_shape(color, h, w), chroma_shape(color, h, w), (h, w)]
    frame = Frame(tuple(np.full(s, v, np.uint8) for s, v in zip(shapes, values, strict=True)), color)
    for s in (1, 2, 3, 1.5):
        (out,) = Upscaler("bicubic", scale=s, device="cpu").stream([frame])
        size = round(h * s), round(w * s)
        assert [p.shape for p in out.planes] == [size, chroma_shape(color, *size), chroma_shape(color, *size), size]
        assert [set(np.unique(p)) for p in out.planes] == [{v} for v in values]


@pytest.mark.parametrize("s", [2, 3, 4])
@pytest.mark.parametrize("depth", [8, 10, 16])
def test_chroma_shuffled_as_bytes_is_chroma_through_a_matrix(depth, s):
    color = Color("yuv", depth, (2, 2), matrix=1, siting=LEFT)
    frame = noise(color, 16, 24, seed=s)
    cb, cr = stored(yuv_chroma(frame, (16 * s, 24 * s), (s, s), color, CPU), color)
    # sample i of a left-sited row is luma sample 2 i, which was at ((2 i + 1/2) / s - 1/2) / 2 chroma samples
    shift = 0.25 - 0.25 / s
    across, down = matrix(12, 12 * s, s, shift=shift).double(), matrix(8, 8 * s, s).double()
    for ours, was in ((cb, frame.planes[1]), (cr, frame.planes[2])):
        exact = down @ torch.from_numpy(was.astype(np.float64)) @ across.T
        assert np.abs(ours - exact.clamp(0, 2**depth - 1).numpy()).max() <= 0.52
    planes = torch.cat([view(p, color, CPU) for p in frame.planes[1:]])
    general = resample_chroma(planes, (16 * s, 24 * s), (s, s), color, color)
    for ours, theirs in zip((cb, cr), store(general, color).split(1), strict=True):
        assert np.abs(ours - stored([theirs], color)[0]).max() <= 1


def test_grey_into_yuv_has_no_colour_and_yuv_into_grey_only_loses_it():
    grey, yuv = Color("gray", 10), Color("yuv", 10, (2, 2))
    frame = noise(grey, 9, 11)
    planes = as_it_is(frame, yuv)
    assert (planes[0] == frame.planes[0]).all()
    assert [p.shape for p in planes[1:]] == [(5, 6)] * 2
    assert all((p == 512).all() for p in planes[1:])
    coloured = noise(yuv, 9, 11)
    (only,) = as_it_is(coloured, grey)
    assert (only == coloured.planes[0]).all()


# ---------------------------------------------------------------- integers


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16])
@pytest.mark.parametrize("s", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 4, 6), (2, 1, 7), (1, 5, 1), (2, 1, 1)])
def test_shuffle_is_pixel_shuffle(kind, s, shape):
    n, h, w = shape
    x = torch.randint(0, 256, (n, s * s, h, w)).to(kind) * (1 if kind == torch.uint8 else 127)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert torch.equal(shuffle(x.contiguous(memory_format=layout), s), F.pixel_shuffle(x, s))


def test_sixteen_bits_survive_beyond_the_sign_bit():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for code_range in (LIMITED, FULL):
        color = Color("gray", 16, range=code_range)
        x = view(every, color, CPU)
        assert (x.diff(dim=-1) > 0).all()
        assert (on_host([store(x, color)])[0] == every).all()
    flat = Frame((np.full((6, 6), 65000, np.uint16),) * 3, Color("yuv", 16))
    (out,) = Upscaler("bicubic", scale=2, device="cpu").stream([flat])
    assert all((p == 65000).all() and p.dtype == np.uint16 for p in out.planes)


@pytest.mark.parametrize("depth", range(8, 17))
def test_every_code_of_every_depth_is_stored_as_it_was_viewed(depth):
    codes = np.arange(2**depth).astype(dtype(depth))[None]
    for code_range in (LIMITED, FULL):
        color = Color("gray", depth, range=code_range)
        assert (on_host([store(view(codes, color, CPU), color)])[0] == codes).all()


def test_what_overshoots_is_clamped_once_and_floats_are_not():
    x = torch.tensor([[[[-0.2, 1.3]]]])
    for depth, top in ((8, 255), (10, 1023), (16, 65535)):
        color = Color("gray", depth, range=FULL)
        assert on_host([store(x, color)])[0].tolist() == [[0, top]]
    assert torch.equal(store(x, Color("gray", 32)), x)


def test_padded_lines_and_slices_are_read_as_they_are():
    wide = np.random.default_rng(5).integers(0, 65536, (6, 16)).astype(np.uint16)
    color = Color("gray", 16)
    assert torch.equal(view(wide[:, :11], color, CPU), view(wide[:, :11].copy(), color, CPU))


def test_viewing_a_float_plane_leaves_it_alone():
    plane = np.random.default_rng(6).random((4, 4), dtype=np.float32)
    before = plane.copy()
    assert np.array_equal(view(plane, Color("gray", 32), CPU)[0, 0].numpy(), before)
    assert np.array_equal(plane, before)


@pytest.mark.parametrize("model", ["yuv", "rgb", "gray"])
def test_alpha_is_interpolated_over_its_full_range(model):
    color = Color(model, alpha=True, matrix=1, range=LIMITED)
    frame = noise(color, 12, 14)
    planes = (*frame.planes[:-1], np.tile(np.array([[0, 255]], np.uint8), (12, 7)))
    (out,) = Upscaler("bicubic", scale=2, device="cpu").stream([replace(frame, planes=planes)])
    exact = resample(torch.from_numpy(planes[-1]).double(), (24, 28)).clamp(0, 255).numpy()
    assert np.abs(out.planes[-1] - exact).max() < 0.51
    assert (out.planes[-1].min(), out.planes[-1].max()) == (0, 255)


def test_alpha_is_full_range_at_another_depth_and_opaque_where_there_was_none():
    frame = Frame((*[np.full((4, 4), 100, np.uint8)] * 3, np.full((4, 4), 255, np.uint8)), Color("yuv", alpha=True))
    out = Color("yuv", 10, alpha=True)
    got = as_it_is(frame, out)
    assert (got[3] == 1023).all()
    assert (got[0] == 400).all()
    bare = Frame(frame.planes[:3], Color("yuv"))
    assert (as_it_is(bare, frame.color)[3] == 255).all()
