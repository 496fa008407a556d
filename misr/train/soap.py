"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., ICLR 2025), for small nets.

A kernel (o, i, y, x) is seen as a matrix (o, i*y*x) with two covariances of gradients, L (o, o) and R (i*y*x, i*y*x).
Measured on Fast, x4, 2,500 steps of batch 16, dB on held-out photographs: SOAP 29.35, Adam 28.47, Adam on branches that
collapse to one convolution (3x3 + 1x1-3x3-1x1 + identity) 28.46.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Soap(torch.optim.Optimizer):
    """Vectors get plain Adam; the eigenbases follow by one step of orthogonal iteration every `every` steps."""

    def __init__(self, params: Iterable[Tensor], lr: float = 3e-3, *, beta: float = 0.95, every: int = 10) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "every": every})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    gradient = p.grad.reshape(p.shape[0], -1)
                    way = direction(self.state[p], gradient, p.ndim > 1, beta=group["beta"], every=group["every"])
                    p.sub_(group["lr"] * way.reshape(p.shape))


def direction(state: dict[str, Any], gradient: Tensor, matrix: bool, *, beta: float, every: int) -> Tensor:
    """Where one parameter goes, of order one in every entry of the eigenbasis; updates its state."""
    if not state:
        state.update(begin(gradient, matrix))
    state["step"] += 1
    unbias = 1 - beta ** state["step"]
    state["mean"].lerp_(gradient, 1 - beta)
    turned, mean = (into(state, x) if matrix else x for x in (gradient, state["mean"]))
    state["square"].lerp_(turned * turned, 1 - beta)
    way = mean / unbias / ((state["square"] / unbias).sqrt() + 1e-12)
    if matrix:
        way = state["basis_l"] @ way @ state["basis_r"].T
        follow(state, gradient, beta, turn=state["step"] % every == 0)
    return way


def begin(gradient: Tensor, matrix: bool) -> dict[str, Any]:
    """The state before the first step."""
    state = {"step": 0, "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
    for side, covariance in (("l", gradient @ gradient.T), ("r", gradient.T @ gradient)) if matrix else ():
        state["covariance_" + side] = covariance
        state["basis_" + side] = torch.linalg.eigh(
            covariance + 1e-12 * torch.eye(len(covariance), device=covariance.device)
        )[1]
    return state


def into(state: dict[str, Any], x: Tensor) -> Tensor:
    """A matrix seen in the eigenbases."""
    turned: Tensor = state["basis_l"].T @ x @ state["basis_r"]
    return turned


def follow(state: dict[str, Any], gradient: Tensor, beta: float, *, turn: bool) -> None:
    """Average the covariances; with `turn`, bring the eigenbases after them."""
    for side, covariance in (("l", gradient @ gradient.T), ("r", gradient.T @ gradient)):
        state["covariance_" + side].lerp_(covariance, 1 - beta)
        if turn:
            state["basis_" + side] = torch.linalg.qr(state["covariance_" + side] @ state["basis_" + side])[0]
