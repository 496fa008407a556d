"""Parts for batch systems: rendered apart, in any order, by any number of processes, they join to what one run makes."""

import errno
import json
import os
import shutil
import signal
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import misr as package
from misr.card import ModelCard
from misr.frame import Retag
from misr.journal import asked_of, journal_path, told
from misr.settings import Settings, as_json, from_json
from tests.command import (
    FORKS,
    child,
    clip,
    corrupt,
    decoded,
    in_child,
    misr,
    one_sentence,
    short_segments,
    short_segments_slowly,
    up,
)
from tests.media import times_s as times
from tests.test_resume import CODECS, Blend, die_at

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


def parts(source: Path, out: Path, order: list[int], of: int, *more: str | Path) -> None:
    """Render these parts, one after the other."""
    for nth in order:
        assert up(source, out, "--part", f"{nth}/{of}", *more) == 0, nth


def stored(out: Path) -> dict[str, bytes]:
    """The segments beside an output that is not there yet."""
    return {p.name: p.read_bytes() for p in sorted(journal_path(str(out)).glob("*.seg"))}


def others(path: Path) -> list[tuple[str, list[tuple[Any, bytes]]]]:
    """Every stream that is no picture: its codec, and its packets with their times."""
    with av.open(str(path)) as c:
        return [
            (s.codec_context.name, [(p.pts * p.time_base, bytes(p)) for p in packets])
            for s in c.streams
            if s.type != "video" and (packets := read(path, s.index))
        ]


def read(path: Path, index: int) -> list[av.Packet]:
    """A stream's packets."""
    with av.open(str(path)) as c:
        return [p for p in c.demux(c.streams[index]) if p.size]


def last_line(said: Said) -> str:
    """What was said last."""
    return said.readouterr().err.strip().splitlines()[-1]


# the same as one run


@pytest.mark.parametrize("deep", [False, True], ids=["8bit", "10bit"])
@pytest.mark.parametrize("codec", CODECS)
def test_parts_in_any_order_join_to_what_one_run_makes(tmp_path: Path, codec: str, deep: bool) -> None:
    shape: Any = {"codec": "ffv1", "pix_fmt": "yuv420p10le"} if deep else {}
    source = clip(tmp_path / "in.mkv", 45, vfr=True, rich=True, size=(96, 80), **shape)
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    parts(source, out, [3, 1, 2], 3, *CODECS[codec])
    assert not out.exists()
    assert misr("join", out) == 0
    assert up(source, whole, *CODECS[codec]) == 0
    assert decoded(out) == decoded(whole)
    assert times(out) == times(source)
    assert others(out) == others(whole) != []
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv", "out.mkv", "whole.mkv"}


def test_parts_of_a_net_with_neighbours_join_to_what_one_run_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("misr.nets", fromlist=["NETS"]).NETS, "blend", Blend)
    folder = tmp_path / "blend"
    folder.mkdir()
    ModelCard(name="blend", net="blend", scale=2, before=2, emit=4, after=1).write(folder / "card.json")
    source, how = clip(tmp_path / "in.mkv", 42, vfr=True), ("-m", folder, "-c:v", "ffv1")
    parts(source, tmp_path / "out.mkv", [2, 4, 1, 3], 4, *how)
    assert misr("join", tmp_path / "out.mkv") == 0
    assert up(source, tmp_path / "whole.mkv", *how) == 0
    assert decoded(tmp_path / "out.mkv") == decoded(tmp_path / "whole.mkv")


def test_a_stretch_of_a_clip_is_cut_into_parts_too(tmp_path: Path) -> None:
    source, how = clip(tmp_path / "in.mkv", 60), ("-ss", "0.5", "-to", "2", "-c:v", "ffv1")
    parts(source, tmp_path / "out.mkv", [2, 1], 2, *how)
    assert misr("join", tmp_path / "out.mkv") == 0
    assert up(source, tmp_path / "whole.mkv", *how) == 0
    assert decoded(tmp_path / "out.mkv") == decoded(tmp_path / "whole.mkv")


