"""A rating as people do it, in a real Chromium: blind, by keyboard, saved as a file, scored. Pictures are flat, so pixels tell.

Method a has the code 20 + 10 n in content n, b 80 + 10 n, the reference 140 + 10 n.
"""

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from misr.report import Rating, opinions, rating_page
from tests.browser import CHROMIUM, Browser
from tests.command import misr

pytestmark = [pytest.mark.chromium, pytest.mark.usefixtures("one_thread")]
BASE = {"a": 20, "b": 80, "truth": 140}
VOTES = {"a": 2, "b": 4, "truth": 5}
CONTENTS = ("one", "three", "two")


def made(folder: Path) -> list[Path]:
    """Two methods and the truth, three pictures each."""
    for name, code in BASE.items():
        (folder / name).mkdir()
        for n, content in enumerate(CONTENTS):
            cv2.imwrite(str(folder / name / f"{content}.png"), np.full((48, 64, 3), code + 10 * n, np.uint8))
    return [folder / name for name in BASE]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests of this file."""
    assert CHROMIUM
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rating")
    *methods, truth = made(folder)
    rating_page(methods, folder / "page.html", Rating(names=("one-way", "other-way")), ref=truth)
    return folder / "page.html"


def begin(browser: Browser, page: Path, rater: str = "Ann B.") -> None:
    """Open a page and go to its practice."""
    browser.js("window.onbeforeunload = null; votes = []") if browser.js("typeof votes") == "object" else None
    browser.events.clear()
    browser.size(1280, 900)
    browser.send("Page.navigate", url=page.resolve().as_uri())
    browser.wait("typeof order !== 'undefined' && document.readyState === 'complete'")
    browser.js(f"$('rater').value = {rater!r}; $('begin').requestSubmit()")


def method_of(code: int) -> str:
    return max((name for name in BASE if BASE[name] <= code), key=BASE.__getitem__)


def rated(browser: Browser, folder: Path) -> Path:
    """Rate all that is shown by what it is, with keys, and save."""
    many = browser.js("order.length")
    for place in range(many):
        browser.wait(f"ready && shown === {place}")
        browser.key(str(VOTES[method_of(browser.code(0.5))]))
    browser.wait("!$('end').hidden")
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.key("Enter") if browser.js("document.activeElement === document.body") else browser.click("#save")
    name = browser.js("$('saved').value").split(" is ")[0]
    for _ in range(500):
        if (folder / name).exists() and (folder / name).stat().st_size:
            break
        browser.js("new Promise((done) => setTimeout(done, 20))")
    return folder / name


def test_a_rater_rates_by_keyboard_saves_and_the_file_is_scored(chromium, page, tmp_path, capsys):
    begin(chromium, page)
    saved = rated(chromium, tmp_path)
    assert saved.name == "mos-Ann-B-.json"
    found = opinions([saved])
    assert {name: score.mean for name, score in found.methods.items()} == {"one-way": 2, "other-way": 4, "reference": 5}
    assert {name: score.mean for name, score in found.differential.items()} == {"one-way": 2, "other-way": 4}
    assert (found.raters, found.reference, found.contents) == (("Ann B.",), "reference", CONTENTS)
    assert misr("mos", "score", saved) == 0
    assert "1 rater, 3 contents, 9 ratings" in capsys.readouterr().out
    assert chromium.complaints() == []


def test_a_page_tells_no_rater_what_is_shown(page):
    """Names of methods and contents are nowhere in the clear, and the title and order of the pictures say nothing."""
    text = page.read_text()
    told = json.loads(text.split('id="facts">')[1].split("</script>")[0])
    assert set(told["stimuli"][0]) == {"content", "frames", "times", "size", "media"}
    key = text.split('id="key">')[1].split("</script>")[0]
    hidden = json.loads(base64.b64decode(key))
    assert hidden["methods"] == ["one-way", "other-way", "reference"]
    outside = text.replace(key, "")
    assert [
        name for name in (*hidden["methods"][:2], '"reference"', "three", str(page.parent)) if name in outside
    ] == []
    places = [s[1] for s in hidden["stimuli"]]
    assert places != sorted(places)


def test_pictures_are_shown_at_their_own_size(chromium, page):
    begin(chromium, page)
    chromium.wait("ready && shown === 0")
    assert chromium.js("[$('canvas').width, $('canvas').clientWidth, $('canvas').clientHeight]") == [64, 64, 48]


def test_practice_comes_first_and_does_not_count(chromium, page):
    begin(chromium, page)
    assert chromium.js("[order.length, $('place').value]") == [10, "practice"]
    assert chromium.js("order[0]") == chromium.js("facts.practice")
    assert chromium.js("[...order.slice(1)].sort().join('')") == "012345678"
    assert chromium.js("seen[order[0]].content !== seen[order[1]].content")


def test_one_name_has_one_order_and_another_has_another(chromium, page):
    orders = []
    for rater in ("Ann", "Ann", "Bob"):
        begin(chromium, page, rater)
        orders.append(chromium.js("order"))
    assert orders[0] == orders[1] != orders[2]


def test_no_content_follows_itself_where_that_can_be(chromium, page):
    begin(chromium, page)
    twice = """[[4, 3], [9, 5], [2, 4], [3, 2]].map(([contents, versions]) => {
        const all = [...Array(contents * versions).keys()].map((n) => n % contents);
        return [...Array(50).keys()].filter((seed) => {
            const found = ordered(all, numbers(`seed ${seed}`));
            const whole = [...found].sort((a, b) => a - b).every((n, k) => n === k);
            return !whole || found.some((n, k) => k && all[n] === all[found[k - 1]]);
        }).length;
    })"""
    assert chromium.js(twice) == [0, 0, 0, 0]
    assert chromium.js("ordered([0, 0, 0], numbers('x')).length") == 3


def test_backspace_goes_back_and_the_later_vote_counts(chromium, page):
    begin(chromium, page)
    chromium.wait("ready && shown === 0")
    chromium.key("3")
    chromium.wait("ready && shown === 1")
    chromium.key("1")
    chromium.wait("ready && shown === 2")
    chromium.key("Backspace")
    chromium.wait("ready && shown === 1 && at === 1")
    chromium.key("5")
    chromium.wait("ready && shown === 2")
    assert chromium.js("votes.map((v) => v.score)") == [3, 5]


def test_other_keys_rate_nothing(chromium, page):
    begin(chromium, page)
    chromium.wait("ready && shown === 0")
    for key in ("6", "0", "x"):
        chromium.key(key)
    assert chromium.js("[votes.length, at]") == [0, 0]


def test_light_and_dark_by_key_and_by_system(chromium, page):
    begin(chromium, page)
    papers = []
    for name in ("light", "dark"):
        chromium.theme(name)
        papers.append(chromium.js("getComputedStyle(document.body).backgroundColor"))
    assert papers[0] != papers[1]
    chromium.theme("light")
    chromium.wait("ready")
    chromium.key("t")
    assert chromium.js("getComputedStyle(document.body).backgroundColor") == papers[1]
    assert chromium.js("getComputedStyle($('stage')).backgroundColor") == "rgb(128, 128, 128)"


def test_a_clip_is_rated_only_when_all_of_it_was_seen(chromium, tmp_path):
    for name in ("a", "b"):
        for content in ("x", "y"):
            (tmp_path / name / content).mkdir(parents=True)
            for n in range(6):
                picture = np.full((48, 64, 3), 30 + 10 * n + 100 * (name == "b"), np.uint8)
                cv2.imwrite(str(tmp_path / name / content / f"{n:03d}.png"), picture)
    made = rating_page(
        [tmp_path / "a", tmp_path / "b"], tmp_path / "p.html", Rating(framerate=10, sequence=True, seed=2)
    )
    assert made.contents == ("x", "y")
    begin(chromium, tmp_path / "p.html")
    chromium.wait("shown === 0")
    assert chromium.js("[ready, seen[0].frames, seen[0].times[5]]") == [False, 6, 0.5]
    chromium.key("5")
    assert chromium.js("votes.length") == 0
    chromium.wait("ready")
    assert chromium.code(0.5) in (80, 180)  # the last frame
    assert not chromium.js("$('again').hidden")
    chromium.key(" ")
    assert not chromium.js("ready")
    chromium.wait("ready")
    chromium.key("5")
    assert chromium.js("[votes.length, at]") == [1, 1]
    assert chromium.complaints() == []
