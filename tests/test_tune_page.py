"""misr tune -o FOLDER: the page beside the sheet, its pictures and its length, and in a real Chromium."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import misr
from misr.tuning import Command, Pace, page, run
from misr.tuning.advice import TABLE_FAST, choose
from misr.tuning.page import FEWEST, Shown, distinct, frames_for
from tests.browser import CHROMIUM, Browser
from tests.command import clip
from tests.command import misr as command
from tests.comparisons import pictures, rgb, told

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = misr.Tuning(seconds=1, device="cpu")


@pytest.fixture
def two(monkeypatch):
    """The advice: bilinear is fast, fast-x2 is best; nothing else is looked at."""

    def chosen(table, *given):
        return replace(choose(table, *given), model="bilinear" if table is TABLE_FAST else "fast-x2", strength=1.0)

    monkeypatch.setattr(run, "candidates", lambda scale, asked: ["bilinear"])
    monkeypatch.setattr(run, "frames_for", lambda *given: 5)  # however busy the machine is
    monkeypatch.setattr(run, "choose", chosen)


def shown(fps: float, model: str = "fast-x2", strength: float = 1.0) -> Shown:
    """A command of that speed."""
    pace = Pace(model, "fp32", 0, 0, "", fps, 60)
    return Shown(
        Command(("misr", "upscale", "a", "b"), pace, 1.0, ""), misr.Settings(model=model, strength=strength), "x"
    )


def test_a_folder_gets_a_page_of_what_both_commands_make(tmp_path, two, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "PART", (32, 24))
    source = clip(tmp_path / "a.mkv", 12)
    done = misr.tune(source, "seen", FAST)
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["compare.html", "sheet.png"]
    assert done.page == "seen/compare.html"
    facts, made = told(tmp_path / done.page), pictures(tmp_path / done.page)
    assert [i["name"] for i in facts["inputs"]] == ["a.mkv", "fast: bilinear", "best: fast-x2"]
    assert [i["size"] for i in facts["inputs"]] == [[32, 24], [64, 48], [64, 48]]
    assert facts["command"] == f"misr tune {source} -o seen --seconds 1 --device cpu"
    assert command(*done.best.words[1:], "--progress", "none") == 0
    whole = rgb(tmp_path / done.best.target)
    left, top = (round(share * side) for share, side in zip(facts["crop"], (128, 96), strict=False))
    first = round(facts["times"][0] * 25)
    for n in range(len(facts["times"])):
        near = whole[first + n][top : top + 48, left : left + 64].astype(int)
        assert np.abs(made[2, n] - near).mean() < 8  # coded in another place of another stream


@pytest.mark.parametrize(
    ("more", "shape", "begin"),
    [({"start_ms": 5000}, [128, 96], 5), ({"rotation": 90, "name": "turned.mp4"}, [96, 128], 0)],
)
def test_late_and_turned_clips_meet_their_results(tmp_path, two, more, shape, begin):
    name = more.pop("name", "a.mkv")
    facts = told(Path(misr.tune(clip(tmp_path / name, 8, **more), tmp_path / "seen", FAST).page))
    assert [i["size"] for i in facts["inputs"][1:]] == [shape, shape]
    assert facts["times"][0] == begin
    assert all(None not in i["at"] for i in facts["inputs"])
    assert facts["crop"] == [0, 0, 1, 1]
    assert not any("A part of each picture" in note for note in facts["notes"])


def test_two_commands_that_look_alike_are_shown_once():
    fast, best = shown(60), shown(20)
    assert [it.goals for it in distinct(fast, best)] == ["fast and best"]
    assert len(distinct(fast, shown(20, strength=0.5))) == len(distinct(fast, shown(1, "video-x2"))) == 2


def test_the_page_is_as_long_as_there_is_time_and_a_second_at_most():
    rate = Fraction(25)
    assert frames_for(600, [shown(100), shown(50)], rate) == 25
    lengths = [frames_for(10, [shown(100), shown(fps)], rate) for fps in (20, 2, 1, 0.4)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 25
    assert lengths[-1] == FEWEST
    assert frames_for(10, [shown(0.05)], rate) == 0


def test_where_a_page_would_take_too_long_that_is_said(tmp_path, two, monkeypatch, capsys):
    monkeypatch.setattr(run, "frames_for", lambda *given: 0)
    source = clip(tmp_path / "a.mkv", 12)
    assert command("tune", source, "-o", tmp_path / "seen", "--seconds", "1", "--progress", "none") == 0
    assert "no page: here it would take" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "seen").iterdir()] == ["sheet.png"]


@pytest.mark.chromium
def test_the_page_opens_with_the_clip_and_both_results(tmp_path, two):
    assert CHROMIUM
    done = misr.tune(clip(tmp_path / "a.mkv", 12), tmp_path / "seen", FAST)
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(tmp_path / "seen" / "compare.html")
        assert browser.js("document.querySelectorAll('#inputs thead th').length") == 3
        assert "best: fast-x2" in browser.js("$('inputs').textContent")
        assert browser.js("$('command').textContent").startswith("misr tune ")
        assert browser.complaints() == []
    finally:
        browser.close()
    assert done.page
