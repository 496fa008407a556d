"""The loop that makes `fast` models: SOAP, warm-up and cosine, an average of the weights, resumable.

Smooth L1 first, squares for the last part (PSNR is the target); convolutions in bf16; weights, base and loss in fp32.
"""

import copy
import ctypes
import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from misr.nets.fast import Fast
from misr.train.data import Sampler
from misr.train.soap import Soap

BETA = 1 / 255  # smooth L1 is quadratic below one code value


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, besides the pixels."""

    scale: int = 4
    width: int = 16
    depth: int = 6
    cell: int = 1
    iterations: int = 100_000
    batch: int = 16
    crop: int = 48  # cells
    rate: float = 3e-3
    rate_end: float = 3e-6
    warm_up: int = 300
    squares: float = 0.15  # last share of the run
    average: float = 0.999
    bf16: bool = True
    seed: int = 0


def keep_pages() -> None:
    """Let glibc keep freed memory, up to 512 MB: else large tensors are page-faulted in anew (some steps 5x slower)."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 512 << 20)  # M_TRIM_THRESHOLD


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate at a step: linear warm-up, then half a cosine."""
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, recipe.iterations - recipe.warm_up)
    return recipe.rate_end + (recipe.rate - recipe.rate_end) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def autocast(recipe: Recipe) -> "torch.autocast | nullcontext[None]":
    """bf16 convolutions, if the recipe wants them."""
    return torch.autocast("cpu", torch.bfloat16) if recipe.bf16 else nullcontext()


def pull(error: Tensor, *, squares: bool) -> Tensor:
    """The gradient of a loss in the prediction: half the mean square over BETA, or mean smooth L1 (Girshick 2015)."""
    return (error if squares else error.clamp(-BETA, BETA)) / (BETA * error.numel())


class Run:
    """A training run in a folder: net, its average, optimiser, step; saved and resumed as one checkpoint."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.step = recipe, folder, 0
        self.net = Fast(scale=recipe.scale, width=recipe.width, depth=recipe.depth, cell=recipe.cell)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        self.optimiser = Soap(self.net.parameters(), lr=recipe.rate)
        if self.path.exists():
            self.resume()

    @property
    def path(self) -> Path:
        """The checkpoint's file."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint; a crash in the middle leaves the former one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"step": self.step, "net": self.net.state_dict(), "average": self.average.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "recipe": asdict(self.recipe)}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def resume(self) -> None:
        """Take up the checkpoint."""
        state = torch.load(self.path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def start(self, weights: dict[str, Tensor]) -> None:
        """Begin from weights instead of chance."""
        self.net.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def update(self, soft: Tensor, cells: Tensor) -> Tensor:
        """One step on one batch; its mean absolute error, before the step."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = rate(recipe, self.step)
        with autocast(recipe):
            detail = self.net.detail(soft)
        error = detail.detach().float().add_(self.net.base(soft)).sub_(cells)
        squares = self.step >= recipe.iterations * (1 - recipe.squares)
        self.optimiser.zero_grad(set_to_none=True)
        detail.backward(pull(error, squares=squares).to(detail.dtype))
        self.optimiser.step()
        keep = min(recipe.average, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        self.step += 1
        return error.abs().mean()


def train(run: Run, sampler: Sampler, check: Callable[[nn.Module], float], *, every: int = 2000) -> nn.Module:
    """Run to the recipe's last iteration, logging check(net) (dB) to log.jsonl; the averaged net."""
    run.folder.mkdir(parents=True, exist_ok=True)
    sampler.rng = type(sampler.rng)(type(sampler.rng.bit_generator)(run.recipe.seed + run.step))
    began, losses = time.monotonic(), []
    while run.step < run.recipe.iterations:
        losses.append(run.update(*sampler.batch(run.recipe.batch)))
        if run.step % every == 0 or run.step == run.recipe.iterations:
            run.save()
            line = {"step": run.step, "loss": float(torch.stack(losses).mean()), "valid_db": check(run.average),
                    "seconds": round(time.monotonic() - began)}
            with (run.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            losses = []
    return run.average
