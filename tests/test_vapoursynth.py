"""vsmisr, over a fake core on every Python and over the real one where it is: the laws that the hosts' contract does not ask."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import misr
from misr.zoo import find
from tests import fake_vapoursynth
from tests.hosts.vapoursynth import HOST, fed, planes

SIZE, COUNT = (32, 24), 37  # two runs of video-x2 and a part of a third
INTEGERS = [("yuv", 8, (2, 2)), ("yuv", 10, (2, 1)), ("yuv", 16, (1, 1)), ("yuv", 9, (4, 1)), ("yuv", 8, (1, 2))]
PLAIN = [("gray", 8, (1, 1)), ("gray", 16, (1, 1)), ("rgb", 8, (1, 1)), ("rgb", 12, (1, 1)), ("rgb", 16, (1, 1))]
FLOATS = [("rgb", 32, (1, 1)), ("gray", 32, (1, 1)), ("yuv", 32, (1, 1)), ("yuv", 32, (2, 2))]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["fake", "real"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """VapourSynth as `vs`, and vsmisr as it is when imported beside it."""
    if request.param == "real" and (why := HOST.missing()):
        pytest.skip(why)
    mine = [name for name in sys.modules if name.split(".")[0] == "vsmisr"]
    for name in mine:
        monkeypatch.delitem(sys.modules, name)
    if request.param == "fake":
        monkeypatch.setitem(sys.modules, "vapoursynth", fake_vapoursynth)
    vsmisr = import_module("vsmisr")
    yield SimpleNamespace(vs=sys.modules["vapoursynth"], vsmisr=vsmisr)
    for name in [name for name in sys.modules if name.split(".")[0] == "vsmisr"]:
        del sys.modules[name]


def moving(color: misr.Color | None = None, count: int = COUNT, size: tuple[int, int] = SIZE) -> list[misr.Frame]:
    """Frames of a moving texture, different in every plane, floats within 0 .. 1."""
    color, frames = color or misr.Color("yuv", 8, (2, 2)), []
    for n in range(count):
        made = []
        for i in range(color.planes):
            fx, fy = color.subsampling if i in (1, 2) else (1, 1)
            y, x = np.mgrid[0 : size[1] // fy, 0 : size[0] // fx]
            share = 0.5 + 0.25 * np.sin(0.5 * (x - 0.6 * n) + 0.9 * i) + 0.2 * np.cos(0.31 * y + 0.07 * x * (i + 1))
            codes = share if color.depth == 32 else np.round(share * (2**color.depth - 1))
            made.append(codes.astype({8: np.uint8, 32: np.float32}.get(color.depth, np.uint16)))
        frames.append(misr.Frame(tuple(made), color))
    return frames


def clip_of(host: SimpleNamespace, frames: list[misr.Frame], props: dict[int, dict[str, Any]] | None = None) -> Any:
    """A clip of frames; properties by frame number, -1: of all."""
    said = props or {}
    return fed(host.vs, frames, [{**said.get(-1, {}), **said.get(n, {})} for n in range(len(frames))])


def same(f: Any, frame: misr.Frame) -> bool:
    """Whether a host's frame has exactly the planes of ours, floats of chroma aside by their rounding around 0."""
    around = [0.5 if frame.color.depth == 32 and frame.color.model == "yuv" and p else 0 for p in range(3)]
    return all(
        np.abs(p.astype(np.float64) + a - q).max() <= (1e-7 if a else 0)
        for p, q, a in zip(planes(f), frame.planes, around, strict=False)
    )


