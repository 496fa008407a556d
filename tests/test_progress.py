"""Progress: a bar that people can read, lines that programs can, as docs/progress.md has them; and quiet elsewhere."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from misr.cli import interrupted, progress
from misr.cli.progress import Meter, wants_json
from tests.command import clip, in_child, misr, one_sentence, short_segments
from tests.rasters import codes, png
from tests.terminal import on_a_terminal

PAGE = Path(__file__).parent.parent / "docs" / "progress.md"
FIELD = re.compile(r"^\| `(\w+)` \| ((?:integer|number|string|object)(?: or null)?) \|", re.M)
TYPES = {
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "null": lambda v: v is None,
    "object": lambda v: isinstance(v, dict),
}

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_job_of_another_test() -> Iterator[None]:
    progress.begin()
    yield
    progress.begin()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return clip(tmp_path / "in.mkv", 30)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that moves when the test says so."""
    hand = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: hand.now)
    return hand


def rows_of(said: str) -> list[dict[str, Any]]:
    """The lines of JSON, each as the page says it must be."""
    rows = [json.loads(line, parse_constant=pytest.fail) for line in said.splitlines() if line.startswith("{")]
    fields = {name: kinds.split(" or ") for name, kinds in FIELD.findall(PAGE.read_text(encoding="utf-8"))}
    for row in rows:
        assert list(row) == list(fields)
        wrong = {k: v for k, v in row.items() if not any(TYPES[kind](v) for kind in fields[k])}
        assert wrong == {}
        assert row["version"] == progress.VERSION
        assert (row["message"] is not None) == (row["event"] == "error")
    return rows


def events(rows: list[dict[str, Any]]) -> str:
    """The events in their order, repeated ones once."""
    told = [row["event"] for row in rows]
    return " ".join(event for n, event in enumerate(told) if n == 0 or event != told[n - 1])


# ---------------------------------------------------------------- for programs


@pytest.mark.parametrize("command", ["upscale", "filter"])
def test_every_line_of_a_job_is_as_the_page_says(source: Path, capsys: Said, command: str) -> None:
    out = source.with_name("out.mkv")
    assert misr(command, source, out, "-m", "bilinear", "--progress", "json") == 0
    rows = rows_of(capsys.readouterr().err)
    assert events(rows) == "start progress end"
    assert {(r["command"], r["input"], r["output"], r["unit"]) for r in rows} == {
        (command, str(source), str(out), "frame")
    }
    assert [r["done"] for r in rows] == sorted(r["done"] for r in rows)
    last = rows[-1]
    assert (last["done"], last["total"], last["resumed"], last["eta_s"]) == (30, 30, 0, 0)
    assert last["per_s"] > 0


def test_other_long_commands_speak_the_same_lines(source: Path, tmp_path: Path, capsys: Said) -> None:
    twice = tmp_path / "twice.mkv"
    assert misr("upscale", source, twice, "-m", "bilinear", "--progress", "none") == 0
    (tmp_path / "burst").mkdir()
    for n in range(3):
        png(tmp_path / f"burst/{n}.png", codes(n, 3, dtype="uint8"))
    lines = (
        ("compare", source, twice, "-o", tmp_path / "x.html", "-t", "0.2"),
        ("eval", source, source),
        ("fuse", tmp_path / "burst", "-o", tmp_path / "x.png", "-m", "mean", "--no-clouds"),
        ("train", source, "-o", tmp_path / "made", "--net", "fast", "-s", "2", "--steps", "2", "--option", "width=4",
         "--option", "depth=1", "--frames", "2", "--crop", "16", "--run", tmp_path / "run", "--device", "cpu"),
        ("bench", source, "-m", "bilinear", "--runs", "1"),
        ("export", "bilinear", tmp_path / "x.onnx", "-s", "2"),
        ("tune", source, "-o", tmp_path / "sheet.png", "--seconds", "1"),
        ("adapt", source, "-o", tmp_path / "its-own", "--steps", "1", "--frames", "4", "--crop", "16", "--device", "cpu"),
        ("upscale", source, tmp_path / "never.mkv", "-m", "bilinear", "--preview", "0.2s"),
    )  # fmt: skip
    for line in lines:
        capsys.readouterr()
        assert misr(*line, "--progress", "json") == 0
        rows = rows_of(capsys.readouterr().err)
        assert events(rows) == "start progress end"
        assert {r["command"] for r in rows} == {line[0]}
        if line[0] in ("train", "adapt"):
            assert set(rows[-1]["figures"]) == {"step", "loss", "valid_db"}
            assert rows[-1]["unit"] == "step"
            assert rows[-1]["done"] == rows[-1]["total"]
        assert rows[0]["input"] == str(line[1])


