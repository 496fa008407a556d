"""misr eval: what is paired with what, on which planes and pixels it is measured, and what a model is given."""

import math
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import misr
from misr import InputError, Measure, evaluate, evaluate_models
from misr.evaluation.items import frames_of, items
from misr.evaluation.measure import measured, planes
from misr.evaluation.scores import Item, Row
from misr.evaluation.trial import shrunk, trial
from misr.frame import FULL, LIMITED, Color, Frame
from misr.metrics import bd, bi, luma601, psnr_db, to_codes
from misr.resample import resample
from tests import media

PSNR = Measure(metrics=("psnr",))


def codes(n: int = 0, h: int = 48, w: int = 64) -> np.ndarray:
    """A picture (h, w, 3) of 8 bits with detail that moves with n."""
    y, x = np.mgrid[:h, :w]
    grain = np.random.default_rng(n).normal(0, 3, (h, w))
    waves = [120 + 80 * np.sin((x + 2 * n) / (3 + k)) * np.cos(y / (4 + k)) + grain for k in range(3)]
    return np.stack(waves, -1).clip(0, 255).round().astype(np.uint8)


def written(folder: Path, names: list[str], add: int = 0) -> Path:
    """A folder of PNGs, every code value raised by `add`."""
    folder.mkdir(parents=True)
    for n, name in enumerate(names):
        cv2.imwrite(str(folder / f"{name}.png"), (codes(n).astype(int) + add).clip(0, 255).astype(np.uint8))
    return folder


def gray(picture: np.ndarray, span: int = LIMITED) -> Frame:
    return Frame((np.ascontiguousarray(picture),), Color("gray", range=span))


def off_by(step: int) -> float:
    """PSNR in dB of pictures that differ by as many code values everywhere."""
    return 20 * math.log10(255 / step)


# what belongs together


def test_a_picture_against_itself_is_perfect(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", ["x"])
    report = evaluate(folder / "x.png", folder / "x.png")
    assert report.rows[0].mean == {"psnr_db": math.inf, "ssim": pytest.approx(1)}


def test_pictures_of_folders_are_matched_by_name_and_others_are_left(tmp_path: Path) -> None:
    truth, result = written(tmp_path / "t", ["a", "b"]), written(tmp_path / "r", ["a", "b", "more"], 2)
    report = evaluate(result, truth, Measure(metrics=("psnr",), color="rgb"))
    assert [(item.name, len(item.frames)) for item in report.rows[0].items] == [("a", 1), ("b", 1)]
    assert report.rows[0].mean["psnr_db"] == pytest.approx(off_by(2), abs=0.05)


def test_a_sequence_is_one_clip_and_a_pattern_means_the_same(tmp_path: Path) -> None:
    truth, result = written(tmp_path / "t", ["0001", "0002", "0003"]), written(tmp_path / "r", ["1", "2", "3"], 3)
    whole = evaluate(result, truth, PSNR, sequence=True)
    assert [(item.name, len(item.frames)) for item in whole.rows[0].items] == [("t", 3)]
    pattern = evaluate(str(result / "%d.png"), str(truth / "%04d.png"), PSNR)
    assert pattern.rows[0].mean == whole.rows[0].mean


def test_folders_of_sequences_and_of_clips_are_matched_by_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / "t" / name, ["1", "2"])
        media.clip(tmp_path / "t", name=f"film {name}", codec="ffv1", frames=3)
    report = evaluate(tmp_path / "t", tmp_path / "t", PSNR)
    assert [(i.name, len(i.frames)) for i in report.rows[0].items] == [("film one", 3), ("film two", 3)]
    for clip in (tmp_path / "t").glob("*.mkv"):
        clip.unlink()
    report = evaluate(tmp_path / "t", tmp_path / "t", PSNR)
    assert [(i.name, len(i.frames)) for i in report.rows[0].items] == [("one", 2), ("two", 2)]


def test_several_results_have_a_row_each(tmp_path: Path) -> None:
    truth = written(tmp_path / "t", ["a"])
    results = [written(tmp_path / f"r{step}", ["a"], step) for step in (1, 4)]
    report = evaluate(results, truth, Measure(metrics=("psnr",), color="rgb"))
    assert [row.name for row in report.rows] == [str(r) for r in results]
    assert report.rows[0].mean["psnr_db"] > report.rows[1].mean["psnr_db"] + 11


