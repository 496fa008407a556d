"""misr.fuse: what holds whatever the burst is. Tiled is whole, stopped and resumed is uninterrupted, nothing is invented."""

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import misr
from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError, ModelError, OutputError
from misr.fusion.choose import best, checked, method
from misr.fusion.page import page
from misr.fusion.plots import nice, short
from misr.fusion.report import command, finite
from misr.fusion.tiles import count, tiles
from misr.nets import NETS
from misr.nets.lattice import Stack
from tests import burst_scenes as scenes

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = misr.Fusing(scale=2, method="shift-and-add", device="cpu")


def views(
    folder: Path, number: int = 4, size: tuple[int, int] = (72, 88), *, bands: int = 1, dtype: str = "uint16"
) -> list[str]:
    """Files of a synthetic burst: shifted, noisy views."""
    made = []
    for n, matrix in enumerate(scenes.moves(number)):
        plane = np.stack([scenes.seen(*size, matrix, seed) for seed in range(bands)])
        noise = np.random.default_rng(n).standard_normal(plane.shape)
        codes = 1000 + 4000 * plane + 20 * noise
        np.save(folder / f"view{n}.npy", (codes if dtype.startswith("f") else codes.round()).astype(dtype))
        made.append(str(folder / f"view{n}.npy"))
    return made


def same(a: Path, b: Path) -> bool:
    return np.array_equal(np.load(a), np.load(b), equal_nan=True)


# tiles


@pytest.mark.parametrize(
    ("width", "height", "size", "halo", "multiple"),
    [(100, 70, 32, 8, 1), (100, 70, 0, 8, 1), (5, 3, 64, 16, 4), (97, 33, 30, 10, 8), (64, 64, 64, 64, 2)],
)
def test_cores_fill_the_scene_once_and_windows_reach_as_far_as_the_halo(width, height, size, halo, multiple):
    seen = np.zeros((height, width), int)
    found = list(tiles(width, height, size=size, halo=halo, multiple=multiple))
    for n, t in enumerate(found):
        seen[t.y : t.y + t.height, t.x : t.x + t.width] += 1
        x, y, w, h = t.window
        assert (t.number, x % multiple, y % multiple) == (n, 0, 0)
        assert x == 0 or t.x - x >= halo
        assert y == 0 or t.y - y >= halo
        assert x + w == width or x + w - t.x - t.width >= halo
        assert y + h == height or y + h - t.y - t.height >= halo
        assert x + w <= width and y + h <= height
    assert (seen == 1).all()
    assert len(found) == count(width, height, size=size, multiple=multiple)


def test_the_core_of_a_window_is_the_tile_on_the_fine_grid():
    picture = torch.arange(3 * 40 * 3 * 60).reshape(3 * 40, 3 * 60)
    for t in tiles(60, 40, size=16, halo=5):
        x, y, w, h = t.window
        core = t.core(picture[3 * y : 3 * (y + h), 3 * x : 3 * (x + w)], 3)
        assert torch.equal(core, picture[3 * t.y : 3 * (t.y + t.height), 3 * t.x : 3 * (t.x + t.width)])


@pytest.mark.parametrize("name", ["best", "mean", "shift-and-add", "map", "fast-x2", "bicubic"])
def test_tiled_is_whole(tmp_path, name):
    files = views(tmp_path, size=(88, 100), dtype="float32")
    how = replace(PLAIN, method=name, sigma=True)
    for tile in (0, 32):
        misr.fuse(files, tmp_path / f"out{tile}.npy", replace(how, tile=tile or 4096))
    whole, tiled = (np.load(tmp_path / f"out{tile}.npy") for tile in (0, 32))
    assert np.abs(tiled - whole).max() < 1e-5 * 5000
    whole, tiled = (np.load(tmp_path / f"out{tile}.sigma.npz") for tile in (0, 32))
    assert np.abs(tiled["sigma"] - whole["sigma"]).max() < 1e-3 * whole["sigma"].max()
    assert np.abs(tiled["count"] - whole["count"]).max() < 1e-3


def test_a_model_of_ones_own_fuses_tiled_as_whole(tmp_path):
    torch.manual_seed(1)
    net = NETS["burst"](scale=2, width=8, steps=2)
    torch.nn.init.normal_(net.decode.weight, std=0.05)
    save_file(net.state_dict(), str(tmp_path / "weights.safetensors"))
    digest = hashlib.sha256((tmp_path / "weights.safetensors").read_bytes()).hexdigest()
    options = {"width": 8, "steps": 2}
    ModelCard(name="mine", net="burst", scale=2, options=options, halo=net.halo, sha256=digest).write(
        tmp_path / "card.json"
    )
    files = views(tmp_path, size=(80, 96), dtype="float32")
    how = misr.Fusing(method=str(tmp_path), device="cpu")
    made = [misr.fuse(files, tmp_path / f"out{tile}.npy", replace(how, tile=tile)) for tile in (0, 32)]
    whole, tiled = (np.load(m.path) for m in made)
    assert (made[0].method, whole.shape) == ("mine", (160, 192))
    assert np.abs(tiled - whole).max() < 1e-5 * 5000


