"""The folder of a run: what decides the run stands there, and another run is not taken for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from misr.errors import InputError
from misr.train import losses, ranks

if TYPE_CHECKING:
    from misr.train.fit import Training

FREE = {  # settings that change nothing that is learned
    "out",
    "run",
    "restart",
    "device",
    "threads",
    "every",
    "trained_on",
    "command",
}


def settings(folder: Path, wanted: Training) -> dict[str, Any]:
    """What decides the run, as JSON has it; InputError when the folder holds a run of other settings that is to go on."""
    ours = {k: v for k, v in asdict(wanted).items() if k not in FREE}
    ours["loss"] = str(losses.read(wanted.loss))
    for name in ("data", "unpaired", "unlabelled", "auxiliary"):
        ours[name] = [str(Path(p).resolve()) for p in ours[name]]
    if wanted.features not in (None, "self"):
        ours["features"] = str(Path(wanted.features).resolve())
    if wanted.small:
        ours["small"] = str(Path(wanted.small).resolve())
    ours = json.loads(json.dumps(ours))
    path = folder / "settings.json"
    if ranks.first() and not wanted.restart and path.is_file() and (folder / "checkpoint.pt").is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        # what misr learned to ask since is empty in older runs
        if other := [k for k in ours if (ours[k] or None) != (theirs.get(k) or None)]:
            k = other[0]
            raise InputError(
                f"{folder} holds a run with {k} {theirs.get(k)!r}, not {ours[k]!r}; --restart it, or give --run"
            )
    return ours


def enter(folder: Path, wanted: Training, ours: dict[str, Any]) -> None:
    """Make the run's folder, or take it up; nothing was touched before what is learned from had been read."""
    if not ranks.first():
        return
    if wanted.restart and folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
