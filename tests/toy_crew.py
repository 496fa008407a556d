"""A crew of one process for tests: tasks travel by pickle, end in shuffled order, and are done twice where that is asked."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from misr.errors import MisrError
from misr.spread.crew import Held, Outcome, Seat, Task, Tell


@dataclass(frozen=True, slots=True)
class Packed:
    """A held value: pickled once, made again wherever it is asked for."""

    stored: bytes

    def value(self) -> Any:
        """The value."""
        return pickle.loads(self.stored)


class Shuffled:
    """Runs tasks at `seats` seats in turn, whichever of those in flight a seed picks.

    in_flight    tasks that are out at a time at most; also what it says of its slots
    twice        every task is begun at one seat, and done again at the next: as where its worker has died
    elsewhere    what it says of itself

    What tests look at afterwards: `given`, the names of tasks in the order they were asked for; `ended`, in the order they ended;
    `most`, how many were out at once; `task_bytes` and `result_bytes`, of each as it travelled; `alive`, between enter and exit.
    """

    kind = "cpu"

    def __init__(
        self, seed: int = 0, in_flight: int = 4, *, seats: int = 2, twice: bool = False, elsewhere: bool = False
    ) -> None:
        self.slots, self.twice, self.elsewhere = in_flight, twice, elsewhere
        self.seats = [Seat("cpu", f"seat {n}") for n in range(seats)]
        self.given: list[str] = []
        self.ended: list[str] = []
        self.task_bytes: list[int] = []
        self.result_bytes: list[int] = []
        self.most = self.runs = 0
        self.alive = False
        self._draw = random.Random(seed)

    def hold(self, value: Any) -> Held[Any]:
        """Pickled now, so that what cannot be is seen at once."""
        return Packed(pickle.dumps(value))

    def give(self, next_task: Callable[[], Task | None], tell: Tell) -> Iterator[Outcome]:
        """As misr.spread.crew.Crew says."""
        out: list[tuple[Task, bytes]] = []
        while True:
            while len(out) < self.slots and (task := next_task()) is not None:
                out.append((task, pickle.dumps(task)))
                self.given.append(task.name)
                self.task_bytes.append(len(out[-1][1]))
            if not out:
                return
            self.most = max(self.most, len(out))
            task, packed = out.pop(self._draw.randrange(len(out)))
            outcome = self._done(task, packed, tell)
            self.ended.append(task.name)
            yield outcome

    def _done(self, task: Task, packed: bytes, tell: Tell) -> Outcome:
        """What comes of a task, from its pickle to that of its result."""
        for again in range(1 + self.twice):
            seat = self.seats[self.runs % len(self.seats)]
            self.runs += 1
            try:
                result = pickle.dumps(pickle.loads(packed).run(seat, lambda units: tell(task, units)))
            except MisrError as e:
                return Outcome(task, error=pickle.loads(pickle.dumps(e)))
            if self.twice and not again:
                tell(task, 0)
        self.result_bytes.append(len(result))
        return Outcome(task, pickle.loads(result))

    def __enter__(self) -> Shuffled:
        """Ready."""
        self.alive = True
        return self

    def __exit__(self, *error: object) -> None:
        """The seats are cleared."""
        self.alive = False
        for seat in self.seats:
            seat.close()