def test_frames_that_packets_do_not_promise_are_counted_by_decoding_in_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    from misr.io import index

    source, out = clip(tmp_path / "in.mkv", 50), tmp_path / "out.mkv"
    real = index.packet_times

    def one_more(reader: Any) -> list[Fraction]:
        found = real(reader)
        assert found
        return sorted([*found, found[22] + Fraction(1, 100)])

    monkeypatch.setattr(index, "packet_times", one_more)
    parts(source, out, [3, 1], 3, "-c:v", "ffv1")
    assert "counting them by decoding" not in capsys.readouterr().err
    parts(source, out, [2], 3, "-c:v", "ffv1")
    assert "counting them by decoding" in capsys.readouterr().err
    assert misr("join", out) == 1
    assert "part 3 (" in one_sentence(capsys.readouterr().err)  # it was cut one frame too early
    parts(source, out, [1, 2, 3], 3, "-c:v", "ffv1")
    assert misr("join", out) == 0
    assert up(source, tmp_path / "whole.mkv", "-c:v", "ffv1") == 0
    assert decoded(out) == decoded(tmp_path / "whole.mkv")


# what is said


def test_the_last_line_says_what_is_there_and_what_to_do_when_all_is(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 50), tmp_path / "out put.mkv"
    said = []
    for nth in (2, 1, 1):
        parts(source, out, [nth], 2)
        said.append(last_line(capsys))
    assert said[0].startswith("part 2 of 2: 3 segments rendered in ")
    assert said[0].endswith(f"; 3 of 5 of {out} are there")
    assert said[1].endswith(f"; 5 of 5 of {out} are there: misr join '{out}'")
    assert said[2].startswith("part 1 of 2: 2 segments were there already; 5 of 5 of ")


def test_a_part_without_a_segment_is_done_at_once_and_says_so(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 20), tmp_path / "out.mkv"
    parts(source, out, [1], 9)
    assert last_line(capsys) == f"part 1 of 9 has no segment of this clip, which has 2; 0 of 2 of {out} are there"
    parts(source, out, [*range(2, 10)], 9)
    assert "2 of 2" in last_line(capsys)
    assert misr("join", out) == 0
    assert times(out) == times(source)


def test_a_dry_run_tells_the_part_and_writes_nothing(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 45), tmp_path / "out.mkv"
    assert up(source, out, "--part", "2/2", "--dry-run") == 0
    assert "part      2 of 2: 3 of 5 segments, frames 20 to 44, 0.800 to 1.760 s" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv"}


