"""Who renders: this process, or a crew. The options that say so, the same for upscale, fuse and eval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from misr.errors import InputError, ModelError

if TYPE_CHECKING:
    from misr.spread.crew import Crew
    from misr.spread.pace import Pace

Workers = Annotated[int, typer.Option("--workers", help="Processes of this machine that share the work; 0: this one.")]
On = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="ray", help="Share the work on a Ray cluster: ray, as Ray finds it, or ray://HOST:PORT."
    ),
]
Cpus = Annotated[
    float, typer.Option("--cpus-per-task", help="With --on: CPUs that Ray sets aside for a piece of work (1).")
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-task", help="With --on: GPUs, or a part of one such as 0.5 (1 where machines have one, else 0)."
    ),
]
Devices = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1; cuda:0,cuda:1 or all: a worker on each.")
]


def crew_of(
    on: str | None, workers: int, device: str | None, cpus: float, gpus: float | None, *, threads: int = 0
) -> tuple[Crew | None, str | None]:
    """The crew that options ask for, None where this process does the work, and the device of this process.

    InputError for what makes no sense together.
    """
    if workers < 0:
        raise InputError(f"--workers {workers}: a number from 1 is wanted; 0 lets this process do the work")
    if on is None and (cpus or gpus is not None):
        raise InputError("--cpus-per-task and --gpus-per-task are about a cluster; say which with --on ray")
    if on is not None and (workers or device):
        raise InputError(
            "--workers and --device are about this machine; with --on, Ray knows the machines, and --gpus-per-task and "
            "--cpus-per-task say what a piece of work needs"
        )
    if on is not None:
        if on != "ray" and not on.startswith("ray://"):
            raise InputError(f"--on {on}: no such cluster; write ray, or ray://HOST:PORT")
        if cpus < 0 or (gpus or 0) < 0:
            raise InputError("--cpus-per-task and --gpus-per-task are amounts from 0, such as 2 or 0.5")
        from misr.spread.cluster import Ray

        return Ray(None if on == "ray" else on, cpus_per_task=cpus or 1, gpus_per_task=gpus), None
    if not workers and device != "all" and "," not in (device or ""):
        return None, device
    names = devices(device)
    if workers and len(names) > 1:
        raise InputError(
            f"--device {device} is a worker on each; name one twice for two there, and leave --workers out"
        )
    if not workers and len(names) == 1:
        return None, names[0]
    from misr.spread.local import Processes

    return Processes(names * max(workers, 1), threads=threads), names[0]


def devices(said: str | None) -> tuple[str, ...]:
    """The devices that --device names, which can be used here; one where nothing is said."""
    import torch

    from misr.zoo import best_device, device_of

    if said == "all":
        if not torch.cuda.is_available():
            raise ModelError("--device all: no CUDA device here; --workers shares the work among the cores")
        return tuple(f"cuda:{n}" for n in range(torch.cuda.device_count()))
    names = tuple(name.strip() for name in said.split(",")) if said else (str(best_device()),)
    if len(names) > 1:
        for name in names:
            device_of(name)
    return names


def figures(pace: Pace) -> dict[str, Any]:
    """What a meter shows of a crew."""
    return {"figures": {"workers": pace.slots}, "binds": pace.binds}
