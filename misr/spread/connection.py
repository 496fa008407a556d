"""The way into a Ray cluster, and out of one that is lost. What goes wrong is said in a sentence, and soon.

Ray's own words stay in its logs: the terminal is for people, standard output for data.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any
from urllib.parse import urlsplit

from misr.errors import WorkerError
from misr.machine import cores, free_bytes
from misr.spread import afar

KNOCK_S = 5.0  # for a machine to answer at all
STORE = 80 * 2**20, 2 * 2**30  # bytes of the object store of a cluster of one's own, at least and at most
KEPT_WORK = "finished work is kept: the same command goes on from there"
SETTINGS = b"\x04"  # the type of a frame of HTTP/2 (RFC 9113, 6.5), its fourth byte
HELLO = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + SETTINGS + bytes(5)
)  # the same, 3.4: preface and empty settings
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextmanager
def lost(ray: Any) -> Iterator[None]:
    """Say so where the connection to the cluster breaks, or is broken."""
    try:
        if not there(ray):
            raise ConnectionError("it is closed")
        yield
    except ConnectionError as e:
        raise WorkerError(f"the connection to the Ray cluster was lost ({first_line(e)}); {KEPT_WORK}") from e


def there(ray: Any) -> bool:
    """Whether there is a connection; without one, Ray would make one, to whatever it finds."""
    return ray is not None and bool(ray.is_initialized())


def imported(address: str | None) -> Any:
    """Ray, as far as an address needs it."""
    try:
        import ray

        if (address or os.environ.get("RAY_ADDRESS", "")).startswith("ray://"):
            importlib.import_module("grpc")
    except ImportError as e:
        raise WorkerError(f'a Ray cluster needs {e.name}: pip install "misr[ray]"') from e
    ray.cloudpickle.register_pickle_by_value(afar)
    return ray


def connect(ray: Any, address: str | None) -> bool:
    """Connect to a cluster; whether it was started here for that. WorkerError where that fails."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    knock(where)
    warnings.filterwarnings("ignore", module=r"ray\.")  # as of more than 10 MB that go to ray://
    hush()
    try:
        if where != "local":
            with suppress(ConnectionError) if where == "auto" else nullcontext():
                ray.init(address=where, **quiet)
                return False
        store = min(STORE[1], max(STORE[0], (free_bytes() or 0) // 8))
        ray.init(address="local", num_cpus=cores(), include_dashboard=False, object_store_memory=store, **quiet)
        return True
    except Exception as e:  # Ray raises what it likes
        ray.shutdown()
        raise WorkerError(f"{where}: no Ray cluster can be had: {first_line(e)}") from e


def hush() -> None:
    """Keep Ray's warnings off the terminal, and its words on workers that die off standard output: no setting of Ray's does."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    module: Any = importlib.import_module("ray._private.worker")
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda *args, **options: None


def knock(where: str) -> None:
    """WorkerError where an address names a machine and a port at which no such thing is: Ray itself would try for minutes.

    Ray speaks gRPC, which is HTTP/2: who does answers the first words of a client with its settings.
    """
    parts = urlsplit(where if "://" in where else f"//{where}")
    if parts.hostname is None or parts.scheme not in ("", "ray") or where in ("auto", "local"):
        return
    try:
        port = parts.port or (10001 if parts.scheme else 6379)
        with socket.create_connection((parts.hostname, port), timeout=KNOCK_S) as line:
            if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
                line.sendall(HELLO)
                if line.recv(9, socket.MSG_WAITALL)[3:4] != SETTINGS:
                    raise OSError("something else does")
    except (OSError, ValueError) as e:
        door = "10001 for ray://" if parts.scheme else "6379 for machines of the cluster"
        raise WorkerError(
            f"{where}: no Ray cluster answers there ({e}); ray start --head opens port {door}, if not told otherwise"
        ) from e


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".: ")