def test_what_fails_is_an_error_and_never_an_end(source: Path, tmp_path: Path, capsys: Said) -> None:
    assert misr("upscale", source, tmp_path / "out.mkv", "-m", "bilinear", "-ss", "99", "--progress", "json") == 1
    said = capsys.readouterr().err
    (*_, last) = rows_of(said)
    assert last["event"] == "error"
    assert one_sentence(said) == f"misr: {last['message']}"
    assert "end" not in events(rows_of(said))
    assert misr("eval", tmp_path / "no.mkv", source, "--progress=json") == 1
    assert events(rows_of(capsys.readouterr().err)) == "start error"
    assert misr("upscale", tmp_path / "no.mkv", tmp_path / "out.mkv", "--progress", "json") == 1
    assert events(rows_of(capsys.readouterr().err)) == "error"


def test_ctrl_c_is_an_error_too(source: Path, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.io.encoder.Encoder.push", interrupt)
    assert misr("upscale", source, tmp_path / "out.mkv", "-m", "bilinear", "--progress", "json") == 130
    rows = rows_of(capsys.readouterr().err)
    assert events(rows) == "start error"
    assert rows[-1]["message"].startswith("interrupted; ")
    assert rows[-1]["output"] == str(tmp_path / "out.mkv")


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (["fuse", "a", "-o", "b"], "what was finished is kept"),
        (["upscale", "a", "b", "--preview=5s"], "no page was written"),
        (["compare", "a", "b"], "no page was written"),
        (["filter"], "not whole"),
        (["eval", "a", "b"], "nothing was written"),
        (["bench"], "nothing was written"),
    ],
)
def test_what_ctrl_c_leaves_is_said_truly(line: list[str], left: str) -> None:
    assert left in interrupted(line)


def interrupt(*args: Any, **options: Any) -> Any:
    """What Ctrl-C does to the main thread."""
    raise KeyboardInterrupt


def test_each_clip_of_a_batch_is_a_job_and_the_failed_one_says_which(
    source: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "bad.mkv").write_bytes(b"no clip")
    words = (tmp_path / "bad.mkv", source, tmp_path / "out", "-m", "bilinear", "--progress", "json")
    assert misr("upscale", *words) == 1
    rows = rows_of(capsys.readouterr().err)
    assert events(rows) == "error start progress end error"
    assert rows[0]["output"] == str(tmp_path / "out" / "bad.mkv")
    assert "bad.mkv" in rows[0]["message"]
    assert rows[-1]["output"] is None
    assert "1 of 2 inputs failed" in rows[-1]["message"]


def test_a_plain_run_says_nothing_in_json(source: Path, tmp_path: Path, capsys: Said) -> None:
    assert misr("upscale", source, tmp_path / "no" / "out.mkv", "--", "--progress", "json") == 1
    assert rows_of(capsys.readouterr().err) == []
    assert wants_json(["upscale", "--progress", "json"])
    assert not wants_json(["upscale", "json", "--progress", "bar", "--", "--progress=json"])


def test_frames_of_a_stopped_run_do_not_count_into_the_rate(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)
    source, out = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv"
    in_child(tmp_path, source, out, before=die_at, given=(45,))
    assert misr("upscale", source, out, "-m", "bilinear", "--progress=json") == 0
    said = capsys.readouterr().err
    rows = rows_of(said)
    assert "resuming at segment" in said
    assert rows[-1]["done"] == 60
    assert rows[-1]["resumed"] in range(10, 45)
    expected = (rows[-1]["done"] - rows[-1]["resumed"]) / rows[-1]["elapsed_s"]
    assert rows[-1]["per_s"] == pytest.approx(expected, rel=0.2)


def die_at(frame: int) -> None:
    """Kill this process at a frame, with short segments behind it."""
    import signal

    from misr.io.encoder import Encoder

    short_segments()
    push, count = Encoder.push, [0]

    def deadly(*args: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] == frame:
            os.kill(os.getpid(), signal.SIGKILL)
        return push(*args, **options)

    Encoder.push = deadly  # type: ignore[method-assign]


# ---------------------------------------------------------------- the numbers


def test_the_time_left_is_what_is_left_at_the_rate_of_this_run(clock: SimpleNamespace) -> None:
    meter = Meter("none", 1000)
    assert (meter.per_s, meter.eta_s) == (None, None)
    clock.now += 2
    meter.update(801, 1000)  # 800 were there
    assert (meter.resumed, meter.per_s, meter.eta_s) == (800, 0.5, 398)
    clock.now += 8
    meter.update(900, 1000)
    assert (meter.per_s, meter.eta_s) == (10, 10)
    meter.update(1000, 1000)
    assert meter.eta_s == 0