def test_missing_parts_are_listed_by_number_and_time_and_neighbours_together(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv"
    parts(source, out, [2, 6], 6)
    assert misr("join", out) == 1
    said = one_sentence(capsys.readouterr().err)
    assert "4 of 6 segments are missing: part 1 (0.000 to 0.400 s), parts 3 to 5 (0.800 to 2.000 s); " in said
    assert f"misr upscale {source} {out} --part N/6" in said
    assert not out.exists()
    assert len(stored(out)) == 2


def test_a_damaged_segment_is_missing_until_its_part_is_rendered_again(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 30), tmp_path / "out.mkv"
    parts(source, out, [1, 2, 3], 3)
    before = stored(out)
    hurt = journal_path(str(out)) / "000000010.seg"
    hurt.write_bytes(hurt.read_bytes()[:-9])
    assert misr("join", out) == 1
    assert "1 of 3 segments is missing: part 2 (0.400 to 0.800 s)" in one_sentence(capsys.readouterr().err)
    parts(source, out, [2], 3)
    assert stored(out) == before
    assert misr("join", out) == 0


# several at once


def logging(log: str) -> None:
    """Short segments, slowly; every one that is stored is a line of a file."""
    import misr.pipeline as p

    short_segments_slowly()
    write = p.write_segment

    def told_of(path: Path, first: int, *args: Any) -> None:
        with open(log, "a") as f:
            f.write(f"{first}\n")
        write(path, first, *args)

    p.write_segment = told_of


def room(folder: Path, name: str) -> Path:
    """A folder for the streams of a child beside another."""
    (folder / name).mkdir()
    (folder / name / "said.txt").touch()
    return folder / name


def until(true: Any, process: Any) -> None:
    """Wait for something, as long as a child lives."""
    while not true() and process.is_alive():
        time.sleep(0.002)


def test_two_workers_on_one_part_share_its_segments(tmp_path: Path) -> None:
    source, out, log = clip(tmp_path / "in.mkv", 80), tmp_path / "out.mkv", tmp_path / "log"
    command, second = (source, out, "--part", "1/1"), []

    def join_in(process: Any) -> None:
        until(log.exists, process)
        second.append(in_child(room(tmp_path, "b"), *command, before=logging, given=(str(log),)))

    first = in_child(room(tmp_path, "a"), *command, before=logging, given=(str(log),), meanwhile=join_in)
    for code, said in (first, *second):
        assert code == 0, said
        assert "8 of 8 of " in said
    assert sorted(int(n) for n in log.read_text().split()) == [*range(0, 80, 10)]
    assert misr("join", out) == 0
    assert up(source, tmp_path / "whole.mkv") == 0
    assert decoded(out) == decoded(tmp_path / "whole.mkv")


def test_a_worker_waits_for_another_and_renders_what_it_leaves_when_it_is_killed(tmp_path: Path) -> None:
    source, out, second = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv", []
    command = (source, out, "--part", "1/1")

    def take_over(process: Any) -> None:
        until(lambda: len([*journal_path(str(out)).glob("0*.lock")]) > len(stored(out)) > 0, process)
        os.kill(process.pid, signal.SIGSTOP)  # in the middle of a segment
        other = room(tmp_path, "b")

        def kill_the_first(mine: Any) -> None:
            until(lambda: "waiting for 1 segment" in (other / "said.txt").read_text(), mine)
            process.kill()

        second.append(in_child(other, *command, before=short_segments, meanwhile=kill_the_first))

    assert in_child(tmp_path, *command, before=short_segments_slowly, meanwhile=take_over)[0] == -signal.SIGKILL
    ((code, said),) = second
    assert code == 0, said
    assert "waiting for 1 segment that another worker is at" in said
    assert misr("join", out) == 0
    assert up(source, tmp_path / "whole.mkv") == 0
    assert decoded(out) == decoded(tmp_path / "whole.mkv")


def test_a_part_that_was_killed_goes_on_where_it_was(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv"
    command = (source, out, "--part", "1/1")
    assert in_child(tmp_path, *command, before=die_at, given=("frame", 25))[0] == -signal.SIGKILL
    before = stored(out)
    assert len(before) == 2
    assert up(*command) == 0
    assert last_line(capsys).startswith("part 1 of 1: 2 of 4 segments rendered in ")
    assert {name: data for name, data in stored(out).items() if name in before} == before
    assert misr("join", out) == 0
    assert times(out) == times(source)


def held(folder: Path, *command: str | Path, meanwhile: Any) -> tuple[int, str]:
    """A child that is stopped once a segment is stored, and goes on after `meanwhile()`."""

    def stop(process: Any) -> None:
        until(lambda: stored(Path(command[1])), process)
        os.kill(process.pid, signal.SIGSTOP)
        meanwhile()
        os.kill(process.pid, signal.SIGCONT)

    return in_child(folder, *command, before=short_segments_slowly, meanwhile=stop)


def test_while_parts_are_rendered_neither_a_run_nor_a_join_begins_and_other_parts_do(
    tmp_path: Path, capsys: Said
) -> None:
    source, out, said = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv", []

    def intrude() -> None:
        for words in (("upscale", source, out, "-m", "bilinear", "-crf", "30"), ("join", out)):
            capsys.readouterr()
            assert misr(*words) == 1
            said.append(one_sentence(capsys.readouterr().err))
        assert up(source, out, "--part", "2/2") == 0

    code, _ = held(tmp_path, source, out, "--part", "1/2", meanwhile=intrude)
    assert code == 0
    assert ["parts of this output are being rendered" in line for line in said] == [True, True]
    assert misr("join", out) == 0
    assert times(out) == times(source)


def test_while_a_run_goes_on_no_part_and_no_join_begins(tmp_path: Path, capsys: Said) -> None:
    source, out, said = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv", []

    def intrude() -> None:
        for words in (("upscale", source, out, "-m", "bilinear", "--part", "1/2"), ("join", out)):
            capsys.readouterr()
            assert misr(*words) == 1
            said.append(one_sentence(capsys.readouterr().err))

    code, _ = held(tmp_path, source, out, meanwhile=intrude)
    assert code == 0
    assert ["another misr is writing this output" in line for line in said] == [True, True]
    assert times(out) == times(source)


def test_on_a_disk_without_locks_parts_are_rendered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refused)
    source, out = clip(tmp_path / "in.mkv", 30), tmp_path / "out.mkv"
    parts(source, out, [2, 1], 2)
    assert capsys.readouterr().err.count("knows no locks") == 2
    assert misr("join", out) == 0
    assert times(out) == times(source)


# another job


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Path]:
    """A clip, and an output of which the first of two parts is there."""
    source, out = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv"
    parts(source, out, [1], 2)
    return source, out


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (("-crf", "30"), "encoding options"),
        (("-m", "bicubic"), "model name (bilinear there, bicubic here)"),
        (("--strength", "0.5"), "strength (1.0 there, 0.5 here)"),
        (("-t", "1"), "end (None there, 1 here)"),
    ],
)
def test_a_part_of_another_job_is_refused_saying_what_differs_and_harms_nothing(
    begun: tuple[Path, Path], changed: tuple[str, ...], what: str, capsys: Said
) -> None:
    source, out = begun
    before = stored(out)
    capsys.readouterr()
    assert up(source, out, "--part", "2/2", *changed) == 1
    said = one_sentence(capsys.readouterr().err)
    assert what in said
    assert "remove it" in said
    assert stored(out) == before
    parts(source, out, [2], 2)


