"""What goes into `misr upscale` comes out of it: one test and more for every row of the fidelity table, on generated media.

Everything is read back with PyAV alone, by functions of this file, so that a mistake of misr's reader cannot hide here. The
net is bilinear and the encoders are at their fastest: what is tested is what is around the picture, and where it stands.
The rows of the picture are in test_fidelity_picture.py; those on crashes, full disks and closed pipes in test_resume.py and
test_pipeline.py.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

import misr
from misr.plan import plan
from misr.summary import describe
from tests import media
from tests.media import Track

QUICK = {
    "libx264": {"preset": "ultrafast"},
    "libx264rgb": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast"},
    "libsvtav1": {"preset": "12"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
USUAL = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "mov": "libx264", "flv": "libx264", "webm": "libsvtav1"}
MS = Fraction(1, 1000)


# ---------------------------------------------------------------- doing it, and reading back


def settings(
    suffix: str, options: dict[str, str] | None = None, codec: str | None = None, **more: Any
) -> misr.Settings:
    """The fastest settings of the encoder that is asked for, or that this container usually gets."""
    quick = QUICK.get(codec or USUAL.get(suffix, ""), {})
    return misr.Settings(
        **{"model": "bilinear", "scale": 2, "codec": codec, "options": {**quick, **(options or {})}, **more}
    )


def upscaled(source: Path, suffix: str, **more: Any) -> Path:
    """The source, upscaled into another file beside it."""
    target = source.with_name(f"{source.stem}.out.{suffix}")
    misr.upscale(source, target, settings(suffix, **more))
    assert not list(source.parent.glob(".*.misr")), "the journal is gone when the output stands"
    return target


def announced(source: Path, suffix: str, **more: Any) -> str:
    """What misr says it will do, before it does anything."""
    job, reader, up = plan(str(source), str(source.with_name(f"never.{suffix}")), settings(suffix, **more))
    reader.close()
    return "\n".join(describe(job, up))


def packets(path: Path, kind: str) -> list[list[tuple[Fraction, str]]]:
    """Per stream of a kind, every packet's time in seconds and the hash of its bytes."""
    with av.open(str(path)) as source:
        found: dict[int, list[tuple[Fraction, str]]] = {s.index: [] for s in source.streams if s.type == kind}
        for p in source.demux():
            if p.stream.index in found and p.size:
                data = bytes(p)
                if kind == "audio" and data[:1] == b"\xff" and data[1] & 0xF6 == 0xF0:
                    data = data[7:]  # the ADTS header that AAC has in MPEG-TS
                found[p.stream.index].append((p.pts * Fraction(p.time_base), hashlib.sha256(data).hexdigest()))
    return list(found.values())


def cues(path: Path) -> list[list[tuple[float, float, str]]]:
    """Per subtitle stream, every event's begin and end in seconds and its plain text."""
    with av.open(str(path)) as source:
        found: dict[int, list[tuple[float, float, str]]] = {s.index: [] for s in source.streams.subtitles}
        for p in source.demux():
            if p.stream.index in found and p.size:
                begin = p.pts * Fraction(p.time_base)
                end = begin + (p.duration or 0) * Fraction(p.time_base)
                text = " ".join(e.dialogue.decode() if hasattr(e, "dialogue") else e.text.decode() for e in p.decode())
                text = re.sub(r"\{[^}]*\}", "", text)  # styling
                if text:  # MP4 has no gaps: there, silence is a cue without text
                    found[p.stream.index].append((float(begin), float(end), text))
    return list(found.values())


def labels(path: Path, kind: str) -> list[tuple[str, str | None, str | None, int]]:
    """Codec, language, title and disposition of every stream of a kind."""
    with av.open(str(path)) as source:
        return [
            (
                s.codec_context.codec.canonical_name,
                s.metadata.get("language"),
                s.metadata.get("title"),
                int(s.disposition),
            )
            for s in source.streams
            if s.type == kind
        ]


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as source:
        return {k.lower(): v for k, v in source.metadata.items()}


def chapters(path: Path) -> list[tuple[float, float, str | None]]:
    with av.open(str(path)) as source:
        return [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"].get("title"))
            for c in source.chapters()
        ]


