"""The fidelity table on files of the wild: what nobody's generator makes. Judged with the functions of test_fidelity.py."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import misr
from misr.plan import plan
from misr.summary import describe
from tests import media
from tests.test_fidelity import MS, chapters, close, color_tags, cues, labels, packets, planes, upright
from tests.test_fidelity_picture import side_data

FAST = {"preset": "ultrafast"}


def upscaled(source: Path, folder: Path, suffix: str = "mkv", **more) -> Path:
    """A file of the shared data, upscaled into a folder of our own."""
    target = folder / f"out.{suffix}"
    misr.upscale(source, target, misr.Settings(**{"model": "nearest", "scale": 2, "options": FAST, **more}))
    return target


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("ax_bbb_176x144_128kbps_15fps_h263.3gp", "mkv"),
        ("ax_bbb_176x144_192kbps_15fps_mpeg4.mp4", "mp4"),
        ("ax_sample_h263.ts", "mkv"),
        ("ax_sample.flv", "flv"),
        ("ax_sample_with_srt.mkv", "mp4"),
        ("ax_sample_with_chapters.mkv", "mkv"),
        ("ax_sample_portrait.mp4", "mp4"),
        ("gen/two_frames_tiny_18x14.mp4", "mp4"),
        ("gen/one_frame.mp4", "mp4"),
        ("gen/vfr_phone_like.mp4", "mp4"),
        ("gen/av1.mp4", "mp4"),
        ("tc_av1_video.mkv", "mkv"),
        ("gen/h264_gray.mkv", "mkv"),
    ],
)
def test_files_of_the_wild_keep_frames_times_sound_and_tags(shared_data, tmp_path, name, suffix):
    source = shared_data / "tricky" / name
    output = upscaled(source, tmp_path, suffix, end=Fraction(2))
    was = [f for f in media.read(source) if f.pts * Fraction(f.time_base) < 2]
    now = media.read(output)
    assert len(now) == len(was)
    first, last = ([f.pts * Fraction(f.time_base) for f in frames] for frames in (was, now))
    assert close([t - last[0] for t in last], [t - first[0] for t in first], 2 * MS)
    assert [r or 1 for r in color_tags(now[0])] == [r or 1 for r in color_tags(was[0])]
    assert now[0].rotation == was[0].rotation
    assert (now[0].width, now[0].height) == (2 * was[0].width, 2 * was[0].height)
    for kind in ("audio", "subtitle"):
        assert len(labels(output, kind)) == len(labels(source, kind))
    for a, b in zip(packets(source, "audio"), packets(output, "audio"), strict=True):
        same = {h: t for t, h in a}
        assert len(b) > 0 and all(abs((t - last[0]) - (same[h] - first[0])) < 12 * MS for t, h in b if h in same)
        assert sum(h in same for _, h in b) > 0.9 * len(b)


def test_subtitles_and_chapters_of_the_wild(shared_data, tmp_path):
    source = shared_data / "tricky" / "ax_sample_with_srt.mkv"
    for suffix in ("mkv", "mp4"):
        found = cues(upscaled(source, tmp_path, suffix, scale=1))[0]
        assert [text for *_, text in found] == [text for *_, text in cues(source)[0]]
    source = shared_data / "tricky" / "ax_sample_with_chapters.mkv"
    assert chapters(upscaled(source, tmp_path, scale=1)) == chapters(source)
    assert len(chapters(source)) > 1


def test_bitmap_subtitles_are_copied_or_refused(shared_data, tmp_path):
    source = shared_data / "tricky" / "ax_sample_with_vobsub.mkv"
    first, last = packets(source, "subtitle"), packets(upscaled(source, tmp_path, scale=1), "subtitle")
    assert first and [h for _, h in first[0]] == [h for _, h in last[0]]
    with pytest.raises(misr.OutputError, match=r"cannot hold subtitle stream .*dvd_subtitle.*-sn"):
        upscaled(source, tmp_path, "webm", scale=1, options={})
    assert not (tmp_path / "out.webm").exists()


def test_hdr_metadata_of_the_wild(shared_data, tmp_path):
    source = shared_data / "tricky" / "ax_sample_with_colr_mdcv_and_clli.mp4"
    output = upscaled(source, tmp_path, "mp4", scale=0.5, end=Fraction(1, 10))
    was, now = media.read(source)[0], media.read(output)[0]
    assert color_tags(now) == color_tags(was)
    assert set(side_data(now)) == set(side_data(was)) and len(side_data(was)) == 2


@pytest.mark.parametrize("name", ["gen/interlaced_tff_480i_h264.mkv", "gen/interlaced_tff_480i_mpeg2.ts"])
def test_interlaced_files_are_recognised(shared_data, tmp_path, name):
    job, reader, up = plan(
        str(shared_data / "tricky" / name), str(tmp_path / "x.mkv"), misr.Settings(model="nearest", scale=2)
    )
    reader.close()
    assert job.info.interlaced == "tff"
    assert "deinterlaced" in "\n".join(describe(job, up))


@pytest.mark.parametrize(
    "name",
    ["img_newtonscradle.gif", "psd_fades.mp4", "tc_bt709_full_range.mp4", "gen/anamorphic_pal_720x576_sar64_45.mp4"],
)
def test_progressive_files_are_not_taken_for_interlaced(shared_data, tmp_path, name):
    job, reader, _ = plan(
        str(shared_data / "tricky" / name), str(tmp_path / "x.mkv"), misr.Settings(model="nearest", scale=2)
    )
    reader.close()
    assert job.info.interlaced == ""


def test_a_turned_phone_clip_and_photo_stand_upright(shared_data, tmp_path):
    source = shared_data / "tricky" / "mb_rotate-buck-bunny.mp4"
    for suffix in ("mp4", "avi"):
        output = upscaled(source, tmp_path, suffix, end=Fraction(1, 10), options={})
        was, now = upright(media.read(source)[0]), upright(media.read(output)[0])
        assert now.shape == (2 * was.shape[0], 2 * was.shape[1])
        assert np.abs(now[::2, ::2] - was).mean() < 6
    photo = shared_data / "tricky" / "img_portrait-orientation-6.jpg"
    was, now = media.read(photo)[0], media.read(upscaled(photo, tmp_path, "png", options={}))[0]
    assert (was.rotation, now.rotation) == (-90, 0)
    assert np.abs(planes(now)[0][::2, ::2] - np.rot90(planes(was)[0], 3)).max() == 0


def test_alpha_of_the_wild(shared_data, tmp_path):
    source = shared_data / "tricky" / "gen" / "vp9_alpha.webm"
    output = upscaled(source, tmp_path, "mkv", options={}, end=Fraction(1, 10))
    assert any(c.is_alpha for c in media.read(output)[0].format.components)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("img_fox.profile1.10bpc.yuv444.avif", "png"),
        ("ax_white-1x1.avif", "png"),
        ("img_fox.odd-width.odd-height.png", "jpg"),
    ],
)
def test_stills_of_the_wild(shared_data, tmp_path, name, suffix):
    source = shared_data / "tricky" / name
    was, now = media.read(source)[0], media.read(upscaled(source, tmp_path, suffix, options={}))[0]
    assert (now.width, now.height) == (2 * was.width, 2 * was.height)


@pytest.mark.parametrize(
    ("name", "says"), [("ax_sample_audio_only.mp4", "no video stream"), ("gen/empty.mp4", "empty")]
)
def test_what_holds_no_picture_is_refused_in_one_sentence(shared_data, tmp_path, name, says):
    with pytest.raises(misr.InputError, match=says):
        upscaled(shared_data / "tricky" / name, tmp_path)
    assert list(tmp_path.iterdir()) == []
