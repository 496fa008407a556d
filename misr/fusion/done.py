"""How far a run has come, beside its journal: what an interrupted one goes on from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from misr.journal import write_whole


@dataclass(frozen=True, slots=True)
class Done:
    """Tiles finished, in order from the first; fine pixels (of all bands) that no view knows; seconds spent."""

    tiles: int = 0
    unknown: int = 0
    seconds: float = 0.0

    @staticmethod
    def read(folder: Path) -> Done:
        """What a journal's folder says; nothing done where it says nothing readable."""
        try:
            return Done(**json.loads((folder / "done.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Done()

    def write(self, folder: Path) -> None:
        """Note it; the tiles are on the disk already."""
        write_whole(folder / "done.json", json.dumps(asdict(self)))
