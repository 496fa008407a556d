"""misr compare, what is on the page: frames of one time side by side, pictures as they are, scores as misr eval has them."""

import re
import shlex
from fractions import Fraction

import numpy as np
import pytest

import misr
from misr.report import Comparing, compare
from misr.report import pictures as pictures_room
from misr.report.inputs import opened
from misr.report.match import partners, tolerance
from misr.report.pictures import common_cells, part_asked
from misr.report.scores import at_size
from tests import media
from tests.command import misr as command
from tests.command import one_sentence, up
from tests.comparisons import MS, clip, pictures, rgb, told

pytestmark = pytest.mark.usefixtures("one_thread")


# ---------------------------------------------------------------- which frames belong together


def test_partners_are_of_one_time_whatever_their_numbers():
    times = [Fraction(n, 25) for n in range(6)]
    others = [times[0], times[2] + MS, times[3] - MS, times[5]]
    assert partners(times, others, tolerance(Fraction(25))) == [0, None, 1, 2, None, 3]
    assert partners(times, [], MS) == [None] * 6


def test_partners_are_within_a_quarter_of_the_shorter_frame():
    within = tolerance(Fraction(25), Fraction(50))
    assert within == Fraction(1, 200)
    assert partners([Fraction(0)], [within], within) == [0]
    assert partners([Fraction(0)], [within + MS], within) == [None]


def test_one_frame_is_the_partner_of_one_frame():
    times = [Fraction(0), Fraction(1, 25), Fraction(7, 100)]
    assert partners(times, [Fraction(5, 100)], Fraction(1)) == [None, 0, None]


def test_frames_are_matched_by_time_and_what_is_missing_is_said(tmp_path):
    before, after = clip(tmp_path, "a"), clip(tmp_path, "b", [0, 1, 3, 4, 6, 7], size=(128, 96))
    made = compare(before, after, tmp_path / "x.html")
    facts, seen = told(tmp_path / "x.html"), pictures(tmp_path / "x.html")
    assert facts["times"] == [n / 25 for n in range(8)]
    assert facts["inputs"][1]["at"] == [0, 0.04, None, 0.12, 0.16, None, 0.24, 0.28]
    assert sorted(n for i, n in seen if i == 1) == [0, 1, 3, 4, 6, 7]
    for n, picture in enumerate(rgb(after)):
        assert np.array_equal(seen[1, [0, 1, 3, 4, 6, 7][n]], picture)
    assert "b.mkv shows no frame at 2 of the 8 times of a.mkv." in made.notes


def test_frames_between_those_of_before_are_left_out_and_said(tmp_path):
    before, after = clip(tmp_path, "a", range(0, 8, 2)), clip(tmp_path, "b")
    made = compare(before, after, tmp_path / "x.html")
    assert made.frames == 4
    assert "3 frames of b.mkv lie between those of a.mkv and are left out." in made.notes


def test_a_clip_of_another_zero_is_matched_from_its_first_frame(tmp_path):
    before, after = clip(tmp_path, "a", start_ms=1400), clip(tmp_path, "b")
    made = compare(before, after, tmp_path / "x.html")
    assert told(tmp_path / "x.html")["inputs"][1]["at"] == [n / 25 for n in range(8)]
    assert any("1.400 s later than it says" in note for note in made.notes)


def test_a_shift_that_is_given_is_the_only_one_tried(tmp_path):
    before, after = clip(tmp_path, "a"), clip(tmp_path, "b", range(3))
    compare(before, after, tmp_path / "x.html", Comparing(shift=Fraction(1, 5)))
    assert told(tmp_path / "x.html")["inputs"][1]["at"] == [None] * 5 + [0, 0.04, 0.08]
    with pytest.raises(misr.InputError, match="-itsoffset"):
        compare(before, after, tmp_path / "y.html", Comparing(shift=Fraction(9)))


