"""A training step whose forward and backward are one CUDA graph: small nets spend their time on launches else.

The optimiser's step stays outside. A graph is captured for each shape of a batch and each kind of loss; where that
fails, and on a CPU, steps are made as ever.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from misr.train.loop import Run

WARM = 3  # steps before a capture, in which libraries choose and allocate


@dataclass(frozen=True, slots=True)
class Graph:
    """What was captured: what it reads, what it writes."""

    of: Any
    graph: torch.cuda.CUDAGraph
    batch: Any
    value: Tensor
    gradients: list[tuple[nn.Parameter, Tensor]]


class Captured:
    """update(batch) for loop.train: run.update on a loss(net, batch, squares), replayed where it can be.

    A batch is a dataclass of tensors. `reason` says why nothing is replayed.
    """

    def __init__(
        self,
        run: Run,
        loss: Callable[[nn.Module, Any, bool], Tensor],
        *,
        capture: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.run, self.loss, self.say = run, loss, say
        self.graph: Graph | None = None
        self.reason = "not asked for" if not capture else "" if run.device.type == "cuda" else f"on a {run.device.type}"

    def __call__(self, batch: Any) -> Tensor:
        """One step; the loss before it."""
        return self.run.follow(lambda squares: self.gradients(batch, squares))

    def gradients(self, batch: Any, squares: bool) -> Tensor:
        """The loss of a batch, and its gradients in the parameters."""
        of = (*((x.shape, x.dtype) for x in tensors(batch)), squares)
        if not self.reason and (self.graph is None or self.graph.of != of):
            self.graph = None  # its memory is free for the next
            try:
                self.graph = self.capture(batch, squares, of)
            except RuntimeError as e:
                self.reason = str(e).splitlines()[0]
                self.say(f"no CUDA graph: {self.reason}")
                torch.cuda.synchronize()
        if self.graph is None:
            return self.eager(batch, squares)
        for ours, theirs in zip(tensors(self.graph.batch), tensors(batch), strict=True):
            ours.copy_(theirs, non_blocking=True)
        self.graph.graph.replay()
        for p, gradient in self.graph.gradients:
            p.grad = gradient
        return self.graph.value.clone()

    def eager(self, batch: Any, squares: bool) -> Tensor:
        """The same, launch by launch."""
        return self.run.gradients(lambda net, squares: self.loss(net, batch, squares), squares)

    def capture(self, batch: Any, squares: bool, of: Any) -> Graph:
        """A graph of a batch of this shape."""
        held = type(batch)(*(x.clone() for x in tensors(batch)))
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                self.eager(held, squares)
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.run.optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may pin memory meanwhile
            value = self.eager(held, squares)
        gradients = [(p, p.grad) for p in self.run.net.parameters() if p.grad is not None]
        self.say(f"captured a step of {' and '.join('x'.join(map(str, x.shape)) for x in tensors(held))}")
        return Graph(of, graph, held, value, gradients)


def tensors(batch: Any) -> list[Tensor]:
    """The tensors of a batch, in order."""
    return [getattr(batch, f.name) for f in fields(batch)]
