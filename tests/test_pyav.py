"""PyAV: misr in the place of a filter graph, alone, before and after real ones; frames to misr's and back."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from misr_pyav import Upscale

import misr
from misr.io.planes import COARSE, UNPACKED, color_of, planar_name, side_data_names
from tests.hosts.pyav import sar_of

pytestmark = pytest.mark.usefixtures("one_thread")
FORMATS = sorted(
    {*UNPACKED, "gray", "gray10le", "grayf32le", "ya8", "ya16le", "yuvj420p", "yuvj444p", "yuva420p"} - COARSE
)
PAIRS = ("yuyv422", "uyvy422", "yvyu422", "y210le", "y212le")  # of pixels, with one chroma: no odd width
PACKED = ["nv12", "p010le", "rgb24", "bgr0", "rgba", "yuyv422", "yuvj420p", "ya8", "gray16be", "gbrpf32le", "rgb48le"]
TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


def frame(n: int = 0, pix_fmt: str = "yuv420p", size: tuple[int, int] = (64, 48), **attributes: Any) -> av.VideoFrame:
    """A frame of a moving texture, at n / 25 s."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w]
    texture = 120 + 60 * np.sin(0.4 * (x - 0.7 * n)) + 40 * np.cos(0.3 * y + 0.1 * x)
    rgb = np.stack([texture, texture[::-1], 255 - texture], -1).clip(0, 255).astype(np.uint8)
    out = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
    out.pts, out.time_base, out.duration = n, Fraction(1, 25), 1
    for name, value in attributes.items():
        setattr(out, name, value)
    return out


