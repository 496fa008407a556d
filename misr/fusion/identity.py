"""What tells one job from another: the files that are its views, and what was found of them."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DIGITS = 6  # of what was estimated, when two runs are compared


def files_of(names: Sequence[str]) -> list[Path]:
    """The files that names, folders and patterns stand for, sorted within each."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        else:
            found += [path] if path.exists() else sorted(Path(p) for p in glob.glob(name))
    return found


def fingerprint(names: Sequence[str]) -> str:
    """What changes when a file is changed, added or taken away."""
    facts = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files_of(names)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def rounded(told: Any) -> Any:
    """The same with numbers cut to DIGITS: two runs that found the same say the same."""
    if isinstance(told, float):
        return f"{told:.{DIGITS}g}"  # as text: NaN equals itself
    if isinstance(told, dict):
        return {k: rounded(v) for k, v in told.items()}
    return [rounded(v) for v in told] if isinstance(told, list | tuple) else told
