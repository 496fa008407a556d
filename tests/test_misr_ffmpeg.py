"""misr-ffmpeg, and the line of its README that does the same by hand: what is kept, what is said, what is left behind."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from misr_ffmpeg_streams import carried, timing
from misr_ffmpeg_words import CommandError, parse, part_of

import misr
from tests.command import clip
from tests.hosts import ROOT
from tests.hosts.ffmpeg import misr_ffmpeg
from tests.media import BT709, number_of
from tests.media import times_s as times

README = ROOT / "plugins" / "ffmpeg" / "README.md"
QUICK = ["-c:v", "libx264", "-preset", "ultrafast"]
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg on the PATH")


def rich(folder: Path, **more: Any) -> Path:
    """A clip with everything that can travel."""
    tracks: Any = {"audio": ["aac"], "subtitles": ["subrip"], "chapters": 2, "metadata": {"title": "A film"}}
    return clip(folder / "in.mkv", 20, color=BT709, sar=Fraction(4, 3), **(tracks | more))


def others(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """Time (to 2 ms) and bytes of a kind's packets, counted from the picture's first frame."""
    start = times(path)[0]
    with av.open(str(path)) as c:
        found = [p for p in c.demux() if p.stream.type == kind and p.size]
        return [(round(float(p.pts * Fraction(p.time_base) - start) / 0.004), bytes(p)) for p in found]


def told(path: Path) -> tuple[misr.Color, Fraction, Fraction]:
    reader = misr.open(path)
    reader.close()
    return reader.info.color, reader.info.sar, reader.info.start


# what is kept


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_chain_keeps_what_a_clip_holds(tmp_path: Path, suffix: str) -> None:
    source, out = rich(tmp_path, vfr=True), tmp_path / f"out.{suffix}"
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", *QUICK, out)
    assert done.returncode == 0, done.stderr
    assert len(times(out)) == 20
    assert max(abs(a - b) for a, b in zip(zeroed(out), zeroed(source), strict=True)) < Fraction(2, 1000)
    assert [b for _, b in others(out, "audio")] == [b for _, b in others(source, "audio")]
    assert abs(others(out, "audio")[0][0] - others(source, "audio")[0][0]) <= 1
    assert len(others(out, "subtitle")) >= 3
    color, sar, _ = told(out)
    assert (color.matrix, color.range, color.primaries, color.transfer) == BT709
    assert sar == Fraction(4, 3)
    with av.open(str(out)) as c:
        assert c.metadata["title"] == "A film"
        assert len(c.chapters()) == 2
        assert (c.streams.video[0].width, c.streams.video[0].height) == (128, 96)


def zeroed(path: Path) -> list[Fraction]:
    """Times of frames from the first one's."""
    found = times(path)
    return [t - found[0] for t in found]


@needs_ffmpeg
def test_a_codec_of_ones_own_for_sound_or_subtitles_takes_the_place_of_copying(tmp_path: Path) -> None:
    source, out = rich(tmp_path), tmp_path / "out.mkv"
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", *QUICK, "-c:a", "flac", "-c:s", "ass", out)
    assert done.returncode == 0, done.stderr
    assert "Multiple" not in done.stderr
    with av.open(str(out)) as c:
        assert {s.codec_context.name for s in (*c.streams.audio, *c.streams.subtitles)} == {"flac", "ssa"}  # ssa: ASS


@needs_ffmpeg
def test_ten_bits_stay_ten(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 3, codec="ffv1", pix_fmt="yuv420p10le")
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", "-c:v", "ffv1", tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert told(tmp_path / "out.mkv")[0].depth == 10


@needs_ffmpeg
def test_a_cut_is_of_the_wanted_frames(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 50, audio=["pcm_s16le"])
    done = misr_ffmpeg("-ss", "0.4", "-t", "0.8", "-i", source, "-m", "bicubic", "--", *QUICK, tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "out.mkv")) as c:
        assert [number_of(f) for f in c.decode(video=0)] == list(range(10, 30))


