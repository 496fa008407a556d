"""Parts that run at the same time: they share segments, outlive each other, and keep runs and joins away."""

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from misr.journal import journal_path
from tests.command import (
    clip,
    decoded,
    in_child,
    misr,
    one_sentence,
    short_segments,
    short_segments_slowly,
    up,
)
from tests.media import times_s as times
from tests.portioned import held, last_line, logging, parts, room, stored, until
from tests.test_resume import die_at

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


def test_two_workers_on_one_part_share_its_segments(tmp_path: Path) -> None:
    source, out, log = clip(tmp_path / "in.mkv", 80), tmp_path / "out.mkv", tmp_path / "log"
    command, second = (source, out, "--part", "1/1"), []

    def join_in(process: Any) -> None:
        until(log.exists, process)
        second.append(in_child(room(tmp_path, "b"), *command, before=logging, given=(str(log),)))

    first = in_child(room(tmp_path, "a"), *command, before=logging, given=(str(log),), meanwhile=join_in)
    for code, said in (first, *second):
        assert code == 0, said
        assert "8 of 8 segments of " in said
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
