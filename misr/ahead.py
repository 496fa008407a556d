"""Work made ahead in a thread of its own: decoder, net and encoder overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
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
