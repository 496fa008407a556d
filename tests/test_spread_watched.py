"""A crew that is watched does what it did, and tells who waits for whom."""

from dataclasses import dataclass, replace
from typing import Any

from misr.errors import InputError
from misr.spread import pace, watched
from misr.spread.watched import Watched
from tests.toy_crew import Shuffled


@dataclass(frozen=True)
class Square:
    """A task: n * n."""

    n: int
    name: str = "a square"

    def run(self, seat: Any, tell: Any) -> int:
        if self.n < 0:
            raise InputError("no root")
        return self.n**2


class Slow(Shuffled):
    """Every task takes some seconds of a clock that is turned by hand."""

    def __init__(self, now: list[float], seconds: float) -> None:
        super().__init__(in_flight=1)
        self.now, self.seconds = now, seconds

    def _done(self, *given: Any) -> Any:
        self.now[0] += self.seconds
        return replace(super()._done(*given), seconds=self.seconds)


def squares(crew: Any, numbers: list[int], between: Any = lambda: None) -> dict[int, int]:
    tasks, found = iter([Square(n) for n in numbers]), {}
    for outcome in crew.give(lambda: next(tasks, None), lambda task, units: None):
        found[outcome.task.n] = outcome.error or outcome.result
        between()
    return found


def test_a_crew_that_is_watched_does_the_same():
    crew = Watched(inside := Shuffled(1, in_flight=3, elsewhere=True))
    with crew:
        assert inside.alive
        assert squares(crew, list(range(9))) == {n: n * n for n in range(9)}
    assert not inside.alive
    assert (crew.slots, crew.kind, crew.elsewhere) == (3, "cpu", True)
    assert crew.hold([1]).value() == [1]
    assert str(squares(crew, [-1])[-1]) == "no root"


def test_what_binds_is_the_driver_where_it_works_longest_and_the_model_where_that_does(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watched, "Pace", lambda slots: pace.Pace(slots, began=now[0]))

    def pause(seconds: float) -> Any:
        return lambda: now.__setitem__(0, now[0] + seconds)

    for seconds, between, binds in ((4, 1, "model"), (1, 4, "driver")):
        crew = Watched(Slow(now, seconds))
        assert crew.pace.binds == ""
        squares(crew, [1, 2, 3], pause(between))
        assert crew.pace.binds == binds
        assert crew.pace.worked == 3 * seconds


def test_giving_up_reaches_the_crew():
    ended = []

    class Ending(Shuffled):
        """Tells when it is left alone."""

        def give(self, *given: Any) -> Any:
            try:
                yield from super().give(*given)
            finally:
                ended.append(True)

    outcomes: Any = Watched(Ending()).give(iter([Square(1), Square(2), None]).__next__, lambda task, units: None)
    next(outcomes)
    outcomes.close()
    assert ended == [True]
