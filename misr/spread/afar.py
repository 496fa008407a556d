"""What Ray carries to its workers by value, so that one without misr, or with another, can say so. The standard library alone."""

from __future__ import annotations

import importlib
import os
import socket
from typing import Any


def errand(
    body: bytes, held: list[Any], crew: tuple[str, str, str, int, float], count: Any, number: int
) -> bytes | str:
    """Do a packed task here: what came of it, for misr.spread.errand.opened(); or why no task can be done here.

    held      number and reference of each value that the task holds
    crew      its name, the version of misr, and of every worker the device, the threads, and the seconds between two counts
    count     the actor that counts, and the number by which it knows the task
    """
    name, version, device, threads, every_s = crew
    count.begin.remote(number, place())
    try:
        here = importlib.import_module("misr")
        work = importlib.import_module("misr.spread.ray_worker").work
    except ImportError as e:
        return f"a worker on {place()} has no misr ({e}); install misr {version} there"
    if here.__version__ != version:
        return f"a worker on {place()} has misr {here.__version__}, here is {version}; install the same on both"
    answer: bytes = work(body, held, name, device, threads, lambda units: count.tell.remote(number, units), every_s)
    return answer


def place() -> str:
    """This machine and process, for people."""
    return f"{socket.gethostname()}, process {os.getpid()}"


class Count:
    """What workers tell until the driver asks, by numbers of tasks."""

    def __init__(self) -> None:
        self.begun = dict[int, tuple[int, str]]()  # how often, and where at last
        self.told = dict[int, int]()

    def begin(self, number: int, where: str) -> None:
        """A worker has a task."""
        self.begun[number] = self.begun.get(number, (0, ""))[0] + 1, where
        self.told[number] = 0

    def tell(self, number: int, units: int) -> None:
        """It has finished so much of it."""
        self.told[number] = units

    def news(self) -> dict[int, tuple[int, int, str]]:
        """What is new, for the driver: units, how often the task was begun, and where at last."""
        told, self.told = self.told, {}
        return {number: (units, *self.begun.get(number, (0, ""))) for number, units in told.items()}
