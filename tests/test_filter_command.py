"""`misr filter`: what goes through, what is said of it, and what a user knows better."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import misr as package
from misr.io.choice import hdr_numbers
from misr.io.headers import clusters_at, completed, siting_told
from tests.command import clip, in_child, misr, one_sentence
from tests.media import BT709, BT2020_PQ, HDR10
from tests.media import times_s as times
from tests.piped import filtered, first, raw


def color(path: Path) -> package.Color:
    reader = package.open(path)
    reader.close()
    return reader.info.color


# what goes through


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv420p10le",
        "yuv444p16le",
        "gray",
        "gray10le",
        "gbrp",
        "gbrp12le",
        "yuva420p",
        "gbrap",
        "ya8",
    ],
)
def test_every_planar_format_comes_out_of_matroska_as_it_came_in(tmp_path: Path, pix_fmt: str) -> None:
    out, _ = filtered(tmp_path, raw(tmp_path, 3, pix_fmt=pix_fmt))
    shown = first(out)
    assert (shown.format.name, shown.width, shown.height) == (pix_fmt, 128, 96)


@pytest.mark.parametrize(
    ("pix_fmt", "becomes"), [("rgb24", "gbrp"), ("bgra", "gbrap"), ("nv12", "yuv420p"), ("rgb48le", "gbrp16le")]
)
def test_packed_formats_become_the_planar_one_of_the_same_samples(tmp_path: Path, pix_fmt: str, becomes: str) -> None:
    out, said = filtered(tmp_path, raw(tmp_path, 2, pix_fmt=pix_fmt))
    assert first(out).format.name == becomes


@pytest.mark.parametrize("tags", [BT709, BT2020_PQ, (5, 2, 5, 6)])
def test_colour_tags_and_pixel_shape_pass_through_matroska(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    source = raw(tmp_path, 2, color=tags)
    shaped = tmp_path / "shaped.mkv"
    data = source.read_bytes()
    end = clusters_at(data)
    shaped.write_bytes(completed(data[:end], 1, Fraction(64, 45)) + data[end:])
    out, _ = filtered(tmp_path, shaped)
    c = color(out)
    assert (c.matrix, c.range, c.primaries, c.transfer) == tags
    with av.open(str(out)) as o:
        assert o.streams.video[0].sample_aspect_ratio == Fraction(64, 45)


def test_sound_subtitles_fonts_chapters_and_titles_ride_along(tmp_path: Path) -> None:
    source = raw(
        tmp_path,
        30,
        vfr=True,
        audio=["pcm_s16le"],
        subtitles=["ass"],
        fonts=1,
        chapters=2,
        metadata={"title": "A film"},
    )
    out, _ = filtered(tmp_path, source)
    with av.open(str(source)) as a, av.open(str(out)) as b:
        assert [s.type for s in b.streams] == [s.type for s in a.streams]
        assert b.metadata["title"] == "A film"
        assert [(c["start"], c["end"]) for c in b.chapters()] == [(c["start"], c["end"]) for c in a.chapters()]
        for kind in ("audio", "subtitle"):
            assert packets(b, kind) == packets(a, kind)
    assert times(out) == times(source)


def packets(c: Any, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time and bytes of a kind's packets."""
    c.seek(0)
    return [(p.pts * Fraction(p.time_base), bytes(p)) for p in c.demux() if p.stream.type == kind and p.size]


def test_nut_keeps_times_to_the_tick(tmp_path: Path) -> None:
    ticks = [0, 1001, 2002, 4500, 4501]
    source = raw(tmp_path, suffix="nut", pts=ticks, time_base=Fraction(1, 30000))
    out, _ = filtered(tmp_path, source, "-f", "nut")
    assert times(out) == [Fraction(t, 30000) for t in ticks]


def test_y4m_is_even_and_says_what_it_cannot_hold(tmp_path: Path) -> None:
    source = raw(tmp_path, 8, vfr=True, audio=["pcm_s16le"])
    (tmp_path / "sent").write_bytes(source.read_bytes())
    code, said = in_child(tmp_path, "-", "-", "-f", "y4m", command="filter")
    head = (tmp_path / "got").read_bytes().split(b"\n")[0]
    assert code == 0, said
    assert b"W128 H96 F25:1" in head
    assert "holds one frame rate" in said
    assert "audio pcm_s16le: dropped" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [(b"C420jpeg", 2), (b"C420mpeg2 XYSCSS=420MPEG2", 1), (b"C420paldv", 3), (b"C422", 0)],
)
def test_y4m_tells_siting_range_and_pixel_shape_both_ways(tmp_path: Path, words: bytes, told: int) -> None:
    samples = 64 * 48 * (2 if b"422" in words else 3) // (1 if b"422" in words else 2)
    line = b"YUV4MPEG2 W64 H48 F24000:1001 Ip A16:15 %s XCOLORRANGE=FULL\n" % words
    source = tmp_path / "in.y4m"
    source.write_bytes(line + b"".join(b"FRAME\n" + bytes([40 + n]) * samples for n in range(3)))
    assert siting_told(line) == told
    out, _ = filtered(tmp_path, source, "-f", "y4m")
    head = out.read_bytes().split(b"\n")[0].split(b" ")
    assert {b"W128", b"H96", b"F24000:1001", b"A16:15", b"XCOLORRANGE=FULL", words.split(b" ")[0]} <= {*head}


