"""misr-ffmpeg tells how far it is: a bar on a terminal, misr's lines of JSON for programs, and how long a cut will be."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from misr_ffmpeg_progress import kind_of, lasting

from tests.command import clip
from tests.hosts import ROOT
from tests.hosts.ffmpeg import misr_ffmpeg
from tests.terminal import on_a_terminal

QUICK = ["-c:v", "libx264", "-preset", "ultrafast"]
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg on the PATH")


@needs_ffmpeg
def test_programs_read_misrs_lines_with_the_paths_and_the_length_of_the_whole(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "in.mp4", 50), tmp_path / "out.mkv"
    cut = ["-ss", "0.4", "-t", "0.8"]
    done = misr_ffmpeg(*cut, "-i", source, "-m", "bicubic", "--progress", "json", "--", *QUICK, out)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stderr.splitlines()]
    told = [row["event"] for row in rows]
    assert (told[0], told[-1], {*told[1:-1]}) == ("start", "end", {"progress"})
    assert {(row["input"], row["output"], row["total"]) for row in rows} == {(str(source), str(out), 20)}
    assert rows[-1]["done"] == 20


@needs_ffmpeg
def test_a_writer_that_fails_is_an_error_though_misr_ended_well(tmp_path: Path) -> None:
    words = ["-i", clip(tmp_path / "in.mkv", 20), "-m", "bicubic", "--progress=json"]
    done = misr_ffmpeg(*words, "--", "-vf", "nosuch", *QUICK, tmp_path / "out.mkv")
    assert done.returncode == 1
    rows = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [row["event"] for row in rows if row["event"] in ("end", "error")] == ["error"]
    assert f"misr-ffmpeg: {rows[-1]['message']}" in done.stderr


@needs_ffmpeg
def test_a_terminal_sees_misrs_bar_and_a_pipe_nothing(tmp_path: Path) -> None:
    words = ["-i", str(clip(tmp_path / "in.mkv", 30)), "-m", "bicubic", "--", *QUICK, "-y", str(tmp_path / "out.mkv")]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins" / "ffmpeg")])
    code, shown = on_a_terminal(["-m", "misr_ffmpeg", *words], tmp_path, PYTHONPATH=paths)
    assert code == 0, shown
    assert re.search(r"upscaling: 100%\|█+\| 30/30 frames \[00:\d\d<00:00, [\d.]+ fps\] *\r?\n$", shown), shown
    assert "{" not in shown
    assert misr_ffmpeg(*words).stderr == ""


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("-i a.mkv", 60),
        ("-ss 10 -i a.mkv", 50),
        ("-ss 00:00:10 -t 5500ms -i a.mkv", 5.5),
        ("-ss 10 -to 1:00.5 -i a.mkv -t 70", 50),
        ("-i a.mkv -to 5s", 5),
        ("-ss 70 -i a.mkv", None),
        ("-ss later -t 5 -i a.mkv", None),
        ("-i a.mkv -frames:v 3", None),
        ("-t 5 -i a.wav -i a.mkv", None),
    ],
)
def test_what_will_be_read_of_a_minute_is_known_or_left_open(line: str, seconds: float | None) -> None:
    assert lasting(line.split(), 60) == seconds


def test_the_last_word_on_progress_counts() -> None:
    assert kind_of(["-m", "x", "--progress", "none", "--progress=json"]) == "json"
    assert kind_of(["-m", "x"]) == "bar"
