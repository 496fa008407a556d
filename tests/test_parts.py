"""Parts for batch systems: rendered apart, in any order, they join to what one run makes."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import misr as package
from misr.card import ModelCard
from misr.journal import asked_of, journal_path, told
from tests.command import (
    clip,
    corrupt,
    decoded,
    misr,
    one_sentence,
    up,
)
from tests.media import times_s as times
from tests.portioned import last_line, others, parts, stored
from tests.test_resume import CODECS, Blend

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


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


def test_of_a_recording_cut_in_the_middle_all_parts_know_the_pictures_that_cannot_be_shown(
    tmp_path: Path, capsys: Said
) -> None:
    """The pictures that lead the first key frame of an open GOP are in the file, and have lost what they build on."""
    from misr.io.index import packet_times
    from misr.io.reader import Reader

    open_gop = {"preset": "veryfast", "x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"}
    whole = clip(
        tmp_path / "whole.ts", 80, options=open_gop, time_base=Fraction(1, 90000), pts=[*range(0, 288000, 3600)]
    )
    data = whole.read_bytes()
    source, out = tmp_path / "in.ts", tmp_path / "out.mkv"
    source.write_bytes(data[len(data) // 188 // 5 * 188 :])
    reader = Reader(source)
    promised = packet_times(reader)
    assert promised
    assert promised[0] < reader.info.start
    parts(source, out, [2, 3, 1], 3, "-c:v", "ffv1")
    assert "counting them" not in capsys.readouterr().err
    assert misr("join", out) == 0
    assert up(source, tmp_path / "one go.mkv", "-c:v", "ffv1") == 0
    assert decoded(out) == decoded(tmp_path / "one go.mkv")


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
    assert said[0].endswith(f"; 3 of 5 segments of {out} are there")
    assert said[1].endswith(f"; 5 of 5 segments of {out} are there: misr join '{out}'")
    assert said[2].startswith("part 1 of 2: 2 segments were there already; 5 of 5 segments of ")


def test_a_part_without_a_segment_is_done_at_once_and_says_so(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 20), tmp_path / "out.mkv"
    parts(source, out, [1], 9)
    assert (
        last_line(capsys) == f"part 1 of 9 has no segment of this clip, which has 2; 0 of 2 segments of {out} are there"
    )
    parts(source, out, [*range(2, 10)], 9)
    assert "2 of 2 segments" in last_line(capsys)
    assert misr("join", out) == 0
    assert times(out) == times(source)


def test_a_dry_run_tells_the_part_and_writes_nothing(tmp_path: Path, capsys: Said) -> None:
    source, out = clip(tmp_path / "in.mkv", 45), tmp_path / "out.mkv"
    assert up(source, out, "--part", "2/2", "--dry-run") == 0
    assert "part      2 of 2: 3 of 5 segments, frames 20 to 44, 0.800 to 1.760 s" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv"}


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


def test_a_plain_run_does_not_throw_away_what_parts_of_another_job_rendered(
    begun: tuple[Path, Path], capsys: Said
) -> None:
    source, out = begun
    before = stored(out)
    assert up(source, out, "-crf", "30") == 1
    assert "holds another job: encoding options" in one_sentence(capsys.readouterr().err)
    assert stored(out) == before


def test_parts_on_another_kind_of_device_are_told_what_to_say_alike(begun: tuple[Path, Path], capsys: Said) -> None:
    source, out = begun
    plan = journal_path(str(out)) / "plan.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"precision": "bf16"}))
    assert up(source, out, "--part", "2/2") == 1
    said = one_sentence(capsys.readouterr().err)
    assert "precision (bf16 there, fp32 here); give the same --device and --precision" in said


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
    assert "which of how many is wanted, counted from 1, as 3/16" in one_sentence(capsys.readouterr().err)
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


def test_a_journal_says_what_planning_anew_takes(begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = begun
    asked = asked_of(journal_path(str(out)))
    assert asked["source"] == str(source)
    assert (asked["parts"], asked["settings"]["model"], asked["settings"]["scale"]) == (2, "bilinear", 2)
    assert "asked" not in told(journal_path(str(out)))


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


def test_a_clip_that_cannot_be_upscaled_to_its_end_says_why_and_is_not_taken_for_miscounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    from misr.errors import InputError
    from misr.upscaler import Session

    check = Session._check

    def changed(self: Session, frame: Any) -> None:
        if self.number == 25:
            raise InputError("frame 25 is 32x32, the clip began at 64x48; split it at the change")
        check(self, frame)

    monkeypatch.setattr(Session, "_check", changed)
    source, out = clip(tmp_path / "in.mkv", 40), tmp_path / "out.mkv"
    assert up(source, out, "--part", "1/1") == 1
    assert "split it at the change" in one_sentence(capsys.readouterr().err)
    assert {*stored(out)} >= {"000000000.seg"}
    assert not (journal_path(str(out)) / "counted").exists()