def test_what_came_before_a_meter_is_warm_does_not_count(clock: SimpleNamespace) -> None:
    meter = Meter("none", 101)
    clock.now += 60  # reading the sources
    meter.update(1, 101)
    meter.warm()
    assert (meter.per_s, meter.eta_s) == (None, None)
    clock.now += 4
    meter.update(41, 101)
    assert (meter.per_s, meter.eta_s, meter.elapsed_s) == (10, 6, 64)


def test_a_total_that_nobody_knows_has_no_time_left(clock: SimpleNamespace) -> None:
    meter = Meter("none")
    clock.now += 1
    meter.update(1, 0)
    meter.update(5, 0)
    assert (meter.per_s, meter.eta_s) == (5, None)


def test_a_run_that_finds_everything_done_ends_with_all_of_it(capsys: Said) -> None:
    with Meter("json", 12):
        pass
    last = rows_of(capsys.readouterr().err)[-1]
    assert (last["event"], last["done"], last["resumed"], last["per_s"], last["eta_s"]) == ("end", 12, 12, None, 0)


def test_a_new_stage_has_a_rate_of_its_own(clock: SimpleNamespace) -> None:
    meter = Meter("none")
    meter.update(1, 10, doing="looking")
    clock.now += 1
    meter.update(10, 10, doing="looking")
    clock.now += 4
    meter.update(1, 9, doing="fusing")
    assert (meter.per_s, meter.eta_s, meter.elapsed_s) == (0.25, 32, 5)


def test_a_count_that_goes_on_under_another_name_is_the_same_stage(clock: SimpleNamespace) -> None:
    meter = Meter("none")
    meter.update(0, 10, doing="looking")
    for n, doing in ((1, "timing one"), (2, "timing another")):
        clock.now += 2
        meter.update(n, 10, doing=doing)
    assert (meter.doing, meter.resumed, meter.per_s, meter.eta_s) == ("timing another", 0, 0.5, 16)


def test_lines_come_at_most_twice_a_second_and_the_first_unit_of_a_stage_at_once(
    clock: SimpleNamespace, capsys: Said
) -> None:
    with Meter("json", 100, doing="a") as meter:
        for n in range(1, 101):
            clock.now += 0.05
            meter.update(n, 100)
        meter.update(1, 2, doing="b", figures={"loss": float("nan")})
    rows = rows_of(capsys.readouterr().err)
    assert events(rows) == "start progress end"
    assert 8 <= len(rows) <= 14
    assert rows[1]["done"] == 1
    assert (rows[-2]["doing"], rows[-2]["figures"]) == ("b", {"loss": None})


# ---------------------------------------------------------------- for people


BAR = """
import time
from misr.cli.progress import Meter, above

with Meter("bar", 40, doing="upscaling") as m:
    for n in range(21, 41):
        time.sleep(0.02)
        m.update(n, 40)
        if n == 30:
            above("note      of something")
    m.update(1, 0, doing="joining", figures={"loss": 0.25})
"""


def test_a_terminal_sees_a_bar_with_rate_and_time_left_and_lines_above_it(tmp_path: Path) -> None:
    code, shown = on_a_terminal(["-c", BAR], tmp_path)
    assert code == 0, shown
    lines = re.split(r"[\r\n]+", shown)
    assert any(
        re.search(r"upscaling:  \d\d%\|.*\| \d\d/40 frames \[00:0\d<00:0\d, [\d.]+ fps\]", line) for line in lines
    )
    assert "note      of something" in lines
    assert any(re.match(r"joining: 1 frames \[00:0\d, [\d.]+ fps, loss 0.25\]", line) for line in lines)


def test_elsewhere_a_run_says_only_its_last_line(source: Path, tmp_path: Path, capsys: Said) -> None:
    assert misr("upscale", source, tmp_path / "out.mkv", "-m", "bilinear") == 0
    first, *rest = capsys.readouterr().err.splitlines()
    assert "bilinear on" in first
    assert [line for line in rest if not line.startswith(("note", "chosen"))] == [
        f"30 frames in, 30 frames out: {tmp_path / 'out.mkv'}"
    ]


def test_what_a_crew_found_is_in_the_count_and_not_in_the_rate_and_no_count_falls(clock: SimpleNamespace) -> None:
    with Meter("none", doing="upscaling") as meter:
        meter.update(20, 60, resumed=20)
        clock.now += 2
        meter.update(31, 60, resumed=20)
        assert (meter.done, meter.resumed, meter.per_s) == (31, 20, 5.5)
        meter.update(24, 60, resumed=20)  # a worker died, and its segment begins again
        assert meter.done == 31
        clock.now += 2
        meter.update(60, 60, resumed=20)
        assert (meter.done, meter.per_s) == (60, 10.0)
