"""misr tune: its advice as tables, its commands run, its sheet read back. Its facts: test_tune_facts.py."""

import json
import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import misr
from misr.tuning import Pace, facts, memory, run
from misr.tuning.advice import TABLE_BEST, TABLE_FAST, candidates, choose
from misr.tuning.lines import lines
from tests import media
from tests.command import clip, decoded, one_sentence
from tests.command import misr as command

pytestmark = pytest.mark.usefixtures("one_thread")
KNOWN = facts.Facts(
    moment=Fraction(0),
    frames=16,
    places=1,
    noise=0.2,
    reach=0.5,
    quantiser=15.0,
    bits_per_pixel=0.3,
    blocking=0.0,
    fields="",
    pulled=False,
    duplicates=0.0,
    cuts=0,
    moves_px=0.5,
    still=False,
    aliasing=0.3,
    coverage=0.9,
    word="yes",
    helps=True,
    why="Several frames hold more detail than one.",
)


# ---------------------------------------------------------------- advice


def h264(tmp_path):
    reader = misr.open(clip(tmp_path / "any.mkv", 3))
    reader.close()
    return reader.info


@pytest.mark.parametrize(
    ("told", "scale", "fast", "best", "strength"),
    [
        ({}, 2, "fast-x2", "video-x2", 1),
        ({}, 4, "fast-x4", "video-x4-quality", 1),
        ({"helps": False}, 2, "fast-x2", "fast-x2", 1),
        ({"quantiser": 24.0}, 2, "fast-robust-x2", "fast-robust-x2", 1),
        ({"quantiser": None}, 2, "fast-robust-x2", "fast-robust-x2", 1),
        ({"quantiser": 24.0}, 4, "fast-x4", "fast-x4", 1),
        ({"noise": 3.0}, 2, "fast-robust-x2", "fast-robust-x2", 0.75),
        ({"noise": 9.0}, 1.5, "fast-robust-x2", "fast-robust-x2", 0.25),
    ],
)
def test_the_table_names_models_and_strength(tmp_path, told, scale, fast, best, strength):
    known, info = replace(KNOWN, **told), h264(tmp_path)
    chosen = [choose(table, known, info, scale) for table in (TABLE_FAST, TABLE_BEST)]
    assert [c.model for c in chosen] == [fast, best]
    assert {c.strength for c in chosen} == {strength}
    assert {fast, best} <= set(candidates(scale))


@pytest.mark.parametrize(
    ("word", "said"), [("no", "add nothing"), ("unknown", "cannot be foretold"), ("yes", "add to it")]
)
def test_why_says_what_is_known_of_neighbours(tmp_path, word, said):
    known = replace(KNOWN, word=word, helps=word == "yes")
    assert said in choose(TABLE_BEST, known, h264(tmp_path), 2).why


def test_fields_that_misr_would_not_find_are_said_on_the_command_line(tmp_path):
    info = h264(tmp_path)
    assert choose(TABLE_FAST, replace(KNOWN, fields="tff"), info, 2).deinterlace
    assert not choose(TABLE_FAST, replace(KNOWN, fields="tff"), replace(info, interlaced="tff"), 2).deinterlace


@pytest.mark.parametrize(
    "told", [{}, {"noise": None, "reach": None, "quantiser": None, "moves_px": None, "aliasing": None}]
)
def test_every_fact_is_one_line(tmp_path, told):
    found = lines(replace(KNOWN, **told), h264(tmp_path))
    assert len(found) == 11
    assert all(words and "\n" not in words and "None" not in words for _, words in found)


def test_tiles_are_as_large_as_memory_allows():
    assert memory.tile("fast-x2", (1920, 1080), None) == 0
    assert memory.tile("fast-x2", (1920, 1080), 1 << 34) == 0
    sides = [memory.tile("video-x2", (3840, 2160), gib << 30) for gib in (1, 4, 8, 64)]
    assert 0 < sides[0] < sides[1] < sides[2]
    assert sides[3] == 0


# ---------------------------------------------------------------- the whole


def test_what_it_prints_are_commands_that_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = clip(tmp_path / "it's.mkv", 24, rich=True)
    assert command("tune", source, "--seconds", "1", "--device", "cpu", "--json", "--progress", "none") == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["sheet"]) == Path("it's.tune.png")
    assert told["page"] is None
    assert told["facts"]["word"] in ("yes", "a little", "no", "unknown")
    for goal in ("fast", "best"):
        line = told[goal]["line"]
        assert shlex.split(line) == told[goal]["words"]
        assert command(*shlex.split(line)[1:], "--progress", "none") == 0
        assert len(decoded(tmp_path / f"it's.x2-{goal}.mkv")) == 24
        assert told[goal]["whole_s"] == pytest.approx(24 / told[goal]["fps"], abs=0.1)
    assert {p["model"] for p in told["paces"]} == {"fast-x2", "fast-robust-x2", "video-x2"}


