"""A Ray cluster of several nodes on this machine, for tests; its processes and its files end with it.

Ports are free ones and all files are in a folder of its own, so that clusters of several test processes do not meet.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STORE = 80 * 2**20  # bytes; the least that Ray takes is a little less
SET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # a token would be written to the home of whoever runs the tests
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_period_ms": "500",  # a node that was killed is missed soon
    "RAY_health_check_failure_threshold": "3",
}


@contextmanager
def cluster(nodes: int = 2, *, cpus: float = 1, **more: Any) -> Iterator[Any]:
    """A head without CPUs, and nodes with `cpus` each: ray.cluster_utils.Cluster, for .address, .add_node() and .remove_node().

    more: of the head, as of ray start. This process is not connected, and must not be at the end.
    """
    import ray
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray")  # short: sockets lie in it
    before = dict(os.environ)
    os.environ.update(SET, RAY_TMPDIR=folder)
    os.environ.pop("RAY_ADDRESS", None)
    made: Any = None
    try:
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE, "include_log_monitor": False}
        made = Cluster(initialize_head=True, head_node_args=head | more, shutdown_at_exit=True)
        for _ in range(nodes):
            add(made, num_cpus=cpus)
        yield made
    finally:
        ray.shutdown()
        if made is not None:
            made.shutdown()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def add(made: Any, **more: Any) -> Any:
    """One more node."""
    return made.add_node(**({"num_cpus": 1, "object_store_memory": STORE} | more))
