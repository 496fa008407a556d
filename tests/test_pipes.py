"""Standard input and output as pipes: when frames come out of `misr filter`, and every way in which it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import misr as package
from misr.io.headers import clusters_at
from misr.io.pipes import Follower, y4m_frame_bytes
from tests.command import clip, in_child, one_sentence
from tests.media import times_s as times
from tests.piped import FILTER, first, raw

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
    done = subprocess.run(FILTER, stdin=terminal, capture_output=True, text=True, timeout=60)
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
