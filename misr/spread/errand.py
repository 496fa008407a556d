"""What drivers and workers of all crews say to each other: a task as bytes with what it holds apart, and what came of it."""

from __future__ import annotations

import io
import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any

from misr.errors import MisrError
from misr.spread.crew import Outcome, Seat, Task


class Shared:
    """A value that goes to a worker once, as long as it is in use, and not with every task. Equal numbers, equal values.

    far   where a worker on another machine finds it
    """

    def __init__(self, number: int, it: Any, far: Any = None) -> None:
        self.number, self.far, self._it, self._blob = number, far, it, b""

    def value(self) -> Any:
        """The value."""
        return self._it

    def blob(self) -> bytes:
        """The value, pickled when that is first asked for."""
        self._blob = self._blob or pickle.dumps(self._it, pickle.HIGHEST_PROTOCOL)
        return self._blob


class Packer(pickle.Pickler):
    """Pickles a task, with numbers in the place of what it holds."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.holds = dict[int, Shared]()

    def persistent_id(self, obj: Any) -> int | None:
        """The number of a held value."""
        if not isinstance(obj, Shared):
            return None
        self.holds[obj.number] = obj
        return obj.number


class Unpacker(pickle.Unpickler):
    """The reverse, where held(number) is the value."""

    def __init__(self, file: io.BytesIO, held: Callable[[int], Any]) -> None:
        super().__init__(file)
        self.held = held

    def persistent_load(self, pid: Any) -> Shared:
        """The value of a number."""
        return Shared(pid, self.held(pid))


def packed(task: Task) -> tuple[bytes, dict[int, Shared]]:
    """A task as bytes, and what it holds."""
    packer = Packer(file := io.BytesIO())
    packer.dump(task)
    return file.getvalue(), packer.holds


def done(body: bytes, held: Callable[[int], Any], seat: Seat, count: Callable[[int], None], every_s: float) -> bytes:
    """Do a packed task in a worker: what came of it, for opened(). count(units) is called no more often than every_s."""
    begun, units, when = time.monotonic(), 0, float("-inf")

    def tell(now_units: int) -> None:
        nonlocal units, when
        units, now = now_units, time.monotonic()
        if now - when >= every_s:
            count(units)
            when = now

    try:
        result = Unpacker(io.BytesIO(body), held).load().run(seat, tell)
        return sealed("result", result, time.monotonic() - begun, units)
    except MisrError as e:
        return sealed("error", e, time.monotonic() - begun, units)
    except Exception as e:
        return sealed("failed", e, traceback.format_exc(), units)


def sealed(kind: str, it: Any, more: Any, units: int) -> bytes:
    """An answer as bytes; what cannot be pickled, or not be read again, becomes a failure that says so."""
    try:
        blob = pickle.dumps((kind, it, more, units), pickle.HIGHEST_PROTOCOL)
        if isinstance(it, Exception):
            pickle.loads(blob)  # an error whose constructor asks for more than its message
        return blob
    except Exception as e:
        text = more if kind == "failed" else traceback.format_exc()
        wrong = RuntimeError(f"{type(it).__name__}: {it}" if isinstance(it, Exception) else f"{type(e).__name__}: {e}")
        return pickle.dumps(("failed", wrong, text, units))


def opened(blob: bytes, task: Any) -> tuple[Outcome, int]:
    """What came of a task, and the units of it that were finished. Raises what a task should not have raised."""
    kind, it, more, units = pickle.loads(blob)
    if kind == "failed":
        raise it from FarTraceback(more)
    return Outcome(task, **{kind: it}, seconds=more), units


class FarTraceback(Exception):
    """Where in a worker an error arose."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"
