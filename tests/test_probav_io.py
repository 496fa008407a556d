from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from misr.errors import InputError, OutputError
from misr.io.probav import Imgset, Submission, imgsets, is_imgset, norm
from tests.rasters import codes, png


def scene(folder, *, views=3, truth=True, seed=0):
    """An imgset of small pictures; views' masks hide the first n + 1 columns, the truth's its first row."""
    folder.mkdir(parents=True)
    for n in range(views):
        mask = np.full((1, 16, 16), 255, np.uint8)
        mask[..., : n + 1] = 0
        png(folder / f"LR{n:03}.png", codes(seed + n, 1, 16, 16))
        png(folder / f"QM{n:03}.png", mask)
    if truth:
        status = np.full((1, 48, 48), 255, np.uint8)
        status[:, 0] = 0
        png(folder / "HR.png", codes(seed + 99, 1, 48, 48))
        png(folder / "SM.png", status)
    return folder


def test_views_come_in_order_with_their_masks(tmp_path):
    views = Imgset(scene(tmp_path / "RED" / "imgset0003", views=11)).views()
    assert len(views) == 11
    for n, view in enumerate(views):
        assert np.array_equal(view.read(0, 0, 16, 16), codes(n, 1, 16, 16))
        assert (~view.valid(0, 0, 16, 16)).sum() == 16 * (n + 1)
    assert views[0].names == ("RED",)


def test_truth_is_there_for_training_and_not_for_test(tmp_path):
    hr, clear = Imgset(scene(tmp_path / "a")).truth()
    assert hr.shape == clear.shape == (48, 48) and hr.dtype == np.uint16 and clear.dtype == bool
    assert (~clear).sum() == 48 and not clear[0].any()
    assert Imgset(scene(tmp_path / "b", truth=False)).truth() is None


def test_scenes_are_found_at_every_level(tmp_path):
    for name in ("train/RED/imgset0001", "train/NIR/imgset0000", "test/NIR/imgset0002"):
        scene(tmp_path / name)
    assert [s.name for s in imgsets(tmp_path)] == ["imgset0000", "imgset0001", "imgset0002"]
    assert [(s.name, s.band) for s in imgsets(tmp_path / "train")] == [("imgset0000", "NIR"), ("imgset0001", "RED")]
    assert [s.name for s in imgsets(tmp_path / "test" / "NIR" / "imgset0002")] == ["imgset0002"]
    assert not is_imgset(tmp_path) and is_imgset(tmp_path / "test" / "NIR" / "imgset0002")
    with pytest.raises(InputError, match="no PROBA-V scene"):
        imgsets(tmp_path / "nowhere")


def test_norm_is_a_number_a_scene(tmp_path):
    (tmp_path / "norm.csv").write_text("imgset0000 46.75\nimgset0001 39.1\n\n")
    assert norm(tmp_path / "norm.csv") == {"imgset0000": 46.75, "imgset0001": 39.1}
    (tmp_path / "norm.csv").write_text("imgset0000;46.75\n")
    with pytest.raises(InputError, match=r"norm\.csv"):
        norm(tmp_path / "norm.csv")


def test_a_submission_reads_back_as_16_bit_pictures(tmp_path):
    picture = codes(1, 1, 384, 384)[0].astype(np.float64) + 0.3
    picture[0, :2] = -5, 70_000
    with Submission(tmp_path / "answer.zip") as out:
        out.add("imgset1160", picture)
        assert not (tmp_path / "answer.zip").exists()
    with ZipFile(tmp_path / "answer.zip") as held:
        assert held.namelist() == ["imgset1160.png"]
        back = cv2.imdecode(np.frombuffer(held.read("imgset1160.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert back.dtype == np.uint16 and back[0, :2].tolist() == [0, 65535]
    assert np.array_equal(back[1:], np.rint(picture)[1:].astype(np.uint16))


def test_a_submission_that_fails_leaves_nothing(tmp_path):
    for wrong in (np.zeros((378, 378)), np.full((384, 384), np.nan)):
        with pytest.raises(OutputError, match="imgset1"), Submission(tmp_path / "answer.zip") as out:
            out.add("imgset1", wrong)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="cannot be written"):
        Submission(tmp_path / "no" / "answer.zip")


def test_a_damaged_view_is_named(tmp_path):
    folder = scene(tmp_path / "a")
    (folder / "LR001.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"LR001\.png: damaged"):
        Imgset(folder).views()