def color_tags(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """(matrix, range, primaries, transfer), H.273."""
    return int(frame.colorspace), int(frame.color_range), int(frame.color_primaries), int(frame.color_trc)


def sound(path: Path, index: int = 0) -> tuple[np.ndarray, int, Fraction]:
    """The first channel of a sound stream as floats, its rate, and when its first sample is heard."""
    with av.open(str(path)) as source:
        stream = source.streams.audio[index]
        frames = list(source.decode(stream))
        to_float = av.AudioResampler(format="fltp", layout=stream.layout.name)
        pieces = [r.to_ndarray()[0] for f in [*frames, None] for r in to_float.resample(f)]
    return np.concatenate(pieces), stream.rate, frames[0].pts * Fraction(frames[0].time_base)


def end_s(path: Path) -> float:
    """When the last frame's time is over."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        return max(float((p.pts + (p.duration or 0)) * p.time_base) for p in source.demux(video) if p.size)


def gray(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="gray").astype(float)


def halved(picture: np.ndarray) -> np.ndarray:
    """Mean of every 2x2 block."""
    h, w = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    return picture[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3))


def upright(frame: av.VideoFrame) -> np.ndarray:
    """The picture as a viewer sees it, gray."""
    return np.rot90(gray(frame), round(frame.rotation / 90) % 4)


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Stored integers of a planar frame, plane by plane, line padding cut off."""
    deep = max(c.bits for c in frame.format.components) > 8
    found = []
    for p in frame.planes:
        line = np.frombuffer(p, np.uint16 if deep else np.uint8).reshape(p.height, -1)
        found.append(line[:, : p.width].astype(float))
    return found


def close(a: Iterable[Fraction], b: Iterable[Fraction], by: Fraction = MS) -> bool:
    a, b = list(a), list(b)
    return len(a) == len(b) and all(abs(x - y) <= by for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("codec", "options", "suffix"),
    [
        ("libx264", {"bf": "3", "preset": "medium", "x264-params": "b-pyramid=normal:bframes=3"}, "mp4"),
        ("libx264", {"bf": "3", "preset": "medium", "g": "250"}, "ts"),
        ("libx265", {"x265-params": "log-level=none:bframes=4"}, "mkv"),
        ("mpeg2video", {"bf": "2"}, "ts"),
        ("mpeg4", {"bf": "2"}, "avi"),
        ("libsvtav1", {"preset": "10"}, "mp4"),
        ("libvpx-vp9", {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "8"}, "webm"),
    ],
)
def test_every_frame_comes_out_in_order_tails_included(tmp_path, codec, options, suffix):
    source = media.clip(tmp_path, codec=codec, options=options, suffix=suffix, frames=33)
    assert media.numbers(source) == list(range(33))
    assert media.numbers(upscaled(source, "mkv")) == list(range(33))


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("libx264", "mp4", {"preset": "medium", "bf": "3"}),
        ("libx265", "mp4", {"preset": "medium"}),
        ("libsvtav1", "mp4", {"preset": "10"}),
        ("libvpx-vp9", "webm", {"deadline": "good", "lag-in-frames": "12"}),
        ("mpeg2video", "mpg", {"bf": "2"}),
        ("mpeg4", "avi", {}),
        ("prores_ks", "mov", {}),
        ("dnxhd", "mov", {}),
        ("ffv1", "nut", {}),
    ],
)
def test_encoders_that_reorder_and_look_ahead_lose_no_frame(tmp_path, codec, suffix, options):
    size = (160, 128) if codec == "dnxhd" else (96, 64)
    source = media.clip(tmp_path, frames=21, size=size)
    assert media.numbers(upscaled(source, suffix, codec=codec, options=options)) == list(range(21))


# ---------------------------------------------------------------- timestamps

WILD = [0, 40, 47, 90, 100, 260, 300, 1300, 1313, 1340, 1400]  # ms


@pytest.mark.parametrize("start_s", [Fraction(0), Fraction(5, 2)], ids=["from zero", "late start"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mp4", "mp4"),
        ("mp4", "mkv"),
        ("mkv", "mp4"),
        ("mkv", "mkv"),
        ("ts", "mp4"),
        ("mkv", "ts"),
        ("ts", "ts"),
        ("mov", "mov"),
        ("mkv", "webm"),
        ("mkv", "nut"),
    ],
)
def test_every_time_is_the_sources_own(tmp_path, before, after, start_s):
    source = media.clip(tmp_path, suffix=before, pts=WILD, time_base=MS, start_s=start_s, options={"bf": "2"})
    wanted = media.times_s(source)
    assert len(set(np.diff([float(t) for t in wanted]).round(3))) > 4, "the source is wild"
    grain = MS if "mkv" in (before, after) or after == "webm" else Fraction(1, 45000)
    output = upscaled(source, after)
    assert close(media.times_s(output), wanted, grain)
    assert media.numbers(output) == list(range(len(WILD)))


