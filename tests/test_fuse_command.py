"""The command misr fuse: what a user sees, what is refused in one sentence, and what a run that is stopped leaves behind."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests import burst_scenes as scenes
from tests import command, media
from tests.command import one_sentence

pytestmark = pytest.mark.usefixtures("one_thread")
HARMLESS = ("--progress", "none", "--device", "cpu")


def fuse(*words: str | Path) -> int:
    return command.misr("fuse", *words, *HARMLESS[: 2 if "--device" in words else 4])


def pngs(folder: Path, number: int = 3, size: tuple[int, int] = (48, 56)) -> list[Path]:
    """16-bit PNGs of one scene, shifted and noisy."""
    folder.mkdir(exist_ok=True)
    made = []
    for n, matrix in enumerate(scenes.moves(number)):
        codes = 2000 + 9000 * scenes.seen(*size, matrix) + np.random.default_rng(n).normal(0, 40, size)
        made.append(folder / f"view{n}.png")
        cv2.imwrite(str(made[-1]), codes.round().astype(np.uint16))
    return made


def tiffs(folder: Path, number: int = 3, size: tuple[int, int] = (64, 80), **profile: Any) -> list[Path]:
    """GeoTIFFs of one scene and place."""
    rasterio = pytest.importorskip("rasterio")
    told: dict[str, Any] = {
        "crs": "EPSG:32630",
        "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 4_500_000),
        "nodata": 0,
    }
    made = []
    for n, matrix in enumerate(scenes.moves(number)):
        made.append(folder / f"view{n}.tif")
        codes = 2000 + 9000 * scenes.seen(*size, matrix) + np.random.default_rng(n).normal(0, 40, size)
        shape = {"height": size[0], "width": size[1], "count": 1, "dtype": "uint16"}
        with rasterio.open(made[-1], "w", driver="GTiff", **shape, **(told | profile)) as out:
            out.write(codes.round().astype(np.uint16)[None])
    return made


def hidden(folder: Path) -> list[str]:
    """What a run left that a user did not ask for."""
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


# what comes out


def test_views_become_one_picture_and_the_method_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pngs(tmp_path / "in")
    assert fuse(tmp_path / "in", "-o", tmp_path / "out.png", "-s", "3") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "3 of 3 used" in said.err
    assert "method" in said.err
    made = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert (made.shape, made.dtype) == ((144, 168), np.uint16)
    assert hidden(tmp_path) == []


def test_a_scene_keeps_its_place_on_earth(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    files = tiffs(tmp_path)
    assert fuse(*files, "-o", tmp_path / "out.tif", "-s", "2", "-m", "mean", "--sigma", "--reference", "1") == 0
    with rasterio.open(tmp_path / "out.tif") as out, rasterio.open(files[1]) as view:
        assert out.bounds == view.bounds
        assert (out.crs, out.nodata, out.dtypes) == (view.crs, 0, ("uint16",))
        assert out.transform.a == view.transform.a / 2
    with rasterio.open(tmp_path / "out.sigma.tif") as out:
        assert out.count == 2
        assert out.read(2).max() <= 3.01


def test_a_dry_run_looks_and_writes_a_report_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pngs(tmp_path / "in")
    assert fuse(tmp_path / "in", "-o", tmp_path / "out.png", "--dry-run", "--report", tmp_path / "told.json") == 0
    assert "3 of 3 used" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "told.json"]
    assert json.loads((tmp_path / "told.json").read_text())["run"] is None


def test_the_command_in_a_report_does_the_same_again(tmp_path: Path) -> None:
    import shlex

    pngs(tmp_path / "in")
    words = ("-s", "2", "-m", "shift-and-add", "--reference", "1", "--no-clouds", "--noise", "0.1,1600", "--tile", "32")
    assert fuse(tmp_path / "in", "-o", tmp_path / "out.png", *words, "--report", tmp_path / "told.json") == 0
    first = (tmp_path / "out.png").read_bytes()
    line = json.loads((tmp_path / "told.json").read_text())["command"]
    assert command.misr(*shlex.split(line)[1:], "-y", "--progress", "none") == 0
    assert (tmp_path / "out.png").read_bytes() == first


def test_progress_is_json_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pngs(tmp_path / "in")
    words = (tmp_path / "in", "-o", tmp_path / "out.png", "-m", "mean", "--tile", "32", "--device", "cpu")
    assert command.misr("fuse", *words, "--progress", "json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert (rows[-1]["doing"], rows[-1]["done"], rows[-1]["total"]) == ("fusing", 4, 4)
    assert [row["event"] for row in rows] == ["start", *["progress"] * (len(rows) - 2), "end"]
    assert list(dict.fromkeys(row["doing"] for row in rows)) == ["looking", "registering", "measuring", "fusing"]


def test_a_span_of_a_video_becomes_a_still(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=9)
    assert fuse(clip, "--at", "0.16", "--views", "5", "-o", tmp_path / "still.png", "-m", "mean") == 0
    assert cv2.imread(str(tmp_path / "still.png"), cv2.IMREAD_UNCHANGED).shape[:2] == (128, 192)


def test_an_existing_output_is_kept_unless_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pngs(tmp_path / "in", 2)
    out = tmp_path / "out.png"
    out.write_bytes(b"mine")
    assert fuse(tmp_path / "in", "-o", out) == 1
    assert "-y" in one_sentence(capsys.readouterr().err)
    assert fuse(tmp_path / "in", "-o", out, "-n") == 1
    assert out.read_bytes() == b"mine"
    assert fuse(tmp_path / "in", "-o", out, "-y", "-m", "best") == 0
    assert out.read_bytes() != b"mine"


# PROBA-V


def scene(folder: Path, seed: int) -> None:
    """A scene as the challenge has them, but small in number."""
    folder.mkdir(parents=True)
    for n, matrix in enumerate(scenes.moves(2, seed)):
        codes = 2000 + 9000 * scenes.seen(128, 128, matrix, seed)
        cv2.imwrite(str(folder / f"LR{n:03d}.png"), codes.round().astype(np.uint16))
        cv2.imwrite(str(folder / f"QM{n:03d}.png"), np.full((128, 128), 255, np.uint8))


def test_probav_scenes_become_a_folder_or_a_submission(tmp_path: Path) -> None:
    for number in (1, 2):
        scene(tmp_path / "NIR" / f"imgset{number:04d}", number)
    words = ("-s", "3", "-m", "shift-and-add")
    assert fuse(tmp_path / "NIR", "-o", tmp_path / "out", *words) == 0
    assert fuse(tmp_path / "NIR", "-o", tmp_path / "out.zip", *words) == 0
    names = ["imgset0001.png", "imgset0002.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    with zipfile.ZipFile(tmp_path / "out.zip") as answer:
        assert sorted(answer.namelist()) == names
        picture = cv2.imdecode(np.frombuffer(answer.read(names[0]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture, cv2.imread(str(tmp_path / "out" / names[0]), cv2.IMREAD_UNCHANGED))
    assert (picture.shape, picture.dtype) == ((384, 384), np.uint16)
    assert hidden(tmp_path) == []


# stopped and resumed


def die_at(tile: int, how: str) -> None:
    """Make the process end while it writes the nth tile; what was flushed before is on the disk."""
    import misr.fusion.render as at_work

    at_work.FLUSH_S = 0.0
    write, count = at_work.write_tile, iter(range(1000))

    def stop(*args: Any) -> int:
        if next(count) == tile:
            if how == "interrupt":
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args)

    at_work.write_tile = stop


def die_at_the_end() -> None:
    """Make the process end when all is rendered and nothing has its name yet."""
    import misr.fusion.render as at_work

    def stop(self: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    at_work.Output.finish = stop  # type: ignore[method-assign]


def in_child(folder: Path, *words: str | Path, before: Any, given: tuple[Any, ...] = ()) -> tuple[int, str]:
    """misr fuse in a process of its own that `before` arms: its exit code and what it said."""
    args = ["fuse", *map(str, words), *HARMLESS]
    child: Any = command.FORKS.Process(target=command.child, args=(args, str(folder), before, given))
    child.start()
    child.join(60)
    assert child.exitcode is not None, "misr hangs"
    said = (folder / "said.txt").read_text()
    assert "Traceback" not in said, said
    return child.exitcode, said


@pytest.mark.parametrize(
    ("kind", "before", "given"),
    [
        ("tif", die_at, (3, "kill")),
        ("tif", die_at_the_end, ()),
        ("png", die_at, (2, "interrupt")),
        ("npy", die_at, (4, "kill")),
    ],
)
def test_stopped_and_resumed_is_uninterrupted(tmp_path: Path, kind: str, before: Any, given: tuple[Any, ...]) -> None:
    files = tiffs(tmp_path) if kind == "tif" else pngs(tmp_path / "in", size=(64, 80))
    words = (*files, "-m", "shift-and-add", "-s", "2", "--tile", "32", "--sigma")
    assert fuse(*words, "-o", tmp_path / f"whole.{kind}") == 0
    code, said = in_child(tmp_path, *words, "-o", tmp_path / f"out.{kind}", before=before, given=given)
    assert code != 0
    assert not (tmp_path / f"out.{kind}").exists()
    assert ("the same command goes on" in said) == ("interrupt" in given)
    assert fuse(*words, "-o", tmp_path / f"out.{kind}") == 0
    assert np.array_equal(pixels(tmp_path / f"whole.{kind}"), pixels(tmp_path / f"out.{kind}"))
    beside = "tif" if kind == "tif" else "npz"
    a, b = pixels(tmp_path / f"whole.sigma.{beside}"), pixels(tmp_path / f"out.sigma.{beside}")
    assert np.array_equal(a, b, equal_nan=True)
    assert [name for name in hidden(tmp_path) if "out" in name] == []


def pixels(path: Path) -> Any:
    """All a file holds."""
    if path.suffix == ".tif":
        import rasterio

        with rasterio.open(path) as it:
            return it.read()
    if path.suffix == ".npz":
        held = np.load(path)
        return np.stack([held[name] for name in sorted(held)])
    return np.load(path) if path.suffix == ".npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_a_resumed_run_says_where_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pngs(tmp_path / "in", size=(64, 80))
    words = (tmp_path / "in", "-m", "mean", "--tile", "32", "-o", tmp_path / "out.png")
    assert in_child(tmp_path, *words, before=die_at, given=(4, "kill"))[0] != 0
    assert fuse(*words) == 0
    assert "resuming at tile 5 of 6" in capsys.readouterr().err


def test_another_job_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = pngs(tmp_path / "in", size=(64, 80))
    words = (tmp_path / "in", "--tile", "32", "-o", tmp_path / "out.png")
    assert in_child(tmp_path, *words, "-m", "mean", before=die_at, given=(4, "kill"))[0] != 0
    assert fuse(*words, "-m", "best") == 0
    assert "starting over: method changed" in capsys.readouterr().err
    again = (*words[:-1], tmp_path / "again.png", "-m", "best")
    assert in_child(tmp_path, *again, before=die_at, given=(4, "kill"))[0] != 0
    cv2.imwrite(str(files[0]), cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED) + 1)
    assert fuse(*again) == 0
    assert "inputs changed" in capsys.readouterr().err


# what is refused, and what is done in spite of it


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *words: str | Path) -> str:
    """The sentence by which misr refuses; nothing is left behind."""
    before = sorted(folder.iterdir())
    assert fuse(*words) != 0
    said = capsys.readouterr()
    assert said.out == ""
    assert sorted(folder.iterdir()) == before
    return one_sentence(said.err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nowhere.png -o out.png", "nowhere.png"),
        ("in -o nowhere/out.png", "no such folder"),
        ("in -o out.jpg", "uint16"),
        ("in -o out.docx", "out.docx"),
        ("in -o out.png -m nosuch", "nosuch"),
        ("in -o out.png -m fast-x2 -s 3", "fast-x2"),
        ("in -o out.png -m video-x2", "video"),
        ("in -o out.png -s 0", "scale 0"),
        ("in -o out.png --reference 7", "7"),
        ("in -o out.png --reference x.png", "x.png"),
        ("in -o out.png --mtf 2", "MTF"),
        ("in -o out.png --noise 3", "--noise 3"),
        ("in -o out.png --exposures 1/60,0,1", "--exposures"),
        ("in -o out.png --exposures 1,2", "2 exposures for 3 views"),
        ("in -o out.png --masks nowhere.png", "nowhere.png"),
        ("in -o out.png --registration nowhere.json", "nowhere.json"),
        ("in -o out.png --dtype int3", "int3"),
        ("in -o out.png --cog", "cloud"),
        ("in -o out.png --views 5", "5 views"),
        ("in -o out.png --at 3", "--at"),
        ("in -o out.png --tile -3", "tile -3"),
        ("in -o out.png --device tpu", "tpu"),
        ("in -o out.png --motion spline", "--motion"),
        ("in -o out.png -y -n", "-y and -n"),
        ("in -o out.png --report nowhere/x.json", "nowhere"),
        ("in -o out.zip", ".zip"),
        ("empty -o out.png", "empty"),
        ("in", "--output"),
    ],
)
def test_a_bad_command_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    pngs(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert says in refused(capsys, tmp_path, *words.split())


def test_an_error_beside_an_output_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pngs(tmp_path / "in", 2)
    np.savez(tmp_path / "out.sigma.npz", mine=1)
    said = refused(capsys, tmp_path, tmp_path / "in", "-o", tmp_path / "out.png", "--sigma", "-m", "best")
    assert "out.sigma.npz exists" in said


def test_views_of_another_size_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pngs(tmp_path / "in", 2)
    cv2.imwrite(str(b), cv2.imread(str(b), cv2.IMREAD_UNCHANGED)[:-7])
    assert "view1.png" in refused(capsys, tmp_path, a, b, "-o", tmp_path / "out.png")


def test_nan_everywhere_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / f"{n}.npy" for n in range(2)]
    for file in files:
        np.save(file, np.full((40, 40), np.nan, np.float32))
    refused(capsys, tmp_path, *files, "-o", tmp_path / "out.npy")


def test_a_truncated_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tiffs(tmp_path, compress="deflate")
    files[1].write_bytes(files[1].read_bytes()[:3000])
    assert "view1.tif" in refused(capsys, tmp_path, *files, "-o", tmp_path / "out.tif")


def test_a_file_that_breaks_in_the_middle_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tiffs(tmp_path, size=(320, 320), number=2, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    data = files[1].read_bytes()
    files[1].write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert "view1.tif" in refused(capsys, tmp_path, *files, "-o", tmp_path / "out.tif", "-m", "best", "--tile", "64")


def test_two_coordinate_systems_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    a, b = tiffs(tmp_path, 1)[0], tiffs(tmp_path / "other", 1, crs="EPSG:32631")[0]
    assert "coordinate systems" in refused(capsys, tmp_path, a, b, "-o", tmp_path / "out.tif")


def test_views_of_other_ground_are_left_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rasterio = pytest.importorskip("rasterio")
    (tmp_path / "other").mkdir()
    away = rasterio.Affine(10, 0, 900_000, 0, -10, 4_500_000)
    a, b = tiffs(tmp_path, 2)[0], tiffs(tmp_path / "other", 1, transform=away)[0].rename(tmp_path / "away.tif")
    assert (
        fuse(a, tmp_path / "view1.tif", b, "-o", tmp_path / "out.tif", "-m", "mean", "--report", tmp_path / "t.json")
        == 0
    )
    assert "not used  away.tif" in capsys.readouterr().err
    assert [v["used"] for v in json.loads((tmp_path / "t.json").read_text())["views"]] == [True, True, False]


def test_one_view_is_enlarged_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = pngs(tmp_path / "in", 1)
    assert fuse(one, "-o", tmp_path / "out.png", "-s", "2") == 0
    said = capsys.readouterr().err
    assert "fast-x2" in said
    assert "one usable view" in said


def test_clouds_everywhere_are_refused_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = pngs(tmp_path / "in")
    for n, file in enumerate(files):
        white = np.full((48, 56), 60_000, np.uint16) + np.random.default_rng(n).integers(0, 500, (48, 56), np.uint16)
        cv2.imwrite(str(file), white)
    code = fuse(*files, "-o", tmp_path / "out.png")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert code != 0 or "not used" in said or "cannot" in said or "help" in said
