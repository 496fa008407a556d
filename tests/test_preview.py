"""Where there is most to see in a clip, and misr upscale --preview, which shows it before a long run."""

import shlex
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import misr
from misr.report import detail, preview
from tests import media
from tests.command import misr as command
from tests.command import one_sentence, up
from tests.comparisons import clip, pictures, rgb, told

pytestmark = pytest.mark.usefixtures("one_thread")


def plain_then_busy(folder: Path, busy: range, many: int = 60) -> Path:
    """A clip whose frames are flat but for a stretch."""
    path = folder / "film.mkv"
    with media.av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(many):
            frame = media.frame(n, "yuv420p", 64, 48)
            if n not in busy:
                media.fill(frame.planes[0], np.full((48, 64), 90, np.uint8))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_frames_since_a_time_leave_out_what_is_decoded_before_it(tmp_path):
    time = Fraction(17, 25)  # between the keyframes 10 and 20
    reader = misr.open(plain_then_busy(tmp_path, range(0)))
    assert next(detail.at(reader, time)).time == Fraction(10, 25)
    assert [f.time for f in detail.since(reader, time)] == [Fraction(n, 25) for n in range(17, 60)]
    reader.close()


@pytest.mark.parametrize("most", [900, 30])
def test_the_most_detailed_seconds_are_found(tmp_path, monkeypatch, most):
    monkeypatch.setattr(detail, "LOOK_THROUGH", most)  # read through, and by seeking
    reader = misr.open(plain_then_busy(tmp_path, range(35, 50)))
    span = detail.busiest_span(reader, Fraction(2, 5))
    reader.close()
    assert Fraction(33, 25) <= span.begin <= Fraction(42, 25)
    assert span.share > 1.5


def test_the_most_detailed_part_is_found():
    picture = np.full((60, 80), 100, np.uint8)
    picture[40:55, 8:24] = np.random.default_rng(0).integers(0, 255, (15, 16))
    x, y = detail.busiest_place(misr.Frame((picture,), misr.Color("gray")), (0.25, 0.25))
    assert abs(x - 16 / 80) < 0.06
    assert abs(y - 47.5 / 60) < 0.06


def test_a_preview_shows_what_the_whole_run_makes(tmp_path):
    source, target = plain_then_busy(tmp_path, range(35, 50)), tmp_path / "out.mkv"
    how = misr.Settings(model="bicubic", scale=2, codec="ffv1", device="cpu")
    seen = preview(str(source), str(target), how, Fraction(2, 5))
    assert not target.exists()
    page = tmp_path / "out.mkv.preview.html"
    assert seen.comparison.target == str(page)
    assert seen.whole_s is not None
    misr.upscale(source, target, how)
    whole, facts = rgb(target), told(page)
    first = round(facts["times"][0] * 25)
    for n in range(seen.comparison.frames):
        assert np.array_equal(pictures(page)[1, n], whole[first + n])
    assert facts["inputs"][1]["path"] == str(target)
    assert "most detailed 0.4 s" in facts["notes"][0]


def test_the_preview_command_says_how_to_render_the_whole(tmp_path, capsys):
    source = plain_then_busy(tmp_path, range(10, 20), 30)
    assert up(source, tmp_path / "o u t.mkv", "--preview", "0.4s") == 0
    said = capsys.readouterr().err
    assert (tmp_path / "o u t.mkv.preview.html").exists()
    assert not (tmp_path / "o u t.mkv").exists()
    whole = said.strip().splitlines()[-1].split(": ", 1)[1]
    assert "--preview" not in whole
    assert command(*shlex.split(whole)[1:]) == 0
    assert (tmp_path / "o u t.mkv").exists()


def test_a_clip_shorter_than_the_preview_is_shown_whole(tmp_path):
    source = clip(tmp_path, "a")
    seen = preview(str(source), str(tmp_path / "b.mkv"), misr.Settings(model="bilinear", scale=2), Fraction(5))
    assert seen.comparison.frames == 8
    assert "0.00 s to 0.32 s" in seen.comparison.notes[0]


def test_a_preview_reads_the_clip_as_the_run_does(tmp_path):
    source, target = clip(tmp_path, "a"), tmp_path / "b.mkv"
    how = misr.Settings(
        model="bilinear", scale=2, codec="ffv1", framerate=Fraction(10), retag=misr.frame.Retag(range=2)
    )
    seen = preview(str(source), str(target), how, Fraction(1))
    assert seen.comparison.frames == 8
    facts = told(tmp_path / "b.mkv.preview.html")
    assert facts["times"] == [n / 10 for n in range(8)]
    assert None not in facts["inputs"][1]["at"]
    assert all("range 2" in i["facts"]["colour (H.273)"] for i in facts["inputs"])


@pytest.mark.parametrize("value", ["0", "soon", "-3s", ""])
def test_a_preview_of_nothing_is_refused(tmp_path, capsys, value):
    source = clip(tmp_path, "a", range(3))
    assert up(source, tmp_path / "b.mkv", f"--preview={value}") == 1
    assert "--preview" in one_sentence(capsys.readouterr().err)


def test_a_preview_of_a_picture_is_refused(tmp_path, capsys):
    assert up(media.picture(tmp_path), tmp_path / "b.png", "--preview", "5s") == 1
    assert "one picture" in one_sentence(capsys.readouterr().err)
    assert not list(tmp_path.glob("*.html"))