def test_a_span_is_shown_and_no_more(tmp_path):
    a, b = clip(tmp_path, "a", range(30)), clip(tmp_path, "b", range(30))
    how = Comparing(start=Fraction(1, 5), duration=Fraction(2, 5))
    assert compare(a, b, tmp_path / "x.html", how).frames == 10
    assert told(tmp_path / "x.html")["times"] == [n / 25 for n in range(5, 15)]
    assert np.array_equal(pictures(tmp_path / "x.html")[1, 0], rgb(b)[5])
    assert compare(a, b, tmp_path / "x.html", Comparing(frames=4)).frames == 4


def test_a_sequence_has_the_rate_of_the_clip_it_is_compared_with(tmp_path):
    before, after = clip(tmp_path, "a", range(5), step_ms=100), media.sequence(tmp_path, frames=5)
    compare(before, after, tmp_path / "x.html")
    assert told(tmp_path / "x.html")["inputs"][1]["at"] == [0, 0.1, 0.2, 0.3, 0.4]


def test_stills_are_compared_too(tmp_path):
    a, b = media.picture(tmp_path, name="a", size=(64, 48)), media.picture(tmp_path, name="b", size=(128, 96))
    assert compare(a, b, tmp_path / "x.html").frames == 1
    assert told(tmp_path / "x.html")["shape"] == [128, 96]


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray", "bgr0", "yuva444p"])
def test_pictures_are_what_misr_makes_of_the_samples(tmp_path, pix_fmt):
    path = clip(tmp_path, "a", range(2), pix_fmt=pix_fmt)
    made = compare(path, path, tmp_path / "x.html")
    seen = pictures(tmp_path / "x.html")
    for n, picture in enumerate(rgb(path)):
        assert np.array_equal(seen[0, n], picture)
    assert any("10 bits" in note for note in made.notes) == ("10" in pix_fmt)
    assert any("alpha" in note for note in made.notes) == ("yuva" in pix_fmt)
    assert "kept without loss" in made.notes[0]


def test_turned_and_wide_pixels_are_shown_as_players_do(tmp_path):
    wide = media.clip(tmp_path, name="wide", size=(64, 48), sar=Fraction(2), frames=2)
    turned = media.clip(tmp_path, name="turned", suffix="mp4", size=(64, 48), rotation=90, frames=2)
    one, other = opened(str(wide), "before"), opened(str(turned), "before")
    assert one.shape == (128, 48)
    assert other.size == (48, 64)
    assert "upright" in other.facts()["picture"]
    made = compare(wide, clip(tmp_path, "square", range(2), size=(128, 96)), tmp_path / "x.html")
    assert any("shown stretched" in note for note in made.notes)


def test_hdr_is_said_not_to_be_tone_mapped(tmp_path):
    path = media.clip(
        tmp_path, codec="libx265", pix_fmt="yuv420p10le", color=media.BT2020_PQ, frames=2, options=media.HDR10
    )
    assert any("PQ" in note and "tone mapping" in note for note in compare(path, path, tmp_path / "x.html").notes)


def test_too_much_becomes_jpeg_then_a_part_then_fewer_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures_room, "SMALLEST_PART", 80)
    a, b = clip(tmp_path, "a", size=(128, 96)), clip(tmp_path, "b", size=(256, 192))
    whole = compare(a, b, tmp_path / "x.html", Comparing(limit_bytes=10**8))
    own = (tmp_path / "x.html").read_text()
    own_bytes = len(re.sub(r'text/plain" id="p[^<]*<', "", own))  # the page's files, and what it tells
    worn = compare(a, b, tmp_path / "x.html", Comparing(limit_bytes=int((whole.size_bytes - own_bytes) * 0.9)))
    assert "JPEG" in worn.notes[0]
    error = np.abs(pictures(tmp_path / "x.html")[1, 0].astype(int) - rgb(b)[0])
    assert 0 < error.max() <= 60
    assert error.mean() < 2
    limit = (worn.size_bytes - own_bytes) // 3
    part = compare(a, b, tmp_path / "x.html", Comparing(limit_bytes=limit))
    assert "A part of each picture" in part.notes[1]
    assert part.frames == 8
    assert part.size_bytes < limit + own_bytes + 1000
    few = compare(a, b, tmp_path / "x.html", Comparing(limit_bytes=limit, crop="none"))
    assert few.frames < 8
    assert any("The page is full" in note for note in few.notes)
    assert len(told(tmp_path / "x.html")["times"]) == few.frames


