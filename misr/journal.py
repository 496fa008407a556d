"""What a run has finished, on disk beside its output: segments or pictures, the job they belong to, and a lock."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from misr.errors import OutputError
from misr.io.pictures import is_sequence, numbered
from misr.io.segments import Segment, own_part, read_segment

# (key, before, now): what was made before the change holds after it, as the two agree where nothing is damaged
STILL_HOLDS = [("on_error", "stop", "repeat")]
# what disks that know no locks answer
LOCKLESS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


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
        self._lingers = False  # the folder, after it was removed

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
            self._lock(say)
            old = told(self.path) if known else self.identity
            if known and (why := self._differs(old)):
                say(f"starting over: {why}")
                self._empty()
            if old != self.identity or not plan.exists():
                write_whole(plan, json.dumps(self.identity, indent=1))
        except OSError as e:
            raise OutputError(f"{self.path.parent}: cannot be written ({e.strerror}); choose another place") from None
        found: list[Segment] = []
        count = 0
        while (segment := read_segment(self.segment(count))) is not None:
            found.append(segment)
            count += len(segment.times)
        complete = self.path / "complete"
        self.finished = int(complete.read_text()) if complete.exists() else None
        return found

    def _lock(self, say: Callable[[str], None]) -> None:
        """One run at a time; the lock goes with the process, however it ends. Said, where the disk knows no locks."""
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
        except OSError as e:  # some network disks
            if e.errno not in LOCKLESS:
                raise
            say(f"note      {self.path.parent} knows no locks; see that no second misr writes this output meanwhile")

    def _empty(self) -> None:
        """Forget what another job left; the plan goes first, so that a crash in between cannot mix the two."""
        for file in [self.path / "plan.json", *self.path.iterdir()]:
            if file.is_dir():
                shutil.rmtree(file)
            elif file.name != "lock":
                file.unlink(missing_ok=True)

    def _differs(self, old: dict[str, Any]) -> str:
        """Why what stands in the journal is of no use to this job; nothing where it is."""
        if not old:
            return "the journal has no readable plan"
        changed = sorted(
            k
            for k in {*old, *self.identity}
            if old.get(k) != self.identity.get(k) and (k, old.get(k), self.identity.get(k)) not in STILL_HOLDS
        )
        return f"{', '.join(changed)} changed since the interrupted run" if changed else ""

    def finish(self, count: int) -> None:
        """Every segment or picture is there; what is left is to join or to move them."""
        write_whole(self.path / "complete", str(count))

    def close(self) -> None:
        """Let another run have the output."""
        if self._handle:
            self._handle.close()
        if self._lingers:
            with suppress(OSError):  # network disks keep a folder as long as a file in it is open, as the lock was
                self.path.rmdir()

    def remove(self) -> None:
        """The output stands; the journal has done its work."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lingers = self.path.exists()


def told(path: Path) -> dict[str, Any]:
    """The identity of the job that a journal's folder belongs to; empty where it says nothing readable."""
    try:
        identity = json.loads((path / "plan.json").read_text())
    except (OSError, ValueError):
        return {}
    return identity if isinstance(identity, dict) else {}


def write_whole(path: Path, content: str | bytes) -> None:
    """A small file that is there whole or not at all, also when two processes write it at once; OSError where it cannot be."""
    part = own_part(path)
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
