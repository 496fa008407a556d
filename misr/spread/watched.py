"""A crew whose pace is watched: for work that has no stages of its own, as the tiles of a scene or the items of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from misr.spread.crew import Crew, Held, Outcome, Task, Tell, let_go
from misr.spread.pace import Pace


class Watched:
    """A crew as it is, and the pace of what it was given last."""

    def __init__(self, crew: Crew) -> None:
        self.crew, self.pace = crew, Pace(crew.slots)

    @property
    def slots(self) -> int:
        """The crew's."""
        return self.crew.slots

    @property
    def kind(self) -> str:
        """The crew's."""
        return self.crew.kind

    @property
    def elsewhere(self) -> bool:
        """The crew's."""
        return self.crew.elsewhere

    def hold(self, value: Any) -> Held[Any]:
        """As the crew does."""
        return self.crew.hold(value)

    def give(self, next_task: Callable[[], Task | None], tell: Tell) -> Iterator[Outcome]:
        """As the crew does; what happens between tasks is counted to the driver, all that workers do to the model."""
        pace = self.pace = Pace(self.crew.slots)

        def asked() -> Task | None:
            with pace.drive():
                return next_task()

        outcomes = self.crew.give(asked, tell)
        try:
            for outcome in outcomes:
                pace.slots = self.crew.slots
                pace.worked += outcome.seconds
                pace.stages.model += outcome.seconds
                with pace.drive():
                    yield outcome
        finally:
            let_go(outcomes)

    def __enter__(self) -> Watched:
        self.crew.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.crew.__exit__(*error)
