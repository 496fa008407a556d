"""The score of PROBA-V (Maertens et al., Kelvins challenge, 2019): baseline cPSNR / cPSNR, mean over scenes; lower is better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from misr.errors import InputError
from misr.evaluation.scores import Item, Report, Row, Scores
from misr.evaluation.settings import ClearPixels
from misr.io.answers import Answers, answers
from misr.io.probav import Imgset, imgsets, norm
from misr.io.view import Array
from misr.metrics import cpsnr_db

Progress = Callable[[int, int], None]  # scenes measured so far, of how many
WHITE = 65535  # codes have 14 bits, but the challenge counts in full 16
BASELINE = "norm.csv"


def evaluate_probav(
    results: str | Path | Sequence[str | Path],
    data: str | Path,
    baseline: str | Path | None = None,
    *,
    progress: Progress | None = None,
) -> Report:
    """Measure answers (folders or zips of imgset####.png) against all scenes at or below `data` that have a truth; a row each.

    baseline: the challenge's norm.csv; where not given, that of `data` or of the two folders above it. Without one there is
    cPSNR (dB) and no score. InputError in one sentence where an answer lacks a scene or a picture is of another size.
    """
    scenes = judged(data)
    known = baselines(data, baseline)
    if known and (lacking := [s.name for s in scenes if s.name not in known]):
        raise InputError(
            f"{data}: the baseline has no line for {', '.join(lacking[:3])}; give the norm.csv of this data"
        )
    given = [answers(path) for path in ([results] if isinstance(results, str | Path) else results)]
    rows, done = [], 0
    for answer in given:
        items = []
        for scene in scenes:
            items.append(Item(scene.name, (scored(answer, scene, known.get(scene.name)),)))
            done += 1
            if progress:
                progress(done, len(scenes) * len(given))
        rows.append(Row(str(answer.path), tuple(items)))
    return Report(ClearPixels(), tuple(rows), "proba-v")


def judged(data: str | Path) -> list[Imgset]:
    """The scenes that have a truth; InputError where none has, or two have one name."""
    if not Path(data).is_dir():
        raise InputError(f"{data}: no such folder; give the folder of the PROBA-V scenes that have HR.png")
    scenes = [scene for scene in imgsets(data) if (scene.folder / "HR.png").is_file()]
    if not scenes:
        raise InputError(f"{data}: no scene in it has a truth (HR.png); a test set is scored by the challenge alone")
    (name, times), *_ = Counter(scene.name for scene in scenes).most_common(1)
    if times > 1:
        raise InputError(f"{data}: {times} scenes are called {name}; give one band at a time")
    return scenes


def baselines(data: str | Path, baseline: str | Path | None) -> dict[str, float]:
    """Baseline cPSNR in dB by scene; none where no file is given or found."""
    if baseline is not None:
        return norm(baseline)
    here = Path(data).resolve()
    found = next((p for folder in (here, *here.parents[:2]) if (p := folder / BASELINE).is_file()), None)
    return norm(found) if found else {}


def scored(answer: Answers, scene: Imgset, baseline_db: float | None) -> Scores:
    """cPSNR of a scene, and its score where there is a baseline."""
    truth = scene.truth()
    assert truth is not None, scene.folder
    (hr, clear), picture = truth, answer.read(scene.name)
    if picture.shape != hr.shape:
        sizes = [f"{w}x{h}" for h, w in (picture.shape, hr.shape)]
        raise InputError(
            f"{answer.path}: {scene.name} is {sizes[0]}, its truth {sizes[1]}; fuse it at the challenge's scale"
        )
    try:
        cpsnr = cpsnr_db(light(picture), light(hr), torch.from_numpy(clear))
    except InputError as e:
        raise InputError(f"{scene.folder}: {e}") from None
    return {"cpsnr_db": cpsnr, "score": None if baseline_db is None else baseline_db / cpsnr}


def light(codes: Array) -> Tensor:
    """Stored codes, float64, 1 at the code 65535."""
    return torch.from_numpy(codes.astype(np.float64) / WHITE)
