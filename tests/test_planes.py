"""PyAV's frames become ours and go back with every sample and every tag, whatever the packing."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from misr.errors import InputError, OutputError
from misr.frame import CENTER, FULL, LIMITED, TOPLEFT, Color, Frame
from misr.io.planes import (
    COARSE,
    INTERLEAVED,
    SUBSAMPLING,
    UNPACKED,
    Repacker,
    best_format,
    color_of,
    from_frame,
    planar_name,
    read_color,
    to_frame,
    unpacked,
)

W, H = 37, 21  # odd, so that lines are padded and chroma rounds up
ZERO = Fraction(0)
BIG_ENDIAN = [
    "gray16be",
    "ya16be",
    "yuv420p10be",
    "yuv422p12be",
    "gbrp10be",
    "gbrap16be",
    "p010be",
    "grayf32be",
    "gbrpf32be",
]
EXACT = [*(set(UNPACKED) - COARSE), *INTERLEAVED, *BIG_ENDIAN]
X264 = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuvj444p",
    "nv12",
    "nv16",
    "nv21",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "nv20le",
    "gray",
    "gray10le",
]
X265 = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuvj444p",
    "gbrp",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "gbrp10le",
    "yuv420p12le",
    "yuv422p12le",
    "yuv444p12le",
    "gbrp12le",
    "gray",
    "gray10le",
    "gray12le",
]
PNG = ["rgb24", "rgba", "rgb48be", "rgba64be", "pal8", "gray", "ya8", "gray16be", "ya16be", "monob"]
PRORES = ["yuv422p10le", "yuv444p10le", "yuva444p10le"]
TIFF = [
    "rgb24",
    "rgb48le",
    "pal8",
    "rgba",
    "rgba64le",
    "gray",
    "ya8",
    "gray16le",
    "ya16le",
    "monob",
    "monow",
    "yuv420p",
]
YUV8, YUV10 = Color("yuv", 8, (2, 2)), Color("yuv", 10, (2, 2))


def kinds():
    """Every colour that misr holds and FFmpeg has a planar format for."""
    for depth in (8, 9, 10, 12, 14, 16):
        yield Color("gray", depth)
        yield Color("rgb", depth)
        for sub in SUBSAMPLING.values():
            yield Color("yuv", depth, sub)
            yield Color("yuv", depth, sub, alpha=True)
    yield from (Color("rgb", d, alpha=True) for d in (8, 10, 12, 14, 16, 32))
    yield from (Color("gray", 8, alpha=True), Color("gray", 16, alpha=True), Color("gray", 32), Color("rgb", 32))


KINDS = [c for c in kinds() if planar_name(c) in av.video.format.names]


def ours(color, w=W, h=H, seed=0):
    """A frame of random codes."""
    rng = np.random.default_rng(seed)
    fx, fy = color.subsampling
    planes = []
    for i in range(color.planes):
        shape = (-(-h // fy), -(-w // fx)) if color.model == "yuv" and i in (1, 2) else (h, w)
        if color.depth == 32:
            planes.append(rng.random(shape, dtype=np.float32))
        else:
            planes.append(rng.integers(0, 2**color.depth, shape).astype(np.uint8 if color.depth == 8 else np.uint16))
    return Frame(tuple(planes), color)


def assert_same(a, b):
    assert len(a.planes) == len(b.planes) == a.color.planes
    for one, other in zip(a.planes, b.planes, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def plain(pix_fmt):
    """The colour of a format without its tags."""
    return replace(color_of(pix_fmt), range=0)


# ---------------------------------------------------------------- samples


@pytest.mark.parametrize("color", KINDS, ids=planar_name)
def test_planar_frames_come_back_as_they_went(color):
    frame = ours(color)
    theirs = from_frame(frame, planar_name(color), Repacker())
    assert theirs.format.name == planar_name(color)
    assert_same(to_frame(theirs, color, ZERO, ZERO, Repacker()), frame)


@pytest.mark.parametrize("pix_fmt", sorted(EXACT))
def test_packed_formats_are_unpacked_exactly(pix_fmt):
    color = plain(pix_fmt)
    w = W + 1 if pix_fmt in ("p010le", "p016le") else W  # swscale's packer, not ours, forgets their last odd column
    frame = ours(color, w)
    theirs = from_frame(frame, pix_fmt, Repacker())
    assert theirs.format.name == pix_fmt
    assert_same(to_frame(theirs, color, ZERO, ZERO, Repacker()), frame)


@pytest.mark.parametrize("pix_fmt", ["p010le", "xv30le", "y210le", "p216le"])
def test_unpacking_is_the_same_every_time(pix_fmt):
    frame, repack = (
        ours(plain(pix_fmt), 82),
        Repacker(),
    )  # lines that end within a vector, where threads of swscale raced
    theirs = from_frame(frame, pix_fmt, repack)
    for _ in range(200):
        assert_same(to_frame(theirs, frame.color, ZERO, ZERO, repack), frame)


@pytest.mark.parametrize(("pix_fmt", "bits"), [("p010le", 10), ("p016le", 16)])
def test_odd_widths_of_semi_planar_frames_are_read_to_the_last_column(pix_fmt, bits):
    frame, theirs = ours(plain(pix_fmt)), av.VideoFrame(W, H, pix_fmt)
    chroma = np.stack(frame.planes[1:], -1).reshape(-(-H // 2), -1)
    for plane, codes in zip(theirs.planes, (frame.planes[0], chroma), strict=True):
        lines = np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)
        lines[:] = 0xAAAA
        lines[: codes.shape[0], : codes.shape[1]] = codes << 16 - bits
    assert_same(to_frame(theirs, frame.color, ZERO, ZERO, Repacker()), frame)


@pytest.mark.parametrize("pix_fmt", ["rgb8", "bgr8", "rgb4_byte", "bgr4_byte", "monow", "monob"])
def test_formats_of_fewer_bits_are_stable(pix_fmt):
    color, repack = plain(pix_fmt), Repacker()
    once = to_frame(from_frame(ours(color), pix_fmt, repack), color, ZERO, ZERO, repack)
    again = to_frame(from_frame(once, pix_fmt, repack), color, ZERO, ZERO, repack)
    assert_same(again, once)
    assert all(len(np.unique(p)) > 1 for p in once.planes)


@pytest.mark.parametrize("pix_fmt", ["rgb565le", "rgb555le", "bgr565le", "bgr555le"])
def test_five_and_six_bits_are_widened_to_all_of_eight(pix_fmt):
    color, bits = plain(pix_fmt), [5, int(pix_fmt[4]), 5]
    words = np.random.default_rng(1).integers(0, 2 ** sum(bits), (H, W)).astype(np.uint16)
    theirs = av.VideoFrame(W, H, pix_fmt)
    line = theirs.planes[0].line_size // 2
    np.frombuffer(theirs.planes[0], np.uint16).reshape(-1, line)[:H, :W] = words
    high, mid, low = words >> 5 + bits[1], words >> 5 & 2 ** bits[1] - 1, words & 31
    parts = (high, mid, low) if pix_fmt.startswith("rgb") else (low, mid, high)
    planes = to_frame(theirs, color, ZERO, ZERO, Repacker()).planes
    for got, part, n in zip(planes, parts, bits, strict=True):
        assert np.abs(got - part * 255 / (2**n - 1)).max() <= 1


def test_palettes_are_looked_up():
    palette = np.random.default_rng(2).integers(0, 256, (256, 4)).astype(np.uint8)  # A, R, G, B
    index = np.random.default_rng(3).integers(0, 256, (H, W)).astype(np.uint8)
    theirs = av.VideoFrame.from_ndarray((index, palette), format="pal8")
    frame = to_frame(theirs, plain("pal8"), ZERO, ZERO, Repacker())
    for plane, column in zip(frame.planes, (1, 2, 3, 0), strict=True):
        assert np.array_equal(plane, palette[index, column])


def test_unpacked_formats_are_their_own_planar_form():
    for pix_fmt in EXACT:
        planar = unpacked(pix_fmt)
        assert unpacked(planar) == planar
        assert planar_name(plain(planar)) == planar


def test_jpeg_frames_are_full_range_yuv():
    color = color_of("yuvj420p")
    assert (color.model, color.subsampling, color.full) == ("yuv", (2, 2), True)
    frame = ours(color)
    theirs = from_frame(frame, "yuvj420p", Repacker())
    assert theirs.format.name == "yuvj420p"
    assert_same(to_frame(theirs, color, ZERO, ZERO, Repacker()), frame)


@pytest.mark.parametrize(
    "color", [YUV8, YUV10, Color("gray"), Color("rgb"), Color("rgb", 16, alpha=True)], ids=planar_name
)
@pytest.mark.parametrize(("w", "h"), [(1, 1), (2, 2), (3, 1), (1, 7), (65, 33)])
def test_any_size_has_its_line_padding_cut_off(color, w, h):
    frame = ours(color, w, h)
    theirs = from_frame(frame, planar_name(color), Repacker())
    assert_same(to_frame(theirs, color, ZERO, ZERO, Repacker()), frame)


def test_planar_frames_are_viewed_not_copied():
    theirs = from_frame(ours(YUV8), "yuv420p", Repacker())
    frame = to_frame(theirs, YUV8, ZERO, ZERO, Repacker())
    np.frombuffer(theirs.planes[0], np.uint8)[0] ^= 255
    assert frame.planes[0][0, 0] == np.frombuffer(theirs.planes[0], np.uint8)[0]


def test_planes_outlive_their_frame():
    frame = ours(YUV10, 256, 256)
    views = [to_frame(from_frame(frame, "yuv420p10le", Repacker()), YUV10, ZERO, ZERO, Repacker()) for _ in range(4)]
    from_frame(ours(YUV10, 256, 256, seed=9), "yuv420p10le", Repacker())
    for v in views:
        assert_same(v, frame)


# ---------------------------------------------------------------- names and tags


@pytest.mark.parametrize("color", KINDS, ids=planar_name)
def test_names_and_colours_are_each_others_inverse(color):
    assert color_of(planar_name(color)) == color


def test_every_ffmpeg_format_is_held_or_refused():
    known = [n for n in av.video.format.names if color_of(n)]
    for name in known:
        assert planar_name(plain(name)) in av.video.format.names, name
        assert plain(name).planes in (1, 2, 3, 4)
    for name in ("gray32le", "gbrap32le", "xyz12le", "bayer_rggb8", "cuda", "grayf16le", "yuv444p10msble"):
        assert color_of(name) is None, name


def test_what_cannot_be_held_is_refused_by_name():
    with pytest.raises(InputError, match=r"xyz12le.*convert it first"):
        read_color(av.VideoFrame(16, 16, "xyz12le"))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "nv12", "p010le", "gray"])
def test_colour_tags_go_out_and_come_back(pix_fmt):
    for matrix, primaries, transfer, code_range in (
        (1, 1, 1, LIMITED),
        (9, 9, 16, LIMITED),
        (6, 6, 6, FULL),
        (2, 2, 2, 0),
    ):
        color = replace(plain(pix_fmt), matrix=matrix, primaries=primaries, transfer=transfer, range=code_range)
        frame = ours(color, W + 1)
        theirs = from_frame(frame, pix_fmt, Repacker())
        back = read_color(theirs)
        assert (back.matrix, back.primaries, back.transfer, back.range) == (matrix, primaries, transfer, code_range)
        assert_same(to_frame(theirs, back, ZERO, ZERO, Repacker()), frame)


@pytest.mark.parametrize("pix_fmt", ["rgb24", "rgba", "gbrp", "rgb48be"])
def test_rgb_is_packed_without_any_matrix_or_range(pix_fmt):
    for code_range, matrix in ((FULL, 0), (0, 2), (FULL, 1)):
        color = replace(plain(pix_fmt), range=code_range, matrix=matrix)
        frame = ours(color)
        theirs = from_frame(frame, pix_fmt, Repacker())
        assert_same(to_frame(theirs, color, ZERO, ZERO, Repacker()), frame)


def test_float_grey_is_full_range_and_other_untagged_frames_stay_untagged():
    assert read_color(av.VideoFrame(16, 16, "grayf32le")).range == FULL
    for name in ("gray", "yuv420p", "gbrp", "gbrpf32le"):
        assert read_color(av.VideoFrame(16, 16, name)).range == 0


def test_chroma_sits_where_codec_and_standard_say():
    frame = av.VideoFrame(16, 16, "yuv420p")
    assert read_color(frame, "mjpeg").siting == CENTER
    assert read_color(frame, "h264").siting == 0
    frame.colorspace, frame.color_trc = 9, 16
    assert read_color(frame, "hevc").siting == TOPLEFT
    assert read_color(av.VideoFrame(16, 16, "yuv444p"), "mjpeg").siting == 0


def test_times_are_carried():
    frame = to_frame(av.VideoFrame(8, 8, "gray"), Color("gray"), Fraction(7, 5), Fraction(1, 25), Repacker())
    assert (frame.time, frame.duration) == (Fraction(7, 5), Fraction(1, 25))


# ---------------------------------------------------------------- the best format of an encoder


@pytest.mark.parametrize(
    ("formats", "color", "best"),
    [
        (X264, YUV8, "yuv420p"),
        (X264, YUV10, "yuv420p10le"),
        (X264, Color("yuv", 12, (2, 1)), "yuv422p10le"),
        (X264, Color("gray"), "gray"),
        (X264, Color("yuv", 8, (4, 1)), "yuv422p"),
        (X265, YUV8, "yuv420p"),
        (X265, YUV10, "yuv420p10le"),
        (X265, Color("yuv", 12, (1, 1)), "yuv444p12le"),
        (X265, Color("rgb"), "gbrp"),
        (X265, Color("rgb", 16), "gbrp12le"),
        (X265, Color("gray", 12), "gray12le"),
        (PNG, Color("rgb"), "rgb24"),
        (PNG, Color("rgb", alpha=True), "rgba"),
        (PNG, Color("rgb", 16), "rgb48be"),
        (PNG, Color("gray"), "gray"),
        (PNG, Color("gray", alpha=True), "ya8"),
        (PNG, Color("gray", 12), "gray16be"),
        (PNG, YUV8, "rgb24"),
        (PNG, YUV10, "rgb48be"),
        (TIFF, Color("rgb", alpha=True), "rgba"),
        (TIFF, Color("rgb"), "rgb24"),
        (PRORES, YUV8, "yuv422p10le"),
        (PRORES, Color("yuv", 8, alpha=True), "yuva444p10le"),
        (PRORES, Color("rgb"), "yuv444p10le"),
        (PRORES, Color("gray", 10), "yuv422p10le"),
        (["gbrp", "gbrap", "yuv422p", "yuv420p"], Color("gray"), "yuv420p"),
        (["yuv420p", "yuv420p10le"], Color("rgb"), "yuv420p"),
        (["nv12", "p010le"], YUV10, "p010le"),
        (["grayf32le", "gbrpf32le"], Color("rgb", 32), "gbrpf32le"),
    ],
)
def test_the_best_format_keeps_most(formats, color, best):
    assert best_format(formats, color) == best
    assert best_format(formats[::-1], color) == best


def test_an_encoder_that_can_hold_nothing_is_refused():
    with pytest.raises(OutputError, match=r"yuv420p.*another -c:v"):
        best_format(["gbrpf32le", "cuda"], YUV8)
    with pytest.raises(OutputError):
        best_format([], YUV8)
