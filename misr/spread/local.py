"""Workers that are processes of this machine: one for each of several GPUs, or several that share its cores.

    driver -- one task at a time, and what it holds that the worker lacks --> worker
    driver <-- units finished, a few times a second; then what came of it --- worker

A worker lives as long as its line to the driver is open: when the driver ends, in whichever way, so do its workers. Ctrl-C is the
driver's alone. What a worker prints goes to standard error: standard output is the driver's, for data.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from misr.ahead import prefetch
from misr.errors import MisrError, WorkerError
from misr.machine import cores
from misr.spread.crew import KEPT, Outcome, Seat, Task, Tell

TRIES = 3  # workers that may die at a task before it is given up
TELL_S = 0.25  # between two counts of a worker
GRACE_S = 2  # for a worker that shall end to clean up
SPAWN = multiprocessing.get_context("spawn")  # a forked child of a process with threads, or with CUDA, is broken
NUMBERS = count()


class Processes:
    """A crew of processes of this machine; each begins when there is a task for it.

    devices   one for each process, as misr.zoo.device_of() takes it: ("cuda:0", "cuda:1"), ("cpu",) * 4
    threads   of each for its computing; 0: its share of the cores
    """

    def __init__(self, devices: Sequence[str], *, threads: int = 0) -> None:
        assert devices, "a crew has workers"
        self.devices = tuple(devices)
        self.threads = threads or share(len(self.devices))
        self._workers: list[Worker | None] = [None] * len(self.devices)

    @property
    def slots(self) -> int:
        """As many as there are processes."""
        return len(self.devices)

    @property
    def kind(self) -> str:
        """That of its first device."""
        return self.devices[0].partition(":")[0]

    @property
    def elsewhere(self) -> bool:
        """No: they see what the driver sees."""
        return False

    def hold(self, value: Any) -> Shared:
        """A value that goes to each worker once, as long as it is in use, and not with every task."""
        return Shared(next(NUMBERS), value)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        self._end([w for w in self._workers if w])

    def give(self, next_task: Callable[[], Task | None], tell: Tell) -> Iterator[Outcome]:
        """As misr.spread.crew.Crew says; one task a process, and a worker has its next one before its outcome is looked at."""
        again = deque[tuple[Task, int]]()
        try:
            self._fill(again, next_task)
            while busy := [w for w in self._workers if w and w.task]:
                ready = wait([w.line for w in busy])
                for worker in (w for w in busy if w.line in ready):
                    task, said = worker.task, worker.hear()
                    if isinstance(said, int):
                        tell(task, said)
                        continue
                    if said is None and not (said := self._death(worker)):
                        again.append((task, worker.deaths + 1))
                        tell(task, 0)
                    self._fill(again, next_task)
                    if said:
                        yield said
                self._fill(again, next_task)
        finally:
            self._end([w for w in self._workers if w and w.task])

    def _fill(self, again: deque[tuple[Task, int]], next_task: Callable[[], Task | None]) -> None:
        """A task for every process that has none, as long as there are tasks; again: those whose workers died, how often."""
        for place, worker in enumerate(self._workers):
            if worker and worker.task:
                continue
            task, deaths = again.popleft() if again else (next_task(), 0)
            if task is None:
                return
            if worker is None:
                seat = Seat(device=self.devices[place], name=f"worker {place + 1}")
                worker = self._workers[place] = Worker(seat, self.threads)
            worker.give(task, deaths)

    def _death(self, worker: Worker) -> Outcome | None:
        """Bury a worker that died at its task: what became of that; None where it is to be tried again."""
        self._end([worker])
        if worker.deaths + 1 < TRIES:
            return None
        return Outcome(worker.task, error=WorkerError(last_words(worker.task.name, worker.process.exitcode)))

    def _end(self, workers: list[Worker]) -> None:
        """Have some workers end, together, and wait for it; those that do not in time are killed."""
        self._workers = [None if w in workers else w for w in self._workers]
        for worker in workers:
            worker.line.close()
        until = time.monotonic() + GRACE_S + 1
        for worker in workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()


class Worker:
    """A process, the line to it, the task it is at, how many others died at that, and which held values it has."""

    def __init__(self, seat: Seat, threads: int) -> None:
        self.task: Any = None
        self.deaths = 0
        self._has = dict[int, None]()
        self.line, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=work, args=(theirs, seat), name=seat.name, daemon=True)
        with beginning(threads):
            self.process.start()
        theirs.close()  # so that the line ends with the worker

    def give(self, task: Task, deaths: int) -> None:
        """Send a task, with what it holds and the worker lacks."""
        self.task, self.deaths = task, deaths
        body, needs = packed(task)
        new = {key: blob for key, blob in needs.items() if key not in self._has}
        for key in needs:
            self._has.pop(key, None)
        old = list(self._has)[: max(0, len(self._has) + len(needs) - KEPT)]
        for key in old:
            del self._has[key]
        self._has |= dict.fromkeys(needs)
        with suppress(OSError):  # it has died; whoever listens will hear that
            self.line.send((new, old, body))

    def hear(self) -> int | Outcome | None:
        """Units of its task that are finished, or what came of it; None: it died. Raises what a task should not have raised."""
        try:
            kind, it, more = self.line.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            return None
        if kind == "told":
            return int(it)
        task, self.task = self.task, None
        if kind == "failed":
            raise it from FarTraceback(more)
        return Outcome(task, **{kind: it}, seconds=more)


class FarTraceback(Exception):
    """Where in a worker an error arose."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