def test_parts_and_joins_of_another_misr_are_refused(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    source, out = begun
    for module in ("plan", "spread.joining"):
        monkeypatch.setattr(f"misr.{module}.__version__", "99.0")
    capsys.readouterr()
    assert up(source, out, "--part", "2/2") == 1
    assert f"misr ({package.__version__} there, 99.0 here)" in one_sentence(capsys.readouterr().err)
    assert misr("join", out) == 1
    assert f"was made by misr {package.__version__}, and this is 99.0" in one_sentence(capsys.readouterr().err)


def test_a_changed_source_is_no_part_of_it_and_not_joined(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    clip(source, 40, start_ms=40)
    capsys.readouterr()
    assert up(source, out, "--part", "2/2") == 1
    assert "source " in one_sentence(capsys.readouterr().err)
    assert misr("join", out) == 1
    assert "has changed since" in one_sentence(capsys.readouterr().err)
    assert len(stored(out)) == 4


def test_segments_without_a_plan_are_not_taken_for_ones_own(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    (journal_path(str(out)) / "plan.json").unlink()
    capsys.readouterr()
    assert up(source, out, "--part", "2/2") == 1
    assert "has no readable plan; remove it" in one_sentence(capsys.readouterr().err)
    assert len(stored(out)) == 2


def test_of_several_first_parts_one_says_what_the_job_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    """Two machines plan at once, with encoders on as many threads as they have cores: the second takes the first one's."""
    from misr import journal

    source, out = clip(tmp_path / "in.mkv", 20), tmp_path / "out.mkv"
    write, planned = journal.write_first, []

    def second(path: Path, content: str) -> None:
        monkeypatch.setattr(journal, "write_first", write)
        said = json.loads(content)
        planned.append(said["encoding"]["threads"])
        said["encoding"]["threads"] = str(int(planned[0]) + 3)
        write(path, json.dumps(said))
        write(path, content)

    monkeypatch.setattr(journal, "write_first", second)
    parts(source, out, [1], 1, "-c:v", "libx264")
    assert told(journal_path(str(out)))["encoding"]["threads"] == str(int(planned[0]) + 3)
    assert misr("join", out) == 0


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/b", "3", "1/", "/2", "-1/4", "1/2/3", "1.5/4", ""])
def test_a_part_that_is_none_is_refused(tmp_path: Path, text: str, capsys: Said) -> None:
    source = clip(tmp_path / "in.mkv", 5)
    assert up(source, tmp_path / "out.mkv", "--part", text) == 1
    assert "which of how many is wanted, as 3/16" in one_sentence(capsys.readouterr().err)
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv"}


@pytest.mark.parametrize(
    ("target", "more", "why"),
    [
        ("-", ("-f", "matroska"), "made in one go"),
        ("out.gif", (), "made in one go"),
        ("out_%03d.png", (), "made in one go"),
        ("out.y4m", (), "made in one go"),
        ("out.mkv", ("-c:v", "rawvideo"), "made in one go"),
        ("out.mkv", ("--preview", "1s"), "--preview"),
        ("out.mkv", ("--workers", "2"), "--workers"),
        ("out.mkv", ("-ss", "50"), "no frame between"),
    ],
)
def test_what_has_no_parts_is_refused_before_anything_is_written(
    tmp_path: Path, target: str, more: tuple[str, ...], why: str, capsys: Said
) -> None:
    source = clip(tmp_path / "in.mkv", 12)
    assert up(source, target if target == "-" else tmp_path / target, "--part", "1/2", *more) == 1
    assert why in one_sentence(capsys.readouterr().err)
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv"}


# damage


def test_a_segment_that_does_not_decode_is_named_and_the_rest_is_kept(tmp_path: Path, capsys: Said) -> None:
    good = clip(tmp_path / "in.mkv", 60, options={"preset": "ultrafast", "g": "5", "bf": "0"})
    source, out = corrupt(good, 35), tmp_path / "out.mkv"
    assert up(source, out, "--part", "1/1") == 1
    said = one_sentence(capsys.readouterr().err)
    assert "segment at frame 30 (1.200 s): " in said
    assert "--on-error repeat" in said
    assert {"000000000.seg", "000000020.seg"} <= {*stored(out)}
    assert "000000030.seg" not in stored(out)
    before = stored(out)
    parts(source, out, [1], 1, "--on-error", "repeat")
    assert {name: data for name, data in stored(out).items() if name in before} == before
    assert misr("join", out) == 0
    assert up(source, tmp_path / "whole.mkv", "--on-error", "repeat") == 0
    assert decoded(out) == decoded(tmp_path / "whole.mkv")


# joining


def test_without_a_journal_there_is_nothing_to_join(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    assert misr("join", out) == 0
    capsys.readouterr()
    assert misr("join", out) == 1
    assert "nothing to join" in (said := one_sentence(capsys.readouterr().err))
    assert "it is there already" in said
    assert misr("join", out.with_name("none.mkv")) == 1
    assert "begin with misr upscale" in one_sentence(capsys.readouterr().err)


def test_an_output_that_exists_is_overwritten_only_when_that_is_wanted(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    out.write_bytes(b"precious")
    assert misr("join", out) == 1
    assert "-y overwrites it" in one_sentence(capsys.readouterr().err)
    assert out.read_bytes() == b"precious"
    assert misr("join", out, "-y") == 0
    assert times(out) == times(source)


def test_the_source_may_have_moved_and_be_a_copy_but_no_other_clip(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    moved, other = source.with_name("moved.mkv"), clip(source.with_name("other.mkv"), 40, start_ms=80)
    shutil.copyfile(source, moved)
    source.unlink()
    assert misr("join", out) == 1
    assert "say where it is: misr join" in one_sentence(capsys.readouterr().err)
    assert misr("join", out, "-i", other) == 1
    assert "is not what" in one_sentence(capsys.readouterr().err)
    assert misr("join", out, "-i", moved) == 0
    assert times(out) == times(moved)


def test_what_another_device_rendered_is_joined_without_it(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    plan = journal_path(str(out)) / "plan.json"
    said = json.loads(plan.read_text())
    said["asked"]["settings"] |= {"device": "cuda:7", "precision": "fp16"}
    plan.write_text(json.dumps(said | {"device": "cuda", "precision": "fp16"}))
    assert misr("join", out) == 0
    assert times(out) == times(source)


@pytest.mark.parametrize(("moment", "nth", "whole"), [("joining", 5, True), ("frame", 15, False)])
def test_a_run_that_was_killed_is_joined_where_its_segments_are_all_there(
    tmp_path: Path, moment: str, nth: int, whole: bool, capsys: Said
) -> None:
    source, out = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv"
    assert in_child(tmp_path, source, out, before=die_at, given=(moment, nth))[0] == -signal.SIGKILL
    assert misr("join", out) == (0 if whole else 1)
    if whole:
        assert times(out) == times(source)
        return
    said = one_sentence(capsys.readouterr().err)
    assert "3 of 4 segments are missing: 0.400 to 1.560 s" in said
    assert f"misr upscale {source} {out}, with the options it had, goes on from there" in said


def test_a_join_that_was_killed_is_done_again(begun: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    p: Any = FORKS.Process(target=child, args=(["join", str(out)], str(tmp_path), die_at, ("joining", 12)))
    p.start()
    p.join(60)
    assert p.exitcode == -signal.SIGKILL
    assert not out.exists()
    assert misr("join", out) == 0
    assert times(out) == times(source)


def test_a_plain_run_goes_on_from_what_parts_have_left(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    assert up(source, out) == 0
    assert "resuming at segment 3 of 4" in capsys.readouterr().err
    assert times(out) == times(source)


# several clips


def test_clips_of_a_batch_are_dealt_out_evenly_and_joined_together(tmp_path: Path, capsys: Said) -> None:
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name, n in (("a", 8), ("b", 20), ("c", 8), ("d", 8)):
        clip(inputs / f"{name}.mkv", n)
    made = {}
    for nth in (1, 2):
        before = set(outputs.rglob("*.seg"))
        parts(inputs, outputs, [nth], 2, "-n")
        made[nth] = len({*outputs.rglob("*.seg")} - before)
        if nth == 1:
            assert misr("join", outputs) == 1
            said = one_sentence(capsys.readouterr().err)
            assert "4 of 4 outputs" not in said
            assert "1 of 1 segment is missing: part 2 (" in said
            assert "run those parts of the batch again with -n" in said
    assert made[1] + made[2] == 5
    assert min(made.values()) == 2
    assert misr("join", outputs) == 0
    assert {p.name for p in outputs.iterdir()} == {"a.mkv", "b.mkv", "c.mkv", "d.mkv"}
    assert all(times(outputs / p.name) == times(p) for p in inputs.iterdir())


def test_a_clip_of_a_batch_that_no_part_has_begun_is_missed(tmp_path: Path, capsys: Said) -> None:
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for name in "ab":
        clip(inputs / f"{name}.mkv", 8)
    parts(inputs, outputs, [1, 2], 2)
    shutil.rmtree(journal_path(str(outputs / "b.mkv")))
    assert misr("join", outputs) == 1
    assert f"{outputs / 'b.mkv'}: there is nothing to join" in one_sentence(capsys.readouterr().err)
    assert (outputs / "a.mkv").exists()


# what a journal says


SETTINGS = [
    Settings(),
    Settings(
        model="fast-x2",
        scale=1.5,
        options={"crf": "20"},
        without=frozenset({"audio", "data"}),
        start=Fraction(1, 3),
        framerate=Fraction(24000, 1001),
        retag=Retag(matrix=1, siting=2),
        on_error="repeat",
    ),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_come_back_from_json_as_they_were(settings: Settings) -> None:
    assert from_json(json.loads(json.dumps(as_json(settings)))) == settings


def test_a_journal_says_what_planning_anew_takes(begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = begun
    asked = asked_of(journal_path(str(out)))
    assert asked["source"] == str(source)
    assert (asked["parts"], asked["settings"]["model"], asked["settings"]["scale"]) == (2, "bilinear", 2)
    assert "asked" not in told(journal_path(str(out)))
