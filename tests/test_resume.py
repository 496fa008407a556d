"""Never lose work: whatever ends a run, the same command goes on, and the result is that of a run that was never stopped."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from misr.card import ModelCard
from misr.journal import journal_path
from tests.command import clip, corrupt, decoded, in_child, one_sentence, short_segments, short_segments_slowly, up
from tests.media import times_s as times

CODECS = {
    "x264": ("-c:v", "libx264", "-preset", "veryfast"),
    "x265": ("-c:v", "libx265", "-preset", "ultrafast"),
    "ffv1": ("-c:v", "ffv1"),
    "av1": ("-c:v", "libsvtav1", "-preset", "12"),
}


def die_at(moment: str, nth: int) -> None:
    """Short segments, and SIGKILL the nth time that the moment comes."""
    import misr.io.segments
    import misr.pipeline as p
    from misr.io.encoder import Encoder
    from misr.io.output import Output

    short_segments()
    place: dict[str, tuple[Any, str]] = {
        "begin": (p, "sharp"),
        "frame": (Encoder, "push"),
        "sync": (misr.io.segments.os, "fsync"),
        "stored": (p, "read_segment"),
        "joining": (Output, "picture"),
        "joined": (Output, "close"),
        "rename": (p.os, "replace"),
        "picture": (p, "write_picture"),
        "cleaning": (p.Journal, "remove"),
    }
    owner, name = place[moment]
    real, seen = getattr(owner, name), [0]

    def doomed(*args: Any, **options: Any) -> Any:
        seen[0] += 1
        if seen[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    setattr(owner, name, doomed)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


def left(folder: Path) -> set[str]:
    """What stands in a folder, the streams of the child aside."""
    return {p.name for p in folder.iterdir()} - {"said.txt", "sent", "got"}


# kill -9

MOMENTS = [("begin", 1), ("frame", 3), ("frame", 34), ("sync", 1), ("sync", 3), ("joining", 20), ("joined", 1)]


@pytest.mark.parametrize(("moment", "nth"), MOMENTS)
def test_killed_at_any_moment_the_same_command_ends_as_if_nothing_had_happened(
    tmp_path: Path, short: None, moment: str, nth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = clip(tmp_path / "in.mkv", 38, vfr=True, rich=True)
    command = (source, tmp_path / "out.mkv", *CODECS["x264"])
    assert in_child(tmp_path, *command, before=die_at, given=(moment, nth))[0] == -signal.SIGKILL
    assert not (tmp_path / "out.mkv").exists()
    stored = len(list(journal_path(str(tmp_path / "out.mkv")).glob("*.seg")))
    capsys.readouterr()
    assert up(*command) == 0
    said = capsys.readouterr().err
    if moment.startswith("join"):
        assert "resuming at the join" in said
    elif stored:
        assert f"resuming at segment {stored + 1} of " in said
    else:
        assert "resuming" not in said
    assert up(source, tmp_path / "whole.mkv", *CODECS["x264"]) == 0
    assert decoded(tmp_path / "out.mkv") == decoded(tmp_path / "whole.mkv")
    assert times(tmp_path / "out.mkv") == times(source)
    assert left(tmp_path) == {"in.mkv", "out.mkv", "whole.mkv"}


@pytest.mark.parametrize("deep", [False, True], ids=["8bit", "10bit"])
@pytest.mark.parametrize("codec", ["x265", "ffv1", "av1"])
def test_a_resumed_run_equals_an_uninterrupted_one_with_every_encoder(
    tmp_path: Path, short: None, codec: str, deep: bool
) -> None:
    source = clip(
        tmp_path / "in.mkv", 33, codec="ffv1", pix_fmt="yuv420p10le" if deep else "yuv420p", vfr=True, size=(96, 80)
    )
    command = (source, tmp_path / "out.mkv", *CODECS[codec])
    assert in_child(tmp_path, *command, before=die_at, given=("frame", 27))[0] == -signal.SIGKILL
    assert list(journal_path(str(tmp_path / "out.mkv")).glob("*.seg"))
    assert up(*command) == 0
    assert up(source, tmp_path / "whole.mkv", *CODECS[codec]) == 0
    assert decoded(tmp_path / "out.mkv") == decoded(tmp_path / "whole.mkv")
    assert times(tmp_path / "out.mkv") == times(source)


def test_killed_twice_and_killed_from_outside(tmp_path: Path, short: None) -> None:
    source = clip(tmp_path / "in.mkv", 60)
    out = tmp_path / "out.mp4"
    journal = journal_path(str(out))

    def kill(process: Any) -> None:
        while not (journal / "000000030.seg").exists() and process.is_alive():
            time.sleep(0.002)
        process.kill()

    assert in_child(tmp_path, source, out, before=die_at, given=("frame", 15))[0] == -signal.SIGKILL
    code, said = in_child(tmp_path, source, out, "-preset", "medium", before=short_segments_slowly, meanwhile=kill)
    assert code == -signal.SIGKILL
    assert up(source, out, "-preset", "medium") == 0
    assert up(source, tmp_path / "whole.mp4", "-preset", "medium") == 0
    assert decoded(out) == decoded(tmp_path / "whole.mp4")


def test_killed_after_the_rename_the_output_is_whole_and_the_next_run_cleans_up(tmp_path: Path, short: None) -> None:
    source, out = clip(tmp_path / "in.mkv", 20), tmp_path / "out.mkv"
    assert in_child(tmp_path, source, out, before=die_at, given=("cleaning", 1))[0] == -signal.SIGKILL
    assert times(out) == times(source)
    assert up(source, out, "-y") == 0
    assert left(tmp_path) == {"in.mkv", "out.mkv"}


def test_an_old_output_stands_until_the_new_one_is_whole(tmp_path: Path, short: None) -> None:
    source, out = clip(tmp_path / "in.mkv", 30), tmp_path / "out.mkv"
    out.write_bytes(b"precious")
    for moment in ("frame", "joining"):
        assert in_child(tmp_path, source, out, "-y", before=die_at, given=(moment, 25))[0] == -signal.SIGKILL
        assert out.read_bytes() == b"precious"
    assert up(source, out, "-y") == 0
    assert times(out) == times(source)


def test_a_damaged_segment_is_rendered_again(tmp_path: Path, short: None, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = clip(tmp_path / "in.mkv", 45), tmp_path / "out.mkv"
    assert in_child(tmp_path, source, out, before=die_at, given=("joining", 5))[0] == -signal.SIGKILL
    hurt = journal_path(str(out)) / "000000020.seg"
    hurt.write_bytes(hurt.read_bytes()[:-9])
    assert up(source, out) == 0
    assert "resuming at segment 3 of 5" in capsys.readouterr().err
    assert times(out) == times(source)


# another job


@pytest.fixture
def half_done(tmp_path: Path, short: None) -> tuple[Path, Path]:
    """A clip, and an output whose run was killed half way."""
    source, out = clip(tmp_path / "in.mkv", 30), tmp_path / "out.mkv"
    assert in_child(tmp_path, source, out, before=die_at, given=("frame", 25))[0] == -signal.SIGKILL
    return source, out


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (("-crf", "30"), "encoding"),
        (("-s", "4"), "encoding, model"),
        (("-m", "bicubic"), "model"),
        (("-c:v", "ffv1"), "encoding"),
        (("--strength", "0.5"), "strength"),
        (("-ss", "0.2"), "start"),
        (("-t", "1"), "end"),
    ],
)
def test_other_arguments_start_over_saying_why(
    half_done: tuple[Path, Path], changed: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = half_done
    assert up(source, out, *changed) == 0
    said = capsys.readouterr().err
    assert f"starting over: {what} changed" in said
    assert "resuming" not in said
    fresh = out.with_name("fresh.mkv")
    assert up(source, fresh, *changed) == 0
    assert decoded(out) == decoded(fresh)


def test_a_changed_source_starts_over(half_done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, out = half_done
    clip(source, 27, start_ms=40)
    assert up(source, out) == 0
    assert "starting over: source changed" in capsys.readouterr().err
    assert times(out) == times(source)


def test_arguments_that_decide_no_pixel_do_not_start_over(
    half_done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = half_done
    assert up(source, out, "-y", "--progress", "json", "--batch", "2") == 0
    assert "resuming at segment 3 of 3" in capsys.readouterr().err


def test_a_source_that_was_moved_is_the_same_source(
    half_done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = half_done
    assert up(source.rename(source.with_name("elsewhere.mkv")), out) == 0
    assert "resuming at segment 3 of 3" in capsys.readouterr().err


# damage


@pytest.fixture
def stopped_by_damage(tmp_path: Path, short: None, capsys: pytest.CaptureFixture[str]) -> tuple[Path, Path]:
    """A clip of 30 frames whose 26th does not decode, and an output whose run ended there."""
    source = corrupt(clip(tmp_path / "in.mkv", 30, codec="mjpeg", pix_fmt="yuvj420p"), 25)
    assert up(source, tmp_path / "out.mkv", "-c:v", "ffv1") == 1
    assert "--on-error repeat" in one_sentence(capsys.readouterr().err)
    return source, tmp_path / "out.mkv"


def test_repeating_damaged_frames_keeps_what_was_finished_without_damage(
    stopped_by_damage: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = stopped_by_damage
    assert up(source, out, "-c:v", "ffv1", "--on-error", "repeat") == 0
    assert "resuming at segment 3 of 3" in capsys.readouterr().err
    fresh = out.with_name("fresh.mkv")
    assert up(source, fresh, "-c:v", "ffv1", "--on-error", "repeat") == 0
    assert decoded(out) == decoded(fresh)
    assert len(decoded(out)) == 30


def test_stopping_at_damage_starts_over_what_may_hold_repeated_frames(
    stopped_by_damage: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = stopped_by_damage
    repeating = (source, out, "-c:v", "ffv1", "--on-error", "repeat")
    assert in_child(out.parent, *repeating, before=die_at, given=("frame", 9))[0] == -signal.SIGKILL
    assert up(source, out, "-c:v", "ffv1") == 1
    said = capsys.readouterr().err
    assert "starting over: on_error changed since the interrupted run" in said
    assert "does not decode" in one_sentence(said)
    assert up(*repeating) == 0
    assert "resuming at segment 3 of 3" in capsys.readouterr().err


def test_an_unreadable_journal_starts_over(half_done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    source, out = half_done
    (journal_path(str(out)) / "plan.json").write_text("{")
    assert up(source, out) == 0
    assert "starting over: the journal has no readable plan" in capsys.readouterr().err
    assert times(out) == times(source)


# one at a time


def test_a_second_run_on_the_same_output_is_refused_and_harms_nothing(
    tmp_path: Path, short: None, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv"
    refused = []

    def intrude(process: Any) -> None:
        while not list(journal_path(str(out)).glob("*.seg")) and process.is_alive():
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGSTOP)  # held at whatever it was doing
        for other in ((), ("-crf", "30")):
            capsys.readouterr()
            refused.append((up(source, out, *other), one_sentence(capsys.readouterr().err)))
        os.kill(process.pid, signal.SIGCONT)

    code, said = in_child(tmp_path, source, out, "-preset", "medium", before=short_segments_slowly, meanwhile=intrude)
    assert [(c, "another misr is writing this output" in words) for c, words in refused] == [(1, True)] * 2
    assert code == 0, said
    assert times(out) == times(source)


def test_a_failed_run_lets_the_next_one_in_the_same_process_have_the_output(
    half_done: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import misr
    from misr.errors import OutputError

    source, out = half_done
    with monkeypatch.context() as broken:
        broken.setattr("misr.pipeline.check_count", lambda *a: (_ for _ in ()).throw(OutputError("sabotage")))
        with pytest.raises(OutputError, match="sabotage") as kept:
            misr.upscale(source, out, model="bilinear")
    assert misr.upscale(source, out, model="bilinear").frames == 30
    assert kept.value  # its traceback, and the journal in it, are still alive


# nets that look before and after


class Blend(nn.Module):
    """A net of 2 + 4 + 1 views: every centre is mixed with the real ones around it, the nearest most."""

    halo, cell = 0, 0

    def __init__(self, *, scale: float = 2) -> None:
        super().__init__()
        self.scale = int(scale)

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        b, t, c, h, w = views.shape
        out = []
        for n in centres:
            near = range(max(0, n - 2), min(t, n + 2))
            share = torch.stack([valid[:, k] / (1 + abs(k - n)) for k in near], 1)
            out.append((views[:, near[0] : near[-1] + 1] * share).sum(1) / share.sum(1))
        mixed = torch.stack(out, 1)
        return mixed.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


@pytest.fixture
def blend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(__import__("misr.nets", fromlist=["NETS"]).NETS, "blend", Blend)
    folder = tmp_path / "blend"
    folder.mkdir()
    ModelCard(name="blend", net="blend", scale=2, before=2, emit=4, after=1).write(folder / "card.json")
    return folder


class Stop(Exception):
    """Ends a run in this process."""


def stopped_at(frame: int) -> Any:
    """A progress that ends the run at a frame."""

    def progress(done: int, expected: int) -> None:
        if done == frame:
            raise Stop

    return progress


@pytest.mark.parametrize("stop", [13, 14, 25, 33, 41])
def test_a_net_with_neighbours_renders_the_same_after_a_resume(
    tmp_path: Path, short: None, blend: Path, stop: int
) -> None:
    import misr

    source = clip(tmp_path / "in.mkv", 42, vfr=True)
    wanted = misr.Settings(codec="ffv1", model=str(blend))
    said: list[str] = []
    with pytest.raises(Stop):
        misr.upscale(source, tmp_path / "out.mkv", wanted, progress=stopped_at(stop))
    misr.upscale(source, tmp_path / "out.mkv", wanted, say=said.append)
    assert any(line.startswith("resuming at segment ") for line in said), said
    misr.upscale(source, tmp_path / "whole.mkv", wanted)
    assert decoded(tmp_path / "out.mkv") == decoded(tmp_path / "whole.mkv")


def test_segments_end_on_the_grid_of_a_nets_chunks(tmp_path: Path, short: None, blend: Path) -> None:
    import misr

    source = clip(tmp_path / "in.mkv", 30)
    with pytest.raises(Stop):
        misr.upscale(source, tmp_path / "out.mkv", model=str(blend), progress=stopped_at(27))
    assert sorted(p.stem for p in journal_path(str(tmp_path / "out.mkv")).glob("*.seg")) == [
        f"{n:09d}" for n in (0, 8, 16)
    ]
