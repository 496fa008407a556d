"""misr mos: what may be put on a page, and answers that are scored, or refused in one sentence."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from misr.errors import InputError, OutputError
from misr.report import Rating, opinions, rating_page
from tests.command import misr

pytestmark = pytest.mark.usefixtures("one_thread")
METHODS = ("bicubic", "fast", "reference")


def answers(folder: Path, rater: str, votes: list[list[int]], **more) -> Path:
    """A file as a page saves it; votes by content, then by method."""
    contents = [f"clip {n}" for n in range(len(votes))]
    ratings = [
        {"content": c, "method": m, "score": v, "seconds": 3.2}
        for c, row in zip(contents, votes, strict=True)
        for m, v in zip(METHODS, row, strict=True)
    ]
    told = {
        "format": "misr mos", "schema": 1, "test": "abc", "rater": rater, "contents": contents,
        "methods": list(METHODS), "reference": "reference", "ratings": ratings[::-1],
    } | more  # fmt: skip
    path = folder / f"{rater}.json"
    path.write_text(json.dumps(told))
    return path


@pytest.fixture
def three(tmp_path):
    """Three raters of two clips."""
    votes = {"ann": [[2, 4, 5], [3, 4, 5]], "bob": [[1, 3, 4], [2, 4, 5]], "cyd": [[2, 3, 5], [2, 4, 4]]}
    return [answers(tmp_path, rater, v) for rater, v in votes.items()]


def test_scores_are_means_over_raters_with_students_interval(three):
    found = opinions(three)
    means = np.array([2.5, 1.5, 2.0])
    assert found.methods["bicubic"].mean == pytest.approx(2)
    assert found.methods["bicubic"].half == pytest.approx(4.3026527 * means.std(ddof=1) / 3**0.5)
    assert found.ratings == 18
    assert found.by_content["clip 0"]["fast"].mean == pytest.approx(10 / 3)


def test_scores_against_the_hidden_reference_are_rater_by_rater(three):
    found = opinions(three).differential
    assert found["bicubic"].mean == pytest.approx(np.mean([2, 3, 2, 2, 2, 3]))
    assert set(found) == {"bicubic", "fast"}


def test_differences_are_paired_by_rater(three):
    found = {(d.method, d.other): d for d in opinions(three).differences}
    by = np.array([4 - 2.5, 3.5 - 1.5, 3.5 - 2.0])
    assert found["fast", "bicubic"].by.mean == pytest.approx(by.mean())
    assert found["fast", "bicubic"].by.half == pytest.approx(4.3026527 * by.std(ddof=1) / 3**0.5)
    assert found["fast", "bicubic"].by.sure
    assert len(found) == 3


def test_a_rater_left_out_is_named(tmp_path, capsys):
    rng = np.random.default_rng(1)
    files = []
    for n in range(24):
        votes = [[int(v) for v in np.clip(rng.normal([2.2, 3, 3.6], 0.8).round(), 1, 5)] for _ in range(20)]
        if n == 7:
            votes = rng.choice([1, 5], (20, 3)).tolist()
        files.append(answers(tmp_path, f"r{n}", votes))
    found = opinions(files)
    assert found.left_out == ("r7",)
    assert len(found.raters) == 23
    assert misr("mos", "score", *files) == 0
    out = capsys.readouterr()
    assert "left out by BT.500's screening: r7" in out.out
    assert "r7 is left out" in out.err
    assert opinions(files, everyone=True).left_out == ()


def test_the_table_has_every_method_and_the_json_everything(three, capsys):
    assert misr("mos", "score", *three) == 0
    out = capsys.readouterr().out
    assert "reference (hidden reference)" in out
    assert "fast - bicubic" in out
    assert misr("mos", "score", *three, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["methods"]["fast"]["mean"] == pytest.approx(11 / 3)
    assert told["raters"] == ["ann", "bob", "cyd"]
    assert told["level"] == 0.95


def test_one_rater_has_no_interval(three, capsys):
    assert misr("mos", "score", three[0]) == 0
    assert "one rater tells none" in capsys.readouterr().out


def broken(change):
    """A file of answers after a change to what it tells."""

    def write(path: Path) -> None:
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))

    return write


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.write_text("{"), "not JSON"),
        (lambda p: p.write_bytes(b"\xff\x00\x01"), "not JSON"),
        (lambda p: p.write_text("[" * 100_000), "not JSON"),
        (lambda p: p.write_text("[1, 2]"), "not a file of ratings"),
        (lambda p: p.write_text('{"format": "other"}'), "not a file of ratings"),
        (broken(lambda t: t.update(schema=9)), "schema 9"),
        (broken(lambda t: t.pop("rater")), "its rater is missing"),
        (broken(lambda t: t.update(methods=["a", "a"])), "not names, each once"),
        (broken(lambda t: t.update(contents=[1])), "not names, each once"),
        (broken(lambda t: t.update(reference="other")), "reference is none of its methods"),
        (broken(lambda t: t["ratings"].pop()), "1 rating missing"),
        (broken(lambda t: t["ratings"].append(t["ratings"][0])), "is the second of"),
        (broken(lambda t: t["ratings"][2].update(score=6)), "rating 3 is 6"),
        (broken(lambda t: t["ratings"][2].update(score=True)), "rating 3 is True"),
        (broken(lambda t: t["ratings"][2].update(score=2.5)), "rating 3 is 2.5"),
        (broken(lambda t: t["ratings"][0].update(method="other")), "of no content and method"),
        (broken(lambda t: t["ratings"].insert(0, 3)), "of no content and method"),
        (broken(lambda t: t.update(test="other")), "of another page than"),
        (broken(lambda t: t.update(rater="ann")), "by 'ann', as is"),
        (lambda p: p.unlink(), "cannot be read"),
    ],
)
def test_what_is_no_whole_file_of_answers_is_refused_in_one_sentence(three, change, said, capsys):
    change(three[1])
    with pytest.raises(InputError, match=said):
        opinions(three)
    assert misr("mos", "score", *three) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1


def picture(path: Path, code: int = 90, size=(48, 64)) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(path), np.full((*size, 3), code, np.uint8))
    return path


def test_what_cannot_be_rated_is_refused_and_nothing_is_written(tmp_path):
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 120)
    small, page = picture(tmp_path / "small.png", size=(24, 32)), tmp_path / "p.html"
    for methods, how, error, said in (
        ([a], Rating(), InputError, "two versions at least"),
        ([a, small], Rating(), InputError, "versions must have one size"),
        ([a, a], Rating(), InputError, "two methods are called 'a'"),
        ([a, b], Rating(names=("x", "y", "z")), InputError, "3 names for 2 methods"),
        ([a, tmp_path / "nix.png"], Rating(), InputError, "no such file"),
    ):
        with pytest.raises(error, match=said):
            rating_page(methods, page, how)
    with pytest.raises(OutputError, match=r"ends in \.html"):
        rating_page([a, b], tmp_path / "p.txt")
    with pytest.raises(InputError, match="more than 0"):
        Rating(frames=0)
    assert not list(tmp_path.glob("*.html")) + list(tmp_path.glob(".*"))


def test_contents_are_matched_by_name_and_a_missing_one_is_told(tmp_path):
    for name in ("one", "two"):
        picture(tmp_path / "a" / f"{name}.png")
        picture(tmp_path / "b" / f"{name}.png", 130)
    made = rating_page([tmp_path / "a", tmp_path / "b"], tmp_path / "p.html")
    assert (made.contents, made.methods, made.reference) == (("one", "two"), ("a", "b"), None)
    (tmp_path / "a" / "two.png").unlink()
    with pytest.raises(InputError, match="nothing there is named like two"):
        rating_page([tmp_path / "a", tmp_path / "b"], tmp_path / "q.html")


def test_one_content_alone_is_warned_of(tmp_path):
    made = rating_page([picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 120)], tmp_path / "p.html")
    assert any("compared rather than rated" in note for note in made.notes)


def test_the_same_seed_makes_the_same_page_and_another_one_another(tmp_path):
    for n in range(4):
        picture(tmp_path / "a" / f"{n}.png", 40 + n)
        picture(tmp_path / "b" / f"{n}.png", 120 + n)
    pages = []
    for seed in (1, 1, 2):
        rating_page([tmp_path / "a", tmp_path / "b"], tmp_path / "p.html", Rating(seed=seed))
        pages.append((tmp_path / "p.html").read_bytes())
    assert pages[0] == pages[1] != pages[2]


def test_a_page_is_overwritten_only_when_asked(tmp_path, capsys):
    a, b, page = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", 120), tmp_path / "p.html"
    assert misr("mos", "make", a, b, "-o", page) == 0
    assert misr("mos", "make", a, b, "-o", page) == 1
    assert "raters may be at it" in capsys.readouterr().err
    assert misr("mos", "make", a, b, "-o", page, "-y") == 0


def test_a_subcommand_or_option_that_is_none_is_told(capsys):
    assert misr("mos", "mke") == 2
    assert "it has make, score" in capsys.readouterr().err
    assert misr("mos", "score", "-q") == 2
    assert "unknown option -q" in capsys.readouterr().err
