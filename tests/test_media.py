"""The generators of tests/media.py make what they say: else every fidelity test would prove nothing."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from tests import media
from tests.media import Track


def kinds(path):
    with av.open(str(path)) as source:
        return [s.type for s in source.streams]


def test_frames_carry_their_numbers_and_differ(tmp_path):
    path = media.clip(tmp_path, frames=20)
    assert media.numbers(path) == list(range(20))
    assert media.times_s(path) == [Fraction(n, 25) for n in range(20)]


def test_numbers_survive_scaling(tmp_path):
    for n in (0, 1, 170, 85, 255):
        big = media.frame(n).reformat(width=192, height=128, interpolation="BICUBIC")
        assert media.number_of(big) == n


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p10le"),
        ("libx264", "yuv422p"),
        ("libx264", "yuv444p"),
        ("libx264", "yuvj420p"),
        ("ffv1", "gray"),
        ("ffv1", "gray16le"),
        ("ffv1", "yuv422p12le"),
        ("ffv1", "yuv420p16le"),
        ("ffv1", "yuva420p"),
        ("ffv1", "bgr0"),
        ("ffv1", "gbrp10le"),
        ("libx265", "gray"),
        ("libx265", "yuv420p10le"),
        ("libsvtav1", "yuv420p10le"),
        ("mpeg2video", "yuv420p"),
        ("libvpx-vp9", "yuv420p"),
        ("rawvideo", "nv12"),
        ("libx264rgb", "rgb24"),
    ],
)
def test_every_format_is_stored_as_asked(tmp_path, codec, pix_fmt):
    path = media.clip(tmp_path, codec=codec, pix_fmt=pix_fmt, frames=5)
    frames = media.read(path)
    same = {"rgb24": "gbrp"}
    assert frames[0].format.name in (pix_fmt, same.get(pix_fmt))
    assert [media.number_of(f) for f in frames] == list(range(5))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [("prores_ks", "yuva444p10le", "mov"), ("qtrle", "argb", "mov"), ("ffv1", "yuva420p", "mkv")],
)
def test_alpha_fades_from_left_to_right(tmp_path, codec, pix_fmt, suffix):
    path = media.clip(tmp_path, codec=codec, pix_fmt=pix_fmt, suffix=suffix, frames=2, size=(64, 48))
    alpha = media.read(path)[0].to_ndarray(format="rgba")[..., 3].mean(0)
    assert alpha[0] < 10
    assert alpha[-1] > 245


def test_vp9_alpha_is_announced(tmp_path):
    path = media.clip(tmp_path, codec="libvpx-vp9", pix_fmt="yuva420p", suffix="webm", frames=2, size=(64, 48))
    with av.open(str(path)) as source:
        tags = {k.lower(): v for k, v in source.streams.video[0].metadata.items()}
    assert tags.get("alpha_mode") == "1"


def test_code_values_are_exact(tmp_path):
    frame = media.read(media.clip(tmp_path, codec="ffv1", pix_fmt="yuv420p10le", frames=1))[0]
    plane = np.frombuffer(frame.planes[0], np.uint16).reshape(frame.height, -1)[:, : frame.width]
    wanted = np.round(64 + media.luma(0, 96, 64) * (940 - 64)).astype(np.uint16)
    np.testing.assert_array_equal(plane, wanted)


def test_variable_rate_and_late_start(tmp_path):
    pts = [0, 40, 90, 100, 260, 300]
    path = media.clip(tmp_path, pts=pts, time_base=Fraction(1, 1000), start_s=3, audio=["aac"])
    assert media.times_s(path) == [3 + Fraction(p, 1000) for p in pts]
    with av.open(str(path)) as source:
        first = next(p for p in source.demux(source.streams.audio[0]) if p.size)
        assert abs(float(first.pts * first.time_base) - 3) < 0.05


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("aac", "mp4"),
        ("opus", "mkv"),
        ("pcm_s16le", "mkv"),
        ("flac", "mkv"),
        ("mp3", "mkv"),
        ("vorbis", "mkv"),
        ("ac3", "mkv"),
    ],
)
def test_sound_plays(tmp_path, codec, suffix):
    path = media.clip(tmp_path, suffix=suffix, audio=[codec, Track(codec, "deu")], frames=25)
    for index in (0, 1):
        with av.open(str(path)) as source:
            stream = source.streams.audio[index]
            language = stream.metadata["language"]
            name = stream.codec_context.codec.canonical_name
            sound = np.concatenate([f.to_ndarray().astype(float).ravel() for f in source.decode(stream)])
        assert (language, name) == (("eng", "deu")[index], codec)
        assert sound.std() > 0.05
        assert sound.size >= 0.9 * media.SOUND_RATE


@pytest.mark.parametrize(
    ("codec", "suffix"), [("subrip", "mkv"), ("ass", "mkv"), ("webvtt", "mkv"), ("webvtt", "webm"), ("mov_text", "mp4")]
)
def test_subtitles_decode(tmp_path, codec, suffix):
    options = {"codec": "libvpx-vp9"} if suffix == "webm" else {}
    path = media.clip(tmp_path, suffix=suffix, subtitles=[codec, codec], frames=25, **options)
    with av.open(str(path)) as source:
        streams = source.streams.subtitles
        assert [s.metadata["language"] for s in streams] == ["eng", "deu"]
        texts = [line.dialogue for p in source.demux(streams[1]) if p.size for line in p.decode()]
    assert texts == [b"deu line 1", b"deu line 2", b"deu line 3"]


def test_a_full_house(tmp_path):
    path = media.clip(
        tmp_path,
        audio=[Track("aac", "eng", "Main", Disposition.default), Track("opus", "jpn", "Comment")],
        subtitles=["subrip", Track("ass", "deu", "Signs", Disposition.forced)],
        fonts=2,
        chapters=3,
        metadata={"title": "A title", "artist": "Someone"},
        cover=True,
        second_video=True,
    )
    with av.open(str(path)) as source:
        assert [c["metadata"]["title"] for c in source.chapters()] == ["Chapter 1", "Chapter 2", "Chapter 3"]
        tags = {k.lower(): v for k, v in source.metadata.items()}
        assert (tags["title"], tags["artist"]) == ("A title", "Someone")
        assert len([s for s in source.streams if s.type == "attachment"]) == 2
        assert source.streams.attachments[0].data == media.FONT
        covers = [bool(s.disposition & Disposition.attached_pic) for s in source.streams.video]
        assert covers == [False, False, True]
        assert source.streams.subtitles[1].disposition & Disposition.forced
        assert source.streams.audio[0].metadata["title"] == "Main"
        assert source.streams.video[1].codec_context.width == 32


def test_cover_in_mp4(tmp_path):
    with av.open(str(media.clip(tmp_path, suffix="mp4", cover=True))) as source:
        assert source.streams.video[1].disposition & Disposition.attached_pic


@pytest.mark.parametrize("color", [media.BT709, media.BT601, (1, 2, 1, 1), media.BT2020_HLG])
def test_colour_tags(tmp_path, color):
    frame = media.read(media.clip(tmp_path, color=color, frames=2))[0]
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == color


def test_untagged_stays_untagged(tmp_path):
    frame = media.read(media.clip(tmp_path, frames=2))[0]
    assert (int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)) == (2, 2, 2)


def test_hdr10_metadata(tmp_path):
    path = media.clip(
        tmp_path, codec="libx265", pix_fmt="yuv420p10le", options=media.HDR10, color=media.BT2020_PQ, frames=3
    )
    frame = media.read(path)[0]
    assert frame.side_data.get("MASTERING_DISPLAY_METADATA") is not None
    assert frame.side_data.get("CONTENT_LIGHT_LEVEL") is not None
    assert int(frame.color_trc) == 16


def test_interlaced_fields_are_of_two_times(tmp_path):
    path = media.clip(tmp_path, options={**media.TOP_FIELD_FIRST, "qp": "1"}, interlaced=True)
    frames = media.read(path)
    assert all(f.interlaced_frame for f in frames)
    shown = np.frombuffer(frames[3].planes[0], np.uint8).reshape(64, -1)[16:, :96].astype(float)
    own, later = (media.texture(t, 96, 64)[16:] * 219 + 16 for t in (3, 3.5))
    assert abs(shown[::2] - own[::2]).mean() < 4 < abs(shown[::2] - later[::2]).mean()
    assert abs(shown[1::2] - later[1::2]).mean() < 4 < abs(shown[1::2] - own[1::2]).mean()


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation(tmp_path, rotation):
    path = media.clip(tmp_path, suffix="mp4", rotation=rotation, frames=2)
    assert media.read(path)[0].rotation % 360 == rotation % 360


def test_sample_aspect_ratio(tmp_path):
    with av.open(str(media.clip(tmp_path, sar=Fraction(4, 3), frames=2))) as source:
        assert Fraction(source.streams.video[0].sample_aspect_ratio) == Fraction(4, 3)


def test_timecode_track(tmp_path):
    path = media.clip(tmp_path, suffix="mov", frames=3, video_metadata={"timecode": "01:02:03:04"})
    assert "data" in kinds(path)


def test_odd_and_tiny(tmp_path):
    odd = media.clip(tmp_path, name="odd", codec="ffv1", size=(65, 49), frames=3)
    assert (media.read(odd)[0].width, media.read(odd)[0].height) == (65, 49)
    assert len(media.read(media.clip(tmp_path, name="one", frames=1))) == 1
    assert media.read(media.clip(tmp_path, name="tiny", codec="ffv1", size=(18, 14), frames=2))[0].width == 18


@pytest.mark.parametrize(
    ("suffix", "pix_fmt"),
    [
        ("png", "rgb24"),
        ("png", "rgb48be"),
        ("png", "rgba"),
        ("png", "gray"),
        ("png", "gray16be"),
        ("jpg", None),
        ("webp", None),
        ("avif", None),
        ("bmp", None),
        ("tiff", None),
    ],
)
def test_pictures(tmp_path, suffix, pix_fmt):
    frames = media.read(media.picture(tmp_path, suffix, pix_fmt=pix_fmt))
    assert len(frames) == 1
    assert frames[0].format.name == (pix_fmt or frames[0].format.name)
    assert media.number_of(frames[0]) == 5


@pytest.mark.parametrize("suffix", ["gif", "apng"])
def test_animations(tmp_path, suffix):
    assert media.numbers(media.animation(tmp_path, suffix)) == list(range(6))


def test_animated_webp_is_one(tmp_path):
    assert b"ANMF" in media.animation(tmp_path, "webp").read_bytes()  # PyAV 18 cannot read one back


def test_sequences(tmp_path):
    folder = media.sequence(tmp_path, first=7)
    assert sorted(p.name for p in folder.iterdir())[0] == "shot00007.png"
    assert [media.numbers(p)[0] for p in sorted(folder.iterdir())] == list(range(5))


@pytest.mark.parametrize("kind", ["y4m", "nut", "mkv"])
def test_pipe_bytes(tmp_path, kind):
    data = media.pipe_bytes(tmp_path, kind, frames=4)
    (tmp_path / "again").write_bytes(data)
    assert media.numbers(tmp_path / "again") == list(range(4))


def test_cut_short(tmp_path):
    path = media.clip(tmp_path, frames=40)
    short = media.cut_short(path, 0.5)
    assert 0 < len(media.read(short)) < 40


def test_the_same_pixels_every_time(tmp_path):
    a, b = (media.clip(tmp_path, name=n, codec="ffv1", frames=3) for n in ("a", "b"))
    for x, y in zip(media.read(a), media.read(b), strict=True):
        np.testing.assert_array_equal(x.to_ndarray(), y.to_ndarray())
