"""Workers of a Ray cluster: every task is a Ray task, which Ray places, and tries again when a worker or a node dies.

    driver -- packed task, references of what it holds --> Ray -> worker, which keeps its seat for the next task
    driver <-- what came of it, by the object store ----- Ray <- worker
    driver <-- units finished, a few times a second --- an actor <- workers

Workers must have the same misr; what they are asked first (misr.spread.afar) needs none, so that they can say so.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from misr import __version__
from misr.errors import WorkerError
from misr.spread import afar
from misr.spread.connection import KEPT_WORK, connect, first_line, imported, lost, there
from misr.spread.crew import Outcome, Task, Tell
from misr.spread.errand import Shared, opened, packed

RETRIES = 3  # Ray's, after a worker or a node died
TELL_S = 0.5  # between two counts of a worker, and two looks of the driver
NODES_S = 2.0  # between two looks at which nodes there are
TELLS = 400  # a second, of all workers together, which one actor hears without falling behind
NONE_S = 10.0  # that a cluster may have no node for a task, at the beginning
LOST_S = 120.0  # and later, when nodes that were there may come back
NUMBERS = count()


class Ray:
    """A crew of a Ray cluster's workers.

    address         ray://HOST:PORT, or HOST:PORT from a machine of the cluster; None: RAY_ADDRESS, or a cluster that runs on this
                    machine, or one that is started here
    cpus_per_task   CPUs that Ray sets aside for each task, which computes with so many threads
    gpus_per_task   GPUs, or a part of one; 0: tasks run on the CPU; None: 1 where any machine has one, else 0
    in_flight       tasks that are given at once; 0: those that can run, and a few more

    WorkerError where Ray is not installed, or no cluster answers.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus_per_task: float = 1,
        gpus_per_task: float | None = None,
        in_flight: int = 0,
    ) -> None:
        self.address, self.cpus, self.in_flight = address, cpus_per_task, in_flight
        self.asked, self.gpus = gpus_per_task, gpus_per_task or 0.0
        self.name = uuid.uuid4().hex
        self.ray: Any = None
        self._ours = self._began_it = False  # whether we connected, and whether we started the cluster
        self._looked = self._able = float("-inf")  # when we looked at the nodes, and when one was able to run a task
        self._slots = 0
        self._ever = False

    @property
    def slots(self) -> int:
        """Tasks that the nodes that are there now can run at once."""
        if self.ray is not None:
            with suppress(WorkerError):
                self.look()
        return max(1, self._slots)

    @property
    def kind(self) -> str:
        """CUDA where tasks have GPUs."""
        return "cuda" if self.gpus else "cpu"

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines: not where the cluster was started here for us."""
        return not self._began_it

    def hold(self, value: Any) -> Shared:
        """A value in the object store, which a worker fetches once."""
        held = Shared(next(NUMBERS), value)
        held.far = self.ray.put(held.blob())
        return held

    def __enter__(self) -> Ray:
        self.ray = imported(self.address)
        if not self.ray.is_initialized():
            self._began_it = connect(self.ray, self.address)
            self._ours = True
        elif self.address not in (None, self.ray.get_runtime_context().gcs_address):
            raise WorkerError(
                f"{self.address}: this process is connected to another Ray cluster already; leave that first"
            )
        if self.asked is None:
            with lost(self.ray):
                self.gpus = 1.0 if self.ray.cluster_resources().get("GPU", 0) else 0.0
        self._able = time.monotonic()
        remote = self.ray.remote
        self._errand = remote(
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            max_retries=RETRIES,
            retry_exceptions=False,
            max_calls=0,  # a worker with a GPU lives on too
            scheduling_strategy="SPREAD",
        )(afar.errand)
        self.count = remote(num_cpus=0, max_restarts=-1)(afar.Count).remote()
        return self

    def __exit__(self, *error: object) -> None:
        ray, self.ray = self.ray, None
        if there(ray):
            with suppress(Exception):  # it may be gone just now
                ray.kill(self.count)
        if self._ours:
            with suppress(Exception):
                ray.shutdown()

    def give(self, next_task: Callable[[], Task | None], tell: Tell) -> Iterator[Outcome]:
        """As misr.spread.crew.Crew says. Raises WorkerError where no node can run a task, or the cluster is gone."""
        flight = Flight(self, next_task, tell)
        try:
            flight.fill()
            while flight.tasks:
                yield from flight.landed()
                flight.fill()
        finally:
            flight.abandon()

    def most(self) -> int:
        """Tasks that are given at once: some that wait, so that none has to wait for us and a cluster that grows sees why."""
        return self.in_flight or self._slots + max(2, self._slots // 8)

    def look(self) -> None:
        """See, now and then, what the nodes that are there can run; WorkerError where none can and none comes."""
        if time.monotonic() - self._looked < NODES_S:
            return
        with lost(self.ray):
            have = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        self._slots = sum(fits(resources, self.cpus, self.gpus) for resources in have)
        self._looked = now = time.monotonic()
        if self._slots:
            self._able, self._ever = now, True
        elif now - self._able >= (LOST_S if self._ever else 0 if self._began_it else NONE_S):
            raise WorkerError(unable(have, self.cpus, self.gpus, self._ever))

    def begin(self, task: Task, number: int) -> Any:
        """Give a task to Ray: the reference of what will come of it."""
        body, holds = packed(task)
        held = [(key, it.far) for key, it in holds.items()]
        threads = max(1, int(self.cpus))
        every_s = max(TELL_S, self._slots / TELLS)
        crew = self.name, __version__, "cuda" if self.gpus else "cpu", threads, every_s
        with lost(self.ray):
            return self._errand.options(name=task.name).remote(body, held, crew, self.count, number)


class Flight:
    """The tasks of one Crew.give() that Ray has."""

    def __init__(self, crew: Ray, next_task: Callable[[], Task | None], tell: Tell) -> None:
        self.crew, self.next_task, self.tell = crew, next_task, tell
        self.tasks = dict[Any, tuple[int, Task]]()  # by the reference of what will come of them
        self.places = dict[int, str]()  # where they run, as far as was told
        self.news = crew.count.news.remote()

    def fill(self) -> None:
        """Give tasks while there is room, and while there are some."""
        self.crew.look()
        while len(self.tasks) < self.crew.most() and (task := self.next_task()) is not None:
            number = next(NUMBERS)
            self.tasks[self.crew.begin(task, number)] = number, task

    def landed(self) -> Iterator[Outcome]:
        """What came of tasks that are over, after a moment at the latest; what workers tell meanwhile is passed on."""
        ray = self.crew.ray
        with lost(ray):
            ready, _ = ray.wait(list(self.tasks), timeout=TELL_S)
            news, _ = ray.wait([self.news], timeout=0)
        known = {number: ref for ref, (number, _) in self.tasks.items() if ref not in ready}
        for number, (units, begun, place) in (self.told() if news else {}).items():
            if number in known:
                self.places[number] = place
                self.tell(self.tasks[known[number]][1], units)
                if begun > RETRIES + 1:  # Ray tries for ever what it kills for memory itself
                    yield self.given_up(known[number])
        for ref in ready:
            yield self.came(ref)

    def told(self) -> dict[int, tuple[int, int, str]]:
        """What workers told since this was last asked: by the task's number, units, how often it was begun, and where."""
        ray, asked = self.crew.ray, self.news
        try:
            with lost(ray):
                self.news = self.crew.count.news.remote()
                return dict(ray.get(asked))
        except ray.exceptions.RayActorError:  # its node died; it begins again on another
            return {}

    def came(self, ref: Any) -> Outcome:
        """What came of a task; others are given before it is looked at."""
        number, task = self.tasks.pop(ref)
        exceptions, place = self.crew.ray.exceptions, self.places.pop(number, "")
        try:
            with lost(self.crew.ray):
                blob = self.crew.ray.get(ref)
        except exceptions.RayTaskError:
            raise
        except exceptions.RayError as e:
            outcome, units = Outcome(task, error=WorkerError(last_words(task.name, how(e), place))), 0
        else:
            if isinstance(blob, str):
                raise WorkerError(blob)
            outcome, units = opened(blob, task)
        self.tell(task, units)
        self.fill()
        return outcome

    def given_up(self, ref: Any) -> Outcome:
        """A task that was begun too often."""
        number, task = self.tasks.pop(ref)
        self.crew.ray.cancel(ref, force=True)
        self.tell(task, 0)
        self.fill()
        words = last_words(task.name, "its workers died, perhaps for memory", self.places.pop(number, ""))
        return Outcome(task, error=WorkerError(words))

    def abandon(self) -> None:
        """Stop what still runs; the workers live on."""
        for ref in self.tasks if there(self.crew.ray) else ():
            with suppress(Exception):  # it has ended, or the cluster is gone just now
                self.crew.ray.cancel(ref, force=False)


