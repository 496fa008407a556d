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
    count.tell.remote(number, 0, place())
    try:
        here = importlib.import_module("misr")
        work = importlib.import_module("misr.spread.ray_worker").work
    except ImportError as e:
        return f"a worker on {place()} has no misr ({e}); install misr {version} there"
    if here.__version__ != version:
        return f"a worker on {place()} has misr {here.__version__}, here is {version}; install the same on both"
    answer: bytes = work(
        body, held, name, device, threads, lambda units: count.tell.remote(number, units, place()), every_s
    )
    return answer


def place() -> str:
    """This machine and process, for people."""
    return f"{socket.gethostname()}, process {os.getpid()}"


class Count:
    """What workers tell until the driver asks: tasks by number, units that are finished, and where."""

    def __init__(self) -> None:
        self.told = dict[int, tuple[int, str]]()

    def tell(self, number: int, units: int, where: str) -> None:
        """Of a worker."""
        self.told[number] = units, where

    def news(self) -> dict[int, tuple[int, str]]:
        """For the driver: what is new."""
        told, self.told = self.told, {}
        return told
