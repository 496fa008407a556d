"""What a run has finished, on disk beside its output: segments or pictures, the job they belong to, and locks.

A run has its journal alone. Parts of a clip (`misr upscale --part`) share one, on as many machines as see the disk: none gives up
what stands there, the first says what the job is, and a segment has a lock of its own while it is rendered.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from misr.errors import OutputError
from misr.io.pictures import is_sequence, numbered
from misr.io.segments import Segment, own_part, read_segment

# (key, before, now): what was made before the change holds after it, as the two agree where nothing is damaged
STILL_HOLDS = [("on_error", "stop", "repeat")]
# of an identity, what only says where it is rendered
DEVICE = ("device", "precision")
# what disks that know no locks answer
LOCKLESS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def journal_path(target: str) -> Path:
    """Where segments wait: a directory beside the output."""
    path = Path(target)
    return path.parent / f".{path.name}.misr"


def segment_at(journal: Path, first: int) -> Path:
    """Where a journal's directory has the segment that begins at frame `first`."""
    return journal / f"{first:09d}.seg"


class Journal:
    """The directory of finished segments, with the identity of the job they belong to.

    asked     what planning the same job anew takes, kept beside its identity; it tells no job from another
    """

    def __init__(self, path: Path, identity: dict[str, Any], asked: dict[str, Any] | None = None) -> None:
        self.path, self.identity = path, json.loads(json.dumps(identity))
        self.asked = asked or {}
        self.finished: int | None = None  # how many segments or pictures there are, once all are
        self._handle: IO[str] | None = None
        self._lingers = False  # the folder, after it was removed

    def segment(self, first: int) -> Path:
        """Where the segment that begins at frame `first` is kept."""
        return segment_at(self.path, first)

    def picture(self, n: int, suffix: str) -> Path:
        """Where the nth finished picture waits."""
        return self.path / f"{n:09d}{suffix}"

    def open(self, say: Callable[[str], None]) -> list[Segment]:
        """Segments that are whole and in a row from frame 0; the journal of another job is thrown away, with the reason.

        Not what parts have rendered, perhaps on many machines: there, another job is an OutputError.
        """
        plan = self.path / "plan.json"
        try:
            known = self.path.exists()
            self._lock(say)
            old = told(self.path) if known else self.identity
            if known and (why := self._differs(old)):
                if old and "parts" in asked_of(self.path):
                    self._belongs(old)
                say(f"starting over: {why}")
                self._empty()
            if old != self.identity or not plan.exists():
                write_whole(plan, self._plan())
        except OSError as e:
            raise unwritten(self.path, e) from None
        return self.row()

    def row(self) -> list[Segment]:
        """Segments that are whole and in a row from frame 0; `finished` tells from then on how many there should be."""
        found: list[Segment] = []
        count = 0
        while (segment := read_segment(self.segment(count))) is not None:
            found.append(segment)
            count += len(segment.times)
        complete = self.path / "complete"
        self.finished = int(complete.read_text()) if complete.exists() else None
        return found

    def share(self, say: Callable[[str], None]) -> None:
        """Begin beside others that render parts of the same job. OutputError where it is not the same, or a run has it alone."""
        plan = self.path / "plan.json"
        try:
            self._lock(say, shared=True)
            strays = any(
                self.path.glob("*.seg")
            )  # looked for first: of a job that goes on, the plan is there before them
            if not strays and not plan.exists():
                write_first(plan, self._plan())
            old = told(self.path)
            self._belongs(old)
            if old != self.identity:
                write_whole(plan, self._plan())
        except OSError as e:
            raise unwritten(self.path, e) from None

    def take(self, say: Callable[[str], None], *, free: Collection[str] = ()) -> None:
        """Have what stands there alone, to join it; `free`: keys of the identity that may differ. OutputError where others do."""
        try:
            self._lock(say, make=False)
        except OSError as e:
            raise unwritten(self.path, e) from None
        self._belongs(told(self.path), free)

    def hold(self, first: int, *, wait: bool = False) -> IO[str] | None:
        """The right to render the segment that begins at frame `first`, until it is closed; None while another has it.

        wait: until nobody else has it. Where the disk knows no locks everyone has the right: two then store the same.
        """
        handle = open(self.path / f"{first:09d}.lock", "a+")  # noqa: SIM115 held by the caller
        if locked(handle, wait=wait) is False:
            handle.close()
            return None
        return handle

    def _plan(self) -> str:
        """What plan.json says; what others were asked of the same job and this one was not, stays."""
        asked = asked_of(self.path) | self.asked
        return json.dumps(self.identity | ({"asked": asked} if asked else {}), indent=1)

    def _lock(self, say: Callable[[str], None], *, shared: bool = False, make: bool = True) -> None:
        """One run at a time, or parts that share; the lock goes with the process. Said, where the disk knows no locks."""
        while True:
            if make:
                self.path.mkdir(exist_ok=True)
            lock = self.path / "lock"
            self._handle = open(lock, "a+")  # noqa: SIM115 held until close(); NFS wants it open for reading and writing
            got = locked(self._handle, shared=shared)
            if got is None and os.name == "posix":  # on Windows two runs on one output are the user's to avoid
                say(
                    f"note      {self.path.parent} knows no locks; see that no second misr writes this output meanwhile"
                )
            if got is False:
                raise OutputError(self._taken(shared))
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._handle.fileno()), lock.stat()):
                    return
            self._handle.close()  # of a journal that was removed just now, by who finished it

    def _taken(self, shared: bool) -> str:
        """Who has the journal."""
        assert self._handle is not None
        if not shared and locked(self._handle, shared=True):
            self._handle.close()
            return (
                f"parts of this output are being rendered ({self.path}); wait for them, then finish it with misr join"
            )
        return f"another misr is writing this output ({self.path}); wait for it, or give another name"

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
        changed = self._changed(old)
        return f"{', '.join(changed)} changed since the interrupted run" if changed else ""

    def _changed(self, old: dict[str, Any]) -> list[str]:
        return sorted(
            k
            for k in {*old, *self.identity}
            if old.get(k) != self.identity.get(k) and (k, old.get(k), self.identity.get(k)) not in STILL_HOLDS
        )

    def _belongs(self, old: dict[str, Any], free: Collection[str] = ()) -> None:
        """OutputError where a journal that is not to be given up is another job's, saying in what they differ."""
        if not old:
            raise OutputError(f"{self.path} has no readable plan; remove it and begin again")
        changed = [k for k in self._changed(old) if k not in free]
        if not changed:
            return
        same = "the same --device and --precision" if {*changed} <= {*DEVICE} else "the same source, options and misr"
        what = ", ".join(compared(k, old.get(k), self.identity.get(k)) for k in changed)
        raise OutputError(f"{self.path} holds another job: {what}; give {same} as before, or remove it and begin again")

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


