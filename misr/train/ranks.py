"""Several processes that train one net, as torchrun starts them; alone, everything here does nothing."""

import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def begin(device: torch.device) -> None:
    """Meet the other processes where torchrun started some; nccl between GPUs, gloo between CPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def end() -> None:
    """Part from the others."""
    if together():
        dist.destroy_process_group()


def together() -> bool:
    """Whether there are others."""
    return dist.is_available() and dist.is_initialized()


def mine() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if together() else 0


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if together() else 1


def first() -> bool:
    """Whether this is the one that writes and speaks."""
    return mine() == 0


def local() -> int:
    """This process's number on its machine: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their means over all processes, in one exchange."""
    if together() and tensors:
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= count()
        for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.copy_(part.view_as(t))


def alike(tensors: Sequence[Tensor]) -> None:
    """Give all processes the first one's tensors."""
    if together():
        for t in tensors:
            dist.broadcast(t.detach(), 0)


def agreed(value: float) -> float:
    """The first process's value."""
    if not together():
        return value
    box = [value]
    dist.broadcast_object_list(box, 0)
    return box[0]


def gathered(value: Any) -> list[Any]:
    """All processes' values, in order."""
    if not together():
        return [value]
    box = [None] * count()
    dist.all_gather_object(box, value)
    return box
