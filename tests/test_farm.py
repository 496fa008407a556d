"""scripts/bench farm: a simulation can be no better than what it is made of, and its plot is that of the constants beside it."""

import json
import math
import re
import subprocess
import sys
from dataclasses import fields, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from tests import media

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
pytestmark = pytest.mark.usefixtures("one_thread")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def farm():
    """The simulation, as a module."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield import_module("farm")
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture
def costs(farm):
    """As they were measured."""
    return farm.Costs.read()


@pytest.fixture(params=["film", "archive"])
def job(farm, request):
    """Few segments, and many clips."""
    return {"film": farm.Job("film", 1, 600), "archive": farm.Job("archive", 40, 20)}[request.param]


FREE = {
    "dispatch_s": 0,
    "cut_s_per_segment": 0,
    "cut_s_per_frame": 0,
    "store_s_per_segment": 0,
    "store_s_per_frame": 0,
    "first_segment_read_s": 0,
    "index_s_per_frame": 0,
    "join_s_per_frame": 0,
    "bytes_in_per_frame": 0,
    "bytes_in_per_segment": 0,
    "bytes_out_per_frame": 0,
}


@pytest.mark.parametrize("segment_s", [1, 10, 60])
def test_one_worker_takes_the_sum(farm, costs, job, segment_s):
    work = math.fsum(farm.works(costs, job, segment_s, 0))
    alone = farm.simulate(replace(costs, **FREE), job, segment_s, 1, 1)
    assert alone.seconds == pytest.approx(costs.worker_start_s + work)
    assert alone.tail_s == 0
    came = farm.simulate(costs, job, segment_s, 1, 1)
    parts = came.spent["driver"] + came.spent["join"] + 2 * came.spent["network"]
    assert costs.worker_start_s + work <= came.seconds <= costs.worker_start_s + work + parts


def test_a_worker_that_costs_nothing_more_is_a_plain_run(farm, costs, job):
    bare = replace(costs, **FREE, preroll_s_per_segment=0, context_frames=0)
    assert farm.simulate(bare, job, 10, 1, 1).speedup == pytest.approx(1)


@pytest.mark.parametrize("segment_s", [1, 5, 60])
@pytest.mark.parametrize("workers", [1, 7, 64, 1000])
def test_nothing_is_faster_than_its_parts(farm, costs, job, segment_s, workers):
    came = farm.simulate(costs, job, segment_s, workers, 1)
    work = farm.works(costs, job, segment_s, 0)
    assert came.seconds >= costs.worker_start_s + math.fsum(work) / workers
    assert came.seconds >= costs.worker_start_s + max(work)
    assert came.seconds >= came.spent["driver"] + came.spent["join"] - 1e-6
    assert came.seconds >= came.spent["network"] - 1e-6
    assert came.speedup <= workers + 1, "the driver is a process too"


def test_equal_segments_leave_no_tail_where_they_come_out_even(farm, costs):
    even = replace(costs, **FREE, segment_cv=0)
    job = farm.Job("film", 1, 600)
    assert farm.simulate(even, job, 10, 20, 1).tail_s == pytest.approx(0)
    assert farm.simulate(even, job, 10, 16, 1).tail_s > 1
    assert farm.simulate(even, job, 10, 20, 1).limit == "workers"


def test_the_same_seed_is_the_same_run_and_another_one_another(farm, costs, job):
    runs = [farm.simulate(costs, job, 5, 16, 1, seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


def test_every_length_cuts_the_same_film(farm, costs, job):
    bare = replace(costs, preroll_s_per_segment=0, context_frames=0)
    sums = [math.fsum(farm.works(bare, job, s, 1)) for s in (1, 5, 20)]
    assert sums == pytest.approx([job.clips * job.clip_frames * costs.frame_s] * 3)


@pytest.mark.parametrize("workers", [1, 16, 500])
def test_more_bandwidth_is_never_slower(farm, costs, job, workers):
    for seed in range(3):
        took = [farm.simulate(costs, job, 2, workers, g, seed).seconds for g in (0.01, 0.1, 0.5, 1, 2, 10, 100)]
        assert all(faster <= slower + 1e-9 for slower, faster in pairwise(took))


def test_no_lower_cost_is_slower(farm, costs, job):
    before = farm.simulate(costs, job, 2, 24, 0.5)
    for field in fields(costs):
        if not field.name.startswith("segment_"):
            half = replace(costs, **{field.name: getattr(costs, field.name) / 2})
            assert farm.simulate(half, job, 2, 24, 0.5).seconds <= before.seconds + 1e-9, field.name


def test_more_workers_are_never_slower(farm, costs, job):
    for segment_s in (1, 10):
        took = [farm.simulate(costs, job, segment_s, n, 1).seconds for n in farm.WORKERS]
        assert all(later <= sooner + 1e-9 for sooner, later in pairwise(took))


def test_what_is_made_dear_is_what_limits(farm, costs, job):
    def limit(**dear):
        return farm.simulate(replace(costs, **dear), job, 5, 8, 10).limit

    assert limit(frame_s=1) == "workers"
    assert limit(dispatch_s=100) == "driver"
    assert limit(join_s_per_frame=1) == "join"
    assert limit(bytes_out_per_frame=1e9) == "network"
    assert limit(worker_start_s=1e6) == "start"


def test_no_speedup_passes_the_ceilings(farm, costs):
    cells = [line.split("|")[2:-1] for line in farm.ceilings(costs).splitlines()[4:]]
    assert len(cells) == len(farm.JOBS)
    for job, row in zip(farm.JOBS, cells, strict=True):
        driver, join, slow, fast, *lossless = (float(cell.replace(",", "")) for cell in row)
        assert slow < fast
        assert lossless[0] < slow, "what is lossless is larger"
        assert farm.simulate(costs, job, 10, 1000, 1).speedup <= min(driver, join, slow) + 0.5


def test_on_a_shared_disk_the_driver_cuts_and_stores_nothing(farm, costs, job):
    shared = costs.on_shared_disk()
    assert (shared.cut_s_per_segment, shared.store_s_per_frame) == (0, 0)
    assert (
        farm.simulate(shared, job, 1, 1000, 10).spent["driver"] < farm.simulate(costs, job, 1, 1000, 10).spent["driver"]
    )


def test_other_constants_go_before_those_of_the_file(farm, tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"frame_s": 0.5}))
    assert farm.Costs.read(farm.COSTS, mine) == replace(farm.Costs.read(), frame_s=0.5)
    mine.write_text(json.dumps({"made_up": 3}))
    with pytest.raises(SystemExit, match="no constant 'made_up'"):
        farm.Costs.read(farm.COSTS, mine)


def test_every_constant_says_its_unit_and_how_it_was_measured(farm):
    told = json.loads(farm.COSTS.read_text())
    assert set(told["constants"]) == {field.name for field in fields(farm.Costs)}
    assert all(row["unit"] and row["value"] >= 0 for row in told["constants"].values())
    assert all(row["command"].startswith("scripts/bench farm --measure ") for row in told["constants"].values())


def test_the_plot_is_that_of_the_constants(farm, costs):
    drawn = import_module("farm_plot").drawn(costs, json.loads(farm.COSTS.read_text())["on"], 0)
    kept = farm.PLOT.read_text(encoding="utf-8")
    assert NUMBER.sub("#", drawn) == NUMBER.sub("#", kept), "scripts/bench farm --write draws it anew"
    pairs = zip(NUMBER.findall(drawn), NUMBER.findall(kept), strict=True)
    assert max(abs(float(a) - float(b)) for a, b in pairs) < 0.15
    assert kept.count("<polyline") == len(farm.JOBS) * len(farm.NETWORKS) * len(farm.SEGMENTS_S)
    assert "Simulation, from measurements on" in kept
    assert "prefers-color-scheme:dark" in kept


def test_the_command_prints_tables_that_call_themselves_simulations():
    made = subprocess.run(
        [sys.executable, SCRIPTS / "bench", "farm"], capture_output=True, text=True, check=True
    ).stdout
    assert made.startswith("Simulation, from measurements on ")
    assert made.count("\nSimulation: ") == 7
    assert len(re.findall(r"^\| +1000 \|", made, re.MULTILINE)) == 6


def test_what_is_measured_adds_up_to_the_clip(farm, tmp_path):
    measuring = import_module("farm_measure")
    clip = media.clip(tmp_path, frames=60, fps=5)
    (crew,) = measuring.rendered([clip], 2)
    assert (crew.frames, len(crew.bytes_in), len(crew.take_s)) == ([10] * 6, 6, 6)
    assert min(crew.work_s) > 0
    assert min(crew.bytes_out) > 1000


def test_what_each_segment_costs_is_told_apart_from_its_frames(farm):
    measuring = import_module("farm_measure")
    short, long = measuring.Alone(frames=[10] * 6), measuring.Alone(frames=[30] * 2)
    assert measuring.split([short], [long], lambda c: 60 * 0.5 + len(c.frames) * 2) == pytest.approx((2, 0.5))
    assert measuring.split([short], [long], lambda c: 7.0) == pytest.approx((0, 7 / 60))
