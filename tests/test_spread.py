"""Clips over a crew: the joined file is that of one process, whoever renders what, dies, sees nothing, or begins again."""

import signal
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import misr
from misr.errors import DecodeError, InputError, OutputError, WorkerError
from misr.frame import Color, Frame
from misr.io.encoder import Encoding
from misr.io.writer import write_clip
from misr.journal import journal_path
from misr.plan import Settings
from misr.scene import is_cut
from misr.spread.crew import Outcome
from misr.spread.drive import upscale_all
from misr.spread.local import Processes
from misr.spread.pace import Pace
from tests import media
from tests.command import clip, corrupt, decoded, in_child, one_sentence, short_segments_slowly
from tests.command import misr as command
from tests.media import times_s
from tests.toy_crew import Shuffled

CODECS = {
    "x264": ("libx264", {"preset": "veryfast"}, "yuv420p"),
    "x265": ("libx265", {"preset": "ultrafast"}, "yuv420p10le"),
    "ffv1": ("ffv1", {}, "yuv420p10le"),
    "av1": ("libsvtav1", {"preset": "12"}, "yuv420p10le"),
}
PLAIN = Settings(model="bilinear")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that see neither the source nor the journal."""
    monkeypatch.setattr("misr.spread.clip.sees", lambda job: False)
    monkeypatch.setattr("misr.spread.clip.sees_journal", lambda order: False)


def spread(source: Path, target: Path, wanted: Settings = PLAIN, crew: Any = None, **more: Any) -> Any:
    """One clip over a crew; what was made."""
    with crew or Shuffled(3) as them:
        return upscale_all([(str(source), str(target))], wanted, them, **more)[0]


def same(one: Path, other: Path) -> bool:
    """Whether two clips decode to the same samples at the same times."""
    return decoded(one) == decoded(other) and times_s(one) == times_s(other)


@pytest.mark.parametrize("codec", CODECS)
def test_the_joined_file_is_that_of_one_process_with_every_encoder(tmp_path: Path, codec: str) -> None:
    name, options, pix_fmt = CODECS[codec]
    source = clip(tmp_path / "in.mkv", 33, codec="ffv1", pix_fmt=pix_fmt, vfr=True, size=(96, 80), rich=True)
    wanted = Settings(model="bilinear", codec=name, options=options)
    made = spread(source, tmp_path / "out.mkv", wanted, crew := Shuffled(1))
    assert made.frames == 33
    assert sorted(crew.given) == crew.given != crew.ended
    misr.upscale(source, tmp_path / "plain.mkv", wanted)
    assert same(tmp_path / "out.mkv", tmp_path / "plain.mkv")
    assert times_s(tmp_path / "out.mkv") == times_s(source)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_model_that_looks_at_neighbours_sees_the_same_ones_across_cuts(tmp_path: Path, seed: int) -> None:
    source, wanted = three_scenes(tmp_path / "in.mkv"), Settings(model="video-x2", codec="ffv1")
    spread(source, tmp_path / "out.mkv", wanted, Shuffled(seed))
    misr.upscale(source, tmp_path / "plain.mkv", wanted)
    assert same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


def three_scenes(path: Path) -> Path:
    """A clip of 40 frames with two cuts, VFR."""
    scenes = [
        np.random.default_rng(k).integers(30 + 60 * k, 100 + 60 * k, (64, 128)).astype(np.uint8) for k in range(3)
    ]
    pictures = [
        np.ascontiguousarray(scene[8 + n // 2 :, n:][:32, :48])
        for scene, m in zip(scenes, (15, 13, 12), strict=True)
        for n in range(m)
    ]
    times = [Fraction(sum((40, 20, 90, 33, 7, 250)[k % 6] for k in range(i)), 1000) for i in range(40)]
    gray = Color("gray", range=1)
    frames = [Frame((p,), gray, t) for p, t in zip(pictures, times, strict=True)]
    assert sum(is_cut(a, b) for a, b in pairwise(frames)) == 2
    encoding = Encoding("ffv1", "gray", gray, 48, 32, Fraction(1, 1000), Fraction(25), Fraction(1))
    write_clip(path, frames, encoding)
    return path


def test_workers_that_see_nothing_are_sent_what_they_need(tmp_path: Path, blind: None) -> None:
    source = clip(tmp_path / "in.mkv", 150, vfr=True, rich=True, options={"preset": "ultrafast", "g": "10"})
    out, crew = tmp_path / "out.mkv", Shuffled(2, in_flight=2, elsewhere=True)
    made = spread(source, out, PLAIN, crew)
    assert made.frames == 150
    misr.upscale(source, tmp_path / "plain.mkv", PLAIN)
    assert same(out, tmp_path / "plain.mkv")
    assert len(set(crew.given)) < len(crew.given) <= len(set(crew.given)) + 2, "only those already out are given twice"


def test_a_folder_of_pictures_becomes_a_clip_where_workers_see_it(tmp_path: Path, blind: None) -> None:
    media.sequence(tmp_path, name="in", frames=24)
    with pytest.raises(InputError, match="pictures are not sent to workers; put them where all of them see them"):
        spread(tmp_path / "in", tmp_path / "out.mkv", PLAIN, Shuffled(2))


def test_pictures_are_shared_out_too(tmp_path: Path) -> None:
    media.sequence(tmp_path, name="in", frames=24)
    spread(tmp_path / "in", tmp_path / "out.mkv")
    misr.upscale(tmp_path / "in", tmp_path / "plain.mkv", PLAIN)
    assert same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


def test_frames_that_the_packets_do_not_promise_are_counted_by_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from misr.io import index

    real = index.packet_times
    monkeypatch.setattr(index, "packet_times", lambda reader: real(reader)[:12] + real(reader)[13:])
    source, said = clip(tmp_path / "in.mkv", 33), list[str]()
    spread(source, tmp_path / "out.mkv", say=said.append)
    assert any("counting them by decoding" in line for line in said)
    misr.upscale(source, tmp_path / "plain.mkv", PLAIN)
    assert same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


# stopped and begun again


@pytest.mark.parametrize("first", ["plain", "crew"])
def test_a_stopped_run_goes_on_with_and_without_a_crew(tmp_path: Path, first: str) -> None:
    source, out = clip(tmp_path / "in.mkv", 45), tmp_path / "out.mkv"
    said = list[str]()

    class Stop(Exception):
        pass

    def stop(done: int, expected: int, *pace: Pace) -> None:
        if done >= 25:
            raise Stop

    with pytest.raises(Stop):
        if first == "plain":
            misr.upscale(source, out, PLAIN, progress=stop)
        else:
            spread(source, out, progress=stop, crew=Shuffled(0, in_flight=2))
    kept = len(list(journal_path(str(out)).glob("*.seg")))
    assert 0 < kept < 5
    assert not out.exists()
    crew, told = Shuffled(5), list[tuple[int, int, Pace]]()
    if first == "plain":
        spread(source, out, crew=crew, say=said.append, progress=lambda *it: told.append(it))
        assert f"resuming: {kept} of 5 segments are there" in said
        assert {pace.found for _, _, pace in told} == {told[0][0]} == {sum((10, 10, 10, 10, 5)[:kept])}
        assert len(crew.given) == 5 - kept
    else:
        misr.upscale(source, out, PLAIN, say=said.append)
    misr.upscale(source, tmp_path / "plain.mkv", PLAIN)
    assert same(out, tmp_path / "plain.mkv")
    assert {p.name for p in tmp_path.iterdir()} == {"in.mkv", "out.mkv", "plain.mkv"}


def test_a_driver_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    source, out = clip(tmp_path / "in.mkv", 60), tmp_path / "out.mkv"
    journal = journal_path(str(out))

    def kill(process: Any) -> None:
        while len(list(journal.glob("0*.seg"))) < 2 and process.is_alive():
            time.sleep(0.01)
        process.kill()

    more = ("-preset", "medium", "--workers", "1")
    code, said = in_child(tmp_path, source, out, *more, before=short_segments_slowly, meanwhile=kill)
    assert code == -signal.SIGKILL, said
    kept = len(list(journal.glob("0*.seg")))
    assert 2 <= kept < 6
    crew = Shuffled(1)
    spread(source, out, Settings(model="bilinear", options={"preset": "medium"}), crew)
    assert len(crew.given) <= 6 - kept
    misr.upscale(source, tmp_path / "plain.mkv", Settings(model="bilinear", options={"preset": "medium"}))
    assert same(out, tmp_path / "plain.mkv")


def test_a_segment_whose_worker_died_and_is_rendered_twice_is_one_segment(tmp_path: Path) -> None:
    source = clip(tmp_path / "in.mkv", 33)
    spread(source, tmp_path / "out.mkv", crew=Shuffled(1, twice=True))
    misr.upscale(source, tmp_path / "plain.mkv", PLAIN)
    assert same(tmp_path / "out.mkv", tmp_path / "plain.mkv")


# segments that fail


def test_a_segment_that_does_not_decode_is_named_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 5)
    slow = [500 * k for k in range(45)]
    source = corrupt(clip(tmp_path / "in.mkv", codec="mjpeg", pix_fmt="yuvj420p", options={}, pts=slow), 20)
    out, said = tmp_path / "out.mkv", list[str]()
    with pytest.raises(
        DecodeError, match=r"segment at frame 20 \(10.000 s\): .* the frame at 10.000 s .*are kept"
    ) as e:
        spread(source, out, say=said.append)
    assert e.value.time == 10
    assert any(line.startswith("failed: segment at frame 20") for line in said)
    assert sorted(int(p.stem) for p in journal_path(str(out)).glob("0*.seg")) == [0, 10, 30, 40]
    repeat = Settings(model="bilinear", on_error="repeat")
    made = spread(source, out, repeat, crew := Shuffled(1))
    assert crew.given == ["segment at frame 20 (10.000 s)"]
    assert made.notes == ("1 frames did not decode and repeat the one before them, the first at 10.000 s",)
    misr.upscale(source, tmp_path / "plain.mkv", repeat)
    assert same(out, tmp_path / "plain.mkv")


class Dying(Shuffled):
    """A crew whose workers always die at one segment."""

    def give(self, next_task: Callable[[], Any], tell: Any) -> Any:
        for came in super().give(next_task, tell):
            if came.task.share.begin == 10:
                yield Outcome(came.task, error=WorkerError(f"a worker was killed 3 times at {came.task.name}"))
            else:
                yield came


def test_a_segment_whose_workers_die_does_not_take_the_others_along(tmp_path: Path, blind: None) -> None:
    source, out = clip(tmp_path / "in.mkv", 33), tmp_path / "out.mkv"
    with pytest.raises(
        WorkerError, match=r"killed 3 times at segment at frame 10 \(0.400 s\); all other segments are kept"
    ):
        spread(source, out, crew=Dying(1))
    assert sorted(int(p.stem) for p in journal_path(str(out)).glob("0*.seg")) == [0, 20, 30]


def test_an_error_that_all_segments_would_meet_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "misr.pipeline.check_count", lambda *a: (_ for _ in ()).throw(OutputError("libx264 made 3 packets of 4 frames"))
    )
    crew = Shuffled(1, in_flight=2)
    with pytest.raises(OutputError, match="3 packets of 4"):
        spread(clip(tmp_path / "in.mkv", 100), tmp_path / "out.mkv", crew=crew)
    assert len(crew.given) <= 3


# several clips


def test_several_clips_share_a_crew_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    good = [clip(tmp_path / f"{k}.mkv", 12 + 5 * k) for k in range(3)]
    (tmp_path / "bad.mkv").write_bytes(b"no clip")
    (tmp_path / "out").mkdir()
    pairs = [(str(p), str(tmp_path / "out" / p.name)) for p in (*good[:2], tmp_path / "bad.mkv", good[2])]
    counts, ended = list[tuple[int, int]](), list[str]()
    crew = Shuffled(4, in_flight=6)
    with (
        pytest.raises(InputError, match=r"1 of 4 inputs failed, the others are done: .*bad.mkv: .*not a readable"),
        crew,
    ):
        upscale_all(
            pairs,
            PLAIN,
            crew,
            progress=lambda done, expected, pace: counts.append((done, expected)),
            ended=lambda result: ended.append(Path(result.target).name),
        )
    assert sorted(ended) == ["0.mkv", "1.mkv", "2.mkv"]
    assert counts[-1] == (51, 51)
    for p in good:
        misr.upscale(p, tmp_path / "plain.mkv", PLAIN)
        assert same(tmp_path / "out" / p.name, tmp_path / "plain.mkv")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.mkv", "1.mkv", "2.mkv"]


# as a command


def test_workers_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = clip(tmp_path / "in.mkv", 33), tmp_path / "out.mkv"
    assert command("upscale", source, out, "-m", "bilinear", "--workers", "2", "--progress", "json") == 0
    said = capsys.readouterr().err
    assert '"figures": {"workers": 2}' in said
    assert '"event": "end"' in said
    assert "33 frames in, 33 frames out" in said
    assert command("upscale", source, tmp_path / "plain.mkv", "-m", "bilinear", "--progress", "none") == 0
    assert same(out, tmp_path / "plain.mkv")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--workers", "-1"), "a number from 1"),
        (("--on", "slurm"), "write ray, or ray://HOST:PORT"),
        (("--on", "ray", "--workers", "2"), "are about this machine"),
        (("--on", "ray", "--device", "cpu"), "are about this machine"),
        (("--gpus-per-task", "1"), "are about a cluster"),
        (("--workers", "2", "--device", "cpu,cpu"), "name one twice for two there"),
        (("--device", "cpu,gpu9"), "cannot be used"),
        (("--device", "all"), "no CUDA device here"),
        (("--workers", "2", "--preview", "1s"), "a few seconds' work for this process"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    tmp_path: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command("upscale", clip(tmp_path / "in.mkv"), tmp_path / "out.mkv", *words) != 0
    assert sentence in one_sentence(capsys.readouterr().err)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


@pytest.mark.parametrize("target", ["out.gif", "out.png", "out_%03d.png", "-"])
def test_what_has_no_segments_is_refused(tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = target if target == "-" else tmp_path / target
    assert command("upscale", clip(tmp_path / "in.mkv"), out, "--workers", "2") == 1
    assert "have segments to share out" in one_sentence(capsys.readouterr().err)
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


def test_two_devices_are_two_workers() -> None:
    from misr.cli.crew import crew_of

    crew, device = crew_of(None, 0, "cpu,cpu", 0, None)
    assert isinstance(crew, Processes)
    assert (crew.devices, crew.slots, device) == (("cpu", "cpu"), 2, "cpu")
    assert crew_of(None, 0, None, 0, None) == (None, None)
    assert crew_of(None, 0, "cuda:1", 0, None) == (None, "cuda:1")


# what binds


@pytest.mark.parametrize(
    ("slots", "worked", "driving", "stages", "binds"),
    [
        (2, 0.0, 5.0, {}, ""),
        (2, 19.0, 1.0, {"decode": 2, "model": 15, "encode": 6}, "model"),
        (2, 19.0, 1.0, {"decode": 2, "model": 5, "encode": 6}, "encode"),
        (2, 9.0, 6.0, {"decode": 2, "model": 5, "encode": 6}, "driver"),
        (8, 19.0, 1.0, {"decode": 2, "model": 15, "encode": 6}, "workers"),
    ],
)
def test_what_binds_is_what_the_time_went_to(
    slots: int, worked: float, driving: float, stages: dict[str, float], binds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from misr.ahead import Clock

    monkeypatch.setattr("misr.spread.pace.time.monotonic", lambda: 110.0)
    pace = Pace(slots, Clock(**stages), worked, driving, began=100.0)
    assert pace.binds == binds
