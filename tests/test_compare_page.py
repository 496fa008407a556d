"""misr compare's page as people use it, in a real Chromium: dragged, typed at, tapped, played. Pictures are flat, so pixels tell.

BEFORE has the code 40 + n in frame n, two AFTERS 200 + n and 120 + n, the reference 190 + n.
"""

import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from misr.report import Comparing, compare
from tests.browser import CHROMIUM, Browser

pytestmark = [pytest.mark.chromium, pytest.mark.usefixtures("one_thread")]
FRAMES = 6
CODES = {"before": 40, "after": 200, "other": 120, "truth": 190}


def flat(folder: Path, name: str, numbers=range(FRAMES)) -> Path:
    """A sequence of flat gray pictures."""
    place = folder / name
    place.mkdir()
    size = (24, 32) if name == "before" else (48, 64)
    for n in numbers:
        cv2.imwrite(str(place / f"{n:03d}.png"), np.full((*size, 3), CODES[name] + n, np.uint8))
    return place


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of all four."""
    folder = tmp_path_factory.mktemp("page")
    places = {name: flat(folder, name) for name in CODES}
    how = Comparing(framerate=Fraction(25))
    compare(places["before"], [places["after"], places["other"]], folder / "page.html", how, ref=places["truth"])
    return folder / "page.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests of this file."""
    assert CHROMIUM
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium, page):
    """The browser with the page opened, wide and light; at the end it must have complained of nothing."""
    chromium.theme("light")
    chromium.open(page)
    yield chromium
    assert chromium.complaints() == []


def frame(browser, number: int) -> None:
    """Wait until a frame is painted."""
    browser.wait(f"shown === {number} && state.frame === {number}")


def test_the_page_opens_from_a_file_and_shows_both_sides(browser):
    assert browser.js("location.protocol") == "file:"
    assert (browser.code(0.25), browser.code(0.75)) == (40, 200)
    assert browser.js("document.querySelectorAll('#inputs thead th').length") == 4
    assert "frame 1 of 6" in browser.js("$('time').value")
    assert browser.js("$('command').textContent").startswith("misr compare ")


def test_the_divider_is_dragged(browser):
    browser.drag(browser.point(0.5), browser.point(0.4), browser.point(0.1))
    assert browser.js("+$('divider').getAttribute('aria-valuenow')") == 10
    assert (browser.code(0.05), browser.code(0.25)) == (40, 200)
    browser.drag(browser.point(0.8, 0.2), browser.point(0.9, 0.9))  # anywhere on the picture
    assert (browser.code(0.85), browser.code(0.95)) == (40, 200)


def test_the_divider_is_dragged_by_a_finger(browser):
    x, y = browser.point(0.75)
    browser.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    x, y = browser.point(0.25)
    browser.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y}])
    browser.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert browser.js("Math.round(100 * state.split)") == 25


def test_arrows_move_the_divider_where_it_has_the_focus_and_frames_elsewhere(browser):
    browser.js("$('divider').focus()")
    browser.key("ArrowRight")
    assert browser.js("[state.frame, Math.round(100 * state.split)]") == [0, 52]
    browser.js("$('divider').blur()")
    browser.key("ArrowRight")
    frame(browser, 1)


def test_keys_step_through_the_frames_of_all_inputs(browser):
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    frame(browser, 2)
    assert (browser.code(0.25), browser.code(0.75)) == (42, 202)
    browser.key("ArrowLeft")
    frame(browser, 1)
    browser.key("End")
    frame(browser, 5)
    browser.key("ArrowRight")
    frame(browser, 5)  # there is none after it
    browser.key("Home")
    frame(browser, 0)
    assert "0.000 s" in browser.js("$('time').value")


def test_digits_choose_the_inputs(browser):
    browser.key("3")
    browser.wait("current[2] && state.right === 2")
    assert (browser.code(0.25), browser.code(0.75)) == (40, 120)
    browser.key("4", shift=True)
    browser.wait("current[3] && state.left === 3")
    assert browser.code(0.25) == 190
    browser.key("x")
    browser.wait("state.left === 2")
    assert browser.js("[$('left').value, $('right').value]") == ["2", "3"]
    browser.key("9")
    assert browser.js("state.right") == 3


def test_the_difference_is_shown_with_its_scale(browser):
    browser.key("d")
    browser.wait("$('differ').value !== ''")
    assert browser.js("$('differ').value") == "mean 160.00, largest 160"
    assert not browser.js("$('heat').hidden")
    assert browser.js("$('divider').hidden")
    brightest = browser.code(0.5)
    browser.key("4", shift=True)  # the reference on the left
    browser.wait("$('differ').value === 'mean 10.00, largest 10'")
    assert 0 < browser.code(0.5) < brightest
    browser.js("$('reach').value = '8'; $('reach').dispatchEvent(new Event('change'))")
    assert browser.code(0.5) == brightest
    assert "8 and more" in browser.js("$('most').textContent")
    browser.key("d")
    assert not browser.js("$('divider').hidden")