@pytest.mark.parametrize(
    ("before", "after"),
    [("mp4", "mp4"), ("mp4", "mkv"), ("mkv", "mp4"), ("mkv", "mkv"), ("ts", "mp4"), ("mp4", "webm")],
)
def test_the_last_frame_stays_as_long_as_it_did(tmp_path, before, after):
    source = media.clip(tmp_path, suffix=before, frames=25, options={"bf": "2"})
    assert abs(end_s(upscaled(source, after)) - end_s(source)) < 0.0015


@pytest.mark.parametrize("before", ["mkv", "ts"])
def test_avi_begins_at_zero_and_keeps_the_spacing(tmp_path, before):
    source = media.clip(tmp_path, suffix=before, frames=9, start_s=2, audio=["ac3"])
    wanted, times = media.times_s(source), media.times_s(upscaled(source, "avi"))
    assert times[0] == 0
    assert close(times, [t - wanted[0] for t in wanted], 2 * MS)


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60), Fraction(25, 2)])
def test_odd_frame_rates_stay_exact_in_mp4(tmp_path, fps):
    source = media.clip(tmp_path, suffix="mp4", fps=fps)
    output = upscaled(source, "mp4")
    assert media.times_s(output) == media.times_s(source)
    with av.open(str(output)) as out:
        assert Fraction(out.streams.video[0].average_rate) == fps


@pytest.fixture
def edited(tmp_path) -> Path:
    """20 frames in MP4 whose edit list hides the first five, and as much of the sound."""
    return media.clip(
        tmp_path,
        suffix="mp4",
        frames=20,
        audio=["aac"],
        start_s=Fraction(-1, 5),
        options={"bf": "2"},
        container_options={"avoid_negative_ts": "disabled"},
    )


@pytest.mark.parametrize("after", ["mp4", "mov"])
def test_an_edit_list_hides_what_it_hid(edited, after):
    assert media.numbers(edited) == list(range(5, 20))
    output = upscaled(edited, after)
    assert media.numbers(output) == list(range(5, 20))
    assert media.times_s(output) == media.times_s(edited)
    first, last = sound(edited), sound(output)
    assert first[2] == last[2]
    np.testing.assert_array_equal(first[0], last[0])


@pytest.mark.parametrize("after", ["mkv", "ts"])
def test_hidden_sound_stays_out_of_containers_without_edit_lists(edited, after):
    # Neither can begin below zero, so FFmpeg moves all streams together by what is left before it: one AAC packet of
    # priming, 21.3 ms. That much of a shift cannot be avoided; sync and spacing hold.
    output = upscaled(edited, after)
    wanted, times = media.times_s(edited), media.times_s(output)
    shift = times[0] - wanted[0]
    assert 0 <= shift < Fraction(44, 1000)
    assert close([t - shift for t in times], wanted)
    (before,), (behind,) = packets(edited, "audio"), packets(output, "audio")
    assert abs(behind[0][0] - shift - before[0][0]) > Fraction(1, 10) or before[0][0] > Fraction(-44, 1000)
    kept = {h: t for t, h in before}
    assert all(abs(kept[h] - (t - shift)) <= MS for t, h in behind)
    assert behind[-1][1] == before[-1][1]


# ---------------------------------------------------------------- sound


