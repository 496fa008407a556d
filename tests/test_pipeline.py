"""The main path: threads that end, n frames in and n out, and a clean end whatever goes wrong on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import count as count_from
from pathlib import Path
from typing import Any

import av
import pytest

from misr.ahead import prefetch
from misr.errors import DecodeError
from misr.journal import journal_path
from tests.command import clip, corrupt, decoded, in_child, one_sentence, short_segments_slowly, up
from tests.media import cut_short, picture
from tests.media import times_s as times

# prefetch


def test_prefetch_keeps_order() -> None:
    assert list(prefetch(range(1000), depth=3)) == list(range(1000))


def test_prefetch_runs_ahead_by_no_more_than_its_depth() -> None:
    made = []
    items = prefetch((made.append(i) or i for i in range(100)), depth=4)
    next(items)
    until = time.monotonic() + 30
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)  # in which it could run on
    assert 4 <= len(made) <= 1 + 4 + 1  # taken, waiting, and the one in hand
    items.close()


def test_an_error_in_the_thread_is_raised_in_the_consumer_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise DecodeError("broken", time=Fraction(3))

    got = []
    with pytest.raises(DecodeError, match="broken"):
        for item in prefetch(items()):
            got.append(item)
    assert got == [0, 1, 2]


def test_closing_prefetch_leaves_no_thread_and_closes_its_source() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from count_from()
        finally:
            closed.append(threading.current_thread())

    before = set(threading.enumerate())
    ahead = prefetch(items(), depth=2)
    assert next(ahead) == 0
    assert len(set(threading.enumerate()) - before) == 1
    ahead.close()
    assert set(threading.enumerate()) == before
    assert len(closed) == 1


def test_a_consumer_that_leaves_early_stops_the_producer() -> None:
    made = []
    for item in prefetch((made.append(i) or i for i in count_from()), depth=2):
        if item == 5:
            break
    seen = len(made)
    time.sleep(0.3)
    assert len(made) == seen <= 5 + 2 + 2


def test_exhausted_or_failed_prefetch_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    list(prefetch(range(5)))
    with contextlib.suppress(ZeroDivisionError):
        list(prefetch(1 // i for i in (1, 0)))
    assert set(threading.enumerate()) == before


# n in, n out


@pytest.mark.parametrize("n", [1, 2, 3, 21])
@pytest.mark.parametrize("vfr", [False, True])
def test_every_frame_and_its_time_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, vfr: bool) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.3)
    source = clip(tmp_path / "in.mkv", n, vfr=vfr, start_ms=80 if vfr else 0)
    assert up(source, tmp_path / "out.mkv", "-preset", "ultrafast") == 0
    assert times(tmp_path / "out.mkv") == times(source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


def test_segments_do_not_show_in_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip(tmp_path / "in.mkv", 23)
    assert up(source, tmp_path / "whole.mkv", "-c:v", "ffv1") == 0
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.2)
    assert up(source, tmp_path / "parts.mkv", "-c:v", "ffv1") == 0
    assert decoded(tmp_path / "parts.mkv") == decoded(tmp_path / "whole.mkv")


def test_no_thread_is_left_after_a_run_or_a_failed_one(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 12)
    before = set(threading.enumerate())
    assert up(source, tmp_path / "out.mkv", "-preset", "ultrafast") == 0
    assert up(source, tmp_path / "out.mkv", "-ss", "99", "-y") == 1
    assert up(source, tmp_path / "pictures") == 0
    assert up(source, tmp_path / "one.jpg") == 1
    assert set(threading.enumerate()) == before


# a source that is damaged


DAMAGED = {
    "mjpeg in mkv": ("in.mkv", "mjpeg", "yuvj420p"),
    "png in mov": ("in.mov", "png", "rgb24"),
    "h264 in mkv": ("in.mkv", "libx264", "yuv420p"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_frame_that_does_not_decode_stops_the_run_and_names_its_time(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, codec, pix_fmt = DAMAGED[kind]
    bad = corrupt(clip(tmp_path / name, 24, codec=codec, pix_fmt=pix_fmt), 10, 11)
    assert up(bad, tmp_path / "out.mkv") == 1
    said = one_sentence(capsys.readouterr().err)
    assert "the frame at 0.400 s does not decode" in said
    assert "--on-error repeat" in said
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("kind", DAMAGED)
def test_on_error_repeat_keeps_the_number_and_the_times_of_the_frames(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, codec, pix_fmt = DAMAGED[kind]
    source = clip(tmp_path / name, 24, codec=codec, pix_fmt=pix_fmt)
    bad = corrupt(source, 10, 11)
    assert up(bad, tmp_path / "out.mkv", "--on-error", "repeat", "-c:v", "ffv1") == 0
    assert "2 frames did not decode and repeat the one before them, the first at 0.400 s" in capsys.readouterr().err
    rows = decoded(tmp_path / "out.mkv")
    assert [t for t, _ in rows] == times(source)
    assert rows[9][1] == rows[10][1] == rows[11][1] != rows[12][1]


def test_a_damaged_end_is_repeated_too(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mov", 24, codec="png", pix_fmt="rgb24")
    assert up(corrupt(source, 22, 23), tmp_path / "out.mkv", "--on-error", "repeat", "-c:v", "ffv1") == 0
    assert times(tmp_path / "out.mkv") == times(source)


def test_a_truncated_clip_gives_the_frames_it_still_has(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 40, codec="mjpeg", pix_fmt="yuvj420p")
    short = cut_short(source, 0.6)
    assert up(short, tmp_path / "out.mkv", "--on-error", "repeat") == 0
    seen = times(tmp_path / "out.mkv")
    assert 15 < len(seen) < 30
    assert seen == times(source)[: len(seen)]


# a target that cannot take it


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB, which is too little for any of the outputs below."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mounted(place, "size=300k"):
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def mounted(place: Path, options: str) -> bool:
    """Whether a disk in memory could be mounted."""
    if sys.platform != "linux":
        return False
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True).returncode == 0
    )


def enlarge(disk: Path) -> None:
    """Free some space."""
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)


@pytest.mark.parametrize(
    ("target", "resumes"),
    [
        ("out.mkv", "resuming at segment"),
        ("pictures", "resuming at picture"),
        ("out.gif", ""),
    ],
)
def test_a_full_disk_ends_in_one_sentence_and_with_space_the_same_command_goes_on(
    tmp_path: Path,
    disk: Path,
    target: str,
    resumes: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)
    source = clip(tmp_path / "in.mkv", 40 if target != "out.gif" else 16, size=(96, 64))
    (disk / "ballast").write_bytes(bytes(0 if target != "out.gif" else 200_000))
    more = ["-c:v", "ffv1"] if target == "out.mkv" else []
    assert up(source, disk / target, *more) == 1
    assert "No space left" in one_sentence(capsys.readouterr().err)
    assert not (disk / target).exists()
    (disk / "ballast").unlink()
    enlarge(disk)
    assert up(source, disk / target, *more) == 0
    assert resumes in capsys.readouterr().err
    assert [p.name for p in disk.iterdir()] == [target]
    assert up(source, tmp_path / target, *more) == 0
    if target == "pictures":
        there, whole = ({p.name: p.read_bytes() for p in (folder / target).iterdir()} for folder in (disk, tmp_path))
        assert there == whole
    else:
        assert decoded(disk / target) == decoded(tmp_path / target)


def test_a_disk_that_fills_while_joining_keeps_every_segment(
    tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = clip(tmp_path / "in.mkv", 24)
    (disk / "ballast").write_bytes(bytes(60_000))
    assert up(source, disk / "out.mkv", "-c:v", "ffv1") == 1
    assert "free some space" in one_sentence(capsys.readouterr().err)
    assert {p.name for p in disk.iterdir()} == {"ballast", ".out.mkv.misr"}
    (disk / "ballast").unlink()
    enlarge(disk)
    assert up(source, disk / "out.mkv", "-c:v", "ffv1") == 0
    assert "resuming at the join" in capsys.readouterr().err
    assert times(disk / "out.mkv") == times(source)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to: by its permissions, or read-only for root, whom permissions do not stop."""
    place = tmp_path / "closed"
    place.mkdir(mode=0o555)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and not mounted(place, "ro"):
        pytest.skip("root, but no right to mount a read-only disk")
    yield place
    if root:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("target", ["out.mkv", "out.gif", "pictures", "one.png"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_first_frame(
    tmp_path: Path, closed: Path, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = clip(tmp_path / "in.mkv", 12) if target != "one.png" else picture(tmp_path)
    monkeypatch.setattr("misr.upscaler.Session.push", lambda *a: pytest.fail("a frame was rendered"))
    assert up(source, closed / target) == 1
    said = one_sentence(capsys.readouterr().err)
    assert "Permission denied" in said or "Read-only" in said


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert up(clip(tmp_path / "in.mkv", 2), tmp_path / "no" / "out.mkv") == 1
    assert "no: no such folder" in one_sentence(capsys.readouterr().err)


# Ctrl-C


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)
    source, out = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv"
    journal = journal_path(str(out))

    def interrupt(process: Any) -> None:
        while not (journal / "000000010.seg").exists() and process.is_alive():
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGINT)

    code, said = in_child(tmp_path, source, out, before=short_segments_slowly, meanwhile=interrupt)
    assert code == 130, said
    assert "interrupted" in one_sentence(said)
    assert not out.exists()
    assert up(source, out) == 0
    assert "resuming at segment" in capsys.readouterr().err
    assert times(out) == times(source)
    assert not journal.exists()


# pipes


def test_sound_and_subtitles_ride_along_through_a_matroska_pipe(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 30, vfr=True, rich=True)
    words = [sys.executable, "-m", "misr", "upscale", "-m", "bilinear", "-", "-", "-c:v", "ffv1"]
    done = subprocess.run(words, input=source.read_bytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (tmp_path / "piped.mkv").write_bytes(done.stdout)
    assert up(source, tmp_path / "out.mkv", "-c:v", "ffv1") == 0
    assert decoded(tmp_path / "piped.mkv") == decoded(tmp_path / "out.mkv")
    assert times(tmp_path / "piped.mkv") == times(source)
    assert others(tmp_path / "piped.mkv") == others(source)


def others(path: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Times and bytes of all packets that are not the picture's, by the kind of their stream."""
    with av.open(str(path)) as c:
        found: dict[str, list[tuple[int, bytes]]] = {s.type: [] for s in c.streams if s.type != "video"}
        for p in c.demux([s for s in c.streams if s.type != "video"]):
            if p.size:
                found[p.stream.type].append((round(1000 * p.pts * Fraction(p.time_base)), bytes(p)))
    assert found["audio"]
    assert found["subtitle"]
    return found


@pytest.mark.parametrize(("kind", "vfr"), [("nut", True), ("y4m", False)])
def test_pictures_and_times_pass_through_nut_and_y4m_pipes(tmp_path: Path, kind: str, vfr: bool) -> None:
    even: Any = {} if vfr else {"pts": range(20), "time_base": Fraction(1, 25)}
    source = clip(tmp_path / f"in.{kind}", 20, codec="rawvideo", vfr=vfr, **even)
    (tmp_path / "sent").write_bytes(source.read_bytes())
    code, said = in_child(tmp_path, "-", "-", "-f", kind)
    assert code == 0, said
    (tmp_path / "got").rename(tmp_path / f"piped.{kind}")
    assert up(source, tmp_path / f"out.{kind}") == 0
    assert decoded(tmp_path / f"piped.{kind}") == decoded(tmp_path / f"out.{kind}")
    assert times(tmp_path / f"piped.{kind}") == times(source)


def test_a_reader_that_goes_away_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 80, size=(160, 120))
    words = [sys.executable, "-m", "misr", "upscale", str(source), "-", "-m", "bilinear", "-c:v", "ffv1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        assert len(p.stdout.read(1000)) == 1000
        p.stdout.close()
        said = p.stderr.read().decode()
        assert p.wait(60) == 1
    assert "closed it" in one_sentence(said)


def test_an_empty_or_meaningless_pipe_is_named(tmp_path: Path) -> None:
    for send, why in ((b"", "standard input is empty"), (b"hello, world " * 40, "not a readable video")):
        (tmp_path / "sent").write_bytes(send)
        code, said = in_child(tmp_path, "-", tmp_path / "out.mkv")
        assert code == 1
        assert why in one_sentence(said)


@pytest.mark.parametrize("target", ["out.y4m", "out.nut", "out.avi", "out.mov", "out.ts"])
def test_segments_join_into_every_container(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.2)
    source = clip(tmp_path / "in.mkv", 14, codec="ffv1", pix_fmt="yuv420p")
    more = [] if target == "out.y4m" else ["-c:v", "libx264", "-crf", "0", "-preset", "ultrafast"]
    assert up(source, tmp_path / target, *more) == 0
    assert up(source, tmp_path / "out.mkv", "-c:v", "ffv1") == 0
    assert [p for _, p in decoded(tmp_path / target)] == [p for _, p in decoded(tmp_path / "out.mkv")]