def fits(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Tasks that a node can run at once, by its resources."""
    needs = {"CPU": cpus, "GPU": gpus}
    return min((int(resources.get(kind, 0) / need + 1e-9) for kind, need in needs.items() if need), default=1)


def unable(have: list[dict[str, float]], cpus: float, gpus: float, ever: bool) -> str:
    """Why no task can run."""
    if ever:
        return f"no machine of the Ray cluster that could run a task is left; {KEPT_WORK}"
    each = sorted({(n.get("CPU", 0), n.get("GPU", 0)) for n in have}, reverse=True)
    return (
        f"no machine of the Ray cluster can run a task, which needs {amounts(cpus, gpus)}; they have "
        f"{', or '.join(amounts(*one) for one in each) or 'nothing'}: lower --cpus-per-task or --gpus-per-task, or start one "
        "that has as much"
    )


def amounts(cpus: float, gpus: float) -> str:
    """CPUs and GPUs in words."""
    return f"{cpus:g} CPU{'s' * (cpus != 1)} and {gpus:g} GPU{'s' * (gpus != 1)}"


def how(error: Exception) -> str:
    """How a task ended that Ray tried in vain."""
    kind = type(error).__name__
    return {
        "OutOfMemoryError": "its worker was killed for memory",
        "WorkerCrashedError": "its worker died, perhaps for memory",
        "NodeDiedError": "its machine died",
        "TaskCancelledError": "somebody cancelled it",
    }.get(kind, f"{kind}: {first_line(error)}")


def last_words(name: str, how: str, place: str) -> str:
    """Why a task was given up after its retries."""
    at = f", at last on {place}" if place else ""
    memory = ", with a smaller --tile, or with more --cpus-per-task so that fewer run side by side"
    return f"{name}: {how}{at}, and was tried {RETRIES + 1} times; {KEPT_WORK}{memory if 'memory' in how else ''}"