def test_ten_bits_pass_through_y4m(tmp_path: Path) -> None:
    source = raw(tmp_path, 2, suffix="y4m", pix_fmt="yuv420p10le")
    out, _ = filtered(tmp_path, source, "-f", "y4m")
    assert first(out).format.name == "yuv420p10le"


# what a user knows better


def test_what_the_user_says_of_colours_is_what_the_output_says(tmp_path: Path) -> None:
    more = [
        "--color-matrix",
        "bt2020nc",
        "--color-range",
        "pc",
        "--color-primaries",
        "bt2020",
        "--color-transfer",
        "smpte2084",
    ]
    out, _ = filtered(tmp_path, raw(tmp_path, 2, color=BT709), *more)
    c = color(out)
    assert (c.matrix, c.range, c.primaries, c.transfer) == (9, 2, 9, 16)


def test_tags_alone_do_not_touch_samples_but_siting_moves_chroma(tmp_path: Path) -> None:
    source, planes = raw(tmp_path, 1), {}
    for name, more in {
        "plain": [],
        "matrix": ["--color-matrix", "bt709"],
        "siting": ["--color-siting", "center"],
    }.items():
        out, _ = filtered(tmp_path, source, *more)
        planes[name] = [bytes(p) for p in first(out).planes]
    assert planes["matrix"] == planes["plain"]
    assert planes["siting"][0] == planes["plain"][0]
    assert planes["siting"][1] != planes["plain"][1]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--color-matrix", "bt708"], "no such name"),
        (["-c:v", "libx264"], "encode with ffmpeg after it"),
        (["-f", "mp4"], "matroska, nut or yuv4mpegpipe"),
        (["-framerate", "0"], "not a rate"),
        (["-m", "no-such-model"], "no-such-model"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path: Path, more: list[str], why: str) -> None:
    (tmp_path / "sent").write_bytes(raw(tmp_path, 1).read_bytes())
    code, said = in_child(tmp_path, "-", "-", *more, command="filter")
    assert code == 1
    assert why in one_sentence(said)
    assert (tmp_path / "got").read_bytes() == b""


def test_a_matrix_for_rgb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(raw(tmp_path, 1, pix_fmt="gbrp").read_bytes())
    code, said = in_child(tmp_path, "-", "-", "--color-matrix", "bt709", command="filter")
    assert code == 1
    assert "are gbrp" in one_sentence(said)


def test_a_frame_rate_stands_in_for_times(tmp_path: Path) -> None:
    out, _ = filtered(tmp_path, raw(tmp_path, 6, vfr=True), "-framerate", "50")
    assert times(out) == [Fraction(n, 50) for n in range(6)]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg on the PATH")
def test_float_rgb_in_nut_is_refused_not_misread(tmp_path: Path) -> None:
    """FFmpeg before 7 names it in NUT as it names RGB of 15 bits."""
    words = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:d=0.1",
        "-pix_fmt",
        "gbrpf32le",
        "-c:v",
        "rawvideo",
    ]
    subprocess.run([*words, "-f", "nut", str(tmp_path / "in.nut")], check=True)
    with av.open(str(tmp_path / "in.nut")) as c:
        if c.streams.video[0].codec_context.pix_fmt == "gbrpf32le":
            pytest.skip("this ffmpeg has a name for it")
    (tmp_path / "sent").write_bytes((tmp_path / "in.nut").read_bytes())
    code, said = in_child(tmp_path, "-", "-", command="filter")
    assert code == 1
    assert "no name for what they are" in one_sentence(said)


def test_hdr_metadata_of_the_picture_passes_through_matroska(tmp_path: Path) -> None:
    hdr = clip(tmp_path / "hdr.mp4", 3, codec="libx265", pix_fmt="yuv420p10le", color=BT2020_PQ, options=HDR10)
    reader = package.open(hdr)
    reader.close()
    code = misr("filter", hdr, tmp_path / "out.mkv", "-m", "bilinear", "--progress", "none")
    assert code == 0
    again = package.open(tmp_path / "out.mkv")
    again.close()
    assert hdr_numbers(again.info) == hdr_numbers(reader.info) != (None, None)


def test_a_file_in_and_a_file_out_work_too(tmp_path: Path) -> None:
    source = raw(tmp_path, 3)
    assert misr("filter", source, tmp_path / "out.mkv", "-m", "bilinear", "--progress", "none") == 0
    assert first(tmp_path / "out.mkv").width == 128
    assert misr("filter", source, tmp_path / "out.mkv", "-m", "bilinear", "--progress", "none") == 1  # it exists
