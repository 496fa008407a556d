"""Drivers of crews: here, and in a process of their own that can be killed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from misr.spread.crew import Crew, Outcome

ROOT = Path(__file__).resolve().parent.parent


def given(crew: Crew, tasks: list[Any], tell: Callable[[Any, int], None] = lambda task, units: None) -> list[Outcome]:
    """What came of tasks, in their order."""
    left = iter(tasks)
    came = list(crew.give(lambda: next(left, None), tell))
    assert len(came) == len(tasks), "not one outcome a task"
    return sorted(came, key=lambda one: next(k for k, task in enumerate(tasks) if task == one.task))


def drive(folder: Path, address: str, **environment: str) -> subprocess.Popen:
    """A driver in a session of its own, with tasks that wait; a script that does not ask whether it is the main module."""
    script = folder / "driver"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.crew_drivers import given\n"
        "from tests.toy_tasks import Meeting\n"
        "from misr.spread.cluster import Ray\n"
        "from misr.spread.local import Processes\n"
        "try:\n"
        "    with Ray(sys.argv[3]) if sys.argv[3] else Processes(('cpu',) * 2) as crew:\n"
        "        given(crew, [Meeting(Path(sys.argv[2]), n) for n in range(2)])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', file=sys.stderr)\n"
    )
    argv = [sys.executable, str(script), str(ROOT), str(folder), address]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=os.environ | environment
    )
