"""The same packets on every machine and in every run: what encoders take from their machine is settled before the first frame."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest

from misr.io.encoder import Encoder
from misr.io.repeatable import CUT_BY_THREADS, own_threads, repeatable
from misr.journal import journal_path
from tests.command import clip, decoded, in_child, short_segments, up
from tests.encoded import encoding, packets

BY_MACHINE = ["libx264", "libx264rgb", "libx265", "libvpx", *sorted(CUT_BY_THREADS - {"h263p"})]
ANYWHERE = ["libsvtav1", "libvpx-vp9", "ffv1", "prores_ks", "utvideo", "huffyuv", "ffvhuff", "cfhd", "qtrle", "png"]
MEMORIES = ("1", "85", "170")  # bytes that fill what the C library gives


def here(codec: str) -> bool:
    """Whether FFmpeg was built with an encoder."""
    try:
        return bool(av.Codec(codec, "w"))
    except ValueError:
        return False


@pytest.mark.parametrize("codec", BY_MACHINE)
def test_the_number_of_threads_is_the_one_the_encoder_takes_by_itself(codec: str) -> None:
    if not here(codec):
        pytest.skip(f"no {codec} here")
    settled = repeatable(encoding(codec))
    assert settled.threads > 0
    assert packets(settled) == packets(replace(settled, threads=0))


@pytest.mark.parametrize("codec", ANYWHERE)
def test_where_none_is_settled_packets_are_the_same_with_any_number(codec: str) -> None:
    if not here(codec):
        pytest.skip(f"no {codec} here")
    assert repeatable(encoding(codec)) == encoding(codec)
    one, *others = [packets(encoding(codec, threads), 4) for threads in (1, 2, 5)]
    assert all(other == one for other in others)


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 64])
def test_with_more_cores_it_is_what_their_sources_say(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.io.repeatable.cores", lambda: cores)
    assert own_threads("libx264", 1080) == cores
    assert own_threads("libx265", 1080) == 1 + sum(cores >= least for least in (4, 8, 16, 32))
    assert own_threads("libx265", 2160) == own_threads("libx265", 1080) + (cores >= 32)
    assert own_threads("mpeg4", 1080) == (min(cores + 1, 16) if cores > 1 else 1)
    assert own_threads("libvpx", 1080) == min(cores, 16)
    assert own_threads("libsvtav1", 1080) == 0


def test_other_names_of_an_encoder_are_settled_too() -> None:
    assert repeatable(encoding("h264")).options == (("x264-params", "cpu-independent=1"),)
    assert repeatable(encoding("h264")).threads == repeatable(encoding("libx264")).threads


def test_what_is_said_wins() -> None:
    said = replace(encoding("libx264", threads=5), options=(("x264-params", "keyint=9:cpu-independent=0"),))
    settled = repeatable(said, begun_with=3)
    assert settled.threads == 5
    assert dict(settled.options)["x264-params"] == "cpu-independent=1:keyint=9:cpu-independent=0"
    assert repeatable(encoding("libx264"), begun_with=3).threads == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the C library's way to fill memory")
def test_what_memory_held_before_changes_no_packet() -> None:
    """At a size whose rows of blocks fill no vectors."""
    words = [sys.executable, "-m", "tests.encoded", "libx264", "libx264rgb", "libx265", "libsvtav1", "ffv1"]
    told = [
        subprocess.run(words, env=os.environ | {"MALLOC_PERTURB_": fill}, capture_output=True, check=True, timeout=120)
        for fill in MEMORIES
    ]
    digests = [it.stdout.split() for it in told]
    assert len(digests[0]) == 5
    assert all(other == digests[0] for other in digests)


@pytest.mark.parametrize(
    ("codec", "key", "plain"),
    [("libx264", "x264-params", "asm=0"), ("libx265", "x265-params", "asm=0"), ("libsvtav1", "svtav1-params", "asm=c")],
)
def test_the_kind_of_processor_changes_no_packet_and_no_header(codec: str, key: str, plain: str) -> None:
    settled = replace(repeatable(encoding(codec, threads=1)), global_header=True)
    options = dict(settled.options)
    options[key] = ":".join(filter(None, [options.get(key), plain]))
    assert packets(replace(settled, options=tuple(options.items()))) == packets(settled)


# a run on two machines


def killed_half_way(cores: int) -> None:
    """A machine with so many cores, on which the run is killed at its 25th frame."""
    import misr.io.repeatable

    short_segments()
    misr.io.repeatable.cores = lambda *_: cores
    push, seen = Encoder.push, [0]

    def doomed(*args: object, **options: object) -> object:
        seen[0] += 1
        if seen[0] == 25:
            os.kill(os.getpid(), signal.SIGKILL)
        return push(*args, **options)  # type: ignore[arg-type]

    Encoder.push = doomed  # type: ignore[assignment,method-assign]


def threads_of(out: Path) -> str:
    """What an output's journal says."""
    return str(json.loads((journal_path(str(out)) / "plan.json").read_text())["encoding"]["threads"])


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A clip and an output that was begun on a machine of 6 cores; this one has 2."""
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)
    source, out = clip(tmp_path / "in.mkv", 30), tmp_path / "out.mkv"
    killed = in_child(tmp_path, source, out, "-c:v", "mpeg4", before=killed_half_way, given=(6,))
    assert killed[0] == -signal.SIGKILL
    assert threads_of(out) == "7"
    monkeypatch.setattr("misr.io.repeatable.cores", lambda: 2)
    return source, out


def test_a_run_goes_on_where_there_are_other_cores_as_if_it_had_not_moved(
    moved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = moved
    assert up(source, out, "-c:v", "mpeg4") == 0
    assert "resuming at segment 3 of 3" in capsys.readouterr().err
    small = out.with_name("small.mkv")
    assert up(source, small, "-c:v", "mpeg4") == 0
    monkeypatch.setattr("misr.io.repeatable.cores", lambda: 6)
    whole = out.with_name("whole.mkv")
    assert up(source, whole, "-c:v", "mpeg4") == 0
    assert decoded(out) == decoded(whole)
    assert decoded(out) != decoded(small)


def test_a_number_that_is_given_wins_over_the_one_begun_with(
    moved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = moved
    assert up(source, out, "-c:v", "mpeg4", "--threads", "3") == 0
    assert "starting over: encoding changed" in capsys.readouterr().err


def test_another_encoder_does_not_take_the_number_of_the_last_one(
    moved: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from misr.plan import Settings, plan

    source, out = moved
    job, reader, _ = plan(str(source), str(out), Settings(model="bilinear", codec="mpeg2video"))
    reader.close()
    assert job.encoding.threads == 3


def test_pipes_which_are_not_gone_on_with_leave_it_to_the_encoder(tmp_path: Path) -> None:
    from misr.plan import Settings, plan

    source = clip(tmp_path / "in.mkv", 4)
    job, reader, _ = plan(str(source), "-", Settings(model="bilinear", codec="libx264", fmt="matroska"))
    reader.close()
    assert job.encoding.threads == 0
    assert "x264-params" not in dict(job.encoding.options)