def test_a_part_is_the_same_place_of_every_input(tmp_path):
    a, b = clip(tmp_path, "a", range(2), size=(96, 64)), clip(tmp_path, "b", range(2), size=(192, 128))
    made = compare(a, b, tmp_path / "x.html", Comparing(crop="40x20+30+10"))
    seen, facts = pictures(tmp_path / "x.html"), told(tmp_path / "x.html")
    assert np.array_equal(seen[0, 1], rgb(a)[1][10:30, 30:70])
    assert np.array_equal(seen[1, 1], rgb(b)[1][20:60, 60:140])
    assert facts["shape"] == [80, 40]
    assert "40x20+30+10" in made.notes[1]


def test_a_part_begins_where_pixels_of_all_inputs_do():
    sizes = [(60, 45), (80, 60), (100, 75)]
    assert common_cells(sizes) == (20, 15)
    for size in sizes:
        left, top, w, h = part_asked("31x20+10+8", sizes).of(size)
        assert (left * 60, w * 60, top * 45, h * 45) == (9 * size[0], 30 * size[0], 6 * size[1], 21 * size[1])


# ---------------------------------------------------------------- scores


def test_scores_are_those_of_misr_eval(tmp_path):
    before, truth = clip(tmp_path, "a"), clip(tmp_path, "t", size=(128, 96))
    after = tmp_path / "b.mkv"
    assert up(before, after, "-m", "bicubic", "-s", "2", "-c:v", "libx264", "-crf", "30") == 0
    compare(before, after, tmp_path / "x.html", ref=truth)
    facts = told(tmp_path / "x.html")
    report = misr.evaluate(after, truth, misr.Measure(("psnr", "ssim", "flicker")))
    rows = report.rows[0].items[0].frames
    for metric in facts["metrics"]:
        expected = [row[metric["key"]] for row in rows]
        assert metric["scores"][1] == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert metric["scores"][2] is None
    assert facts["inputs"][1]["mean"]["psnr_db"] == pytest.approx(report.rows[0].mean["psnr_db"], abs=1e-6)
    assert facts["inputs"][1]["mean"]["psnr_db"] != facts["inputs"][0]["mean"]["psnr_db"]


def test_another_size_is_measured_as_bicubic_would_make_it(tmp_path):
    frames = list(misr.open(clip(tmp_path, "a", range(2))))
    bicubic = list(misr.load("bicubic", scale=2, device="cpu", precision="fp32").stream(frames))
    for frame, sharp in zip(frames, bicubic, strict=True):
        for ours, theirs in zip(at_size(frame, (128, 96)).planes, sharp.planes, strict=True):
            assert np.array_equal(ours, theirs)
    assert at_size(frames[0], (64, 48)) is frames[0]


def test_a_frame_that_equals_the_truth_is_infinitely_close(tmp_path):
    path = clip(tmp_path, "a")
    compare(path, path, tmp_path / "x.html", ref=path)
    psnr = told(tmp_path / "x.html")["metrics"][0]
    assert psnr["scores"][1] == ["inf"] * 8


# ---------------------------------------------------------------- the page


