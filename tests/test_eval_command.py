"""The command misr eval: its table, CSV and JSON, and what it refuses."""

import csv
import json
import math
from pathlib import Path

import pytest

from misr.evaluation import Item, Measure, Report, Row
from tests import command, media
from tests.command import one_sentence

# what comes out


def report() -> Report:
    scores = ({"psnr_db": math.inf, "ssim": 1.0}, {"psnr_db": 30.0, "ssim": 0.9})
    rows = (
        Row("a", (Item("x", scores), Item("y", scores[1:]))),
        Row("b|c", (Item("x", scores[1:] * 2), Item("y", scores[1:]))),
    )
    return Report(Measure(scale=4), rows, "bi")


def test_the_json_says_all_and_is_json() -> None:
    told = json.loads(report().json(), parse_constant=pytest.fail)
    keys = ["schema", "color", "border_px", "scale", "protocol", "columns", "rows"]
    assert (list(told), told["schema"], told["border_px"]) == (keys, 1, 4)
    first = told["rows"][0]
    assert first["items"][0] == {
        "name": "x",
        "mean": {"psnr_db": "inf", "ssim": 0.95},
        "frames": [{"psnr_db": "inf", "ssim": 1.0}, {"psnr_db": 30.0, "ssim": 0.9}],
    }


def test_the_csv_has_frames_and_means() -> None:
    lines = list(csv.DictReader(report().csv().splitlines()))
    kinds = [(line["item"], line["frame"]) for line in lines if line["name"] == "a"]
    assert kinds == [("x", "0"), ("x", "1"), ("x", ""), ("y", "0"), ("y", ""), ("", "")]
    assert lines[-1]["psnr_db"] == "30.0"


def test_the_table_is_aligned_markdown() -> None:
    lines = report().table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split("|")[3:6] == [" frames ", " PSNR dB ", "   SSIM "]
    assert len(lines) == 2 + 3 + 3


# the command


def test_the_command_prints_a_table_and_writes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=4)
    out = tmp_path / "scores.json", tmp_path / "scores.csv"
    assert command.misr("eval", "-m", "fast-x2", "--protocol", "bd", clip, "--json", out[0], "--csv", out[1]) == 0
    said = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in said.splitlines()[2:]] == ["bicubic", "fast-x2"]
    told = json.loads(out[0].read_text())
    assert (told["protocol"], told["scale"], len(told["rows"][1]["items"][0]["frames"])) == ("bd", 2, 4)
    assert len(out[1].read_text().splitlines()) == 1 + 2 * (4 + 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mkv", "scores.csv", "scores.json"]
    assert command.misr("eval", clip, clip, "--metrics", "psnr") == 0
    assert "inf" in capsys.readouterr().out


def test_workers_print_the_table_of_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [media.clip(tmp_path, name=f"film {n}", codec="ffv1", frames=2) for n in range(2)]
    said = []
    for more in ([], ["--workers", "2"]):
        assert command.misr("eval", "-m", "fast-x2", *clips, *more) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert said[0].count("film 1") == 2


@pytest.mark.parametrize(
    "words",
    """CLIP | CLIP nowhere.mkv | CLIP CLIP --protocol bi | CLIP CLIP --metrics psnr,lpips | CLIP CLIP --color xyz
    CLIP CLIP --border -1 | CLIP CLIP --json nowhere/a.json | -m nosuch CLIP | -m fast-x2,fast-x4 CLIP | -m fast-x2 -s 3 CLIP
    CLIP CLIP -s 0 | -m fast-x2 --protocol xx CLIP | CLIP CLIP --border 40 | CLIP CLIP --metrics all | CLIP CLIP --metrics
    -m fast-x2 --device tpu CLIP | CLIP CLIP --metrix psnr | CLIP CLIP --workers -1 | CLIP CLIP --on nowhere
    CLIP CLIP --gpus-per-task 1 | CLIP CLIP --workers 2 --on ray | CLIP --probav . --workers 2""".replace(
        "\n", "|"
    ).split("|"),
)
def test_a_bad_command_is_one_sentence(tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    clip = media.clip(tmp_path, codec="ffv1", frames=2)
    assert command.misr("eval", *(str(clip) if w == "CLIP" else w for w in words.split())) != 0
    said = capsys.readouterr()
    assert one_sentence(said.err)
    assert said.out == ""
