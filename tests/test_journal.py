"""What a run leaves beside its output: it may be written by two at once, and on disks that know no locks."""

import errno
import json
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from misr.errors import OutputError
from misr.io.segments import own_part, read_segment, write_segment
from misr.journal import Journal, told, write_whole

ANSWERS = ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"]


def opened(folder: Path, **identity: Any) -> tuple[Journal, list[str]]:
    """A journal of a job, open; and what was said."""
    said: list[str] = []
    journal = Journal(folder, identity)
    journal.open(said.append)
    return journal, said


def test_no_two_parts_of_one_file_have_one_name(tmp_path: Path) -> None:
    names = {own_part(tmp_path / "plan.json") for _ in range(100)}
    assert len(names) == 100
    assert all(name.parent == tmp_path and name.name.startswith(".") for name in names)


def test_many_who_write_the_same_files_at_once_all_succeed_and_leave_nothing_else(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(20):
                write_whole(tmp_path / "plan.json", '{"a": 1}')
                write_segment(tmp_path / "0.seg", 0, [Fraction(0)], [], Fraction(1, 25), b"")
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    assert told(tmp_path) == {"a": 1}
    assert read_segment(tmp_path / "0.seg") is not None
    assert {p.name for p in tmp_path.iterdir()} == {"plan.json", "0.seg"}


def test_what_a_killed_run_was_writing_goes_with_the_journal(tmp_path: Path) -> None:
    journal, _ = opened(tmp_path / "j", a=1)
    own_part(journal.segment(0)).write_bytes(b"half")
    journal.remove()
    journal.close()
    assert not journal.path.exists()


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_disk_without_locks_is_written_all_the_same_and_that_is_said_once(
    tmp_path: Path, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(getattr(errno, answer), "no locks")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refused)
    journal, said = opened(tmp_path / "j", a=1)
    journal.close()
    assert len(said) == 1
    assert "knows no locks" in said[0]
    assert told(journal.path) == {"a": 1}


def test_another_failure_of_a_lock_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refused)
    with pytest.raises(OutputError, match="cannot be written"):
        opened(tmp_path / "j", a=1)


def test_a_folder_that_outlives_its_files_is_removed_when_the_lock_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on network disks, where a file that is open keeps its folder."""
    journal, _ = opened(tmp_path / "j", a=1)

    def emptied(path: Path, **_: Any) -> None:
        for file in path.iterdir():
            file.unlink()

    monkeypatch.setattr("shutil.rmtree", emptied)
    journal.remove()
    assert journal.path.exists()
    journal.close()
    assert not journal.path.exists()


@pytest.mark.parametrize(("before", "now", "kept"), [("stop", "repeat", True), ("repeat", "stop", False)])
def test_a_plan_says_what_the_last_run_wanted(tmp_path: Path, before: str, now: str, kept: bool) -> None:
    first, _ = opened(tmp_path / "j", on_error=before)
    write_segment(first.segment(0), 0, [Fraction(0)], [], Fraction(1, 25), b"")
    first.close()
    second, said = opened(tmp_path / "j", on_error=now)
    second.close()
    assert second.segment(0).exists() is kept
    assert bool(said) is not kept
    assert json.loads((second.path / "plan.json").read_text()) == {"on_error": now}


@pytest.mark.parametrize("plan", ["", "{", "[]", "3", "{}"])
def test_a_plan_that_says_nothing_tells_no_identity(tmp_path: Path, plan: str) -> None:
    assert told(tmp_path) == {}
    (tmp_path / "plan.json").write_text(plan)
    assert told(tmp_path) == {}
