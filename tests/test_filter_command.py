"""`misr filter` between two pipes: what goes through, when it comes out, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import misr as package
from misr.io.choice import hdr_numbers
from misr.io.headers import clusters_at, completed, siting_told
from misr.io.pipes import Follower, y4m_frame_bytes
from tests.command import clip, in_child, misr, one_sentence
from tests.media import BT709, BT2020_PQ, HDR10
from tests.media import times_s as times

FILTER = [sys.executable, "-m", "misr", "filter", "-m", "bilinear"]


def raw(folder: Path, n: int = 12, *, suffix: str = "mkv", pix_fmt: str = "yuv420p", **more: Any) -> Path:
    """A small clip of raw pictures, as an ffmpeg before the pipe writes it."""
    options = {} if suffix == "nut" else {"strict": "-1"}
    even: Any = {"pts": range(n), "time_base": Fraction(1, 25)} if suffix == "y4m" else {}
    return clip(
        folder / f"in.{suffix}", n, codec="rawvideo", pix_fmt=pix_fmt, container_options=options, **(even | more)
    )


def filtered(folder: Path, source: Path, *more: str) -> tuple[Path, str]:
    """The clip through `misr filter`, by its standard input and output; what it said."""
    (folder / "sent").write_bytes(source.read_bytes())
    code, said = in_child(folder, "-", "-", *more, command="filter")
    assert code == 0, said
    out = folder / f"out{source.suffix}"
    (folder / "got").rename(out)
    return out, said


def first(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as c:
        return next(c.decode(video=0))


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


# when it comes out


@pytest.mark.parametrize("sound", [False, True])
def test_a_live_stream_comes_out_two_frames_behind_the_model(tmp_path: Path, sound: bool) -> None:
    source = raw(tmp_path, 40, audio=["pcm_s16le"] if sound else [])
    data = source.read_bytes()
    frame_bytes = 64 * 48 * 3 // 2
    head = data.index(bytes(first(source).planes[0])[:64], clusters_at(data))  # somewhere in the first frame
    with subprocess.Popen(FILTER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        assert p.stdin is not None
        got = Collector(p.stdout)
        p.stdin.write(data[: head + 12 * frame_bytes + 12 * (8000 if sound else 64)])
        p.stdin.flush()
        wanted = 8 * 4 * frame_bytes
        until = time.monotonic() + 60
        while got.count < wanted and time.monotonic() < until:
            time.sleep(0.05)
        assert got.count >= wanted  # while nothing more is sent, and the stream is open
        p.stdin.close()
        p.wait(60)


class Collector:
    """Counts what a pipe gives, in a thread."""

    def __init__(self, pipe: Any) -> None:
        self.count, self._pipe = 0, pipe
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while data := os.read(self._pipe.fileno(), 1 << 16):
            self.count += len(data)


def test_a_slow_reader_holds_back_the_sender(tmp_path: Path) -> None:
    source = raw(tmp_path, 300, size=(320, 240))
    with subprocess.Popen(FILTER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        assert p.stdin is not None
        os.set_blocking(p.stdin.fileno(), False)
        data, at, still = source.read_bytes(), 0, time.monotonic()
        while at < len(data) and time.monotonic() - still < 4:
            try:
                at += os.write(p.stdin.fileno(), data[at : at + (1 << 16)])
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.05)
        p.kill()
    assert at < len(data) // 4  # 34 MB were offered; two pipes and a few frames are all that fits


# how it ends


@pytest.mark.parametrize(("suffix", "more"), [("mkv", []), ("y4m", ["-f", "y4m"])])
def test_a_stream_that_breaks_off_is_told_and_what_was_whole_came_out(
    tmp_path: Path, suffix: str, more: list[str]
) -> None:
    source = raw(tmp_path, 10, suffix=suffix)
    data = source.read_bytes()
    (tmp_path / "sent").write_bytes(data[: len(data) // 2])
    code, said = in_child(tmp_path, "-", "-", *more, command="filter")
    assert code == 1
    assert "broke off in the middle of a frame" in one_sentence(said)
    (tmp_path / "got").rename(tmp_path / f"out.{suffix}")
    assert len(times(tmp_path / f"out.{suffix}")) in (4, 5)


def test_a_file_of_a_broken_stream_does_not_look_finished(tmp_path: Path) -> None:
    data = raw(tmp_path, 10).read_bytes()
    (tmp_path / "sent").write_bytes(data[: len(data) // 2])
    code, _ = in_child(tmp_path, "-", tmp_path / "out.mkv", command="filter")
    assert code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["got", "in.mkv", "said.txt", "sent"]


@pytest.mark.parametrize(("send", "why"), [(b"", "is empty"), (b"hello, world " * 400, "not a readable video")])
def test_nothing_and_nonsense_are_named(tmp_path: Path, send: bytes, why: str) -> None:
    (tmp_path / "sent").write_bytes(send)
    code, said = in_child(tmp_path, "-", "-", command="filter")
    assert code == 1
    assert why in one_sentence(said)


def test_a_terminal_is_no_pipe() -> None:
    pty = pytest.importorskip("pty")
    _, terminal = pty.openpty()
    done = subprocess.run(FILTER, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "standard input is a terminal" in one_sentence(done.stderr)
    done = subprocess.run(
        FILTER, stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "standard output is a terminal" in one_sentence(done.stderr)


def test_a_reader_that_goes_away_ends_it_while_the_sender_is_silent(tmp_path: Path) -> None:
    data = raw(tmp_path, 60, size=(320, 240)).read_bytes()
    with subprocess.Popen(FILTER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdin is not None
        assert p.stdout is not None
        assert p.stderr is not None
        threading.Thread(target=send, args=(p.stdin, data), daemon=True).start()
        assert len(p.stdout.read(1000)) == 1000
        p.stdout.close()
        said = p.stderr.read().decode()
        assert p.wait(60) == 1
    assert "closed it" in one_sentence(said)


def send(pipe: Any, data: bytes) -> None:
    """Give it all, as long as someone reads; and keep the pipe open."""
    try:
        pipe.write(data)
        pipe.flush()
    except OSError:
        pass


def test_ctrl_c_ends_it_while_the_sender_is_silent(tmp_path: Path) -> None:
    data = raw(tmp_path, 12).read_bytes()
    with subprocess.Popen(FILTER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdin is not None
        assert p.stdout is not None
        assert p.stderr is not None
        p.stdin.write(data[: len(data) - 5000])
        p.stdin.flush()
        assert len(p.stdout.read(1000)) == 1000  # it is at work
        p.send_signal(signal.SIGINT)
        said = p.stderr.read().decode()
        assert p.wait(60) == 130
    assert "interrupted; the stream ends here" in one_sentence(said)


def test_sound_after_the_last_picture_does_not_wait_for_one(tmp_path: Path) -> None:
    """A short picture under a long sound: the sound comes out before the stream ends, so memory stays small."""
    from misr.io.encoder import Encoding
    from misr.io.output import APART_S, Output, Span
    from misr.io.pipes import PipeOut
    from misr.io.streams import plan_streams

    source = clip(tmp_path / "long.mkv", 2, pts=[0, 40_000], audio=["pcm_s16le"])  # the second picture is 40 s later
    target = tmp_path / "out.mkv"
    reader = package.open(source)
    encoding = Encoding("rawvideo", "yuv420p", reader.info.color, 64, 48, Fraction(1, 1000), Fraction(25), Fraction(1))
    pipe = PipeOut(path=target)
    with av.open(str(source)) as c:
        plans = plan_streams(c, 0, "matroska")
        output = Output(pipe, "matroska", encoding, reader.info, plans, c, span=Span())
        for packet in c.demux(audio=0):
            if packet.size:
                output.other(packet)
        pending = output._held
        assert pending[-1].pts * pending[-1].time_base - pending[0].pts * pending[0].time_base <= APART_S + 1
        output.abandon()
    pipe.finish()
    reader.close()
    assert target.stat().st_size > 25 * 48_000 * 4


# bytes


def test_a_follower_knows_a_break_from_an_end_at_every_byte(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for suffix in ("mkv", "y4m"):
        data = raw(tmp_path, 3, suffix=suffix, size=(16, 8)).read_bytes()
        for cut in [len(data), *(int(c) for c in rng.integers(17, len(data), 40))]:
            follower, at = Follower(), 16
            follower.take(data[:16])
            while at < cut:
                step = int(rng.choice([1, 7, 64, 5000]))
                follower.take(data[at : min(cut, at + step)])
                at += step
            whole = cut == len(data) or cut in ends(data, suffix)
            assert follower.inside == (not whole), (suffix, cut, len(data))


def ends(data: bytes, suffix: str) -> set[int]:
    """Where a frame or an element ends, by a simpler way than the follower's."""
    if suffix == "y4m":
        head = data.index(b"\n") + 1
        return {head + k * (6 + 16 * 8 * 3 // 2) for k in range(4)}
    from misr.io.headers import elements

    return {at for _, begin, body, end in elements(data) for at in (begin, body if end == len(data) else end)}


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"YUV4MPEG2 W5 H3 C420jpeg", 15 + 2 * 6),
        (b"YUV4MPEG2 W4 H2 C420p10", 24),
        (b"YUV4MPEG2 W4 H2 Cmono16", 16),
        (b"YUV4MPEG2 W4 H2", 12),
        (b"YUV4MPEG2 W4 H2 C444alpha", 32),
        (b"YUV4MPEG2 W4 H2 Cnonsense", 0),
    ],
)
def test_bytes_of_a_y4m_frame(line: bytes, size: int) -> None:
    assert y4m_frame_bytes(line) == size