def test_the_loupe_shows_one_place_of_every_input(browser):
    browser.key("z")
    browser.wait("!$('loupes').hidden && current.every(Boolean)")
    shown = [browser.code(0.5, canvas=f".lens:nth-child({n}) canvas") for n in range(1, 5)]
    assert shown == [40, 200, 120, 190]
    browser.mouse("mouseMoved", *browser.point(0.25, 0.75))
    assert browser.js("[state.lx, state.ly]") == pytest.approx([0.25, 0.75], abs=0.02)
    browser.drag(browser.point(0.25, 0.75))  # a click holds it
    browser.mouse("mouseMoved", *browser.point(0.9, 0.1))
    assert browser.js("state.held && Math.abs(state.lx - .25) < .02")
    browser.key("+", shift=True)
    assert browser.js("$('power-told').value") == "500 %"
    for _ in range(9):
        browser.key("+", shift=True)
    assert browser.js("state.power") == 800
    before = browser.js("state.lx")
    browser.key("ArrowRight", alt=True)
    assert browser.js("state.lx") > before
    browser.key("z")
    assert browser.js("$('loupes').hidden")


def halves(left: str, right: str) -> str:
    """JavaScript for a canvas of two colours, to stand for a picture."""
    return f"""(() => {{
        const sheet = document.createElement("canvas"), pen = sheet.getContext("2d", {{ willReadFrequently: true }});
        [sheet.width, sheet.height] = [64, 48];
        pen.fillStyle = "{left}"; pen.fillRect(0, 0, 32, 48);
        pen.fillStyle = "{right}"; pen.fillRect(32, 0, 32, 48);
        return sheet;
    }})()"""


def test_the_loupe_is_where_it_is_put(browser):
    browser.key("z")
    browser.wait("$('power-told').value")
    browser.js(f"current[1] = {halves('rgb(10 10 10)', 'rgb(90 90 90)')}; 0")
    for x, seen in ((0.25, 10), (0.75, 90)):
        browser.js(f"lookAt({x}, 0.5)")
        assert browser.code(0.5, canvas=".lens:nth-child(2) canvas") == seen


def test_a_difference_is_that_of_the_channel_with_most_in_either_direction(browser):
    one, other = halves("rgb(10 100 7)", "rgb(90 5 5)"), halves("rgb(50 100 7)", "rgb(90 5 25)")
    for a, b in ((one, other), (other, one)):
        found = browser.js(f"(() => {{ const d = difference({a}, {b}); return [d.mean, d.largest] }})()")
        assert found == [30, 40]


def test_what_was_asked_for_last_is_shown_however_slow_the_rest(browser):
    browser.js("""{
        const quick = picture, slow = () => new Promise((done) => setTimeout(done, 80));
        picture = async (input, n) => { if (n === 1) await slow(); return quick(input, n); };
    }""")
    browser.js("go(1); go(2); new Promise((r) => setTimeout(r, 160))")
    assert browser.js("shown") == 2
    assert browser.code(0.25) == 42


def test_zooming_keeps_inputs_on_one_place(browser):
    browser.click("#full")
    assert browser.js("$('zoom').value") == "100 %"
    for _ in range(12):
        browser.key("+")
    assert browser.js("state.zoom") == 16
    browser.drag(browser.point(0.2), browser.point(0.3), browser.point(0.4))
    assert browser.js("state.x") < 0.5
    assert browser.js("state.split") == 0.5  # a drag moves the picture now
    browser.key("0")
    assert browser.js("[state.zoom, state.x]") == [0, 0.5]
    x, y = browser.point(0.75)
    for _ in range(30):
        browser.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-60, modifiers=2)
    browser.wait("state.x > .5")  # what is under the pointer stays there
    browser.key("p")
    assert browser.js("$('smooth').textContent") == "Pixels"


def test_it_plays_every_frame_in_order_and_stops(browser):
    browser.js("window.seen = []; const paintOnly = paint; paint = () => { window.seen.push(shown); paintOnly() }; 0")
    browser.key(" ")
    assert browser.js("$('play').getAttribute('aria-label')") == "Pause"
    browser.wait(f"window.seen.length > {2 * FRAMES}")
    browser.key(" ")
    seen = browser.js("window.seen")
    assert all((b - a) % FRAMES in (0, 1) for a, b in pairwise(seen))
    assert {*seen} == {*range(FRAMES)}
    browser.wait("!state.playing")
    at = browser.js("state.frame")
    time.sleep(0.15)
    assert browser.js("state.frame") == at


