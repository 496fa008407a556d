"""What a run has finished, on disk beside its output: segments or pictures, the job they belong to, and a lock."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from misr.errors import OutputError
from misr.io.pictures import is_sequence, numbered
from misr.io.segments import Segment, read_segment


def journal_path(target: str) -> Path:
    """Where segments wait: a directory beside the output."""
    path = Path(target)
    return path.parent / f".{path.name}.misr"


class Journal:
    """The directory of finished segments, with the identity of the job they belong to."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, json.loads(json.dumps(identity))
        self.finished: int | None = None  # how many segments or pictures there are, once all are
        self._handle: IO[str] | None = None

    def segment(self, first: int) -> Path:
        """Where the segment that begins at frame `first` is kept."""
        return self.path / f"{first:09d}.seg"

    def picture(self, n: int, suffix: str) -> Path:
        """Where the nth finished picture waits."""
        return self.path / f"{n:09d}{suffix}"

    def open(self, say: Callable[[str], None]) -> list[Segment]:
        """Segments that are whole and in a row from frame 0; the journal of another job is thrown away, with the reason."""
        plan = self.path / "plan.json"
        try:
            known = self.path.exists()
            self.path.mkdir(exist_ok=True)
            self._lock()
            if known and (why := self._differs(plan)):
                say(f"starting over: {why}")
                self._empty()
            if not plan.exists():
                write_whole(plan, json.dumps(self.identity, indent=1))
        except OSError as e:
            raise OutputError(f"{self.path.parent}: cannot be written ({e.strerror}); choose another place") from None
        found: list[Segment] = []
        count = 0
        while (segment := read_segment(self.segment(count))) is not None:
            found.append(segment)
            count += len(segment.times)
        told = self.path / "complete"
        self.finished = int(told.read_text()) if told.exists() else None
        return found

    def _lock(self) -> None:
        """One run at a time; the lock goes with the process, however it ends."""
        try:
            import fcntl
        except ImportError:
            return  # Windows: two runs on one output are the user's to avoid
        self._handle = open(self.path / "lock", "w")  # noqa: SIM115 held until close()
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another misr is writing this output ({self.path}); wait for it, or give another name"
            ) from None

    def _empty(self) -> None:
        """Forget what another job left; the plan goes first, so that a crash in between cannot mix the two."""
        for file in [self.path / "plan.json", *self.path.iterdir()]:
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name != "lock":
                file.unlink(missing_ok=True)

    def _differs(self, plan: Path) -> str:
        try:
            old = json.loads(plan.read_text())
        except (OSError, ValueError):
            return "the journal has no readable plan"
        changed = sorted(k for k in {*old, *self.identity} if old.get(k) != self.identity.get(k))
        return f"{', '.join(changed)} changed since the interrupted run" if changed else ""

    def finish(self, count: int) -> None:
        """Every segment or picture is there; what is left is to join or to move them."""
        write_whole(self.path / "complete", str(count))

    def close(self) -> None:
        """Let another run have the output."""
        if self._handle:
            self._handle.close()

    def remove(self) -> None:
        """The output stands; the journal has done its work."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """A small file that is there whole or not at all; OSError where it cannot be."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def signature(path: str) -> dict[str, Any]:
    """What tells a changed source: size, time of change, and a hash of both ends; of a sequence, names, sizes and times."""
    if path != "-" and is_sequence(path):
        files = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in numbered(path)]
        return {"files": len(files), "changes": hashlib.sha256(repr(files).encode()).hexdigest()}
    p = Path(path)
    if not p.is_file():
        return {}
    stat = p.stat()
    with open(p, "rb") as f:
        head = f.read(1 << 16)
        f.seek(max(0, stat.st_size - (1 << 16)))
        tail = f.read()
    return {
        "size_bytes": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
        "ends": hashlib.sha256(head + tail).hexdigest(),
    }
