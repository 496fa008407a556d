"""`misrupscale` in GStreamer, beyond the contract of all hosts: caps, events, latency, formats, errors, files with sound."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import misr
from tests.hosts import ROOT, HostError
from tests.hosts.gstreamer import PLUGIN, PYTHON, bindings, environment, launch, missing

pytestmark = pytest.mark.usefixtures("gstreamer")
WAIT = 15  # frames that video-x2 waits for, at most: it makes 16 at a time


@pytest.fixture(scope="module")
def gstreamer() -> None:
    """Skipped, and counted, where GStreamer with Python elements is not there."""
    if why := missing():
        pytest.skip(f"gstreamer: {why}")


@pytest.fixture(scope="module")
def came(gstreamer: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the streams of tests/gstreamer_streams.py."""
    command = [PYTHON, str(ROOT / "tests" / "gstreamer_streams.py")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment(tmp_path_factory.mktemp("gst"))
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def inspect(folder: Path, **more: str) -> str:
    """What gst-inspect-1.0 says of the element."""
    command = ["gst-inspect-1.0", "misrupscale"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(folder, **more))
    assert done.returncode == 0, done.stderr
    return done.stdout


def clip(path: Path, *, sound: bool = False, wild: bool = False, frames: int = 20) -> Path:
    """H.264 in MP4, 64x48, at 25 frames per second or at wild times, with a second of a tone where asked."""
    steps = [600, 1200, 450, 3000] if wild else [600]  # of 1/15000 s
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "20", "bf": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 15000)
        tone = out.add_stream("aac", rate=48000, layout="mono") if sound else None
        at = 0
        for n in range(frames):
            y, x = np.mgrid[0:72, 0:64]
            picture = (128 + 90 * np.sin((x - n) / 4) * np.cos(y / 5)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts, frame.time_base = at, Fraction(1, 15000)
            at += steps[n % len(steps)]
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if tone:
            wave = np.sin(np.arange(48000) / 20)[None].astype(np.float32)
            samples = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            samples.sample_rate, samples.pts = 48000, 0
            out.mux(tone.encode(samples))
            out.mux(tone.encode(None))
    return path


def times(path: Path) -> list[float]:
    """When the frames of a file are shown, in seconds from the first one."""
    with av.open(str(path)) as source:
        shown = [float(frame.pts * frame.time_base) for frame in source.decode(video=0)]
    return [t - shown[0] for t in shown]


def test_gst_inspect_tells_what_it_is_without_misr_on_the_path(tmp_path: Path) -> None:
    said = inspect(tmp_path, PYTHONPATH=bindings())
    assert "Filter/Effect/Video" in said and "SINK template" in said and "P010_10LE" in said
    for name in ("model", "scale", "device", "precision", "tile", "batch", "strength"):
        assert f"\n  {name} " in said
    assert 'Default: "fast-x2"' in said and said.count("changeable only in NULL or READY state") == 7


def refusal(element: str, folder: Path, **more: str) -> str:
    """The first error of a pipeline that cannot be, one line."""
    source = "-q videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=48"
    with pytest.raises(HostError) as caught:
        launch(f"{source} ! {element} ! fakesink", folder, **more)
    assert "Traceback" not in str(caught.value)
    return next(line for line in str(caught.value).splitlines() if line.startswith("ERROR"))


def test_without_misr_on_the_path_the_error_says_what_to_put_there(tmp_path: Path) -> None:
    said = refusal("misrupscale", tmp_path, PYTHONPATH="", PATH="/usr/bin:/bin")  # no environment is active
    assert "misrupscale0: misr does not load in the Python 3." in said and said.endswith("that has misr on PYTHONPATH")


def test_a_size_downstream_that_cannot_be_is_told_beside_the_one_that_can(tmp_path: Path) -> None:
    said = refusal("misrupscale ! video/x-raw,width=100", tmp_path)
    assert "fast-x2 makes 128x96 of 64x48, and what follows takes only video/x-raw, width=(int)100;" in said


def test_what_follows_can_ask_a_source_for_the_size_that_becomes_its_own(tmp_path: Path) -> None:
    said = launch(
        "videotestsrc num-buffers=1 ! misrupscale model=nearest scale=3 ! video/x-raw,width=96,height=63 ! fakesink",
        tmp_path,
        "-v",
    )
    assert "width=(int)32, height=(int)21" in said and "width=(int)96, height=(int)63" in said


def test_buffers_keep_their_order_times_and_flags_and_all_come_before_the_end(came: dict[str, Any]) -> None:
    order, clocks, flags = came["times"]
    assert order == [*range(22), "eos"]
    assert clocks == [[n, 1, n] for n in range(22)]  # pts and duration in frames, offset
    assert flags & 512 and flags & 64  # marker, discont


def test_events_keep_their_place_between_the_buffers(came: dict[str, Any]) -> None:
    at_once, all_of_it = came["tag_between"]
    assert at_once == []
    assert all_of_it == [*range(8), "tag", 8, 9, "custom-downstream", 10, 11, "eos"]


def test_a_gap_lets_out_what_is_held(came: dict[str, Any]) -> None:
    assert came["gap_between"] == [[0, 1, 2, 3, 4, "gap"], [0, 1, 2, 3, 4, "gap", 6, 7, "eos"]]


def test_after_lost_data_there_are_no_neighbours(came: dict[str, Any]) -> None:
    at_once, as_alone, as_alone_without_the_loss = came["lost_data"]
    assert at_once == [0, 1, 2, 3, 4]
    assert as_alone and not as_alone_without_the_loss


def test_a_flush_forgets_what_is_held_but_not_its_tags(came: dict[str, Any]) -> None:
    assert came["flushed"] == ["flush-start", "flush-stop", "tag", "segment", 50, 51, 52, "eos"]


def test_another_size_begins_after_all_of_the_one_before(came: dict[str, Any]) -> None:
    got, errors = came["other_size"]
    assert got == [*([n, 32] for n in range(4)), "caps", *([n, 40] for n in range(4, 7)), "eos"]
    assert errors == []


def test_another_stream_begins_after_all_of_the_one_before_and_tells_its_caps(came: dict[str, Any]) -> None:
    assert came["another_stream"] == [0, 1, 2, "stream-start", "caps", "segment", 3, 4, "eos"]


def test_latency_is_told_in_the_frames_that_are_held(came: dict[str, Any]) -> None:
    second = 10**9
    for (message, live, least, most), rate in zip(came["told"], (25, 50, 25), strict=True):  # 0/1 is told as 25
        assert message and live
        assert [least, most] == [second + WAIT * second // rate, 2 * second + WAIT * second // rate]


def test_caps_out_are_caps_in_but_the_size_and_colours_that_the_size_would_change(came: dict[str, Any]) -> None:
    small, tall, said, rgb = came["caps_out"].values()
    assert "width=(int)128, height=(int)96" in small and "colorimetry" not in small
    assert "height=(int)600" in tall and "colorimetry=(string)bt601" in tall  # 600 lines would be read as BT.709
    assert "colorimetry=(string)2:4:16:3" in said and "chroma-site=(string)jpeg" in said and "12/11" in said
    assert "width=(int)130" in rgb and "multiview-mode=(string)left" in rgb and "colorimetry" not in rgb


def test_rows_lie_where_their_meta_says(came: dict[str, Any]) -> None:
    assert came["rows_of_other_lengths"] == [1, True, True]


def test_captions_and_time_codes_ride_along_and_regions_of_the_picture_do_not(came: dict[str, Any]) -> None:
    assert came["metas"] == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_mixed_video_passes_until_a_buffer_is_interlaced(came: dict[str, Any]) -> None:
    flows, got, errors = came["interlaced_by_the_buffer"]
    assert flows == [0, -5] and got == [0]
    assert errors == ["the video is interlaced here; put deinterlace before misrupscale"]


def test_properties_that_cannot_be_are_told_on_the_way_to_ready(came: dict[str, Any]) -> None:
    *settings, (flow, interlaced) = came["refused"].values()
    assert {(state, domain, trace) for state, domain, _, trace in settings} == {
        ("failure", "gst-resource-error-quark", False)
    }
    model, precision, scale, smaller, device = (text for _, _, text, _ in settings)
    assert model.startswith("burst-x2 fuses pictures of one place")
    assert precision == "precision=fp12 is not one of auto, fp32, bf16, fp16"
    assert scale == "model fast-x2 enlarges 2 times, not 3; leave scale out"
    assert smaller == "scale=0.5 makes pictures smaller; that is for videoscale"
    assert device.startswith("device 'abacus' cannot be used")
    assert flow != 0 and interlaced == "the video is interlaced; put deinterlace before misrupscale"


def test_a_buffer_too_small_for_its_caps_is_an_error(came: dict[str, Any]) -> None:
    flow, errors = came["too_few_bytes"]
    assert flow == -5
    assert errors == ["a buffer of 5 bytes is too small for 16x16 GRAY8; look at what comes before misrupscale"]


def test_after_a_seek_come_the_frames_that_were_sought(came: dict[str, Any]) -> None:
    assert came["sought"] == [*range(10, 18)]


def test_a_live_source_is_shown_whole_after_the_latency(came: dict[str, Any]) -> None:
    assert came["from_a_camera"] == [20, 1 + WAIT]  # one frame for the source itself


def test_properties_changed_in_ready_count(came: dict[str, Any]) -> None:
    assert came["settings_again"] == [32, 48]


def test_every_format_of_the_caps_has_its_samples_where_gstreamer_has_them(came: dict[str, Any]) -> None:
    assert len(came["formats"]) > 60
    assert [name for name, (plain, many) in came["formats"].items() if not plain or many is False] == []
    assert sum(many is not None for _, many in came["formats"].values()) > 30


def test_memory_stays_flat(came: dict[str, Any]) -> None:
    early, late = came["memory"]  # kB after 100 and 800 buffers; 700 of ours and theirs together are 400 MB
    assert late - early < 30_000


def test_a_file_with_sound_keeps_its_times_and_its_sound(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "wild.mp4", sound=True, wild=True), tmp_path / "out.mkv"
    launch(
        f"-q filesrc location={source} ! qtdemux name=d d.video_0 ! queue ! avdec_h264 ! misrupscale model=video-x2 "
        f"! x264enc ! queue ! matroskamux name=m ! filesink location={out} "
        "d.audio_0 ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! aacparse ! m.",
        tmp_path,
    )
    before, after = times(source), times(out)
    assert len(before) == len(after) == 20
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 0.001
    with av.open(str(source)) as a, av.open(str(out)) as b:
        theirs, ours = ([bytes(p) for p in f.demux(audio=0) if p.size] for f in (a, b))
        assert ours and theirs[-len(ours) :] == ours and len(theirs) - len(ours) <= 2  # qtdemux leaves out the priming
        assert (b.streams.video[0].width, b.streams.video[0].height) == (128, 96)


def test_the_wheel_puts_the_element_where_gstreamer_looks_in_an_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("misr_gstreamer-*.whl")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--prefix",
        str(tmp_path / "env"),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    said = inspect(tmp_path, GST_PLUGIN_PATH=str(tmp_path / "env" / "share" / "gstreamer-1.0"), PYTHONPATH=bindings())
    assert "misr super-resolution" in said


def test_the_install_script_prints_an_environment_that_works(tmp_path: Path) -> None:
    python = Path(sysconfig.get_path("scripts")) / "python"
    done = subprocess.run([PLUGIN / "install", "--environment", str(python)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert sorted(lines) == ["GST_PLUGIN_PATH", "PYTHONPATH"]
    active = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}  # which hides the system's gi from GStreamer
    env = {**os.environ, **active, "GST_REGISTRY": str(tmp_path / "registry.bin"), "OMP_NUM_THREADS": "1"}
    env.update({name: value.strip('"').split("${")[0] for name, value in lines.items()})
    pipeline = "videotestsrc num-buffers=1 ! video/x-raw,width=16,height=16 ! misrupscale ! fakesink"
    assert subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], env=env, capture_output=True).returncode == 0


def test_the_install_script_refuses_a_python_that_gstreamer_does_not_run(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3.99\n")
    other.chmod(0o755)
    done = subprocess.run([PLUGIN / "install", "--environment", str(other)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert "3.99" in done.stderr and len(done.stderr.splitlines()) == 1


def beginning(clip: Path, out: Path, packets: int = 24) -> Path:
    """The first packets of a clip's picture, as they are."""
    with av.open(str(clip)) as source, av.open(str(out), "w") as end:
        stream = end.add_stream_from_template(source.streams.video[0])
        for packet, _ in zip(source.demux(video=0), range(packets), strict=False):
            packet.stream = stream
            end.mux(packet)
    return out


@pytest.mark.parametrize("model", ["fast-x2", "video-x2"])
def test_a_real_clip_has_the_pixels_of_the_api(model: str, shared_data: Path, tmp_path: Path) -> None:
    source = beginning(shared_data / "test" / "video" / "skv_carphone_qcif.mp4", tmp_path / "in.mp4")
    launch(
        f"-q filesrc location={source} ! qtdemux ! avdec_h264 ! misrupscale model={model} "
        f"! avenc_ffv1 ! matroskamux ! filesink location={tmp_path}/out.mkv",
        tmp_path,
    )
    ours, theirs = list(misr.open(tmp_path / "out.mkv")), list(misr.load(model).stream(misr.open(source)))
    assert len(ours) == len(theirs) == 24
    for a, b in zip(ours, theirs, strict=True):
        assert all((p == q).all() for p, q in zip(a.planes, b.planes, strict=True))