def test_side_by_side_each_has_its_half(browser):
    browser.key("b")
    assert (browser.code(0.25), browser.code(0.75)) == (40, 200)
    assert [
        b["p"]
        for b in browser.js(
            "[...document.querySelectorAll('[data-mode]')].map((b) => ({p: b.getAttribute('aria-pressed')}))"
        )
    ] == ["false", "true", "false"]
    browser.size(400, 800)
    browser.wait("stacked()")
    browser.wait("canvas.height > canvas.width")
    assert (browser.code(0.5, 0.25), browser.code(0.5, 0.75)) == (40, 200)


def test_a_plot_tells_values_and_goes_to_its_frame(browser):
    assert browser.js("document.querySelectorAll('.plot').length") == 3
    assert browser.js("document.querySelector('.plot > svg').getAttribute('aria-label')").startswith(
        "PSNR of the luma by frame"
    )
    browser.js("document.querySelector('.plot > svg').scrollIntoView({block: 'center'})")
    x, y, w, h = browser.box(".plot > svg")
    browser.mouse("mouseMoved", x + w - 12, y + h / 2)
    assert "frame 6" in browser.js("document.querySelector('.plot figcaption').textContent")
    assert "before, bicubic" in browser.js("document.querySelector('.plot figcaption').textContent")
    value = browser.js("document.querySelectorAll('.plot .value')[1].textContent")
    assert value == f"{browser.js('facts.metrics[0].scores[1][5]'):.2f}"
    browser.drag((x + w - 12, y + h / 2))
    frame(browser, 5)


def test_every_frame_is_in_the_table_when_it_is_opened(browser):
    browser.js("$('every').open = true")
    browser.wait("$('frames').rows.length > 0")
    assert browser.js("$('frames').rows.length") == FRAMES + 1
    assert browser.js("[...$('frames').rows[3].cells].map((c) => c.textContent)")[:3] == ["3", "0.080", "0.080"]


def test_it_is_light_or_dark_as_the_system_or_the_reader_wants(browser):
    paper = "getComputedStyle(document.body).backgroundColor"
    assert browser.js(paper) == "rgb(255, 255, 255)"
    browser.theme("dark")
    dark = browser.js(paper)
    assert dark != "rgb(255, 255, 255)"
    browser.key("t")
    browser.key("t")
    assert browser.js(paper) == "rgb(255, 255, 255)"
    assert "light" in browser.js("$('theme').textContent")
    browser.theme("light")
    browser.key("t")
    browser.key("t")
    assert browser.js(paper) == dark


@pytest.mark.parametrize("width", [360, 400, 1280, 2560])
def test_nothing_sticks_out_at_any_width(browser, width):
    browser.size(width, 800)
    for key in ("s", "b", "d", "z"):
        browser.key(key)
        assert browser.js("document.documentElement.scrollWidth") <= width
    x, _, w, _ = browser.box("#stage")
    assert 0 <= x and x + w <= width


def test_help_opens_and_closes_by_keys(browser):
    browser.key("?")
    assert browser.js("$('help').open")
    browser.key("ArrowRight")
    assert browser.js("state.frame") == 0  # the page behind it does not move
    browser.key("Escape")
    browser.wait("!$('help').open")


def test_every_control_has_a_name(browser):
    browser.key("z")
    browser.key("d")
    browser.wait("current.every(Boolean) && $('power-told').value")
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        n for n in nodes if n.get("role", {}).get("value") in ("button", "slider", "combobox", "image", "toolbar")
    ]
    assert len(controls) > 15
    assert [n for n in controls if not n.get("name", {}).get("value", "").strip() and not n.get("ignored")] == []


def test_a_frame_that_is_not_there_is_said_and_the_others_stay(chromium, tmp_path):
    before, after = flat(tmp_path, "before"), flat(tmp_path, "after", range(3))
    compare(before, after, tmp_path / "x.html")
    chromium.open(tmp_path / "x.html")
    chromium.js("go(4)")
    frame(chromium, 4)
    assert chromium.js("current.map(Boolean)") == [True, False]
    assert chromium.code(0.25) == 44
    chromium.key("d")
    assert chromium.js("$('differ').value") == ""
    assert chromium.complaints() == []


def test_stills_have_no_player(chromium, tmp_path):
    before, after = flat(tmp_path, "before", [0]), flat(tmp_path, "after", [0])
    compare(before / "000.png", after / "000.png", tmp_path / "x.html")
    chromium.open(tmp_path / "x.html")
    assert chromium.js("document.querySelector('.transport').hidden")
    assert chromium.js("$('plots').hidden")
    chromium.key(" ")
    assert not chromium.js("state.playing")
    assert chromium.complaints() == []
