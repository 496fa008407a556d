"""Work made ahead in a thread of its own: decoder, net and encoder overlap."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 4) -> Generator[T]:
    """The items, made ahead in a thread of their own, at most `depth` waiting. The one place that makes threads.

    An error in the thread is raised here; closing the iterator stops the thread and waits for it.
    """
    line: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                line.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put("item", item):
                    break
            else:
                put("end", None)
        except BaseException as e:
            put("error", e)
        finally:
            if stop.is_set() and hasattr(source, "close"):
                source.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = line.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stop.set()
        while not line.empty():
            line.get_nowait()
        thread.join()


@dataclass(slots=True)
class Clock:
    """Seconds for which each stage of rendering was at work, not waiting for another."""

    decode: float = 0.0
    model: float = 0.0
    encode: float = 0.0

    def decoding(self, seconds: float) -> None:
        """Count them to the decoder."""
        self.decode += seconds

    def modelling(self, seconds: float) -> None:
        """Count them to the model; below zero: it waited so long for a frame."""
        self.model += seconds

    def encoding(self, seconds: float) -> None:
        """Count them to the encoder."""
        self.encode += seconds

    def add(self, other: Clock) -> None:
        """Count another's too."""
        self.decode, self.model, self.encode = (
            self.decode + other.decode,
            self.model + other.model,
            self.encode + other.encode,
        )


def timed(items: Iterable[T], count: Callable[[float], None], sign: int = 1) -> Generator[T]:
    """The items; count(sign * seconds) is told how long each took to come."""
    source = iter(items)
    try:
        while True:
            began = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                count(sign * (time.perf_counter() - began))
            yield item
    finally:
        if hasattr(source, "close"):
            source.close()
