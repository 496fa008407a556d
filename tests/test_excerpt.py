"""What travels of a clip is read as the clip is: the same frames, times, colours and side data, of fewer bytes."""

from __future__ import annotations

import errno
import hashlib
import io
import pickle
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import pytest

from misr.errors import DecodeError, InputError
from misr.frame import Frame
from misr.io import excerpt as excerpts
from misr.io import reader as reading
from misr.io.excerpt import AHEAD, Excerpt, Wanting, cut, head, joined
from misr.io.opening import BUFFER_BYTES, SEEK_MARGIN_S, decoder_for
from misr.io.reader import Reader
from tests import media

FPS, FRAMES = 10, 100  # ten seconds, so that a seek goes somewhere
GOP = {"g": "10", "keyint_min": "10"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:bframes=4"}
HDR10 = {"x265-params": media.HDR10["x265-params"] + ":keyint=10"}
WOVEN = {**GOP, "bf": "3", "flags": "+ildct+ilme", "x264-params": "tff=1:bframes=3:scenecut=0"}
BFRAMES = {**GOP, "bf": "3", "x264-params": "scenecut=0:b-adapt=0:b-pyramid=normal"}


def told(frame: Frame) -> tuple[Any, ...]:
    """All that a writer is told of a frame, its planes and side data as digests."""
    planes = [(p.shape, p.dtype.str, hashlib.sha256(p.tobytes()).hexdigest()) for p in frame.planes]
    side = sorted((d.type.name, bytes(d)) for d in frame.source.side_data) if frame.source is not None else None
    return frame.time, frame.color, planes, frame.duration, side


def sent(excerpt: Excerpt, *, beside: Excerpt | None = None) -> Excerpt:
    """What arrives of an excerpt, without its head where that went ahead."""
    own = pickle.loads(pickle.dumps(excerpt.without(beside) if beside else excerpt))
    return pickle.loads(pickle.dumps(beside)) + own if beside else own


def away(reader: Reader, excerpt: Excerpt, **options: Any) -> Reader:
    """A reader where the file is not."""
    return Reader(f"nowhere/{Path(reader.path).name}", excerpt=excerpt, info=reader.info, **options)


STRETCHES = (
    (0, 0.33),
    (0.01, 0.25),
    (0.6, 0.7),
    (0.8, 0.99),
    (0.5, None),
)  # shares of a clip: the first and last frame


def check(path: Path, *, sought: bool = True, stretches: tuple[Any, ...] = STRETCHES, **options: Any) -> None:
    """Stretches of a clip come as they do from the file. sought: they are not read from its beginning each time."""
    reader = Reader(path, **options)
    frames, shared = [told(f) for f in reader.frames()], head(reader)
    n = len(frames)
    assert n > 20
    for begin, end in stretches:
        first, last = int(n * begin), None if end is None else int(n * end)
        since = frames[first][0] if first else None
        until = None if last is None else frames[last][0]
        excerpt = cut(reader, since, until)
        assert first <= n // 2 or (excerpt.since is not None) == sought
        elsewhere = away(reader, sent(excerpt, beside=shared), **options)
        assert elsewhere.info == reader.info
        found = [told(f) for f in elsewhere.frames(since)]
        assert found == [told(f) for f in islice(reader.frames(since), len(found))]
        # durations and the signatures that decoders repeat are not the same wherever FFmpeg begins to decode
        assert [f[:3] for f in found] == [f[:3] for f in frames[first : None if last is None else last + 1]]


@dataclass(frozen=True)
class Kind:
    """A sort of clip: what media.clip is told, and whether stretches of it can be sought."""

    options: dict[str, Any] = field(default_factory=dict)
    sought: bool = True
    read: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "mkv x264": Kind({"options": BFRAMES}),
    "mp4 x264": Kind({"suffix": "mp4", "options": BFRAMES}),
    "ts x264": Kind({"suffix": "ts", "options": BFRAMES}),
    "nut x264": Kind({"suffix": "nut", "options": BFRAMES}),
    "flv x264": Kind({"suffix": "flv", "options": BFRAMES}),
    "mp4 in fragments": Kind(
        {"suffix": "mp4", "options": BFRAMES, "container_options": {"movflags": "frag_keyframe+empty_moov"}}
    ),
    "mkv without cues": Kind({"options": BFRAMES, "container_options": {"live": "1"}}),
    "avi mpeg4": Kind({"suffix": "avi", "codec": "mpeg4", "options": GOP}),
    "webm vp9": Kind({"suffix": "webm", "codec": "libvpx-vp9", "options": {**GOP, "deadline": "realtime"}}),
    "mkv x265": Kind({"codec": "libx265", "options": X265}),
    "mp4 x265 of 10 bits": Kind({"suffix": "mp4", "codec": "libx265", "pix_fmt": "yuv420p10le", "options": X265}),
    "mkv svt-av1": Kind({"codec": "libsvtav1", "options": {"preset": "12", **GOP}}),
    "mpg mpeg2": Kind({"suffix": "mpg", "codec": "mpeg2video", "fps": 25, "options": {**GOP, "bf": "2"}}),
    "mxf mpeg2": Kind({"suffix": "mxf", "codec": "mpeg2video", "fps": 25, "options": {**GOP, "bf": "2"}}),
    "mov prores": Kind({"suffix": "mov", "codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "mkv ffv1": Kind({"codec": "ffv1", "options": {"g": "1"}}),
    "mkv raw": Kind({"codec": "rawvideo"}),
    "mp4 mjpeg": Kind({"suffix": "mp4", "codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "avi raw": Kind({"suffix": "avi", "codec": "rawvideo"}),
    "wmv": Kind({"suffix": "wmv", "codec": "wmv2", "options": GOP}),
    "y4m": Kind({"suffix": "y4m", "codec": "rawvideo"}),
    "open groups": Kind({"options": {"x264-params": "open-gop=1:keyint=10:bframes=3:scenecut=0"}}),
    "open groups of x265": Kind(
        {"codec": "libx265", "options": {**X265, "x265-params": X265["x265-params"] + ":open-gop=1"}}
    ),
    "variable rate": Kind(
        {"pts": [n * 90 + (n * n) % 37 for n in range(FRAMES)], "time_base": Fraction(1, 1000), "options": BFRAMES}
    ),
    "late start": Kind({"suffix": "mp4", "start_s": 5, "options": BFRAMES}),
    "HDR10": Kind({"codec": "libx265", "pix_fmt": "yuv420p10le", "color": media.BT2020_PQ, "options": HDR10}),
    "turned": Kind({"suffix": "mp4", "rotation": 90, "options": BFRAMES}),
    "turned upright": Kind({"suffix": "mp4", "rotation": 90, "options": BFRAMES}, read={"upright": True}),
    "interlaced": Kind(
        {"suffix": "mp4", "interlaced": True, "size": (64, 64), "options": WOVEN}, read={"deinterlace": "on"}
    ),
    "beside others": Kind(
        {"audio": ["aac", "opus"], "subtitles": ["ass"], "chapters": 3, "fonts": 2, "cover": True, "options": BFRAMES}
    ),
    "mp4 beside others": Kind(
        {"suffix": "mp4", "audio": ["aac", "aac"], "subtitles": ["mov_text"], "cover": True, "options": BFRAMES}
    ),
    "ts beside others": Kind({"suffix": "ts", "audio": ["mp2"], "options": BFRAMES}),
    "two videos": Kind({"second_video": True, "options": BFRAMES}),
    "cut by -ss and -to": Kind({"options": BFRAMES}, read={"start": Fraction(2), "end": Fraction(9)}),
    "tags corrected": Kind({"options": BFRAMES}, read={"retag": reading.Retag(matrix=1, siting=3)}),
    "counted": Kind({"options": BFRAMES}, sought=False, read={"rate": Fraction(30)}),
}


def small(folder: Path, kind: str, **more: Any) -> Path:
    """A clip of a kind."""
    return media.clip(folder, **{"size": (64, 48), "fps": FPS, "frames": FRAMES, **KINDS[kind].options, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_a_stretch_is_read_as_from_the_file(tmp_path, kind):
    check(small(tmp_path, kind), sought=KINDS[kind].sought, **KINDS[kind].read)


def threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """All decoders of this test have so many."""

    def threaded(stream: Any) -> Any:
        context = decoder_for(stream)
        context.thread_count = count
        return context

    monkeypatch.setattr(reading, "decoder_for", threaded)


@pytest.mark.parametrize("kind", ["mp4 x264", "mkv x265", "ts x264", "webm vp9", "mkv svt-av1", "interlaced"])
def test_decoders_with_many_threads_give_the_last_frame_too(tmp_path, monkeypatch, kind):
    threads(monkeypatch, 16)
    check(small(tmp_path, kind))


@pytest.mark.parametrize("kind", ["mkv raw", "mp4 mjpeg", "ts x264"])
def test_a_stretch_is_as_long_as_its_packets(tmp_path, kind):
    frames = 600
    reader = Reader(path := small(tmp_path, kind, frames=frames, fps=25))
    shared, size, first, last = head(reader), path.stat().st_size, 400, 424
    excerpt = cut(reader, Fraction(first, 25), Fraction(last, 25))
    own = excerpt.without(shared)
    around = SEEK_MARGIN_S * 25 + 10 + AHEAD  # frames: what a resume decodes before, a group of pictures, what follows
    assert own.bytes < size / frames * (last - first + 1 + around) * 1.2 + 6 * BUFFER_BYTES
    assert own.bytes < size / 3
    assert [f.time for f in away(reader, shared + own).frames(Fraction(400, 25))][-1] == Fraction(last, 25)


def test_the_head_goes_once(tmp_path):
    reader = Reader(small(tmp_path, "mp4 x264"))
    shared = head(reader)
    cuts = [cut(reader, Fraction(n), Fraction(n + 1)) for n in (5, 7)]
    for whole in cuts:
        own = whole.without(shared)
        assert own.bytes < whole.bytes and (shared + own).bytes == whole.bytes
        assert shared + own == whole


@pytest.mark.parametrize("kind", ["turned upright", "interlaced", "y4m", "late start"])
def test_facts_that_are_told_need_no_second_look(tmp_path, monkeypatch, kind):
    path, options = small(tmp_path, kind), KINDS[kind].read
    reader = Reader(path, **options)
    monkeypatch.setattr(Reader, "_probe", lambda self, deinterlace: pytest.fail("looked again"))
    again = Reader(path, info=reader.info, **options)
    assert again.info == reader.info
    assert [told(f) for f in again.frames()] == [told(f) for f in reader.frames()]


def test_one_of_two_stretches_is_not_the_other(tmp_path):
    reader = Reader(small(tmp_path, "mkv x264"))
    excerpt = cut(reader, Fraction(6), Fraction(7))
    for other in (None, Fraction(0), Fraction(5), Fraction(13, 2), Fraction(8)):
        with pytest.raises(Wanting, match="put the clip where every worker sees it"):
            list(away(reader, excerpt).frames(other))
    with pytest.raises(Wanting):
        list(away(reader, head(reader)).frames())
    assert type(pickle.loads(pickle.dumps(Wanting("x")))) is Wanting


def test_what_breaks_off_before_its_last_frame_is_wanting(tmp_path):
    reader = Reader(small(tmp_path, "mkv x264", frames=150))
    excerpt = cut(reader, Fraction(6), Fraction(8))
    assert excerpt.packets is not None
    with pytest.raises(Wanting, match=r"the frame at 8\.000 s"):
        list(away(reader, replace(excerpt, packets=excerpt.packets - AHEAD - 8)).frames(Fraction(6)))


@pytest.mark.parametrize("rate", [None, Fraction(10)])
def test_a_clip_cut_from_its_beginning_is_read_from_there(tmp_path, rate):
    reader = Reader(small(tmp_path, "mp4 x264", frames=200), rate=rate)
    frames = [told(f)[:3] for f in reader.frames()]
    excerpt = cut(reader, Fraction(6), Fraction(7), whole=True)
    assert excerpt.since is None and excerpt.packets is not None
    assert [told(f)[:3] for f in away(reader, excerpt, rate=rate).frames(Fraction(6))] == frames[60:71]


def test_a_clip_in_which_nothing_can_be_sought_is_cut_from_its_beginning(tmp_path):
    path = small(tmp_path, "ts x264")
    with av.open(str(path)) as source:  # packets in a row, without a container
        path = tmp_path / "bare.h264"
        path.write_bytes(b"".join(bytes(p) for p in source.demux(video=0)))
    reader = Reader(path)
    frames = list(reader.frames())
    excerpt = cut(reader, frames[60].time, frames[70].time)
    found = [told(f)[:3] for f in away(reader, excerpt).frames(frames[60].time)]
    assert found == [told(f)[:3] for f in frames[60:71]]


def test_a_damaged_packet_is_met_where_it_stands(tmp_path):
    path = small(tmp_path, "mkv ffv1")
    with av.open(str(path)) as source:
        packet = [bytes(p) for p in source.demux(video=0)][65]
    data = path.read_bytes()
    at = data.index(packet)
    path.write_bytes(data[: at + 20] + bytes(len(packet) - 40) + data[at + len(packet) - 20 :])
    reader = Reader(path)
    excerpt = cut(reader, Fraction(6), Fraction(7))
    with pytest.raises(DecodeError, match=r"the frame at 6\.500 s does not decode"):
        list(away(reader, excerpt).frames(Fraction(6)))
    patient, same = away(reader, excerpt, on_error="repeat"), Reader(path, on_error="repeat")
    assert [told(f)[:3] for f in patient.frames(Fraction(6))] == [told(f)[:3] for f in same.frames()][60:71]
    assert patient.damaged == [Fraction(13, 2)]


def test_444_of_an_old_x264_decodes_the_same_after_a_seek(tmp_path, monkeypatch):
    """Before build 151 it coded residuals otherwise; it tells its build in the first packet alone. This one only says 140."""
    threads(monkeypatch, 1)  # more make something else of a wrong stream each time
    path = small(tmp_path, "mp4 x264", size=(128, 96), pix_fmt="yuv444p", options={**BFRAMES, "crf": "12"})
    data, before = path.read_bytes(), [f.to_ndarray() for f in media.read(path)]
    at = data.index(b"x264 - core ")
    path.write_bytes(data[: at + 12] + b"140" + data[at + 15 :])
    assert any((f.to_ndarray() != old).any() for f, old in zip(media.read(path), before, strict=True))
    check(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat"])
def test_a_source_of_several_files_is_not_cut(tmp_path, name):
    part = small(tmp_path, "ts x264", name="part")
    playlist = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{part.name}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {part.name}\n",
    }
    path = tmp_path / name
    path.write_text(playlist[name])
    reader = Reader(path)
    for sent_away in (lambda: head(reader), lambda: cut(reader, None, None)):
        with pytest.raises(InputError, match="of several files cannot be sent piece by piece"):
            sent_away()


def test_a_clip_that_is_gone_is_not_cut(tmp_path):
    path = small(tmp_path, "mkv x264")
    reader = Reader(path)
    path.unlink()
    with pytest.raises(InputError, match="only a file can be sent"):
        cut(reader, None, None)


def test_a_clip_that_ends_early_ends_as_the_file_does(tmp_path):
    reader = Reader(small(tmp_path, "mkv x264"))
    excerpt = cut(reader, Fraction(6), Fraction(60))
    assert [f.time for f in away(reader, excerpt).frames(Fraction(6))] == [Fraction(n, 10) for n in range(60, 100)]


def test_a_disk_that_fails_is_named(tmp_path, monkeypatch):
    class Worn(io.BytesIO):
        def read(self, n: int | None = -1) -> bytes:
            if self.tell() > 200_000:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(n)

    path = small(tmp_path, "mkv raw")
    reader = Reader(path)
    monkeypatch.setattr(excerpts, "open", lambda *_: Worn(path.read_bytes()), raising=False)
    with pytest.raises(InputError, match=r"clip.mkv: reading broke off \(Input/output error\); check the disk"):
        cut(reader, None, None)


def test_pieces_join_and_part_again():
    data = bytes(range(100))
    pieces = [(40, data[40:60]), (0, data[:10]), (10, data[10:20]), (50, data[50:70]), (45, data[45:50])]
    whole = Excerpt("x", 100, joined(pieces))
    assert whole.pieces == ((0, data[:20]), (40, data[40:70])) and whole.bytes == 50
    middle = Excerpt("x", 100, ((15, data[15:45]),))
    assert whole.without(middle).pieces == ((0, data[:15]), (45, data[45:70]))
    assert (middle + whole.without(middle)).pieces == ((0, data[:70]),)
    assert whole.without(whole).pieces == () and whole.without(Excerpt("x", 100, ())) == whole


def test_a_hole_reads_as_the_end_and_the_end_is_where_it_was():
    data = bytes(range(100))
    file = Excerpt("x", 100, ((10, data[10:20]), (40, data[40:100]))).opened()
    assert file.read(5) == b""
    assert file.seek(15) == 15 and file.read(20) == data[15:20] and file.read(1) == b"" and file.tell() == 20
    assert file.seek(25, 1) == 45 and file.read(5) == data[45:50]
    assert file.seek(-1, 2) == 99 and file.read(5) == data[99:] and file.read(5) == b""
    assert file.seek(500) == 500 and file.read(5) == b""


WILD = ("img_cockatoo.mp4", "ax_sample.avi", "mb_hevc.ts", "ax_bbb_642x642_768kbps_30fps_vp9.webm")


@pytest.mark.parametrize("name", WILD)
def test_stretches_of_the_wild_are_read_as_from_the_file(shared_data, name):
    check(shared_data / "tricky" / name, sought=name != "mb_hevc.ts", stretches=((0.6, 0.7),))


def test_frames_that_share_a_time_are_not_sought(shared_data):
    reader = Reader(shared_data / "tricky" / "ax_sample_with_fake_auxiliary_tracks.mp4")
    frames = [told(f)[:3] for f in reader.frames()]
    for n, (time, *_) in enumerate(frames):
        assert [told(f)[:3] for f in reader.frames(time)] == frames[n:]
    with pytest.raises(Wanting):
        list(away(reader, cut(reader, frames[2][0], None)).frames(frames[2][0]))
    whole = cut(reader, frames[2][0], None, whole=True)
    assert [told(f)[:3] for f in away(reader, whole).frames(frames[2][0])] == frames[2:]