class Shared:
    """A value that goes to every worker once. Equal numbers, equal values."""

    def __init__(self, number: int, it: Any) -> None:
        self.number, self._it, self._blob = number, it, b""

    def value(self) -> Any:
        """The value."""
        return self._it

    def blob(self) -> bytes:
        """The value, pickled the first time that a worker needs it."""
        self._blob = self._blob or pickle.dumps(self._it, pickle.HIGHEST_PROTOCOL)
        return self._blob


class Packer(pickle.Pickler):
    """Pickles a task, with numbers in the place of what it holds."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.needs = dict[int, bytes]()

    def persistent_id(self, obj: Any) -> int | None:
        """The number of a held value."""
        if not isinstance(obj, Shared):
            return None
        self.needs[obj.number] = obj.blob()
        return obj.number


class Unpacker(pickle.Unpickler):
    """The reverse, in a worker that has these values."""

    def __init__(self, file: io.BytesIO, held: dict[int, Any]) -> None:
        super().__init__(file)
        self.held = held

    def persistent_load(self, pid: Any) -> Shared:
        """The value of a number."""
        if isinstance(self.held[pid], bytes):
            self.held[pid] = Shared(pid, pickle.loads(self.held[pid]))
        return self.held[pid]


def packed(task: Task) -> tuple[bytes, dict[int, bytes]]:
    """A task as bytes, and the values that it holds by their numbers."""
    packer = Packer(file := io.BytesIO())
    packer.dump(task)
    return file.getvalue(), packer.needs


def share(workers: int) -> int:
    """Threads for each of several workers, 1 at least, and no more than the environment says."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    most = max(1, int(said)) if said.isdigit() else cores()
    return max(1, min(most, cores() // workers))


def last_words(name: str, code: int | None) -> str:
    """Why a task was given up, by the exit code of its last worker: below 0 the signal that ended it."""
    if code == -9:
        return (
            f"a worker was killed {TRIES} times at {name}, perhaps for memory; finished work is kept: run the same command "
            "again with fewer --workers or a smaller --tile"
        )
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return (
        f"a worker ended {TRIES} times at {name}, at last with {how}; finished work is kept: the same command goes on"
    )


@contextmanager
def beginning(threads: int) -> Iterator[None]:
    """How a worker's process begins: with so many threads for its computing, deaf to Ctrl-C, and without the main module.

    A spawned process imports the main module of its parent, for tasks that are defined there; none is, and a script of somebody's
    own, which calls misr without asking `if __name__ == "__main__"`, would begin anew.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before, main = {name: os.environ.get(name) for name in names}, sys.modules["__main__"]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    os.environ.update(dict.fromkeys(names, str(threads)))
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def work(line: Connection, seat: Seat) -> None:
    """A worker's whole life: tasks, one after the other, until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    os.dup2(2, 1)
    held = dict[int, Any]()
    try:
        with closing(prefetch(orders(line))) as given:
            for new, old, body in given:
                held = {key: value for key, value in held.items() if key not in old} | new
                answer(line, done(body, held, seat, line))
    finally:
        seat.close()


def orders(line: Connection) -> Iterator[tuple[dict[int, bytes], list[int], bytes]]:
    """What the driver sends; when it is gone this process ends, whatever it is doing."""
    with suppress(EOFError, OSError):
        while True:
            yield line.recv()
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        os._exit(0)


def leave(*_: object) -> None:
    """End this process after its clean-up, or without it where that takes long."""
    if hasattr(signal, "alarm"):
        signal.alarm(GRACE_S)
    sys.exit(0)


def done(body: bytes, held: dict[int, Any], seat: Seat, line: Connection) -> tuple[str, Any, Any]:
    """What came of a task: `result` or `error` with seconds, or `failed` with the traceback."""
    begun, told, last = time.monotonic(), 0, 0
    when = -TELL_S

    def tell(units: int) -> None:
        nonlocal told, last, when
        last, now = units, time.monotonic()
        if now - when >= TELL_S:
            answer(line, ("told", units, None))
            told, when = units, now

    try:
        result = Unpacker(io.BytesIO(body), held).load().run(seat, tell)
        if told != last:
            answer(line, ("told", last, None))
        return "result", result, time.monotonic() - begun
    except MisrError as e:
        return "error", e, time.monotonic() - begun
    except Exception as e:
        return "failed", e, traceback.format_exc()


def answer(line: Connection, said: tuple[str, Any, Any]) -> None:
    """Send to the driver; what cannot be pickled, or not be read again, becomes a failure that says so."""
    kind, it, more = said
    try:
        sent = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
        if isinstance(it, Exception):
            pickle.loads(sent)  # an error whose constructor asks for more than its message
    except Exception as e:
        text = more if kind == "failed" else traceback.format_exc()
        wrong = RuntimeError(f"{type(it).__name__}: {it}" if isinstance(it, Exception) else f"{type(e).__name__}: {e}")
        sent = pickle.dumps(("failed", wrong, text))
    with suppress(OSError):  # the driver is gone: orders() ends this process
        line.send_bytes(sent)