@pytest.mark.parametrize(
    ("before", "after", "codecs"),
    [
        ("mkv", "mkv", ["aac", "opus", "flac", "pcm_s16le", "vorbis", "ac3", "mp3"]),
        ("mkv", "mp4", ["aac", "opus", "ac3", "mp3", "flac"]),
        ("mp4", "mp4", ["aac", "aac"]),
        ("mp4", "mkv", ["aac", "ac3"]),
        ("mkv", "ts", ["aac", "ac3", "opus"]),
        ("ts", "mkv", ["aac", "mp3"]),
        ("mkv", "webm", ["opus", "vorbis"]),
        ("mkv", "avi", ["mp3", "ac3", "pcm_s16le"]),
        ("mkv", "mov", ["aac", "pcm_s16le"]),
        ("ts", "ts", ["mp2", "ac3"]),
        ("mkv", "nut", ["flac", "opus"]),
    ],
)
def test_every_sound_stream_is_copied_bit_for_bit_and_in_sync(tmp_path, before, after, codecs):
    tongues = ["eng", "deu", "jpn", "fra", "spa", "ita", "por"]
    tracks = [Track(c, tongue) for c, tongue in zip(codecs, tongues, strict=False)]
    source = media.clip(tmp_path, suffix=before, frames=15, audio=tracks)
    output = upscaled(source, after)
    first, last = packets(source, "audio"), packets(output, "audio")
    assert len(first) == len(last) == len(codecs)
    shift = media.times_s(output)[0] - media.times_s(source)[0]
    for was, now in zip(first, last, strict=True):
        if (
            after == "avi"
        ):  # its sound begins with the picture: what was before that is dropped, here AAC-like priming of other streams
            assert len(was) - len(now) <= 2
            was = was[len(was) - len(now) :]
        assert [h for _, h in was] == [h for _, h in now]
        step = Fraction(1, 25) if after == "avi" else MS  # AVI has no times, only a rate per stream
        assert abs((now[0][0] - shift) - was[0][0]) <= step
        assert close([t - now[0][0] for t, _ in now], [t - was[0][0] for t, _ in was], 2 * MS) or after == "avi"
    if after != "avi":
        spelt = ["eng", "ger" if after == "mov" else "deu", *tongues[2:]]  # QuickTime knows German as ger
        assert [x[1] for x in labels(output, "audio")] == spelt[: len(codecs)]


