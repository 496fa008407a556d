"""What several frames can bring: one measure and one word in misr tune and misr adapt, and the script that asks if it is true."""

import math
import runpy
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import misr.adapting.run
import misr.tuning.facts
from misr.registration.outlook import LEAD, outlook, sentence
from misr.registration.promise import promise, word
from tests.command import clip

pytestmark = pytest.mark.usefixtures("one_thread")
SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def test_tune_and_adapt_ask_the_same():
    assert misr.tuning.facts.outlook is misr.adapting.run.outlook is outlook


def test_the_word_is_the_sentence_in_short():
    for aliasing, coverage, count in product((None, 0.0, 0.06, 0.3), (0.25, 0.4, 0.9), (1, 2, 6)):
        answer = word(aliasing, coverage, count)
        could, why = promise(aliasing, coverage, count)
        assert could == (answer != "no")
        assert ("a little" in why) == (answer == "a little")
        assert ("could not be measured" in why) == (answer == "unknown")


def test_every_word_has_one_sentence_that_gives_its_reason():
    said = {
        sentence(word(aliasing, coverage, 6), aliasing, coverage, 2): word(aliasing, coverage, 6)
        for aliasing, coverage in product((None, 0.01, 0.06, 0.3), (0.25, 0.4, 0.9))
    }
    for why, answer in said.items():
        assert why.startswith(LEAD[answer])
        assert why.endswith(".")
        assert "None" not in why
        assert ("for want of" in why) == (answer in ("a little", "no") and "aliasing 0" in why)
    assert len(said) == 12


def test_frames_alike_are_no_and_frames_that_do_not_move_as_a_whole_unknown():
    draw = np.random.default_rng(0)
    still = np.repeat(draw.integers(0, 255, (1, 96, 96)), 6, 0).astype(np.uint8)
    assert outlook([still], 2).word == "no"
    assert outlook([draw.integers(0, 255, (6, 96, 96)).astype(np.uint8)], 2).word == "unknown"


# ---------------------------------------------------------------- scripts/outlook_all


@pytest.fixture
def script(monkeypatch):
    """The script's names."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return runpy.run_path(str(SCRIPTS / "outlook_all"))


def test_ranks_that_agree_correlate_fully_and_ties_share_theirs(script):
    rank_correlation = script["rank_correlation"]
    assert rank_correlation([(0, 1), (1, 10), (2, 100)]) == pytest.approx(1)
    assert rank_correlation([(0, 3), (1, 2), (2, 1)]) == pytest.approx(-1)
    assert rank_correlation([(0, 0), (0, 0), (1, 1), (1, 1)]) == pytest.approx(1)
    assert math.isnan(rank_correlation([(1, 1), (1, 2), (1, 3)]))


def test_the_truth_of_a_clip_is_asked_once(script, tmp_path, monkeypatch, capsys):
    source = clip(tmp_path / "a.mkv", 9, size=(160, 128))
    words = ["--out", tmp_path / "kept", "--most", 8, "--one", "bilinear", "--several", "fast-x2", "--noise", 0, 4]
    monkeypatch.setattr(sys, "argv", ["outlook_all", str(source), *map(str, words)])
    script["main"]()
    table = capsys.readouterr().out
    header, _, clean, noisy = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[:4]]
    assert header[-4:] == ["bicubic", "bilinear", "fast-x2", "gain"]
    assert float(clean[-1]) == pytest.approx(float(clean[-2]) - float(clean[-3]), abs=0.011)
    assert float(noisy[-4]) < float(clean[-4])
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("*.json")}
    script["main"]()
    assert capsys.readouterr().out == table
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