def test_what_does_not_fit_is_said_in_one_sentence(tmp_path: Path) -> None:
    truth = written(tmp_path / "t", ["a", "b"])
    short = written(tmp_path / "short", ["a"])
    with pytest.raises(InputError, match="named like b"):
        evaluate(written(tmp_path / "r", ["a", "c"]), truth)
    with pytest.raises(InputError, match=r"has 1 frames, .* has 2"):
        evaluate(short, truth, sequence=True)
    with pytest.raises(InputError, match=r"has 2 frames, .* has 1"):
        evaluate(truth, short, sequence=True)
    cv2.imwrite(str(tmp_path / "large.png"), codes(h=52))
    with pytest.raises(InputError, match="frame 0 is 64x52, its reference 64x48"):
        evaluate(tmp_path / "large.png", truth / "a.png")
    with pytest.raises(InputError, match="no such file"):
        evaluate(tmp_path / "nothing.png", truth / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither a clip nor a picture"):
        evaluate_models(["bicubic"], [tmp_path / "empty"])


@pytest.mark.parametrize(
    ("how", "said"),
    [({"metrics": ("psnr", "lpips")}, "lpips"), ({"metrics": ()}, "none"), ({"border_px": -1}, "border -1")],
)
def test_a_measure_that_cannot_be_is_refused(how: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Measure(**how)


def test_pictures_too_small_for_a_metric_are_refused(tmp_path: Path) -> None:
    truth = written(tmp_path / "t", ["a"])
    with pytest.raises(InputError, match="ms-ssim needs 161"):
        evaluate(truth, truth, Measure(metrics=("ms-ssim",)))
    with pytest.raises(InputError, match="4x"):
        evaluate(truth, truth, Measure(border_px=30, metrics=("ssim",)))


# what is measured


def test_luma_is_stored_y_of_yuv_and_bt601_of_rgb() -> None:
    picture = codes()
    rgb = Frame(tuple(np.ascontiguousarray(picture[..., k]) for k in range(3)), Color("rgb"))
    expected = luma601(torch.from_numpy(picture))
    assert torch.equal(planes(rgb, Measure(), rgb.color)[0], expected)
    y = expected.to(torch.uint8).numpy()
    for partner in (gray(y).color, rgb.color):  # limited range is 16 to 235 already
        assert torch.equal(planes(gray(y), Measure(), partner)[0], expected)
    full = gray(y, FULL)
    assert torch.equal(planes(full, Measure(), full.color)[0], expected)
    assert torch.allclose(planes(full, Measure(), rgb.color)[0], expected * 219 / 255 + 16)


def test_deeper_samples_are_measured_on_the_scale_of_8_bits() -> None:
    deep = Frame((np.full((4, 4), 402, np.uint16),), Color("yuv", depth=10))
    assert planes(deep, Measure(), deep.color).unique().tolist() == [100.5]


def test_a_plane_is_taken_as_stored_and_rgb_whole() -> None:
    picture = codes()
    rgb = Frame(tuple(np.ascontiguousarray(picture[..., k]) for k in range(3)), Color("rgb"))
    assert torch.equal(planes(rgb, Measure(color="plane"), rgb.color)[0], torch.from_numpy(picture[..., 0]).double())
    assert torch.equal(planes(rgb, Measure(color="rgb"), rgb.color), torch.from_numpy(picture).movedim(-1, 0).double())


def test_the_border_is_the_scale_and_sides_are_cropped_to_whole_cells(tmp_path: Path) -> None:
    truth, spoilt = codes(h=50, w=67), codes(h=50, w=67)
    spoilt[:4] = spoilt[:, :4] = spoilt[44:] = spoilt[:, 60:] = 0  # 50x67 is 48x64 of whole cells, less 4 a side
    for name, picture in (("t", truth), ("r", spoilt)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    pair = tmp_path / "r.png", tmp_path / "t.png"
    assert evaluate(*pair, Measure(scale=4)).rows[0].mean["psnr_db"] == math.inf
    assert evaluate(*pair, Measure(scale=4, border_px=3)).rows[0].mean["psnr_db"] < 60
    assert evaluate(*pair, Measure()).rows[0].mean["psnr_db"] < 60


def test_motion_is_measured_from_the_second_frame_on_and_not_across_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = iter([False, True, False])
    monkeypatch.setattr("misr.evaluation.measure.is_cut", lambda a, b: next(cuts))
    frames = [gray(codes(n)[..., 0]) for n in range(4)]
    measure = Measure(metrics=("warp", "flicker", "psnr"))
    rows = list(measured(zip(frames, frames, strict=True), measure, "clip"))
    assert list(rows[0]) == ["warp", "warp_reference", "flicker", "psnr_db"]
    assert [row["warp"] is None for row in rows] == [True, False, True, False]
    assert all(row["warp"] == row["warp_reference"] and row["psnr_db"] == math.inf for row in rows)


def test_means_are_over_clips_of_the_means_over_frames() -> None:
    row = Row("r", (Item("a", ({"x": 1.0}, {"x": 2.0}, {"x": 3.0})), Item("b", ({"x": 10.0},))))
    assert row.mean == {"x": 6.0}
    assert Item("c", ({"x": None}, {"x": 4.0})).mean == {"x": 4.0}
    assert Item("d", ({"x": None},)).mean == {"x": None}


# models on trial


def test_bicubic_on_trial_is_bi_and_bicubic_by_hand(tmp_path: Path) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=3, size=(96, 66))
    report = evaluate_models(["bicubic"], [clip], Measure(metrics=("psnr",), scale=4))
    by_hand = []
    for frame in misr.open(clip):
        truth = torch.from_numpy(frame.planes[0][:64]).float()
        picture = to_codes(resample(bi(truth, 4), (64, 96)))
        by_hand.append(psnr_db(picture[4:-4, 4:-4], truth[4:-4, 4:-4], peak=255))
    assert [f["psnr_db"] for f in report.rows[0].items[0].frames] == pytest.approx(by_hand, abs=1e-9)


def test_bicubic_is_among_the_rows_and_models_are_of_one_scale(tmp_path: Path) -> None:
    truth = written(tmp_path / "t", ["a"])
    assert [row.name for row in evaluate_models(["fast-x2"], [truth]).rows] == ["bicubic", "fast-x2"]
    assert len(evaluate_models(["bicubic"], [truth], Measure(scale=2)).rows) == 1
    with pytest.raises(InputError, match="fast-x4"):
        evaluate_models(["fast-x2", "fast-x4"], [truth])
    with pytest.raises(InputError, match="even"):
        evaluate_models(["bicubic"], [truth], Measure(scale=3), protocol="bd")


class Neighbours(torch.nn.Module):
    """Twice as large, and as bright as there were real views."""

    def forward(self, views: torch.Tensor, valid: torch.Tensor, centres: range) -> torch.Tensor:
        b, t, c, h, w = views.shape
        count = valid.flatten(1).sum(1).view(b, 1, 1, 1, 1) / 255
        return count.expand(b, len(centres), c, 2 * h, 2 * w)


@pytest.mark.parametrize(("sequence", "seen"), [(True, [2, 3, 3, 2]), (False, [1, 1, 1, 1])])
def test_a_model_of_several_views_sees_clips_whole_and_pictures_alone(
    tmp_path: Path, sequence: bool, seen: list[int]
) -> None:
    folder = written(tmp_path / "t", ["1"])
    for name in "234":
        shutil.copy(folder / "1.png", folder / f"{name}.png")  # one shot
    up = misr.Upscaler((Neighbours(), misr.ModelCard("three", "none", 2, before=1, after=1)))
    how = Measure(scale=2)
    clips = items(str(folder), sequence=sequence).values()
    pairs = [pair for path in clips for pair in trial(frames_of(path), up, how, "bi")]
    assert [int(sharp.planes[0].max()) for sharp, _ in pairs] == seen
    assert [truth.planes[0].shape for _, truth in pairs] == [(48, 64)] * 4


def test_rgb_on_trial_is_shrunk_as_rgb(tmp_path: Path) -> None:
    truth = written(tmp_path / "t", ["a"])
    luma = evaluate_models(["fast-x2"], [truth], PSNR).rows
    colour = evaluate_models(["fast-x2"], [truth], Measure(metrics=("psnr",), color="rgb")).rows
    for row, other in zip(luma, colour, strict=True):
        assert 15 < other.mean["psnr_db"] < row.mean["psnr_db"]


def test_bd_keeps_flat_pictures_and_sits_on_the_grid_of_all_models() -> None:
    assert (bd(torch.full((16, 24), 77.0), 4) == 77).all()
    for scale in (2, 4):
        ramp = torch.arange(96.0).expand(64, 96) * 2
        row = bd(ramp, scale)[8]
        inner = torch.arange(3, len(row) - 3)
        assert torch.equal(row[inner], to_codes(2 * (scale * inner + (scale - 1) / 2)))


def test_bd_is_a_plain_gaussian_and_every_fourth_sample() -> None:
    plane = codes(3, 40, 44)[..., 0].astype(np.float64)
    wide = np.pad(plane, 8, mode="edge")
    line = np.array([math.exp(-((k - 5.5) ** 2) / (2 * 1.6**2)) for k in range(12)])
    window = np.outer(line, line) / line.sum() ** 2
    made = bd(torch.from_numpy(plane), 4)
    for y in range(10):
        for x in range(11):
            top, left = 4 * y + 8 - 4, 4 * x + 8 - 4
            value = (window * wide[top : top + 12, left : left + 12]).sum()
            assert float(made[y, x]) == math.floor(value + 0.5)


def test_shrunk_keeps_planes_times_and_range() -> None:
    frame = Frame(gray(codes()[..., 0]).planes, gray(codes()[..., 0]).color, Fraction(3, 25), Fraction(1, 25))
    small = shrunk(frame, 4, "bi")
    assert (small.width, small.height, small.time, small.color) == (16, 12, Fraction(3, 25), frame.color)


# published


def test_bicubic_on_vid4_is_what_papers_print(shared_data: Path) -> None:
    """23.78 dB at x4, BI: the mean over clips of the mean over frames, no border left out, as in the tables of BasicVSR."""
    how = Measure(metrics=("psnr",), scale=4, border_px=0)
    row = evaluate_models(["bicubic"], [shared_data / "test" / "Vid4"], how).rows[0]
    assert row.mean["psnr_db"] == pytest.approx(23.78, abs=0.005)
    assert [round(item.mean["psnr_db"] or 0, 1) for item in row.items] == [20.4, 25.2, 23.5, 26.1]


def test_mssim_is_another_word_for_ssim() -> None:
    assert Measure(metrics=("mssim", "psnr", "ssim", "msssim")).metrics == ("ssim", "psnr", "ms-ssim")
