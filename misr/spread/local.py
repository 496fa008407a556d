"""Workers that are processes of this machine: one for each of several GPUs, or several that share its cores.

    driver -- one task at a time, and what it holds that the worker lacks --> worker
    driver <-- units finished, a few times a second; then what came of it --- worker

A worker lives as long as its line to the driver is open: when the driver ends, in whichever way, so do its workers. Ctrl-C is the
driver's alone. What a worker prints goes to standard error: standard output is the driver's, for data.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

from misr.ahead import prefetch
from misr.errors import WorkerError
from misr.machine import cores
from misr.spread.crew import KEPT, Outcome, Seat, Task, Tell
from misr.spread.errand import Shared, done, opened, packed

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
                    outcome, units = opened(said, task) if said else (self._death(worker), 0)
                    if outcome is None:
                        again.append((task, worker.deaths + 1))
                    tell(task, units)
                    self._fill(again, next_task)
                    if outcome:
                        yield outcome
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
        self._has = list[int]()
        self.line, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=work, args=(theirs, seat), name=seat.name, daemon=True)
        with beginning(threads):
            self.process.start()
        theirs.close()  # so that the line ends with the worker

    def give(self, task: Task, deaths: int) -> None:
        """Send a task, with what it holds and the worker lacks."""
        self.task, self.deaths = task, deaths
        body, holds = packed(task)
        new = {key: it.blob() for key, it in holds.items() if key not in self._has}
        others = [key for key in self._has if key not in holds]
        old = others[: max(0, len(others) + len(holds) - KEPT)]  # those that were needed longest ago
        self._has = [*others[len(old) :], *holds]
        with suppress(OSError):  # it has died; whoever listens will hear that
            self.line.send((new, old, body))

    def hear(self) -> int | bytes | None:
        """Units of its task that are finished, or what came of it, for opened(); None: it died."""
        try:
            said: int | bytes = self.line.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            return None
        if isinstance(said, bytes):
            self.task = None
        return said


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

    def say(it: int | bytes) -> None:
        with suppress(OSError):  # the driver is gone: orders() ends this process
            line.send(it)

    try:
        with closing(prefetch(orders(line))) as given:
            for new, old, body in given:
                held = {k: it for k, it in held.items() if k not in old} | {
                    k: pickle.loads(it) for k, it in new.items()
                }
                say(done(body, held.__getitem__, seat, say, TELL_S))
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
