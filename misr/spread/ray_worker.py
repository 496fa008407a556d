"""What a worker of a Ray cluster is between tasks: a seat, which it keeps as long as it is of the same crew."""

from __future__ import annotations

import atexit
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

from misr.spread import afar
from misr.spread.crew import Seat
from misr.spread.errand import done

SEATS = dict[str, Seat]()  # the one of this process, by its crew
HELD = Seat()  # values that tasks hold


def work(
    body: bytes,
    held: list[tuple[int, Any]],
    crew: str,
    device: str,
    threads: int,
    count: Callable[[int], None],
    every_s: float,
) -> bytes:
    """In a worker: do a packed task at this process's seat."""
    import ray

    refs = dict(held)

    def value(number: int) -> Any:
        return HELD.keep((crew, number), lambda: pickle.loads(ray.get(refs[number])))

    compute_with(threads)
    return done(body, value, seat_of(crew, device), count, every_s)


def seat_of(crew: str, device: str) -> Seat:
    """This process's seat in a crew; what it had made ready for another, which is over, it gives up."""
    if crew not in SEATS:
        while SEATS:
            SEATS.popitem()[1].close()
        HELD.close()
        SEATS[crew] = Seat(device=device, name=afar.place())
        atexit.register(SEATS[crew].close)
    return SEATS[crew]


def compute_with(threads: int) -> None:
    """Have this process compute with so many threads, whether torch is loaded or will be."""
    os.environ.update(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
