"""misr join: what parts have rendered becomes the output, anywhere; what is missing is told."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from misr.journal import journal_path
from tests.command import (
    FORKS,
    child,
    clip,
    in_child,
    misr,
    one_sentence,
    short_segments,
    up,
)
from tests.media import times_s as times
from tests.portioned import parts, stored, until
from tests.test_resume import die_at

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Path]:
    """A clip, and an output of which the first of two parts is there."""
    source, out = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv"
    parts(source, out, [1], 2)
    return source, out


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


def join_haltingly(folder: str) -> None:
    """In the middle of joining say so, and wait to be let go on."""
    from misr.io.output import Output

    short_segments()
    picture, seen = Output.picture, [0]

    def halting(*args: Any) -> Any:
        seen[0] += 1
        if seen[0] == 5:
            (Path(folder) / "joining").touch()
            while not (Path(folder) / "go on").exists():
                time.sleep(0.002)
        return picture(*args)

    Output.picture = halting  # type: ignore[method-assign]


def test_of_two_joins_at_once_one_wins(begun: tuple[Path, Path], tmp_path: Path, capsys: Said) -> None:
    source, out = begun
    parts(source, out, [2], 2)
    p: Any = FORKS.Process(target=child, args=(["join", str(out)], str(tmp_path), join_haltingly, (str(tmp_path),)))
    p.start()
    until((tmp_path / "joining").exists, p)
    capsys.readouterr()
    assert misr("join", out) == 1
    assert "another misr is writing this output" in one_sentence(capsys.readouterr().err)
    (tmp_path / "go on").touch()
    p.join(60)
    assert p.exitcode == 0
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