def compared(key: str, old: Any, new: Any) -> str:
    """What differs under a key of two identities, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        inner = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
        return ", ".join(compared(f"{key} {k}", old.get(k), new.get(k)) for k in inner)
    short = [str(v) for v in (old, new)]
    return f"{key} ({short[0]} there, {short[1]} here)" if max(map(len, short)) < 40 else key


def locked(handle: IO[str], *, shared: bool = False, wait: bool = False) -> bool | None:
    """Whether a file is locked for this process from now on, until it is closed; None where there are no locks.

    shared: beside others that share it. wait: until those who have it are gone.
    """
    try:
        import fcntl
    except ImportError:
        return None
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError as e:
        if e.errno not in LOCKLESS:
            raise
        return None
    return True


def unwritten(path: Path, e: OSError) -> OutputError:
    """A journal that cannot be kept at `path`."""
    return OutputError(f"{path.parent}: cannot be written ({e.strerror}); choose another place")


def planned(path: Path) -> dict[str, Any]:
    """All that a journal's plan says; empty where it says nothing readable."""
    try:
        plan = json.loads((path / "plan.json").read_text())
    except (OSError, ValueError):
        return {}
    return plan if isinstance(plan, dict) else {}


def told(path: Path) -> dict[str, Any]:
    """The identity of the job that a journal's folder belongs to; empty where it says nothing readable."""
    return {k: v for k, v in planned(path).items() if k != "asked"}


def asked_of(path: Path) -> dict[str, Any]:
    """What planning a journal's job anew takes; empty where it does not say."""
    asked = planned(path).get("asked")
    return asked if isinstance(asked, dict) else {}


def write_first(path: Path, content: str) -> None:
    """A small file, whole, unless it is there already: of several who write it at once, the first is heard."""
    part = own_part(path)
    try:
        part.write_text(content)
        try:
            os.link(part, path)
        except FileExistsError:
            return
        except OSError:  # a disk without hard links: the last is heard
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