def test_the_sheet_shows_each_model_at_each_strength(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "candidates", lambda scale, asked: ["fast-x2", *asked])  # the rest would take longer
    source = clip(tmp_path / "a.mkv", 12)
    done = misr.tune(source, tmp_path / "seen", misr.Tuning(seconds=1, device="cpu", models=("bicubic",)))
    assert done.sheet == str(tmp_path / "seen" / "sheet.png")
    paper = cv2.imread(done.sheet)
    rows = 2 * (96 + 8)  # 48 lines at x2, and a gap
    assert paper.shape[0] == 34 + 26 + rows
    cells = [[paper[60 + r * 104 :, 158 + c * 136 :][:96, :128] for c in range(5)] for r in range(2)]
    assert np.array_equal(cells[1][1], cells[1][4])  # the model bicubic, and bicubic before
    assert not np.array_equal(cells[0][0], cells[0][1])
    far = [np.abs(cells[0][1].astype(int) - cells[0][c]).mean() for c in (1, 2, 3, 4)]
    assert far == sorted(far)
    assert far[1] > 0


def test_large_pictures_are_measured_in_part(tmp_path, monkeypatch):
    from misr.tuning import speed

    monkeypatch.setattr(speed, "PROBE", (32, 32))
    source = clip(tmp_path / "a.mkv", 12)
    job, reader, up = misr.plan.plan(str(source), str(tmp_path / "b.mkv"), misr.Settings(model="fast-x2", device="cpu"))
    found = speed.pace(up, job, reader, reader.info.start, 1e-6)
    reader.close()
    assert found.part == (32, 32)
    assert found.fps > 0
    assert isinstance(found, Pace)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-"], "give a file"),
        (["gone.mkv"], "gone.mkv"),
        (["a.mkv", "-s", "0"], "-s 0"),
        (["a.mkv", "--seconds", "0"], "--seconds 0"),
        (["a.mkv", "-o", "sheet.jpg"], "sheet.jpg"),
        (["a.mkv", "-o", "no/such/sheet.png"], "no/such"),
        (["a.mkv", "-m", "unheard-of"], "unheard-of"),
        (["a.mkv", "-m", "burst-x2"], "misr fuse"),
        (["one.png"], "one picture"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, args, said):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "a.mkv", 12)
    cv2.imwrite("one.png", np.zeros((8, 8, 3), np.uint8))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert command("tune", *args, "--progress", "none") == 1
    assert said in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_clip_that_is_turned_by_its_tag_is_drawn_upright(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "candidates", lambda scale, asked: ["bicubic"])
    monkeypatch.setattr(run, "choose", lambda *given: replace(choose(*given), model="bicubic"))
    told = {"options": {"preset": "ultrafast"}, "size": (96, 64), "frames": 6}
    flat, turned = (media.clip(tmp_path, name=f"r{r}", rotation=r, suffix="mp4", **told) for r in (0, 90))
    papers = [
        cv2.imread(misr.tune(c, tmp_path / f"{c.stem}.png", misr.Tuning(seconds=0.5)).sheet) for c in (flat, turned)
    ]
    assert papers[0].shape[0] == 60 + 128 + 8
    assert papers[1].shape[0] == 60 + 192 + 8


def test_beside_other_work_no_option_is_chosen_by_what_is_a_little_faster(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "candidates", lambda scale, asked: ["fast-x2"])
    monkeypatch.setattr(run, "choose", lambda *given: replace(choose(*given), model="fast-x2"))
    source = clip(tmp_path / "a.mkv", 12)
    ways = {}
    for load in (0.0, 3.0):
        monkeypatch.setattr(run, "load_of_others", lambda load=load: load)
        done = misr.tune(source, tmp_path / "a.png", misr.Tuning(seconds=0.5, device="cpu"))
        ways[load] = len(done.paces)
        assert ("busy" in dict(done.lines)["machine"]) == (load > 1)
    assert ways[3.0] == 2
    assert ways[0.0] >= 2


def test_no_sheet_is_left_half_written(tmp_path, monkeypatch, capsys):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "candidates", lambda scale, asked: ["fast-x2"])
    monkeypatch.setattr(run, "choose", lambda *given: replace(choose(*given), model="fast-x2"))
    monkeypatch.setattr("misr.journal.os.replace", full)
    source = clip(tmp_path / "a.mkv", 6)
    assert command("tune", source, "-o", tmp_path / "a.png", "--seconds", "0.5", "--progress", "none") == 1
    assert "No space left" in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv"]
