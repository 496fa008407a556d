"""Tasks that tell what crews do with them: other processes import them from here."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from misr.errors import DecodeError
from misr.spread.crew import Held, Seat

Tell = Callable[[int], None]


@dataclass(frozen=True)
class Square:
    """n squared, after telling n counts."""

    n: int
    name: str = "a square"

    def run(self, seat: Seat, tell: Tell) -> int:
        for k in range(self.n):
            tell(k + 1)
        return self.n**2


@dataclass(frozen=True)
class Broken:
    """A segment that cannot be decoded."""

    at: Fraction
    name: str = "a broken segment"

    def run(self, seat: Seat, tell: Tell) -> None:
        raise DecodeError(f"it breaks off at {float(self.at):.3f} s", time=self.at)


@dataclass(frozen=True)
class Bug:
    """Our own mistake."""

    name: str = "a bug"

    def run(self, seat: Seat, tell: Tell) -> None:
        raise KeyError("no such thing")


class Odd(Exception):
    """An error that cannot be made from its message."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two} do not go together")


@dataclass(frozen=True)
class Unsendable:
    """Ends with what cannot be pickled: an error, or a result."""

    error: bool
    name: str = "unsendable"

    def run(self, seat: Seat, tell: Tell) -> Any:
        if self.error:
            raise Odd(1, 2)
        return lambda: None


@dataclass(frozen=True)
class Killed:
    """Its worker is killed, as the kernel does for memory, the first so many times; each leaves a mark in the folder."""

    folder: Path
    times: int
    name: str = "a large one"

    def run(self, seat: Seat, tell: Tell) -> str:
        tell(7)
        if len(list(self.folder.iterdir())) < self.times:
            (self.folder / f"{os.getpid()}-{time.time_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"


class Thing:
    """What a seat keeps: the process that made it. Making it leaves a mark in a folder, and so does closing it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pid = folder, os.getpid()
        (folder / f"made-{self.pid}-{time.time_ns()}").touch()

    def close(self) -> None:
        (self.folder / f"closed-{self.pid}").touch()


@dataclass(frozen=True)
class Kept:
    """Which process did it, with what was made ready there."""

    folder: Path
    name: str = "one that keeps"

    def run(self, seat: Seat, tell: Tell) -> int:
        return seat.keep(("thing", self.folder), lambda: Thing(self.folder)).pid


@dataclass(frozen=True)
class Holding:
    """The sum of what it holds, and the size of its reading."""

    held: Held[bytes]
    more: int = 0
    name: str = "one that holds"

    def run(self, seat: Seat, tell: Tell) -> int:
        return sum(self.held.value()[:10]) + self.more


@dataclass(frozen=True)
class Large:
    """A large result."""

    size: int
    name: str = "a large result"

    def run(self, seat: Seat, tell: Tell) -> bytes:
        return bytes(self.size)


@dataclass(frozen=True)
class Where:
    """Where it runs: process, device, threads that its environment says, and the name of the place."""

    name: str = "where"

    def run(self, seat: Seat, tell: Tell) -> tuple[int, str | None, str, str]:
        return os.getpid(), seat.device, os.environ.get("OMP_NUM_THREADS", ""), seat.name


@dataclass(frozen=True)
class Talking:
    """Prints."""

    text: str
    name: str = "one that talks"

    def run(self, seat: Seat, tell: Tell) -> None:
        print(self.text, flush=True)


@dataclass(frozen=True)
class Ends:
    """Its process ends in the middle of it."""

    code: int
    name: str = "one that ends"

    def run(self, seat: Seat, tell: Tell) -> None:
        os._exit(self.code)


@dataclass(frozen=True)
class Meeting:
    """Keeps a thing and waits until a file `go` is there, 60 s at most; a mark says when it has begun, and in which process."""

    folder: Path
    number: int = 0
    name: str = "one that waits"

    def run(self, seat: Seat, tell: Tell) -> int:
        seat.keep(("thing", self.folder), lambda: Thing(self.folder))
        tell(1)
        (self.folder / f"begun-{self.number}-{os.getpid()}").touch()
        if not waited((self.folder / "go").exists, 60):
            raise TimeoutError("nobody said go")
        return self.number


def begun(folder: Path) -> list[Path]:
    """Marks of those that have begun."""
    return sorted(folder.glob("begun-*"))


def processes(folder: Path) -> list[int]:
    """Their processes."""
    return [int(mark.name.split("-")[2]) for mark in begun(folder)]


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def waited(true: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