@needs_ffmpeg
def test_filters_work_on_small_pictures_before_and_on_large_ones_after(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "in.mkv", 3), tmp_path / "out.mkv"
    done = misr_ffmpeg(
        "-i", source, "-vf", "crop=40:30", "-s", "3", "-m", "bicubic", "--", "-vf", "crop=100:80", *QUICK, out
    )
    assert done.returncode == 0, done.stderr
    with av.open(str(out)) as c:
        assert (c.streams.video[0].width, c.streams.video[0].height) == (100, 80)


@needs_ffmpeg
def test_what_does_not_travel_is_named(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mp4", 3, cover=True, second_video=True)
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", *QUICK, tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert "cover art does not travel" in done.stderr
    assert "one picture is upscaled" in done.stderr


@needs_ffmpeg
def test_a_writer_that_has_enough_ends_it_well(tmp_path: Path) -> None:
    words = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-m", "bicubic"]  # without an end
    done = misr_ffmpeg(*words, "--", *QUICK, "-frames:v", "7", tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert len(times(tmp_path / "out.mkv")) == 7


@needs_ffmpeg
def test_what_ffmpeg_made_do_with_is_shown(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 20)
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    source.write_bytes(data)
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", *QUICK, tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert "h264" in done.stderr
    assert "frame=" not in done.stderr


@needs_ffmpeg
def test_the_line_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    block = re.search(r"```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert block
    source = rich(tmp_path, vfr=True)
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "misr"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m misr "$@"\n')
    shim.chmod(0o755)
    where = {**os.environ, "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", block[1]], cwd=tmp_path, env=where, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert max(abs(a - b) for a, b in zip(zeroed(tmp_path / "out.mkv"), zeroed(source), strict=True)) <= Fraction(
        1, 1000
    )
    assert [b for _, b in others(tmp_path / "out.mkv", "audio")] == [b for _, b in others(source, "audio")]
    source.unlink()
    done = subprocess.run(
        ["bash", "-c", block[1]], cwd=tmp_path, env=where, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0


# what is said, and left behind


@needs_ffmpeg
@pytest.mark.parametrize(
    ("read", "write", "why"),
    [
        (["-m", "no-such-model"], QUICK, "misr failed: no model 'no-such-model'"),
        (["-vf", "nosuch"], QUICK, "which reads the input, failed:.*nosuch"),
        (["-m", "bicubic"], ["-c:v", "nosuch"], "which writes the output, failed:.*nosuch"),
        (["-m", "bicubic"], ["-vf", "nosuch"], "which writes the output, failed:.*nosuch"),
        (["--tiles", "3"], QUICK, "misr failed: unknown option --tiles"),
    ],
)
def test_the_stage_that_failed_is_the_one_that_is_told(
    tmp_path: Path, read: list[str], write: list[str], why: str
) -> None:
    source = clip(tmp_path / "in.mkv", 3)
    done = misr_ffmpeg("-i", source, *read, "--", *write, tmp_path / "out.mkv")
    assert done.returncode == 1
    assert re.search(why, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("failed:") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


@needs_ffmpeg
def test_a_missing_input_is_ffmpegs_own_message(tmp_path: Path) -> None:
    done = misr_ffmpeg("-i", tmp_path / "none.mkv", "--", tmp_path / "out.mkv")
    assert done.returncode == 1
    assert "none.mkv: No such file" in done.stderr


@needs_ffmpeg
def test_an_output_that_exists_stays_unless_y_is_said(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "in.mkv", 3), tmp_path / "out.mkv"
    out.write_bytes(b"precious")
    done = misr_ffmpeg("-i", source, "-m", "bicubic", "--", *QUICK, out)
    assert (done.returncode, out.read_bytes()) == (2, b"precious")
    assert "-y overwrites it" in done.stderr
    assert misr_ffmpeg("-y", "-i", source, "-m", "bicubic", "--", *QUICK, out).returncode == 0
    assert len(times(out)) == 3


@needs_ffmpeg
@pytest.mark.parametrize("to", ["all", "parent"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, to: str) -> None:
    words = [sys.executable, "-m", "misr_ffmpeg", "-re", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25"]
    words += ["-m", "bicubic", "--", *QUICK, str(tmp_path / "out.mkv")]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "ffmpeg")])}
    with subprocess.Popen(words, env=where, stderr=subprocess.PIPE, text=True, start_new_session=True) as p:
        part, until = tmp_path / ".out.part.mkv", time.monotonic() + 60
        while not part.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert part.exists()
        if to == "all":
            os.killpg(p.pid, signal.SIGINT)
        else:
            p.send_signal(signal.SIGINT)
        assert p.wait(60) == 130
        assert p.stderr is not None
        assert "interrupted" in p.stderr.read()
        assert gone(p.pid)
    assert list(tmp_path.iterdir()) == []


def gone(group: int) -> bool:
    """Whether no process of a group is left, after a moment."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_without_ffmpeg_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    done = misr_ffmpeg("-i", "in.mkv", "--", "out.mkv", PATH=str(tmp_path))
    assert done.returncode == 2
    assert "apt-get install ffmpeg" in done.stderr


# words


def test_options_go_to_whom_they_belong() -> None:
    c = parse(
        shlex.split(
            "-f rawvideo -s 64x48 -i in.yuv -vf bwdif -m video-x2 -s 2 --tile=64 --debug -t 5 -- -c:v ffv1 -y out.mkv"
        )
    )
    assert c.read == shlex.split("-f rawvideo -s 64x48 -i in.yuv -vf bwdif -t 5")
    assert c.filter == shlex.split("-m video-x2 -s 2 --tile=64 --debug")
    assert (c.write, c.target, c.overwrite) == (["-c:v", "ffv1"], "out.mkv", True)


@pytest.mark.parametrize("line", ["", "-i in.mkv out.mkv", "in.mkv -- out.mkv", "-i in.mkv --", "-i in.mkv -- -crf"])
def test_a_line_that_lacks_a_part_is_refused(line: str) -> None:
    with pytest.raises(CommandError):
        parse(line.split())


@pytest.mark.parametrize(
    ("target", "part"),
    [("a/out.mkv", "a/.out.part.mkv"), ("-", None), ("rtmp://host/x", None), ("out_%05d.png", None), ("x.m3u8", None)],
)
def test_only_a_single_file_grows_under_another_name(target: str, part: str | None) -> None:
    assert part_of(target) == (Path(part) if part else None)


@pytest.mark.parametrize(
    "rate", ["24000/1001", "24", "25", "30000/1001", "50", "60000/1001", "12.5", "120", "15", "1/2", "240"]
)
def test_even_frames_come_back_from_milliseconds_to_where_they_were(rate: str) -> None:
    r = Fraction(rate)
    tick = Fraction(timing([], r)[-1].replace(":", "/"))
    for n in range(5000):
        in_pipe = Fraction(round(1000 * n / r), 1000)
        assert round(in_pipe / tick) * tick == n / r


def test_who_decides_on_times_is_left_alone() -> None:
    assert timing(["-r", "30"], Fraction(25)) == []
    assert timing(["-fps_mode:v", "cfr"], Fraction(25)) == []


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30), None])
def test_the_head_start_in_the_pipe_is_whole_frames_and_milliseconds_enough_for_primed_sound(
    rate: Fraction | None,
) -> None:
    from misr_ffmpeg_streams import Carried

    start = Carried((), rate=rate).head_start_s
    assert Fraction(1, 10) <= start < Fraction(2, 10)
    assert (start * (rate or 10)).denominator == 1


def test_an_input_that_is_no_file_travels_by_kinds() -> None:
    assert "0:a?" in carried("rtsp://camera/1", []).options
