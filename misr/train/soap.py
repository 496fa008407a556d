"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., ICLR 2025), for small nets.

A kernel (o, i, y, x) is seen as a matrix (o, i*y*x) with two covariances of gradients, L (o, o) and R (i*y*x, i*y*x); with
R too large for it, as a block (o, i, y*x) with three.
Measured on Fast, x4, 2,500 steps of batch 16, dB on held-out photographs: SOAP 29.35, Adam 28.47, Adam on branches that
collapse to one convolution (3x3 + 1x1-3x3-1x1 + identity) 28.46.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

AXES = "lrs"  # of a kernel's two or three sides, in the names of the state


class Soap(torch.optim.Optimizer):
    """Vectors get plain Adam; the eigenbases follow by one step of orthogonal iteration every `every` steps.

    longest    of a covariance's side; 0: any
    floor      share of the largest root mean square, below which a gradient in the eigenbasis is rounding. At 0 a kernel with
               more entries than its first gradients have ranks is thrown by noise over noise, thousands of rates far
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 3e-3,
        *,
        beta: float = 0.95,
        every: int = 10,
        longest: int = 0,
        floor: float = 0,
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "every": every})
        self.longest, self.floor = longest, floor

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    gradient = sides(p.grad, self.longest)
                    way = direction(self.state[p], gradient, beta=group["beta"], every=group["every"], floor=self.floor)
                    p.sub_(group["lr"] * way.reshape(p.shape))


def sides(gradient: Tensor, longest: int) -> Tensor:
    """A gradient as it is preconditioned: a vector, a matrix, or a block of three sides."""
    if gradient.ndim < 3:
        return gradient
    if longest and gradient[0].numel() > longest:
        return gradient.reshape(*gradient.shape[:2], -1)
    return gradient.reshape(gradient.shape[0], -1)


def direction(state: dict[str, Any], gradient: Tensor, *, beta: float, every: int, floor: float = 0) -> Tensor:
    """Where one parameter goes, of order one in every entry of the eigenbasis; updates its state."""
    axes = AXES[: gradient.ndim] if gradient.ndim > 1 else ""
    if not state:
        state.update(begin(gradient, axes))
    state["step"] += 1
    unbias = 1 - beta ** state["step"]
    state["mean"].lerp_(gradient.reshape(state["mean"].shape), 1 - beta)
    mean = state["mean"].reshape(gradient.shape)
    turned, mean = (into(state, x, axes) for x in (gradient, mean))
    square = state["square"].reshape(gradient.shape).lerp_(turned * turned, 1 - beta)
    root = (square / unbias).sqrt()
    way = mean / unbias / (root + (floor * root.amax() + 1e-12 if floor else 1e-12))
    if axes:
        for n, axis in enumerate(axes):
            way = along(way, state["basis_" + axis].T, n)
        follow(state, gradient, axes, beta, turn=state["step"] % every == 0)
    return way


def begin(gradient: Tensor, axes: str) -> dict[str, Any]:
    """The state before the first step; a vector's moments are a column."""
    like = gradient if axes else gradient.reshape(len(gradient), -1)
    state = {"step": 0, "mean": torch.zeros_like(like), "square": torch.zeros_like(like)}
    for n, axis in enumerate(axes):
        covariance = spread(gradient, n)
        tiny = 1e-12 * torch.eye(len(covariance), device=covariance.device)
        state["covariance_" + axis] = covariance
        state["basis_" + axis] = torch.linalg.eigh(covariance + tiny)[1]
    return state


def spread(gradient: Tensor, axis: int) -> Tensor:
    """The products of a gradient's slices along an axis (n, n)."""
    flat = gradient.movedim(axis, 0).flatten(1)
    return flat @ flat.T


def along(x: Tensor, basis: Tensor, axis: int) -> Tensor:
    """x with its axis turned: basis.T times it."""
    return torch.tensordot(x, basis, ([axis], [0])).movedim(-1, axis)


def into(state: dict[str, Any], x: Tensor, axes: str) -> Tensor:
    """A matrix or block seen in the eigenbases."""
    for n, axis in enumerate(axes):
        x = along(x, state["basis_" + axis], n)
    return x


def follow(state: dict[str, Any], gradient: Tensor, axes: str, beta: float, *, turn: bool) -> None:
    """Average the covariances; with `turn`, bring the eigenbases after them."""
    for n, axis in enumerate(axes):
        covariance = state["covariance_" + axis].lerp_(spread(gradient, n), 1 - beta)
        if turn:
            state["basis_" + axis] = torch.linalg.qr(covariance @ state["basis_" + axis])[0]
