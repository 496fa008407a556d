"""misr upscale on a Ray cluster of several nodes: whatever dies, the file is that of one process, or the rest is kept."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import misr
from misr.errors import DecodeError
from misr.journal import journal_path
from misr.plan import Settings
from misr.spread.cluster import Ray
from misr.spread.drive import upscale_all
from misr.spread.local import Processes
from tests import ray_cluster, segment_tasks
from tests.command import clip, corrupt, decoded, in_child, short_segments
from tests.media import times_s

PLAIN = Settings(model="bilinear")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster: a head without CPUs, and two nodes of one."""
    pytest.importorskip("ray")
    with ray_cluster.cluster(2) as made:
        yield made


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 0.4)


def on(crew: Any, source: Path, target: Path, wanted: Settings = PLAIN, **more: Any) -> Any:
    """One clip; what was made."""
    with crew:
        return upscale_all([(str(source), str(target))], wanted, crew, **more)[0]


def as_in_one_process(source: Path, made: Path, wanted: Settings = PLAIN) -> bool:
    """Whether a clip is what one process makes of its source."""
    plain = made.with_name("plain.mkv")
    misr.upscale(source, plain, wanted)
    return decoded(made) == decoded(plain) and times_s(made) == times_s(plain)


def use(monkeypatch: pytest.MonkeyPatch, task: type) -> None:
    """Segments are of this kind."""
    monkeypatch.setattr("misr.spread.ongoing.SegmentTask", task)


def test_a_node_that_is_killed_in_the_middle_costs_nothing_but_time(
    tmp_path: Path, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, segment_tasks.Slow)
    source, doomed = clip(tmp_path / "in.mkv", 80, vfr=True), ray_cluster.add(nodes)
    enough, gone = threading.Event(), list[bool]()

    def kill() -> None:
        gone.append(enough.wait(60))
        nodes.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    made = on(
        Ray(nodes.address),
        source,
        tmp_path / "out.mkv",
        progress=lambda done, expected, pace: enough.set() if done >= 10 else None,
    )
    killer.join()
    assert (made.frames, gone) == (80, [True])
    assert as_in_one_process(source, tmp_path / "out.mkv")


@pytest.mark.parametrize("crew", ["ray", "processes"])
def test_a_worker_that_is_killed_for_memory_is_replaced(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, crew: str
) -> None:
    use(monkeypatch, segment_tasks.KilledOnce)
    source = clip(tmp_path / "in.mkv", 45)
    workers: Any = Processes(("cpu", "cpu")) if crew == "processes" else Ray(request.getfixturevalue("nodes").address)
    counts = list[int]()
    assert on(workers, source, tmp_path / "out.mkv", progress=lambda done, *_: counts.append(done)).frames == 45
    assert as_in_one_process(source, tmp_path / "out.mkv")
    assert counts[-1] == 45 >= max(counts)


def test_workers_that_see_nothing_are_sent_what_they_need(
    tmp_path: Path, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, segment_tasks.Blind)
    source = clip(tmp_path / "in.mkv", 60, vfr=True, rich=True)
    on(Ray(nodes.address), source, tmp_path / "out.mkv", Settings(model="video-x2", codec="ffv1"))
    assert as_in_one_process(source, tmp_path / "out.mkv", Settings(model="video-x2", codec="ffv1"))


def slowly(address: str) -> None:
    """In a child: short segments that take their time, on this cluster."""
    import misr.spread.ongoing

    short_segments()
    misr.spread.ongoing.SegmentTask = segment_tasks.Slow  # type: ignore[misc]
    os.environ["RAY_ADDRESS"] = address


def test_a_driver_that_is_killed_and_started_again_goes_on(
    tmp_path: Path, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = clip(tmp_path / "in.mkv", 80), tmp_path / "out.mkv"
    journal = journal_path(str(out))
    ripe = threading.Event()

    def kill(process: Any) -> None:
        while len(list(journal.glob("0*.seg"))) < 2 and process.is_alive():
            ripe.wait(0.01)
        process.kill()

    code, said = in_child(tmp_path, source, out, "--on", "ray", before=slowly, given=(nodes.address,), meanwhile=kill)
    assert code == -signal.SIGKILL, said
    assert not out.exists()
    kept = len(list(journal.glob("0*.seg")))
    assert 2 <= kept < 8
    said_now = list[str]()
    assert on(Ray(nodes.address), source, out, say=said_now.append).frames == 80
    assert any(line.startswith("resuming: ") and line.endswith(" of 8 segments are there") for line in said_now)
    assert as_in_one_process(source, out)


def test_a_segment_that_does_not_decode_is_named_and_the_rest_is_kept(
    tmp_path: Path, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("misr.pipeline.SEGMENT_S", 5)
    slow = [500 * k for k in range(45)]
    source = corrupt(clip(tmp_path / "in.mkv", codec="mjpeg", pix_fmt="yuvj420p", options={}, pts=slow), 20)
    with pytest.raises(DecodeError, match=r"segment at frame 20 \(10.000 s\): .* the frame at 10.000 s .*are kept"):
        on(Ray(nodes.address), source, tmp_path / "out.mkv")
    assert sorted(int(p.stem) for p in journal_path(str(tmp_path / "out.mkv")).glob("0*.seg")) == [0, 10, 30, 40]
    on(Ray(nodes.address), source, tmp_path / "out.mkv", repeat := Settings(model="bilinear", on_error="repeat"))
    assert as_in_one_process(source, tmp_path / "out.mkv", repeat)


def test_the_command_line_finds_a_running_cluster(tmp_path: Path, nodes: Any) -> None:

    source = clip(tmp_path / "in.mkv", 45)
    code, said = in_child(tmp_path, source, tmp_path / "out.mkv", "--on", "ray", before=slowly, given=(nodes.address,))
    assert code == 0, said
    assert "45 frames in, 45 frames out" in said
    assert as_in_one_process(source, tmp_path / "out.mkv")
