"""The score of PROBA-V: by its formula, on truths that are known, from folders and zips, by the command."""

import json
import math
import time
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from misr.errors import InputError
from misr.evaluation import evaluate_probav
from misr.metrics import cpsnr_db
from tests import command
from tests.command import one_sentence

SIDE = 48  # HR pixels of a scene here; the challenge has 384

pytestmark = pytest.mark.usefixtures("one_thread")


def scene(seed: int = 0, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """A truth in [0, 1/4] with some structure, and its clear pixels, nine of ten."""
    chance = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 1, side // 8, side // 8, generator=chance)
    truth = torch.nn.functional.interpolate(rough, (side, side), mode="bicubic")[0, 0].clamp(0, 1) / 4
    return truth, torch.rand(side, side, generator=chance) < 0.9


# the metric


def by_formula(picture: Tensor, truth: Tensor, clear: Tensor) -> float:
    """Section 3 of the paper as it is written, pixel by pixel."""
    sr, hr, ok = picture.double().numpy()[3:-3, 3:-3], truth.double().numpy(), clear.numpy()
    h, w = sr.shape
    best = -math.inf
    for v in range(7):
        for u in range(7):
            there = [(i, j) for i in range(h) for j in range(w) if ok[v + i, u + j]]
            bias = math.fsum(hr[v + i, u + j] - sr[i, j] for i, j in there) / len(there)
            mse = math.fsum((hr[v + i, u + j] - (sr[i, j] + bias)) ** 2 for i, j in there) / len(there)
            best = max(best, -10 * math.log10(mse))
    return best


@pytest.mark.parametrize("seed", [1, 2])
def test_cpsnr_is_its_formula(seed):
    truth, clear = scene(seed, 24)
    picture = truth.roll((1, -2), (0, 1)) + 0.01 * torch.randn(24, 24, generator=torch.Generator().manual_seed(seed))
    assert cpsnr_db(picture, truth, clear) == pytest.approx(by_formula(picture, truth, clear), abs=1e-9)


def test_an_equal_picture_is_infinitely_good():
    truth, clear = scene()
    assert cpsnr_db(truth, truth, clear) == math.inf


@pytest.mark.parametrize(("down", "right"), [(3, 0), (-3, 3), (1, -2)])
def test_shift_and_brightness_cost_nothing(down, right):
    truth, clear = scene()
    moved = truth.roll((down, right), (0, 1))
    assert cpsnr_db(moved + 0.125, truth, clear) > 130
    assert cpsnr_db(moved * 1.1, truth, clear) < 60


def test_a_shift_of_four_pixels_costs_something():
    truth, clear = scene()
    assert cpsnr_db(truth.roll(4, 0), truth, clear) < 60


def test_what_is_not_clear_does_not_count():
    truth, clear = scene()
    wrong = torch.where(clear, truth, float("nan"))
    assert cpsnr_db(truth, wrong, clear) == math.inf
    assert cpsnr_db(truth, torch.where(clear, truth, 1.0), torch.ones_like(clear)) < 30


def test_noise_of_known_size_gives_its_decibels():
    truth, clear = scene(side=192)
    noise = 0.01 * torch.randn(192, 192, generator=torch.Generator().manual_seed(1))
    assert cpsnr_db(truth + noise, truth, clear) == pytest.approx(40, abs=0.15)


def test_a_scene_takes_less_than_a_tenth_of_a_second_of_a_core():
    truth, clear = scene(side=384)
    picture = truth + 0.01
    took_s = []
    for _ in range(5):
        start = time.process_time()
        cpsnr_db(picture, truth, clear)
        took_s.append(time.process_time() - start)
    assert min(took_s) < 0.1


def test_what_cannot_be_measured_is_said():
    truth, clear = scene()
    with pytest.raises(InputError, match="clear"):
        cpsnr_db(truth, truth, torch.zeros_like(clear))
    with pytest.raises(InputError, match="6x6"):
        cpsnr_db(truth[:6, :6], truth[:6, :6], clear[:6, :6])
    with pytest.raises(ValueError, match="shapes"):
        cpsnr_db(truth[1:], truth, clear)


# the score


def codes(x: Tensor) -> np.ndarray:
    return (x * 65535).round().clamp(0, 65535).numpy().astype(np.uint16)


def data_set(folder: Path, scenes: int = 2, *, norm: bool = True) -> Path:
    """A made-up PROBA-V: train/NIR/imgset####, one scene more without a truth, and norm.csv above."""
    for n in range(scenes + 1):
        place = folder / "train" / "NIR" / f"imgset{n:04d}"
        place.mkdir(parents=True)
        truth, clear = scene(n)
        cv2.imwrite(str(place / "LR000.png"), codes(truth[1::3, 1::3]))
        if n < scenes:
            cv2.imwrite(str(place / "HR.png"), codes(truth))
            cv2.imwrite(str(place / "SM.png"), clear.numpy().astype(np.uint8) * 255)
    if norm:
        (folder / "norm.csv").write_text("".join(f"imgset{n:04d} {40 + n}.0\n" for n in range(scenes + 1)))
    return folder / "train"


def answer(folder: Path, scenes: int = 2, noise: float = 0.01) -> Path:
    """Pictures of the scenes: their truths under noise."""
    folder.mkdir(exist_ok=True)
    for n in range(scenes):
        chance = torch.Generator().manual_seed(n)
        picture = scene(n)[0] + noise * torch.randn(SIDE, SIDE, generator=chance)
        cv2.imwrite(str(folder / f"imgset{n:04d}.png"), codes(picture))
    return folder


def zipped(folder: Path) -> Path:
    with ZipFile(folder.with_suffix(".zip"), "w") as out:
        for p in folder.iterdir():
            out.write(p, f"answer/{p.name}")
    return folder.with_suffix(".zip")


def test_the_score_is_baseline_over_cpsnr_averaged_over_scenes(tmp_path):
    data, mine = data_set(tmp_path / "data"), answer(tmp_path / "mine")
    report = evaluate_probav(mine, data)
    found = {item.name: item.frames[0] for item in report.rows[0].items}
    assert list(found) == ["imgset0000", "imgset0001"]  # the scene without a truth is not measured
    for n, scores in enumerate(found.values()):
        picture = cv2.imread(str(mine / f"imgset{n:04d}.png"), cv2.IMREAD_UNCHANGED) / 65535
        truth, clear = torch.from_numpy(codes(scene(n)[0]) / 65535), scene(n)[1]
        assert scores["cpsnr_db"] == pytest.approx(cpsnr_db(torch.from_numpy(picture), truth, clear), abs=1e-9)
        assert scores["score"] == pytest.approx((40 + n) / scores["cpsnr_db"])
    wanted = (found["imgset0000"]["score"] + found["imgset0001"]["score"]) / 2
    assert report.rows[0].mean["score"] == pytest.approx(wanted)


def test_a_zip_scores_as_its_folder(tmp_path):
    data, mine = data_set(tmp_path / "data"), answer(tmp_path / "mine")
    report = evaluate_probav([mine, zipped(mine)], data / "NIR", tmp_path / "data" / "norm.csv")
    assert report.rows[0].items == report.rows[1].items
    assert evaluate_probav(mine, data / "NIR").rows[0].items == report.rows[0].items  # norm.csv is found above


def test_without_a_baseline_there_is_cpsnr_alone(tmp_path):
    report = evaluate_probav(answer(tmp_path / "mine"), data_set(tmp_path / "data", norm=False))
    mean = report.rows[0].mean
    assert mean["score"] is None
    assert mean["cpsnr_db"] == pytest.approx(40, abs=0.5)


def test_a_better_answer_has_a_lower_score(tmp_path):
    data = data_set(tmp_path / "data")
    good, bad = answer(tmp_path / "good", noise=0.005), answer(tmp_path / "bad", noise=0.02)
    told = []
    report = evaluate_probav([good, bad], data, progress=lambda *x: told.append(x))
    better, worse = (row.mean["score"] for row in report.rows)
    assert better < worse
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


# the command


def test_the_command_prints_a_table_and_writes_files(tmp_path, capsys):
    data, mine = data_set(tmp_path / "data"), answer(tmp_path / "mine")
    out = tmp_path / "scores.json"
    assert command.misr("eval", "--probav", data, "--norm", tmp_path / "data" / "norm.csv", mine, "--json", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cPSNR dB" in lines[0]
    assert "score" in lines[0]
    assert len(lines) == 2 + 2 + 1
    assert len({len(line) for line in lines}) == 1
    told = json.loads(out.read_text())
    assert (told["protocol"], told["border_px"], told["columns"]) == ("proba-v", 3, ["cpsnr_db", "score"])
    assert told["rows"][0]["mean"]["score"] == pytest.approx(evaluate_probav(mine, data).rows[0].mean["score"])


@pytest.mark.parametrize(
    "words",
    """--probav DATA nowhere | --probav nowhere MINE | --probav MINE MINE | --norm DATA MINE MINE | --probav DATA MINE -s 3
    --probav DATA MINE --border 3 | --probav DATA -m fast-x2 MINE | --probav DATA FEWER | --probav DATA SMALL
    --probav DATA EIGHT | --probav DATA BROKEN | --probav DATA EMPTY | --probav DATA --norm OTHER MINE
    --probav DATA --norm nowhere.csv MINE | --probav DATA TEXT | --probav DATA MINE --metrics vif""".replace(
        "\n", "|"
    ).split("|"),
)
def test_a_bad_command_is_one_sentence(tmp_path, words, capsys):
    bad = {"DATA": data_set(tmp_path / "data"), "MINE": answer(tmp_path / "mine")}
    bad["FEWER"], bad["SMALL"], bad["EIGHT"] = (answer(tmp_path / x, 1) for x in ("fewer", "small", "eight"))
    bad["BROKEN"], bad["EMPTY"] = answer(tmp_path / "broken"), answer(tmp_path / "empty", 0)
    cv2.imwrite(str(bad["SMALL"] / "imgset0000.png"), np.zeros((9, 9), np.uint16))
    cv2.imwrite(str(bad["EIGHT"] / "imgset0000.png"), np.zeros((SIDE, SIDE), np.uint8))
    whole = (bad["BROKEN"] / "imgset0000.png").read_bytes()
    (bad["BROKEN"] / "imgset0000.png").write_bytes(whole[:30])
    bad["OTHER"], bad["TEXT"] = tmp_path / "other.csv", tmp_path / "text.zip"
    bad["OTHER"].write_text("imgset0000 40.0\n")
    bad["TEXT"].write_text("this is no zip")
    assert command.misr("eval", *(str(bad.get(w, w)) for w in words.split())) != 0
    said = capsys.readouterr()
    assert one_sentence(said.err), said.err
    assert said.out == ""
