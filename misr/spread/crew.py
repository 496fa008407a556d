"""Who does the pieces of a job. A Task needs nothing of the others, a Seat is a worker's place, a Crew gives tasks to seats.

    driver -> next_task() -> Crew -> Task.run(seat, tell) in a worker -> outcome -> driver

A crew knows nothing of clips, scenes or tables; the driver knows nothing of processes and clusters. Tasks travel by pickle, so
they are small values; what many of them share is held once for all of them (Crew.hold). A task can be run twice, when the worker
of its first run died: it must come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from misr.errors import MisrError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
KEPT = 4  # things a worker keeps: models and open clips


@dataclass(slots=True)
class Seat:
    """A worker's place: its device and threads, and what it has made ready, which later tasks find there.

    device    as misr.zoo.device_of() takes it: "cpu", "cuda:1"; None: the best there is
    name      for messages: which machine, which process
    """

    device: str | None = None
    name: str = "here"
    _kept: dict[Any, Any] = field(default_factory=dict)

    def keep(self, key: Any, make: Callable[[], T]) -> T:
        """What was made for a key, or is made now; the one that was not asked for longest is given up for it, and closed."""
        value = self._kept.pop(key) if key in self._kept else make()
        while len(self._kept) >= KEPT:
            let_go(self._kept.pop(next(iter(self._kept))))
        self._kept[key] = value
        return value

    def close(self) -> None:
        """Let go of everything."""
        while self._kept:
            let_go(self._kept.popitem()[1])


def let_go(value: Any) -> None:
    """Close what can be closed."""
    if hasattr(value, "close"):
        value.close()


class Task(Protocol):
    """A piece of work as a value that can be pickled."""

    @property
    def name(self) -> str:
        """What it is, for a message: `in.mkv, segment at frame 250 (10.000 s)`."""

    def run(self, seat: Seat, tell: Callable[[int], None]) -> Any:
        """Do it in a worker; tell(units finished so far). What it returns can be pickled; MisrError where it cannot be done."""


class Held(Protocol[T_co]):
    """A value that tasks carry by reference, where workers are on other machines."""

    def value(self) -> T_co:
        """The value, in whichever process."""


@dataclass(frozen=True, slots=True)
class Here:
    """A value held by no more than itself: it is pickled with every task."""

    it: Any

    def value(self) -> Any:
        """The value."""
        return self.it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task: its result, or the MisrError that ended it. seconds: how long the worker was at it."""

    task: Any
    result: Any = None
    error: MisrError | None = None
    seconds: float = 0.0


Tell = Callable[[Any, int], None]  # a task, and units of it that are finished so far


class Crew(Protocol):
    """Workers. A context manager: they are there, at the latest, when the first task is given, and gone at the end."""

    @property
    def slots(self) -> int:
        """How many tasks can run at once, as far as is known now; 1 at least."""

    @property
    def kind(self) -> str:
        """The kind of device at its seats: "cpu" or "cuda"."""

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines, which may not see this one's files."""

    def hold(self, value: Any) -> Held[Any]:
        """A value that many tasks carry."""

    def give(self, next_task: Callable[[], Task | None], tell: Tell) -> Iterator[Outcome]:
        """Have tasks done, a bounded number at a time, and yield what came of each, in the order in which they end.

        next_task is asked whenever there is room; None means "none now": it is asked again after every outcome, and all is over
        when it says None while nothing is running. A task that raises MisrError is an Outcome with that error; so is one whose
        worker died more often than is tried again. Other errors of a task are raised here. `tell` is called in this thread, now
        and then; a task that begins again begins at 0 again.
        """

    def __enter__(self) -> Crew:
        """Ready."""

    def __exit__(self, *error: object) -> None:
        """Workers stop, whatever they are doing."""