def counted(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First frames of the runs that are rendered from now on."""
    begun, render = [], host.vsmisr.graph.render

    def noted(up: misr.Upscaler, views: Any, wanted: range) -> list[misr.Frame]:
        begun.append(wanted.start)
        return render(up, views, wanted)

    monkeypatch.setattr(host.vsmisr.graph, "render", noted)
    return begun


@pytest.mark.parametrize("model", ["fast-x2", "video-x2"])
@pytest.mark.parametrize("options", [{}, {"num_streams": 2}, {"batch_size": 2, "num_streams": 3}])
def test_frames_asked_for_in_any_order_are_those_of_one_session(
    host: SimpleNamespace, model: str, options: dict[str, int]
) -> None:
    frames = moving()
    clip = host.vsmisr.upscale(clip_of(host, frames), model, **options)
    truth = list(misr.Upscaler(model, batch=options.get("batch_size", 1)).stream(frames))
    order = random.Random(3).sample(range(COUNT), COUNT)
    assert [n for n in order if not same(clip.get_frame(n), truth[n])] == []
    assert [n for n, f in enumerate(clip.frames()) if not same(f, truth[n])] == []


@pytest.mark.parametrize(("family", "depth", "subsampling"), [*INTEGERS, *PLAIN, *FLOATS])
def test_every_format_comes_out_as_it_went_in(
    host: SimpleNamespace, family: Any, depth: int, subsampling: tuple[int, int]
) -> None:
    frames = moving(misr.Color(family, depth, subsampling), 2)
    source = clip_of(host, frames)
    clip = host.vsmisr.upscale(source, "fast-x2")
    assert (clip.format.id, clip.num_frames, clip.width) == (source.format.id, 2, 2 * SIZE[0])
    assert all(same(clip.get_frame(n), t) for n, t in enumerate(misr.Upscaler("fast-x2").stream(frames)))


@pytest.mark.parametrize("family", ["gray", "rgb", "yuv"])
def test_half_floats_are_single_ones_rounded(host: SimpleNamespace, family: Any) -> None:
    coarse = [
        replace(f, planes=tuple(p.astype(np.float16).astype(np.float32) for p in f.planes))
        for f in moving(misr.Color(family, 32), 2)
    ]
    single, half = (
        host.vsmisr.upscale(fed(host.vs, coarse, [{}] * 2, half=half), "bicubic", scale=2) for half in (False, True)
    )
    assert (single.format.bits_per_sample, half.format.bits_per_sample) == (32, 16)
    for p, q in zip(planes(single.get_frame(1)), planes(half.get_frame(1)), strict=True):
        assert q.dtype == np.float16
        assert np.abs(p - q).max() < 1e-3


def test_a_float_clip_of_no_colour_has_chroma_zero_still(host: SimpleNamespace) -> None:
    gray = [np.full((24, 32), value, np.float32) for value in (1.0, 0.5, 0.5)]
    clip = host.vsmisr.upscale(clip_of(host, [misr.Frame(tuple(gray), misr.Color("yuv", 32))]), "bicubic", scale=2)
    luma, cb, cr = planes(clip.get_frame(0))
    assert np.abs(luma - 1).max() < 1e-6
    assert cb.any() == cr.any() == False  # noqa: E712  both all zero


def test_a_model_that_looks_ahead_is_given_the_frames_after_its_run(host: SimpleNamespace, tmp_path: Path) -> None:
    copytree(find("video-x2"), tmp_path / "ahead")
    card = json.loads((tmp_path / "ahead/card.json").read_text())
    (tmp_path / "ahead/card.json").write_text(json.dumps({**card, "before": 2, "emit": 5, "after": 3}))
    frames, model = moving(), str(tmp_path / "ahead")
    clip = host.vsmisr.upscale(clip_of(host, frames), model, num_streams=2)
    truth = list(misr.Upscaler(model, batch=1).stream(frames))
    assert [n for n in reversed(range(COUNT)) if not same(clip.get_frame(n), truth[n])] == []


def test_linear_access_renders_every_run_once(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = counted(host, monkeypatch)
    assert sum(1 for _ in host.vsmisr.upscale(clip_of(host, moving()), "video-x2").frames()) == COUNT
    assert sorted(begun) == [0, 16, 32]


def test_going_back_within_the_last_runs_renders_nothing_again(
    host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, clip = counted(host, monkeypatch), host.vsmisr.upscale(clip_of(host, moving()), "video-x2")
    for n in (20, 3, 21, 15, 0, 31):
        clip.get_frame(n)
    assert begun == [16, 0]


def test_all_properties_stay(host: SimpleNamespace) -> None:
    props = {
        "_Matrix": 9,
        "_Primaries": 9,
        "_Transfer": 16,
        "_Range": 1,
        "_ChromaLocation": 2,
        "_FieldBased": 0,
        "_SARNum": 4,
        "_SARDen": 3,
        "_DurationNum": 1001,
        "_DurationDen": 24000,
        "_AbsoluteTime": 0.25,
        "name": "a word",
        "blob": b"\0\xff",
        "list": [1, 2, 3],
        "weights": [0.5, 0.25],
    }
    source = clip_of(host, moving(count=3), {-1: props, 2: {"number": 2}})
    clip = host.vsmisr.upscale(source, "bicubic", scale=2)
    assert [dict(clip.get_frame(n).props) for n in range(3)] == [dict(source.get_frame(n).props) for n in range(3)]
    assert dict(clip.get_frame(2).props)["number"] == 2


def test_properties_say_how_colours_are_read(host: SimpleNamespace) -> None:
    plain, tagged = misr.Color("yuv", 10, (2, 2)), host.vsmisr.pixels.tagged
    said = {"_Matrix": 9, "_Primaries": 9, "_Transfer": 16, "_Range": 1, "_ChromaLocation": 2}
    assert tagged(plain, said) == replace(plain, matrix=9, primaries=9, transfer=16, range=2, siting=3)
    assert tagged(plain, {}) == plain
    assert [tagged(plain, {"_Range": n}).range for n in (0, 1)] == [1, 2]
    assert [tagged(plain, {"_ColorRange": n}).range for n in (0, 1)] == [2, 1]  # the other way round


def test_chroma_is_enlarged_from_where_its_samples_sit(host: SimpleNamespace) -> None:
    for location, siting in ((0, 1), (1, 2), (2, 3)):
        frames = moving(misr.Color("yuv", 8, (2, 2), siting=siting), 1)
        clip = host.vsmisr.upscale(clip_of(host, frames, {-1: {"_ChromaLocation": location}}), "bicubic", scale=2)
        assert same(clip.get_frame(0), next(misr.Upscaler("bicubic", scale=2).stream(frames)))


@pytest.mark.parametrize(
    ("props", "cuts"),
    [
        ({-1: {"_SceneChangePrev": 0}, 20: {"_SceneChangePrev": 1}}, [20]),
        ({-1: {"_SceneChangeNext": 0}, 19: {"_SceneChangeNext": 1}}, [20]),
        ({-1: {"_SceneChangePrev": 0, "_SceneChangeNext": 0}}, []),
        ({}, [9]),  # misr looks for itself
    ],
)
def test_scene_changes_are_the_clips_word_where_it_has_one(
    host: SimpleNamespace, props: dict[int, dict[str, Any]], cuts: list[int]
) -> None:
    frames = moving()
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    other = np.where(np.sin((x + 2 * y) / 7) > 0, 40, 200).astype(np.uint8)
    frames[9:] = [replace(f, planes=(other, *f.planes[1:])) for f in frames[9:]]
    session = misr.Upscaler("video-x2").session()
    truth = [done for n, f in enumerate(frames) for done in session.push(f, cut=n in cuts)] + session.flush()
    clip = host.vsmisr.upscale(clip_of(host, frames, props), "video-x2")
    assert [n for n in range(COUNT) if not same(clip.get_frame(n), truth[n])] == []


def test_a_change_of_colour_tags_begins_a_new_window(host: SimpleNamespace) -> None:
    frames, up = moving(), misr.Upscaler("video-x2", batch=2)
    clip = host.vsmisr.upscale(
        clip_of(host, frames, {n: {"_Matrix": 1 if n < 20 else 9} for n in range(COUNT)}), "video-x2", batch_size=2
    )
    session = up.session(first=20)
    truth = list(up.stream(frames[:20])) + [done for f in frames[20:] for done in session.push(f, cut=False)]
    truth += session.flush()
    assert [n for n in range(COUNT) if not same(clip.get_frame(n), truth[n])] == []
    assert [clip.get_frame(n).props["_Matrix"] for n in (19, 20)] == [1, 9]


def test_alpha_grows_with_its_picture(host: SimpleNamespace) -> None:
    color = misr.Color("rgb", 8, alpha=True)
    frames = moving(color, 2)
    alpha = clip_of(host, [misr.Frame(f.planes[3:], misr.Color("gray", 8)) for f in frames])
    bare = [misr.Frame(f.planes[:3], misr.Color("rgb", 8)) for f in frames]
    clip = host.vsmisr.upscale(
        clip_of(host, bare, {n: {"_Alpha": alpha.get_frame(n)} for n in range(2)}), "bicubic", scale=2
    )
    truth = list(misr.Upscaler("bicubic", scale=2).stream(frames))
    for n in range(2):
        assert same(clip.get_frame(n), truth[n])
        assert (np.asarray(clip.get_frame(n).props["_Alpha"][0]) == truth[n].planes[3]).all()


def test_alpha_of_another_size_is_refused(host: SimpleNamespace) -> None:
    wrong = clip_of(host, moving(misr.Color("gray", 8), 1, (16, 16))).get_frame(0)
    clip = host.vsmisr.upscale(clip_of(host, moving(count=1), {-1: {"_Alpha": wrong}}), "bicubic", scale=2)
    with pytest.raises(host.vs.Error, match="_Alpha is 16x16"):
        clip.get_frame(0)


def test_every_stream_runs_as_asked(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, upscaler = [], misr.Upscaler

    def noted(model: Any, **options: Any) -> misr.Upscaler:
        asked.append([options[name] for name in ("device", "batch", "tile", "precision", "strength")])
        return upscaler(model, **options)

    monkeypatch.setattr(misr, "Upscaler", noted)
    said = {"device_index": -1, "batch_size": 3, "tile": 32, "precision": "fp32", "strength": 0.5}
    host.vsmisr.upscale(clip_of(host, moving(count=1)), num_streams=2, **said)
    assert asked == [["cpu", 3, 32, "fp32", 0.5]] * 2


@pytest.mark.parametrize("count", [1, 15, 16, 17])
def test_clips_of_any_length_have_as_many_frames_as_before(host: SimpleNamespace, count: int) -> None:
    frames = moving(count=count)
    clip = host.vsmisr.upscale(clip_of(host, frames), "video-x2", num_streams=2)
    assert clip.num_frames == count
    truth = list(misr.Upscaler("video-x2").stream(frames))
    assert [n for n in range(count) if not same(clip.get_frame(n), truth[n])] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "burst-x2"}, "misr fuse"),
        ({"device_index": 99}, "cuda:99"),
        ({"num_streams": 0}, "num_streams 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"tile": -1}, "tile -1"),
        ({"precision": "fp8"}, "fp8"),
        ({"strength": 2}, "strength 2"),
        ({"model": "bicubic", "scale": 1.3}, "42x31"),
    ],
)
def test_what_cannot_be_is_said_before_any_frame_as_the_cores_own_error(
    host: SimpleNamespace, options: dict[str, Any], words: str
) -> None:
    clip = clip_of(host, moving(count=1))
    with pytest.raises(host.vs.Error, match=words) as caught:
        host.vsmisr.upscale(clip, **options)
    assert "\n" not in str(caught.value)


def test_clips_misr_cannot_read_are_refused(host: SimpleNamespace) -> None:
    blank = host.vs.core.std.BlankClip
    for clip, words in (
        (blank(format=host.vs.GRAY32), "32 bits"),
        (blank(varsize=True), "changes along the way"),
        ("clip", "not str"),
    ):
        with pytest.raises(host.vs.Error, match=words):
            host.vsmisr.upscale(clip)


def test_an_interlaced_clip_is_warned_about_once(host: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    handler = None
    if host.vs is fake_vapoursynth:
        monkeypatch.setattr(fake_vapoursynth, "LOG", said)
    else:
        handler = host.vs.core.add_log_handler(lambda kind, text: said.append(text))
    clip = host.vsmisr.upscale(clip_of(host, moving(count=3), {-1: {"_FieldBased": 2}}), "bicubic", scale=2)
    assert [f.props["_FieldBased"] for f in clip.frames()] == [2, 2, 2]
    if handler is not None:
        host.vs.core.remove_log_handler(handler)
    assert [text for text in said if "deinterlace" in text] == [
        "misr: the clip is interlaced; deinterlace it before upscale"
    ]


def test_runs_share_the_clip_out_and_see_all_a_model_looks_at(host: SimpleNamespace) -> None:
    for frames, length, before, after, streams in (
        (37, 16, 4, 0, 1),
        (37, 16, 4, 3, 3),
        (5, 1, 0, 0, 2),
        (1, 4, 2, 2, 5),
    ):
        runs = host.vsmisr.runs.Runs(frames, length, before, after, streams)
        every = range(runs.rounds * streams)
        assert [n for run in every for n in runs.wanted(run)] == list(range(frames))
        for run in every:
            assert {n + k for n in runs.wanted(run) for k in range(-before, after + 1)} <= set(runs.numbers(run))
        assert before + frames + runs.tail == max(runs.numbers(every[-1])) + before + 1
    kept = [host.vsmisr.runs.Runs(99, length, 0, 0, streams).kept(32) for length, streams in ((1, 1), (16, 1), (16, 3))]
    assert kept == [1, 3, 2]