# a burst becomes a picture


def test_what_was_done_is_told(tmp_path):
    told: list[str] = []
    steps: list[tuple[str, int, int]] = []
    done = misr.fuse(
        views(tmp_path), tmp_path / "out.npy", PLAIN, say=told.append, progress=lambda *step: steps.append(step)
    )
    assert (done.path, done.method, done.why) == (str(tmp_path / "out.npy"), "shift-and-add", "")
    assert done.report["views_used"] == done.report["views_given"] == 4
    assert np.load(done.path).shape == (144, 176)
    assert any("4 of 4 used" in line for line in told)
    assert steps[-1] == ("fusing", 1, 1)
    assert {step[0] for step in steps} > {"fusing"}


def test_fusing_beats_the_best_view_and_keeps_the_unit(tmp_path):
    files = views(tmp_path, 8)
    truth = 1000 + 4000 * scenes_truth(72, 88)
    error = {}
    for name in ("best", "mean"):
        misr.fuse(files, tmp_path / f"{name}.npy", replace(PLAIN, method=name, reference="0"))
        error[name] = float(np.square(np.load(tmp_path / f"{name}.npy").astype(float) - truth)[16:-16, 16:-16].mean())
    assert error["mean"] < 0.5 * error["best"]


def scenes_truth(height: int, width: int) -> np.ndarray:
    """The scene on a grid of half pixels: the views' own optics and pixels, without aliasing and noise."""
    fine = scenes.FINE // 2
    edge = scenes.EDGE * scenes.FINE
    plane = scenes.scene(height, width)
    at = (np.arange(2 * n) * fine + edge + scenes.FINE // 4 for n in (height, width))
    return plane[np.ix_(*at)]


def test_nodata_is_written_where_no_view_knows_and_nowhere_else(tmp_path):
    files = views(tmp_path, dtype="uint16", size=(80, 96))
    for n, file in enumerate(files):
        codes = np.load(file)
        codes[:, 20:40, 30:60] = 0
        codes[:, 60:64, 10 + 8 * n : 16 + 8 * n] = 0
        np.save(file, codes)
    done = misr.fuse(files, tmp_path / "out.npy", replace(PLAIN, nodata=0.0, tile=32))
    out = np.load(tmp_path / "out.npy")
    assert (out[48:72, 68:112] == 0).all()
    assert (out[112:136] != 0).all()
    assert (out[:32] != 0).all()
    share = float((out == 0).mean())
    assert 0.05 < share < 0.1
    assert done.report["run"]["unknown"] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("name", ["best", "mean", "shift-and-add", "map", "fast-x2"])
def test_nan_under_a_mask_never_comes_out(tmp_path, name):
    files = views(tmp_path, 3, dtype="float32")
    for n, file in enumerate(files):
        codes = np.load(file)
        codes[:, 10 : 30 + n, 20:40] = np.nan
        np.save(file, codes)
    misr.fuse(files, tmp_path / "out.npy", replace(PLAIN, method=name, sigma=True))
    out, errors = np.load(tmp_path / "out.npy"), np.load(tmp_path / "out.sigma.npz")
    known = np.isfinite(out)
    assert 0.9 < known.mean() < 1
    assert out[known].min() > 0
    assert out[known].max() < 10_000
    assert np.isfinite(errors["sigma"][known]).all()
    assert (errors["count"][known] > 0).all()


# which method


def test_the_method_follows_from_views_and_scale(monkeypatch):
    monkeypatch.setattr(zoo, "names", lambda: ["burst-x2", "fast-x2", "fast-x4"])
    assert [best(n, 2)[0] for n in (1, 2, 9)] == ["fast-x2", "burst-x2", "burst-x2"]
    assert [best(n, 3)[0] for n in (1, 2)] == ["map", "map"]
    assert best(1, 1)[0] == "best"
    monkeypatch.setattr(zoo, "names", lambda: ["fast-x2"])
    name, why = best(5, 2)
    assert name == "map" and "x2" in why
    assert all(best(n, s)[1] for n in (1, 2) for s in (1, 2, 3, 4))


def test_a_named_method_needs_no_reason_and_gives_its_scale():
    assert [(m.name, m.why, m.scale) for m in (method(n, 5, None, device="cpu") for n in ("map", "fast-x4"))] == [
        ("map", "", 2),
        ("fast-x4", "", 4),
    ]
    assert method("mean", 5, 3, device="cpu").scale == 3


@pytest.mark.parametrize(("name", "scale"), [("fast-x2", 3), ("video-x2", None), ("nosuch", None), ("map", 0)])
def test_what_cannot_fuse_is_refused(name, scale):
    with pytest.raises((ModelError, InputError)):
        checked(name, scale) if scale != 0 else misr.Fusing(scale=0)


def test_a_single_image_model_looks_at_the_reference_alone():
    net = method("fast-x2", 3, 2, device="cpu").net
    x = torch.rand(1, 3, 1, 21, 30)
    blank = Stack(
        x, torch.ones_like(x), torch.zeros(1, 3, 2, 1, 1), torch.full((1, 3, 1, 1, 1), 0.01), torch.full((1,), 0.27)
    )
    other = blank._replace(views=torch.cat([x[:, :1], torch.rand(1, 2, 1, 21, 30)], 1))
    assert torch.equal(net.fuse(blank).picture, net.fuse(other).picture)
    assert net.fuse(blank).picture.shape == (1, 1, 42, 60)


# the report


def test_the_report_is_json_and_can_be_given_back(tmp_path):
    files = views(tmp_path)
    done = misr.fuse(files, tmp_path / "a.npy", replace(PLAIN, report=str(tmp_path / "told")))
    told = json.loads((tmp_path / "told.json").read_text(), parse_constant=pytest.fail)
    assert told == done.report
    assert told["schema"] == 1
    assert {"misr", "command", "output", "method", "views", "run", "aliasing", "coverage", "verdict"} <= set(told)
    assert [Path(v["view"]).name for v in told["views"]] == [f"view{n}.npy" for n in range(4)]
    misr.fuse(
        files,
        tmp_path / "b.npy",
        replace(PLAIN, registration=str(tmp_path / "told.json"), reference=str(told["reference"]["index"])),
    )
    assert same(tmp_path / "a.npy", tmp_path / "b.npy")


def test_the_page_needs_nothing_but_itself(tmp_path):
    files = views(tmp_path)
    misr.fuse(files, tmp_path / "a.npy", replace(PLAIN, report=str(tmp_path / "told.html")))
    text = (tmp_path / "told.html").read_text()
    assert sorted(p.name for p in tmp_path.glob("told*")) == ["told.html"]
    assert text.count("<svg") == text.count("</svg>") == 4
    assert all(f"view{n}.npy" in text for n in range(4))
    assert "light-dark(" in text
    assert not any(
        word in text.replace("http://www.w3.org/2000/svg", "") for word in ("http:", "https:", "<script", "@import", "url(")
    )


def test_names_on_the_page_are_text(tmp_path):
    told = misr.fuse(views(tmp_path), tmp_path / "a.npy", PLAIN).report
    told["views"][1] |= {"view": "<b>&.npy", "used": False, "why": "<i>"}
    text = page(told)
    assert "<b>" not in text
    assert "<i>" not in text
    assert 'class="rejected"' in text


def test_numbers_that_json_lacks_are_null():
    assert finite({"a": float("nan"), "b": (1, float("inf"), [2.5])}) == {"a": None, "b": [1, None, [2.5]]}


def test_the_command_says_what_was_asked():
    how = misr.Fusing(scale=3, method="map", clouds=False, noise=(0.5, 20.0), at=Fraction(25, 2), views=9, sigma=True)
    line = command(("a b.mp4",), "out.tif", how)
    assert line == "misr fuse 'a b.mp4' -o out.tif -s 3 -m map --noise 0.5,20.0 --no-clouds --sigma --at 25/2 --views 9"


def test_plots_have_round_scales_and_short_names():
    assert [nice(x) for x in (0.5, 0.51, 1.2, 7, 30, 1000)] == [0.5, 1, 2, 10, 50, 1000]
    assert len(short("a" * 50)) <= 20


# several bursts


def test_folders_are_a_burst_each(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "all" / name).mkdir(parents=True)
        views(tmp_path / "all" / name, 2, (40, 48))
    folders = misr.fusion.bursts_in([tmp_path / "all"])
    assert [f.name for f in folders] == ["one", "two"]
    assert misr.fusion.bursts_in([tmp_path / "all" / "one"]) == []
    made = misr.fusion.fuse_folders(folders, tmp_path / "out", replace(PLAIN, report=str(tmp_path / "told")))
    assert [Path(m.path).name for m in made] == ["one.npy", "two.npy"]
    assert sorted(p.name for p in (tmp_path / "told").iterdir()) == ["one.html", "one.json", "two.html", "two.json"]
    assert misr.fusion.fuse_folders(folders, tmp_path / "out", PLAIN, skip=True) == []


def test_one_bad_burst_does_not_stop_the_others(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    views(tmp_path / "two", 2, (40, 48))
    with pytest.raises(InputError, match="1 of 2 bursts failed"):
        misr.fusion.fuse_folders([tmp_path / "one", tmp_path / "two"], tmp_path / "out", PLAIN)
    assert (tmp_path / "out" / "two.npy").exists()


def test_an_output_that_would_lose_something_is_refused(tmp_path):
    files = views(tmp_path, 2, (40, 48))
    for out, how in ((files[0], PLAIN), (tmp_path / "no" / "out.npy", PLAIN), (tmp_path, PLAIN)):
        with pytest.raises(OutputError):
            misr.fuse(files, out, how)
    (tmp_path / "there.npy").touch()
    with pytest.raises(OutputError, match="-y"):
        misr.fuse(files, tmp_path / "there.npy", replace(PLAIN, overwrite=False))