def encoded(codec: str, pix_fmt: str = "yuv420p", *, frames: int = 6, **options: str) -> io.BytesIO:
    """A clip of 25 frames per second, in Matroska."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for n in range(frames):
            out.mux(stream.encode(frame(n, pix_fmt)))
        out.mux(stream.encode(None))
    file.seek(0)
    return file


def decoded(codec: str, pix_fmt: str = "yuv420p", *, frames: int = 6, **options: str) -> list[av.VideoFrame]:
    """Frames of an encoded clip, as a decoder gives them."""
    with av.open(encoded(codec, pix_fmt, frames=frames, **options)) as source:
        return list(source.decode(video=0))


def graph_of(like: av.VideoFrame, *filters: tuple[str, str]) -> av.filter.Graph:
    """buffer -> filters -> sink."""
    graph = av.filter.Graph()
    size = f"video_size={like.width}x{like.height}"
    source = graph.add("buffer", f"{size}:pix_fmt={like.format.name}:time_base={like.time_base}:pixel_aspect=1/1")
    graph.link_nodes(source, *(graph.add(*one) for one in filters), graph.add("buffersink"))
    graph.configure()
    return graph


def through(graph: Any, frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """A function as people write it for av.filter.Graph."""
    for pushed in [*frames, None]:
        graph.push(pushed)
        while True:
            try:
                yield graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break


def arrays(it: av.VideoFrame) -> tuple[np.ndarray, ...]:
    return tuple(np.array(p) for p in misr.from_av(it).planes)


def same(a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("model", ["bicubic", "fast-x2", "video-x2"])
def test_a_function_written_for_a_graph_takes_misr(model: str) -> None:
    frames = [frame(n) for n in range(20)]
    plain = list(through(graph_of(frames[0], ("scale", "128:96")), frames))
    ours = list(through(Upscale(model), frames))
    assert [(f.pts, f.time_base, f.width, f.height, f.format.name) for f in ours] == [
        (f.pts, f.time_base, f.width, f.height, f.format.name) for f in plain
    ]
    whole = misr.load(model).stream(misr.from_av(f) for f in frames)
    assert all(same(arrays(f), w.planes) for f, w in zip(ours, whole, strict=True))


def test_process_is_push_and_pull() -> None:
    frames = [frame(n) for n in range(3)]
    ours = [arrays(f) for f in Upscale("fast-x2").process(frames)]
    assert all(same(a, arrays(b)) for a, b in zip(ours, through(Upscale("fast-x2"), frames), strict=True))
    assert list(Upscale("video-x2").process([])) == []


def test_nothing_can_be_pulled_before_it_was_pushed_nor_after_the_end() -> None:
    for it in (Upscale("bicubic"), graph_of(frame(), ("null", ""))):
        it.configure()
        with pytest.raises(av.error.BlockingIOError):
            it.pull()
        it.push(frame())
        assert isinstance(it.vpull(), av.VideoFrame)
        for _ in range(2):
            it.push(None)
            with pytest.raises(av.error.EOFError) as ended:
                it.pull()
        assert ended.value.errno == 541478725  # AVERROR_EOF
        with pytest.raises(av.error.EOFError):
            it.vpush(frame())


def test_the_readme_example_upscales_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.mkv").write_bytes(encoded("libx264", frames=5).getvalue())
    readme = (Path(__file__).parent.parent / "plugins" / "pyav" / "README.md").read_text()
    exec(readme.split("```python\n")[1].split("```")[0], {})
    with av.open("out.mkv") as out:
        assert [(f.width, f.height, f.pts) for f in out.decode(video=0)] == [(128, 96, 40 * n) for n in range(5)]


def test_a_frame_comes_out_latency_frames_later() -> None:
    up = Upscale("video-x2")
    assert up.latency == misr.load("video-x2").latency > 1
    for n in range(up.latency):
        up.push(frame(n))
        with pytest.raises(av.error.BlockingIOError):
            up.pull()
    up.push(frame(up.latency))
    assert up.pull().pts == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "burst-x2"}, "burst-x2"),
        ({"strength": 2.0}, "strength 2"),
        ({"device": "warp"}, "warp"),
        ({"precision": "fp64"}, "fp64"),
        ({"tile": -1}, "tile -1"),
        ({"size": (0, 5)}, r"\(0, 5\)"),
    ],
)
def test_what_cannot_be_is_a_value_error_as_of_a_graph_for_an_unknown_filter(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        Upscale(**options)
    assert not isinstance(caught.value, misr.MisrError)


@pytest.mark.parametrize("thing", ["x", 7, av.AudioFrame("s16", "mono", 64)])
def test_what_is_no_picture_is_a_value_error(thing: object) -> None:
    with pytest.raises(ValueError, match="VideoFrame or None"):
        Upscale("bicubic").push(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (frame(size=(32, 32)), "frame 1: it is yuv420p 32x32, the stream began as yuv420p 64x48"),
        (frame(pix_fmt="yuv444p"), "yuv444p 64x48"),
        (av.VideoFrame(64, 48, "xyz12le"), "xyz12le"),
    ],
)
def test_a_frame_that_does_not_belong_is_refused_and_the_stream_goes_on(odd: av.VideoFrame, said: str) -> None:
    up = Upscale("video-x2")
    up.push(frame(0))
    with pytest.raises(av.error.ArgumentError, match=said):
        up.push(odd)
    up.push(frame(1))
    up.push(None)
    assert [up.pull().pts, up.pull().pts] == [0, 1]


def test_interlaced_frames_are_warned_of() -> None:
    woven = decoded("mpeg2video", flags="+ildct+ilme")
    assert woven[0].interlaced_frame
    with pytest.warns(UserWarning, match="bwdif"):
        list(Upscale("bicubic").process(woven))


def test_times_are_those_of_each_frame_whatever_they_are() -> None:
    times = [
        (5, Fraction(1, 25), 1),
        (None, Fraction(1, 25), 0),
        (7, Fraction(1001, 30000), 3),
        (-4, Fraction(1, 7), 0),
        (None, Fraction(0), 0),
    ]
    frames = [frame(n, pts=pts, time_base=base, duration=length) for n, (pts, base, length) in enumerate(times)]
    up = Upscale("video-x2")
    for it in frames:
        up.push(it)
        it.pts, it.time_base = 99, Fraction(1, 9)  # the caller's again, as with a graph
    up.push(None)
    out = [up.pull() for _ in frames]
    assert [(f.pts, f.time_base or 0, f.duration) for f in out] == times


@pytest.mark.parametrize("pix_fmt", PACKED)
def test_frames_come_out_in_the_format_they_had(pix_fmt: str) -> None:
    (out,) = Upscale("fast-x2").process([frame(3, pix_fmt)])
    assert (out.format.name, out.width, out.height) == (pix_fmt, 128, 96)
    (ours,) = misr.load("fast-x2").stream([misr.from_av(frame(3, pix_fmt))])
    assert same(arrays(out), ours.planes)


@pytest.mark.parametrize(("pix_fmt", "plain"), [("rgb8", "gbrp"), ("monow", "gray"), ("rgb565le", "gbrp")])
def test_formats_too_coarse_for_a_sharp_picture_become_planar(pix_fmt: str, plain: str) -> None:
    (out,) = Upscale("bicubic").process([frame(0, pix_fmt)])
    assert out.format.name == plain


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (9, 1, 9, 16), (5, 2, 6, 6), (2, 0, 2, 2)])
def test_tags_are_kept_where_they_change_in_mid_stream_too(tags: tuple[int, ...]) -> None:
    named = dict(zip(TAGS, tags, strict=True))
    if hasattr(av.VideoFrame, "chroma_location"):  # PyAV 19
        named["chroma_location"] = tags[1]
    out = list(Upscale("video-x2").process([frame(0, **dict.fromkeys(TAGS, 1)), frame(1, **named), frame(2, **named)]))
    assert [tuple(getattr(f, t) for t in TAGS) for f in out] == [(1, 1, 1, 1), tags, tags]
    assert [getattr(f, "chroma_location", 0) for f in out] == [0, *[named.get("chroma_location", 0)] * 2]


@pytest.mark.parametrize(
    ("size", "shape"), [(None, Fraction(4, 3)), ((100, 96), Fraction(4, 3) * 128 / 100), ((64, 48), Fraction(4, 3))]
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "gbrpf32le"])
def test_the_display_aspect_stays(pix_fmt: str, size: tuple[int, int] | None, shape: Fraction) -> None:
    plain = frame(0, pix_fmt)
    graph = graph_of(plain, ("setsar", "4/3"))
    (out,) = Upscale("bicubic", size=size).process(through(graph, [plain]))
    assert sar_of(out) == shape


def test_side_data_metadata_and_what_callers_attached_stay() -> None:
    frames = decoded("libx264", frames=3)
    frames[1].opaque = "mine"
    graph = graph_of(frames[0], ("scdet", ""))
    out = list(Upscale("fast-x2").process(through(graph, frames)))
    assert side_data_names(frames[0]) == ["SEI_UNREGISTERED"]
    assert bytes(out[0].side_data.get("SEI_UNREGISTERED")) == bytes(frames[0].side_data.get("SEI_UNREGISTERED"))
    assert [f.opaque for f in out] == [None, "mine", None]
    assert "lavfi.scd.score" in out[2].metadata


def test_an_encoder_decides_on_its_own_pictures() -> None:
    frames = decoded("libx264")
    assert {int(f.pict_type) for f in frames} > {1}
    assert {int(f.pict_type) for f in Upscale("bicubic").process(frames)} == {0}


@pytest.mark.parametrize("size", [(64, 48), (8, 6)])
def test_the_callers_frame_is_left_as_it_was(size: tuple[int, int]) -> None:
    it = frame(0, size=size)
    before = arrays(it)
    (out,) = Upscale("bicubic", size=size).process([it])
    for plane in out.planes:
        np.frombuffer(plane, np.uint8)[:] = 0
    assert same(arrays(it), before)


def test_frames_stored_bottom_line_first_stand_the_right_way_up() -> None:
    it = frame(2)
    (turned,) = through(graph_of(it, ("vflip", "")), [it])
    assert turned.planes[0].line_size < 0
    upright = av.VideoFrame(64, 48, "yuv420p")
    for plane, rows in zip(upright.planes, arrays(it), strict=True):
        np.frombuffer(plane, np.uint8).reshape(rows.shape[0], -1)[:, : rows.shape[1]] = rows[::-1]
    (a,), (b,) = Upscale("fast-x2").process([turned]), Upscale("fast-x2").process([upright])
    assert same(arrays(a), arrays(b))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize(("mode", "times"), [("send_frame", 1), ("send_field", 2)])
def test_bwdif_misr_scale(mode: str, times: int, pix_fmt: str) -> None:
    wild = [0, 40, 60, 150, 183, 190]
    woven = [frame(n, pix_fmt, pts=ms, time_base=Fraction(1, 1000)) for n, ms in enumerate(wild)]
    sharp = list(through(graph_of(woven[0], ("bwdif", f"mode={mode}:deint=all")), woven))
    mid = list(through(Upscale("video-x2"), sharp))
    out = list(through(graph_of(mid[0], ("scale", "160:-2")), mid))
    assert len(out) == len(sharp) == 6 * times
    assert [f.pts * f.time_base for f in out] == [f.pts * f.time_base for f in sharp]
    assert [f.pts * f.time_base * 1000 for f in out[::times]] == wild
    assert {(f.width, f.height, f.format.name) for f in out} == {(160, 120, pix_fmt)}


def test_threads_do_not_disturb_each_other() -> None:
    formats, wrong = ("nv12", "rgb24", "p010le", "uyvy422"), []

    def work(pix_fmt: str) -> None:
        plain = frame(1, pix_fmt, size=(320, 240))
        expected = arrays(plain)
        wrong.extend(pix_fmt for _ in range(30) if not same(arrays(misr.to_av(misr.from_av(plain), pix_fmt)), expected))

    threads = [threading.Thread(target=work, args=(pix_fmt,)) for pix_fmt in formats]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("pix_fmt", "size"), [(p, s) for p in FORMATS for s in ((64, 48), (35, 21)) if p not in PAIRS or s[0] % 2 == 0]
)
def test_every_sample_comes_back(pix_fmt: str, size: tuple[int, int]) -> None:
    color, rng = color_of(pix_fmt), np.random.default_rng(0)
    assert color is not None
    (w, h), (fx, fy) = size, color.subsampling
    dtype = {8: np.uint8, 32: np.float32}.get(color.depth, np.uint16)
    shapes = [
        (-(-h // fy), -(-w // fx)) if color.model == "yuv" and i in (1, 2) else (h, w) for i in range(color.planes)
    ]
    planes = tuple((rng.random(s) * (1 if color.depth == 32 else 2**color.depth)).astype(dtype) for s in shapes)
    out = misr.to_av(misr.Frame(planes, color, Fraction(1, 3)), pix_fmt)
    assert (out.format.name, out.width, out.height, out.pts * out.time_base) == (pix_fmt, w, h, Fraction(1, 3))
    assert same(arrays(out), planes)


@pytest.mark.parametrize("pix_fmt", ["rgb24", "yuv420p10le", "pal8", "xyz12le"])
def test_a_format_of_other_samples_is_refused(pix_fmt: str) -> None:
    with pytest.raises(misr.InputError, match=pix_fmt):
        misr.to_av(misr.from_av(frame()), pix_fmt)


@pytest.mark.parametrize("size", [(4, 2), (16, 16), (60, 45), (64, 48), (200, 10)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "rgb24", "gray", "p010le"])
def test_a_carrier_has_what_belongs_to_its_frame_at_any_size(pix_fmt: str, size: tuple[int, int]) -> None:
    ours = misr.from_av(frame(3, pix_fmt, opaque=[size]))
    shapes = [(-(-size[1] * p.shape[0] // 48), -(-size[0] * p.shape[1] // 64)) for p in ours.planes]
    planes = tuple(np.zeros(shape, p.dtype) for shape, p in zip(shapes, ours.planes, strict=True))
    out = misr.to_av(replace(ours, planes=planes))
    assert (out.width, out.height, out.pts, out.opaque) == (*size, 3, [size])
    assert out.format.name == planar_name(ours.color)
