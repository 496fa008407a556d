"""The command line: what is typed is what happens, what is mistyped is one sentence, and files of every kind go in and out."""

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from misr.journal import journal_path
from tests import media
from tests.command import clip, decoded, misr, one_sentence, up
from tests.media import times_s as times

Said = pytest.CaptureFixture[str]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clip of 30 frames, 64x48, 25 per second."""
    return clip(tmp_path / "in.mkv", 30)


def size_and_sar(path: Path) -> tuple[int, int, Fraction]:
    """Width, height and pixel aspect ratio of a file."""
    with av.open(str(path)) as c:
        video = c.streams.video[0]
        return video.width, video.height, Fraction(video.sample_aspect_ratio or 1)


# starting up


def test_help_is_quick_and_does_not_load_torch() -> None:
    code = (
        "import sys, time; from misr.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print(time.process_time(), {'torch', 'av', 'cv2'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "upscale" in done.stdout
    seconds, loaded = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert loaded == "set()"
    assert float(seconds) < 0.5  # of the CPU, so that a busy machine does not decide


def test_the_version_is_the_packages(capsys: Said) -> None:
    import misr as package

    assert misr("--version") == 0
    assert capsys.readouterr().out == f"misr {package.__version__}\n"


def test_the_help_of_upscale_names_every_option(capsys: Said) -> None:
    assert misr("upscale", "--help") == 0
    said = capsys.readouterr().out
    words = "-crf -b:v -preset -tune -pix_fmt -c:v -c:a -ss -to -t -y -n --size --strength --dry-run --on-error"
    for option in words.split():
        assert f"{option} " in said


# what is mistyped


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--scael", "--scale"),
        ("-crff", "-crf"),
        ("--pix_fmt", "-pix_fmt"),
        ("--dryrun", "--dry-run"),
        ("-presett", "-preset"),
    ],
)
def test_an_unknown_option_is_refused_with_a_suggestion(source: Path, typed: str, meant: str, capsys: Said) -> None:
    assert up(source, source.with_name("out.mkv"), typed, "2") == 2
    said = one_sentence(capsys.readouterr().err)
    assert f"unknown option {typed}" in said
    assert meant in said


@pytest.mark.parametrize("typed", ["-yn", "-any", "-sn2", "-s2", "-mfast-x2", "-ys"])
def test_an_option_is_never_split_into_short_flags(source: Path, typed: str, capsys: Said) -> None:
    target = source.with_name("out.mkv")
    assert up(source, target, typed) == 2
    assert f"unknown option {typed}" in one_sentence(capsys.readouterr().err)
    assert not target.exists()


def test_an_unknown_command_is_refused_with_a_suggestion(capsys: Said) -> None:
    assert misr("upscael", "in.mkv", "out.mkv", "-s", "2") == 2
    assert "misr upscale" in one_sentence(capsys.readouterr().err)


BAD = """-s nan | -s inf | -s 0 | -s -2 | -s abc | -s 1e9 | -s 0.001 | --strength nan | --strength 2 | --size huge | --size 0x0
--size -1x-1 | --size 99999x99999 | -crf abc | -crf -5 | -b:v inf | -b:v -5M | -b:v lots | -preset bogus | -tune bogus
-pix_fmt bogus | -pix_fmt rgb24 | -c:v bogus | -c:v aac | -f bogus | -ss abc | -ss -1 | -ss 1:2:3:4 | -ss 5 -to 3 | -to 1 -t 1
-t 0 | -ss 99 | -framerate 0 | -framerate 1/0 | --device foo | --device cuda:99 | --precision fp8 | --device cpu --precision fp16
--tile -5 | --tile abc | --batch -1 | --batch x | --threads -1 | --deinterlace maybe | --on-error ignore | --progress loud | -y -n
-m nosuch | -s | -- -bogus 1 | -- -g | -- gop 3 | -c:a bogus | -c:a libx264"""


@pytest.mark.parametrize("words", [w.strip() for line in BAD.splitlines() for w in line.split("|")])
def test_a_bad_value_is_one_sentence_and_no_file(tmp_path: Path, words: str, capsys: Said) -> None:
    source, target = clip(tmp_path / "in.mkv", 4, rich="-c:a" in words), tmp_path / "out.mkv"
    assert up(source, target, *words.split(" ")) in (1, 2)
    assert len(one_sentence(capsys.readouterr().err)) < 400
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_a_device_that_is_not_there_is_one_sentence_also_where_misr_chooses_the_model(
    source: Path, capsys: Said
) -> None:
    target = source.with_name("out.mkv")
    assert misr("upscale", source, target, "--device", "foo") == 1
    assert "'foo' cannot be used" in one_sentence(capsys.readouterr().err)
    assert not target.exists()


def test_options_may_stand_before_or_after_the_paths(source: Path, capsys: Said) -> None:
    one, two = source.with_name("one.mkv"), source.with_name("two.mkv")
    assert misr("upscale", "-crf", "30", "-m", "bilinear", "-preset", "ultrafast", source, one) == 0
    assert misr("upscale", source, two, "-preset", "ultrafast", "-m", "bilinear", "-crf", "30") == 0
    assert decoded(one) == decoded(two)


def test_crf_and_preset_reach_the_encoder(source: Path) -> None:
    for crf in ("10", "40"):
        assert up(source, source.with_name(f"{crf}.mkv"), "-crf", crf) == 0
    assert source.with_name("10.mkv").stat().st_size > 2 * source.with_name("40.mkv").stat().st_size


def test_options_after_two_dashes_reach_the_encoder(source: Path) -> None:
    target = source.with_name("out.mkv")
    assert up(source, target, "--", "-g", "7", "-bf", "0") == 0
    with av.open(str(target)) as c:
        keys = [i for i, p in enumerate(p for p in c.demux(c.streams.video[0]) if p.size) if p.is_keyframe]
    assert keys == [0, 7, 14, 21, 28]


# output files


def test_an_existing_output_is_left_alone_without_y(source: Path, capsys: Said) -> None:
    target = source.with_name("out.mkv")
    target.write_bytes(b"precious")
    assert up(source, target) == 1
    assert "-y overwrites it" in one_sentence(capsys.readouterr().err)
    assert up(source, target, "-n") == 1
    assert target.read_bytes() == b"precious"
    assert up(source, target, "-y") == 0
    assert times(target) == times(source)


def test_the_input_is_never_the_output(source: Path, tmp_path: Path, capsys: Said) -> None:
    before = source.read_bytes()
    (tmp_path / "link.mkv").symlink_to(source)
    for target in (source, tmp_path / "link.mkv", tmp_path / "." / "in.mkv"):
        assert up(source, target, "-y") == 1
        assert "is the input itself" in one_sentence(capsys.readouterr().err)
    assert source.read_bytes() == before
    shots = media.sequence(tmp_path)
    pictures = {p.name: p.read_bytes() for p in shots.iterdir()}
    pattern = shots / "shot%05d.png"
    for a, b in ((shots, shots), (pattern, pattern), (shots, pattern), (pattern, shots)):
        assert up(a, b, "-y") == 1
        assert "is the input itself" in one_sentence(capsys.readouterr().err)
    assert {p.name: p.read_bytes() for p in shots.iterdir()} == pictures


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path, capsys: Said) -> None:
    source = clip(tmp_path / "in.mkv", 30, rich=True)
    before = sorted(tmp_path.iterdir())
    assert up(source, tmp_path / "out.mp4", "--dry-run", "-sn") == 0
    plan = capsys.readouterr().out
    assert "64x48" in plan
    assert "128x96 libx264" in plan
    assert "becomes aac" in plan
    assert "dropped" in plan
    assert misr("upscale", source, clip(tmp_path / "b.mkv", 3), tmp_path / "folder", "-m", "bilinear", "--dry-run") == 0
    (tmp_path / "b.mkv").unlink()
    assert sorted(tmp_path.iterdir()) == before


# which stretch, which size


@pytest.mark.parametrize(
    ("words", "kept", "origin"),
    [
        ("-ss 0.4", range(10, 30), "0.4"),
        ("-to 0.4", range(10), "0"),
        ("-t 0.4", range(10), "0"),
        ("-ss 0.2 -to 0.6", range(5, 15), "0.2"),
        ("-ss 0.2 -t 0.6", range(5, 20), "0.2"),
        ("-ss 00:00:00.2 -t 0:00.2", range(5, 10), "0.2"),
        ("-ss 0.5", range(13, 30), "0.5"),
        ("-t 99", range(30), "0"),
    ],
)
def test_ss_to_and_t_keep_these_frames_and_count_from_the_start(
    source: Path, words: str, kept: range, origin: str
) -> None:
    target = source.with_name("out.mkv")
    assert up(source, target, *words.split()) == 0
    assert times(target) == [Fraction(n, 25) - Fraction(origin) for n in kept]
    assert media.numbers(target) == list(kept)


@pytest.mark.parametrize(
    ("words", "size", "sar"),
    [
        ("-s 2", (128, 96), 1),
        ("-s 1.5", (96, 72), 1),
        ("-s 0.5", (32, 24), 1),
        ("-s 1", (64, 48), 1),
        ("--size 480p", (640, 480), 1),
        ("--size 200x150", (200, 150), 1),
        ("--size 200x-2", (200, 150), 1),
        ("--size -2x90", (120, 90), 1),
        ("--size 200x100", (200, 100), Fraction(2, 3)),
        ("--size 96x144", (96, 144), 2),
        ("-s 2 --size 320x240", (320, 240), 1),
    ],
)
def test_scale_and_size_give_this_picture_at_the_old_display_aspect(
    source: Path, words: str, size: tuple[int, int], sar: Any
) -> None:
    target = source.with_name("out.mkv")
    assert up(source, target, "-t", "0.1", *words.split()) == 0
    assert size_and_sar(target) == (*size, sar)


def test_the_default_is_twice_the_size_with_a_model_that_is_named_first(source: Path, capsys: Said) -> None:
    assert misr("upscale", source, source.with_name("out.mkv"), "-t", "0.1") == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert "x2 with fast-robust-x2 on" in first  # the source is H.264
    assert size_and_sar(source.with_name("out.mkv"))[:2] == (128, 96)


def test_strength_zero_is_bicubic(source: Path) -> None:
    one, two = source.with_name("one.mkv"), source.with_name("two.mkv")
    assert up(source, one, "-m", "fast-x2", "--strength", "0", "-c:v", "ffv1", "-t", "0.2", "--precision", "fp32") == 0
    assert up(source, two, "-m", "bicubic", "-c:v", "ffv1", "-t", "0.2") == 0
    for (_, a), (_, b) in zip(decoded(one), decoded(two), strict=True):
        assert np.abs(np.frombuffer(a, np.uint8).astype(int) - np.frombuffer(b, np.uint8)).max() <= 1


# batches


def test_a_batch_goes_into_a_folder_and_n_skips_what_is_there(tmp_path: Path, capsys: Said) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, n in (("a.mkv", 5), ("b.mkv", 7), ("c.mp4", 6)):
        clip(clips / name, n)
    (clips / "notes.txt").write_text("not a clip")
    out = tmp_path / "deep" / "out"
    assert up(clips, out) == 0
    assert {p.name: len(times(p)) for p in out.iterdir()} == {"a.mkv": 5, "b.mkv": 7, "c.mp4": 6}
    (out / "b.mkv").unlink()
    marks = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    assert up(clips, out, "-n") == 0
    assert "a.mkv exists, skipped" in capsys.readouterr().err
    assert len(times(out / "b.mkv")) == 7
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir() if p.name in marks} == marks
    assert misr("upscale", clips / "a.mkv", clips / "b.mkv", tmp_path / "two", "-m", "bilinear") == 0
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["a.mkv", "b.mkv"]


def test_one_bad_input_does_not_stop_a_batch_but_fails_it(tmp_path: Path, capsys: Said) -> None:
    bad, good = tmp_path / "a.mkv", clip(tmp_path / "b.mkv", 5)
    bad.write_bytes(b"no clip at all")
    assert misr("upscale", bad, good, tmp_path / "out", "-m", "bilinear") == 1
    assert "1 of 2 inputs failed" in one_sentence(capsys.readouterr().err)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.mkv"]


def test_two_inputs_of_one_name_are_refused_before_anything_is_written(tmp_path: Path, capsys: Said) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        clip(tmp_path / name / "a.mkv", 3)
    assert misr("upscale", tmp_path / "one" / "a.mkv", tmp_path / "two" / "a.mkv", tmp_path / "out", "-y") == 1
    assert "two outputs named a.mkv" in one_sentence(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


# pictures


def pixels(path: Path) -> np.ndarray:
    """The samples of a picture, as OpenCV sees them."""
    import cv2

    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def shows(large: Path, small: Path) -> bool:
    """Whether a picture, made half as large again, is another one, within 2 % of white on the average of each channel."""
    b, a = pixels(large).astype(float), pixels(small).astype(float)
    h, w = a.shape[:2]
    assert b.shape == (2 * h, 2 * w, *a.shape[2:])
    white = np.iinfo(pixels(small).dtype).max
    return bool(
        (np.abs(b.reshape(h, 2, w, 2, -1).mean((1, 3)) - a.reshape(h, w, -1)).mean((0, 1)) < 0.02 * white).all()
    )


@pytest.mark.parametrize(
    ("pix_fmt", "kind", "channels"),
    [
        ("rgb24", np.uint8, 3),
        ("rgba", np.uint8, 4),
        ("rgb48be", np.uint16, 3),
        ("rgba64be", np.uint16, 4),
        ("gray", np.uint8, 1),
        ("gray16be", np.uint16, 1),
    ],
)
def test_a_png_keeps_depth_channels_and_alpha(tmp_path: Path, pix_fmt: str, kind: Any, channels: int) -> None:
    source = media.picture(tmp_path, pix_fmt=pix_fmt)
    assert up(source, tmp_path / "out.png") == 0
    made = pixels(tmp_path / "out.png")
    assert (made.dtype, 1 if made.ndim == 2 else made.shape[2]) == (kind, channels)
    assert shows(tmp_path / "out.png", source)
    assert kind == np.uint8 or (made % 256).any()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.png", "picture.png"]


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "tiff", "avif"])
def test_stills_of_every_kind_go_in_and_out(tmp_path: Path, suffix: str) -> None:
    source = media.picture(tmp_path, suffix)
    assert up(source, tmp_path / f"out.{suffix}") == 0
    assert up(source, tmp_path / "out.png") == 0
    assert size_and_sar(tmp_path / f"out.{suffix}")[:2] == size_and_sar(tmp_path / "out.png")[:2] == (192, 128)


def test_a_sequence_keeps_its_numbers_in_a_folder_and_in_a_pattern(tmp_path: Path) -> None:
    shots = media.sequence(tmp_path, first=97, frames=5)
    numbers = range(97, 102)
    assert up(shots / "shot%05d.png", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"shot{n:05d}.png" for n in numbers]
    (tmp_path / "p").mkdir()
    assert up(shots, tmp_path / "p" / "x_%03d.png") == 0
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == [f"x_{n:03d}.png" for n in numbers]
    for n in numbers:
        for made in (tmp_path / "out" / f"shot{n:05d}.png", tmp_path / "p" / f"x_{n:03d}.png"):
            assert shows(made, shots / f"shot{n:05d}.png")
            assert not shows(made, shots / f"shot{97 if n > 98 else 101:05d}.png")


def test_a_sequence_becomes_a_clip_and_a_clip_a_sequence(tmp_path: Path, source: Path) -> None:
    shots = media.sequence(tmp_path, first=3, frames=6)
    assert up(shots, tmp_path / "shots.mkv", "-framerate", "10") == 0
    assert times(tmp_path / "shots.mkv") == [Fraction(n, 10) for n in range(6)]
    assert media.numbers(tmp_path / "shots.mkv") == list(range(6))
    (tmp_path / "p").mkdir()
    assert up(source, tmp_path / "p" / "%04d.png", "-t", "0.2") == 0
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == [f"{n:04d}.png" for n in range(1, 6)]


def test_existing_pictures_are_left_alone_without_y(tmp_path: Path, capsys: Said) -> None:
    shots = media.sequence(tmp_path)
    old = tmp_path / "out_00003.png"
    old.write_bytes(b"precious")
    assert up(shots, tmp_path / "out_%05d.png") == 1
    assert "-y overwrites it" in one_sentence(capsys.readouterr().err)
    assert old.read_bytes() == b"precious"
    assert up(shots, tmp_path / "out_%05d.png", "-y") == 0
    assert len(list(tmp_path.glob("out_*.png"))) == 5


@pytest.mark.parametrize("moment", ["rendering", "moving"])
def test_a_sequence_that_was_stopped_goes_on(
    tmp_path: Path, moment: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots, out = media.sequence(tmp_path, frames=9), tmp_path / "out"
    import misr.pipeline as pipeline

    name = "write_picture" if moment == "rendering" else "sequence_name"
    real, calls = getattr(pipeline, name), []

    def stops(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, name, stops)
        assert up(shots, out) == 130
    assert out.exists() == (moment == "moving")
    capsys.readouterr()
    assert up(shots, out) == 0
    if moment == "rendering":
        assert "resuming at picture 5 of 9" in capsys.readouterr().err
    assert up(shots, tmp_path / "whole") == 0
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()
    }
    assert not journal_path(str(out)).exists()


def test_a_changed_picture_of_a_sequence_starts_over(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots, out = media.sequence(tmp_path, frames=6), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("misr.journal.Journal.finish", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        assert up(shots, out) == 130
    shutil.copy(shots / "shot00004.png", shots / "shot00002.png")
    assert up(shots, out) == 0
    assert "starting over: source changed" in capsys.readouterr().err
    assert (out / "shot00002.png").read_bytes() == (out / "shot00004.png").read_bytes()


def test_a_moving_source_is_not_pressed_into_one_still(source: Path, capsys: Said) -> None:
    assert up(source, source.with_name("out.jpg")) == 1
    assert "%05d" in one_sentence(capsys.readouterr().err)
    assert sorted(p.name for p in source.parent.iterdir()) == ["in.mkv"]


# animations


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_animations_keep_frames_times_and_kind(tmp_path: Path, kind: Any) -> None:
    source = media.animation(tmp_path, kind)
    assert up(source, tmp_path / f"out.{kind}") == 0
    assert times(tmp_path / f"out.{kind}") == times(source)
    assert media.numbers(tmp_path / f"out.{kind}") == list(range(6))
    assert size_and_sar(tmp_path / f"out.{kind}")[:2] == (128, 96)


def test_an_animated_webp_goes_in_and_out(tmp_path: Path) -> None:
    import cv2

    source = media.animation(tmp_path, "webp")
    assert up(source, tmp_path / "out.mkv") == 0
    assert times(tmp_path / "out.mkv") == [Fraction(n, 10) for n in range(6)]
    assert media.numbers(tmp_path / "out.mkv") == list(range(6))
    assert up(source, tmp_path / "out.webp") == 0
    good, animation = cv2.imreadanimation(str(tmp_path / "out.webp"))
    assert good
    assert [f.shape[:2] for f in animation.frames] == [(96, 128)] * 6
    assert list(animation.durations) == [100] * 6


def test_a_clip_becomes_a_gif(source: Path) -> None:
    assert up(source, source.with_name("out.gif"), "-t", "0.4") == 0
    assert times(source.with_name("out.gif")) == [Fraction(n, 25) for n in range(10)]