@pytest.mark.parametrize(
    ("codecs", "after", "becomes"),
    [
        (["opus", "aac"], "avi", "mp3"),
        (["flac", "vorbis"], "ts", "aac"),
        (["vorbis"], "flv", "aac"),
        (["aac", "pcm_s16le"], "webm", "opus"),
        (["pcm_s16le"], "mp4", "aac"),
        (["flac"], "mpg", "mp2"),
    ],
)
def test_sound_a_container_refuses_is_converted_and_said_before(tmp_path, codecs, after, becomes):
    source = media.clip(tmp_path, frames=25, audio=codecs)
    said = announced(source, after)
    output = upscaled(source, after)
    assert len(labels(output, "audio")) == len(codecs)
    for i, (was, now) in enumerate(zip(codecs, labels(output, "audio"), strict=True)):
        told = next(line for line in said.splitlines() if line.startswith(f"stream {i + 1} "))
        if now[0] != was:
            assert now[0] == becomes
            assert f"audio {was}: becomes" in told and f"cannot hold {was}" in told
        else:
            assert told.endswith("kept")
        wave, rate, _ = sound(output, i)
        assert abs(len(wave) / rate - 1) < 0.06
        middle = wave[rate // 4 : rate * 3 // 4] * np.hanning(rate * 3 // 4 - rate // 4)
        pitch = np.abs(np.fft.rfft(middle)).argmax() * rate / len(middle)
        assert abs(pitch - 220 * (i + 1)) < 5, "the streams kept their order"


def with_click(
    folder: Path, at_s: float, *, total_s: float = 1.2, rate: int = 48_000, suffix: str = "mkv", video: dict[str, Any]
) -> Path:
    """A clip whose sound is silence but for one loud sample-wide click."""
    silent = media.clip(folder, name="silent", suffix="mp4", **video)
    path = folder / f"click.{suffix}"
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        out.set_chapters(media.chapter_list(3, Fraction(total_s).limit_denominator(1000), Fraction(0)))
        ready = [p for p in source.demux(source.streams.video[0]) if p.size]
        wave = np.zeros(int(total_s * rate), np.int16)
        wave[int(at_s * rate) : int(at_s * rate) + 24] = 30000
        for start in range(0, len(wave), 960):
            piece = av.AudioFrame.from_ndarray(wave[None, start : start + 960].copy(), format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, start, Fraction(1, rate)
            ready += stream.encode(piece)
        for p in ready:
            if p.stream is not stream:
                p.stream = picture
        for p in sorted(ready, key=lambda p: (p.dts if p.dts is not None else p.pts) * Fraction(p.time_base)):
            out.mux(p)
    return path


def click_time(path: Path) -> float:
    """When the click is heard, seconds from the first frame's time."""
    wave, rate, start = sound(path)
    return float(np.abs(wave).argmax() / rate + start - media.times_s(path)[0])


@pytest.mark.parametrize(
    ("after", "audio"),
    [
        ("mkv", None),
        ("mp4", None),
        ("webm", None),
        ("mov", None),
        ("avi", None),
        ("mkv", "libopus"),
        ("mkv", "flac"),
        ("mp4", "libopus"),
        ("mkv", "aac"),
        ("ts", "aac"),
        ("flv", None),
    ],
)
def test_a_click_is_heard_when_it_was(tmp_path, after, audio):
    source = with_click(tmp_path, 0.5, video={"frames": 30})
    assert abs(click_time(source) - 0.5) < 0.001
    assert abs(click_time(upscaled(source, after, audio=audio)) - 0.5) < 0.004


# ---------------------------------------------------------------- subtitles


@pytest.mark.parametrize(
    ("before", "after", "codecs", "becomes"),
    [
        ("mkv", "mkv", ["subrip", "ass", "webvtt"], ["subrip", "ass", "webvtt"]),
        ("mp4", "mp4", ["mov_text", "mov_text"], ["mov_text", "mov_text"]),
        ("mkv", "mp4", ["subrip", "ass"], ["mov_text", "mov_text"]),
        ("mp4", "mkv", ["mov_text", "mov_text"], ["subrip", "subrip"]),
        ("mkv", "webm", ["subrip", "ass", "webvtt"], ["webvtt", "webvtt", "webvtt"]),
        ("mkv", "mov", ["subrip"], ["mov_text"]),
    ],
)
def test_subtitles_keep_text_times_and_languages(tmp_path, before, after, codecs, becomes):
    source = media.clip(tmp_path, suffix=before, frames=50, subtitles=codecs)
    said = announced(source, after)
    output = upscaled(source, after)
    found = labels(output, "subtitle")
    assert [x[0] for x in found] == becomes
    assert [x[1] for x in found] == [x[1] for x in labels(source, "subtitle")]
    for was, now, first, last, codec, other in zip(
        cues(source),
        cues(output),
        packets(source, "subtitle"),
        packets(output, "subtitle"),
        codecs,
        becomes,
        strict=True,
    ):
        assert len(was) == 3
        assert [text for *_, text in now] == [text for *_, text in was]
        assert np.allclose([x[:2] for x in now], [x[:2] for x in was], atol=0.0021)
        assert codec != other or [h for _, h in first] == [h for _, h in last]
        assert codec == other or f"subtitle {codec}: becomes {other}" in said


def test_styled_subtitles_stay_visible_in_mp4(tmp_path):
    source = media.clip(tmp_path, frames=50, subtitles=["ass"])  # its style is its own: 9 high, yellow, bold
    with av.open(str(upscaled(source, "mp4"))) as out:
        assert b"\x09\xff\xff\x00\xff" in bytes(out.streams.subtitles[0].codec_context.extradata), (
            "9 high, yellow, opaque"
        )
        texts = [e.dialogue.decode() for p in out.demux(out.streams.subtitles[0]) if p.size for e in p.decode()]
    assert [re.findall(r"line \d", t) for t in texts if "line" in t] == [["line 1"], ["line 2"], ["line 3"]]
    assert not any("\\fs0" in t or "1a&HFF" in t for t in texts), "not of size nothing, not see-through"


@pytest.mark.parametrize(
    ("codec", "after"),
    [("subrip", "ts"), ("ass", "avi"), ("webvtt", "flv"), ("hdmv_pgs_subtitle", "mp4"), ("hdmv_pgs_subtitle", "webm")],
)
def test_subtitles_nobody_can_hold_stop_the_job_before_it_begins(tmp_path, codec, after):
    source = media.clip(tmp_path, subtitles=[codec])
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(misr.OutputError, match=rf"cannot hold subtitle stream 1 \({codec}\).*\.mkv.*-sn"):
        upscaled(source, after)
    assert sorted(p.name for p in tmp_path.iterdir()) == before, "nothing is written"
    output = upscaled(source, after, without=frozenset({"subtitle"}))
    assert len(media.read(output)) == 12


# ---------------------------------------------------------------- attachments, chapters, metadata, dispositions, languages


@pytest.fixture(scope="module")
def full_house(tmp_path_factory) -> Path:
    """Matroska with everything: sounds, subtitles, fonts, chapters, tags, cover art, a second picture."""
    default, forced, comment = Disposition.default, Disposition.forced, Disposition.comment
    return media.clip(
        tmp_path_factory.mktemp("house"),
        audio=[Track("aac", "eng", "Main", default), Track("opus", "jpn", "Remarks", comment)],
        subtitles=[Track("subrip", "eng", "Full", default), Track("ass", "deu", "Signs", forced)],
        fonts=2,
        chapters=3,
        frames=50,
        metadata={"title": "A title", "artist": "Someone", "comment": "seen", "X_OWN": "kept too"},
        video_metadata={"language": "fra", "title": "The picture"},
        cover=True,
        second_video=True,
    )


def test_matroska_keeps_everything_it_was_given(full_house):
    output = upscaled(full_house, "mkv")
    for kind in ("audio", "subtitle"):
        assert labels(output, kind) == labels(full_house, kind)
    assert chapters(output) == chapters(full_house) and len(chapters(output)) == 3
    was, now = tags(full_house), tags(output)
    assert {k: now.get(k) for k in ("title", "artist", "comment", "x_own")} == {
        k: was[k] for k in ("title", "artist", "comment", "x_own")
    }
    with av.open(str(full_house)) as a, av.open(str(output)) as b:
        fonts = [(s.name, s.mimetype, s.data) for s in b.streams if s.type == "attachment"]
        assert len(fonts) == 2 and fonts == [(s.name, s.mimetype, s.data) for s in a.streams if s.type == "attachment"]
        picture = b.streams.video[0]
        assert (picture.metadata.get("language"), picture.metadata.get("title")) == ("fra", "The picture")
        assert int(picture.disposition) == int(a.streams.video[0].disposition)


def test_mp4_keeps_what_it_can_and_names_the_rest(full_house):
    said = announced(full_house, "mp4")
    assert said.count("holds no attachments; .mkv does") == 2
    output = upscaled(full_house, "mp4")
    assert [x[:2] for x in labels(output, "audio")] == [("aac", "eng"), ("opus", "jpn")]
    assert [x[:2] for x in labels(output, "subtitle")] == [("mov_text", "eng"), ("mov_text", "deu")]
    assert (
        labels(output, "audio")[0][3] & Disposition.default and not labels(output, "audio")[1][3] & Disposition.default
    )
    assert [c[2] for c in chapters(output)] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert np.allclose([c[:2] for c in chapters(output)], [c[:2] for c in chapters(full_house)], atol=0.002)
    now = tags(output)
    assert (now["title"], now["artist"], now["comment"], now["x_own"]) == ("A title", "Someone", "seen", "kept too")


def test_mp4_tags_and_languages_survive_mp4_and_matroska(tmp_path):
    source = media.clip(
        tmp_path,
        suffix="mp4",
        metadata={"title": "A title", "artist": "Someone", "date": "2024", "genre": "Test"},
        audio=[Track("aac", "deu", "", Disposition.default), Track("aac", "jpn")],
        chapters=2,
        video_metadata={"language": "fra"},
        frames=30,
    )
    for suffix in ("mp4", "mkv", "mov"):
        output = upscaled(source, suffix)
        now = tags(output)
        assert (now["title"], now["artist"], now["date"], now["genre"]) == ("A title", "Someone", "2024", "Test"), (
            suffix
        )
        assert [x[1] for x in labels(output, "audio")] == ["ger" if suffix == "mov" else "deu", "jpn"]
        assert labels(output, "video")[0][1] == "fra"
        assert [c[2] for c in chapters(output)] == ["Chapter 1", "Chapter 2"]
        assert [bool(x[3] & Disposition.default) for x in labels(output, "audio")] == [True, False]


# ---------------------------------------------------------------- several pictures, cover art


@pytest.mark.parametrize("after", ["mkv", "mp4", "mov", "avi"])
def test_a_second_picture_is_copied(tmp_path, after):
    source = media.clip(tmp_path, second_video=True)
    output = upscaled(source, after)
    first, last = packets(source, "video"), packets(output, "video")
    assert len(last) == 2
    assert [h for _, h in first[1]] == [h for _, h in last[1]]
    with av.open(str(output)) as out:
        assert [(s.codec_context.width, s.codec_context.height) for s in out.streams.video] == [(192, 128), (32, 32)]


@pytest.mark.parametrize(("before", "after"), [("mkv", "mkv"), ("mp4", "mp4"), ("mkv", "mp4"), ("mp4", "mkv")])
def test_cover_art_is_kept_and_not_upscaled(tmp_path, before, after):
    output = upscaled(media.clip(tmp_path, suffix=before, cover=True, audio=["aac"]), after)
    with av.open(str(output)) as out:
        covers = [s for s in out.streams.video if s.disposition & Disposition.attached_pic]
        assert len(covers) == 1
        data = next(bytes(p) for p in out.demux(covers[0]) if p.size)
    assert data == media.png_bytes()
    assert media.numbers(output) == list(range(12))


def test_cover_art_a_container_refuses_is_named(tmp_path):
    source = media.clip(tmp_path, suffix="mp4", cover=True)
    assert "mov holds no cover art; .mkv and .mp4 do" in announced(source, "mov")
    assert media.numbers(upscaled(source, "mov")) == list(range(12))


# ---------------------------------------------------------------- a part of a clip


@pytest.mark.parametrize(("before", "after"), [("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv"), ("mp4", "mp4")])
def test_a_part_is_cut_from_every_stream_in_step(tmp_path, before, after):
    pts = [0, 40, 90, 300, 310, 480, 520, 560, 700, 780, 800, 990, 1000, 1100, 1150]
    fast = {"pts": pts, "time_base": MS, "options": {"preset": "medium", "bf": "3", "g": "250"}}
    source = with_click(tmp_path, 0.75, video=fast)
    if before == "mp4":
        source = remuxed(source, tmp_path / "click.mp4")
    start, end = Fraction(3, 10), Fraction(1)
    output = upscaled(source, after, start=start, end=end)
    wanted = [(n, Fraction(p, 1000) - start) for n, p in enumerate(pts) if start * 1000 <= p < end * 1000]
    assert media.numbers(output) == [n for n, _ in wanted]
    assert close(media.times_s(output), [t for _, t in wanted])
    assert abs(click_time(output) - 0.45) < 0.004
    wave, rate, _ = sound(output)
    assert abs(len(wave) / rate - 0.7) < 0.05
    assert [c[2] for c in chapters(output)] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert np.allclose([c[:2] for c in chapters(output)], [(0, 0.1), (0.1, 0.5), (0.5, 0.7)], atol=0.002)


def remuxed(source: Path, target: Path) -> Path:
    """The same clip in MP4, its sound as AAC."""
    with av.open(str(source)) as a, av.open(str(target), "w") as b:
        picture, words = b.add_stream_from_template(a.streams.video[0]), b.add_stream("aac", rate=48_000, layout="mono")
        b.set_chapters(a.chapters())
        for p in a.demux():
            if p.stream.type == "video" and p.size:
                p.stream = picture
                b.mux(p)
            elif p.stream.type == "audio":
                for f in p.decode():
                    b.mux(words.encode(f))
        b.mux(words.encode(None))
    return target


def test_subtitles_are_cut_with_the_picture(tmp_path):
    source = media.clip(tmp_path, frames=75, subtitles=["subrip", "ass"])
    for after in ("mkv", "mp4"):
        found = cues(upscaled(source, after, start=Fraction(1), end=Fraction(2)))
        assert [[text for *_, text in events] for events in found] == [["eng line 2"], ["deu line 2"]]
        assert np.allclose([events[0][:2] for events in found], [(0.01, 0.99)] * 2, atol=0.002)


# ---------------------------------------------------------------- pipes


@pytest.mark.parametrize("kind", ["mkv", "nut", "y4m"])
def test_pipes_go_in_and_come_out(tmp_path, monkeypatch, kind):
    extra = {} if kind == "y4m" else {"pts": [0, 40, 90, 100, 260, 300], "time_base": MS}
    data = media.pipe_bytes(
        tmp_path, kind, **({"frames": 6} | extra), **({"audio": ["pcm_s16le"]} if kind == "mkv" else {})
    )
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data))))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=taken))
    misr.upscale("-", "-", misr.Settings(model="bilinear", scale=2, fmt=kind, codec=None if kind == "y4m" else "ffv1"))
    output = tmp_path / f"taken.{kind}"
    output.write_bytes(taken.getvalue())
    assert media.numbers(output) == list(range(6))
    assert close(media.times_s(output), media.times_s(tmp_path / f"pipe.{kind}"))
    if kind == "mkv":
        assert packets(output, "audio")[0] == packets(tmp_path / "pipe.mkv", "audio")[0]