def test_the_page_asks_for_nothing_from_anywhere(tmp_path):
    path = clip(tmp_path, "a", range(2))
    compare(path, path, tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert not [
        word for word in ("http:", "https:", "//www", "@import", "url(", '<link rel="style', " src=") if word in text
    ]
    assert "default-src 'none'" in text
    assert [p.name for p in tmp_path.iterdir() if "x.html" in p.name] == ["x.html"]


def test_names_are_text_and_cannot_end_the_data(tmp_path):
    path = clip(tmp_path, "a", range(1))
    names = ("</script><b>&\"'", "\udcff")
    compare(path, [path, path], tmp_path / "x.html", Comparing(names=names))
    assert [i["name"] for i in told(tmp_path / "x.html")["inputs"][1:]] == list(names)
    assert "</script><b>" not in (tmp_path / "x.html").read_text()


def test_files_called_alike_are_told_apart(tmp_path):
    one, other = clip(tmp_path / "lr", "a", range(1)), clip(tmp_path / "sr", "a", range(1))
    compare(one, other, tmp_path / "x.html", ref=other)
    assert [i["name"] for i in told(tmp_path / "x.html")["inputs"]] == ["lr/a.mkv", "sr/a.mkv", "sr/a.mkv (reference)"]


def test_the_command_on_the_page_makes_the_page_again(tmp_path):
    a, b = clip(tmp_path, "a", range(20)), clip(tmp_path, "b c", range(20), size=(128, 96))
    how = Comparing(Fraction(1, 3), Fraction(1, 4), 5, "32x24+3+4", Fraction(-1, 25), ("x y",), limit_bytes=10**6)
    compare(a, b, tmp_path / "x.html", how, ref=b)
    first = (tmp_path / "x.html").read_text()
    line = told(tmp_path / "x.html")["command"]
    assert command(*shlex.split(line)[1:], "--progress", "none") == 0
    assert (tmp_path / "x.html").read_text() == first


# ---------------------------------------------------------------- what cannot be


def test_a_damaged_clip_is_one_sentence_or_its_frames_repeat(tmp_path, capsys):
    path = media.clip(tmp_path, size=(64, 48), codec="mjpeg", pix_fmt="yuvj420p", frames=20)
    with media.av.open(str(path)) as source:
        packets = [bytes(p) for p in source.demux() if p.size]
    worn = tmp_path / "worn.mkv"
    worn.write_bytes(path.read_bytes().replace(packets[9], bytes(len(packets[9]))))
    page = tmp_path / "x.html"
    assert command("compare", path, worn, "-o", page, "-t", "2") == 1
    assert "--on-error repeat" in one_sentence(capsys.readouterr().err)
    assert not page.exists()
    assert command("compare", path, worn, "-o", page, "-t", "2", "--on-error", "repeat") == 0
    assert told(page)["inputs"][1]["at"] == [n / 25 for n in range(20)]


BAD = [
    ("none.mkv b.mkv -o x.html", "no such file"),
    ("a.mkv none.mkv -o x.html", "no such file"),
    ("a.mkv - -o x.html", "standard input"),
    ("a.mkv b.mkv -o x.mkv", "ends in .html"),
    ("a.mkv b.mkv -o none/x.html", "folder that exists"),
    ("a.mkv -o x.html", "something to compare"),
    ("a.mkv b.mkv -o x.html --names p,q", "2 names"),
    ("a.mkv" + 9 * " b.mkv" + " -o x.html", "nine|9"),
    ("a.mkv b.mkv -o x.html --crop 3y4", "--crop 3y4"),
    ("a.mkv b.mkv -o x.html --crop 65x4+0+0", "not inside"),
    ("a.mkv b.mkv -o x.html -ss 99", "check -ss"),
    ("a.mkv b.mkv -o x.html -ss soon", "not a time"),
    ("a.mkv b.mkv -o x.html -t 0", "-t 0"),
    ("a.mkv b.mkv -o x.html --frames 0", "--frames 0"),
    ("a.mkv b.mkv -o x.html -fs big", "-fs big"),
    ("a.mkv b.mkv -o x.html -itsoffset 77", "none|no frame"),
    ("a.mkv b.mkv -o x.html --ref text.mkv", "not a readable video"),
    ("a.mkv broken.mkv -o x.html", "text|readable|decodes"),
]


@pytest.mark.parametrize(("words", "says"), BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path, "a", range(3))
    clip(tmp_path, "b", range(3))
    (tmp_path / "text.mkv").write_text("no clip")
    (tmp_path / "broken.mkv").write_bytes((tmp_path / "a.mkv").read_bytes()[:300])
    before = sorted(p.name for p in tmp_path.iterdir())
    assert command("compare", *words.split()) != 0
    assert re.search(says, one_sentence(capsys.readouterr().err))
    assert sorted(p.name for p in tmp_path.iterdir()) == before
