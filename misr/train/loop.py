"""The loop that makes models: SOAP, warm-up and cosine, an average of the weights, a checkpoint to go on from.

Smooth L1 first, squares for the last part (PSNR is the target); convolutions in bf16; weights, base and loss in fp32.
A run is as long as its recipe says, in steps or in minutes of work; a resumed run goes on with the same data, exactly.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.errors import InputError
from misr.train import ranks
from misr.train.soap import Soap

Loss = Literal["smooth-l1", "charbonnier", "l2"]
BETA = 1 / 255  # smooth L1 is quadratic below one code value
STEEPEST = 10.0  # times the usual length at which a gradient is cut


class Source(Protocol):
    """Where batches come from: draw() the next, and the state that makes a resumed run draw the same ones."""

    def draw(self) -> Any:
        """The next batch."""

    def state(self) -> Any:
        """What restore() needs."""

    def restore(self, state: Any) -> None:
        """Go on where state() was taken."""


class Partner(Protocol):
    """What learns beside the net, as a discriminator does: with weights and an optimiser of its own."""

    def step(self) -> None:
        """Learn from the batch whose loss was taken last; called after each step of the net."""

    def state(self) -> Any:
        """What restore() needs: tensors, numbers, and lists and dicts of them."""

    def restore(self, state: Any) -> None:
        """Go on where state() was taken."""

    def figures(self) -> dict[str, float]:
        """What a line of the log says of it: means since last asked."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides how weights are found. Its length is `steps`, or `minutes` of work where steps is 0."""

    steps: int = 0
    minutes: float = 0
    rate: float = 3e-3
    rate_end: float = 3e-6
    warm_up: int = 300
    squares: float = 0.15  # last share of the run
    average: float = 0.999
    bf16: bool = True
    seed: int = 0


def rate(recipe: Recipe, step: int, done: float) -> float:
    """The learning rate at a step, with `done` of 1 of the run behind it: linear warm-up, then half a cosine."""
    cosine = recipe.rate_end + (recipe.rate - recipe.rate_end) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return cosine * min(1.0, (step + 1) / recipe.warm_up)


def distance(made: Tensor, wanted: Tensor, *, squares: bool, kind: Loss = "smooth-l1") -> Tensor:
    """Mean smooth L1 (Girshick 2015), quadratic below one code value, or half the mean square over one code value.

    charbonnier is its smooth relative; l2 is squares all along.
    """
    made = made.float()
    if squares or kind == "l2":
        return F.mse_loss(made, wanted) / (2 * BETA)
    if kind == "charbonnier":
        return ((made - wanted).square() + BETA**2).sqrt().mean() - BETA
    return F.smooth_l1_loss(made, wanted, beta=BETA)


class Run:
    """A training run in a folder: net, its average, optimiser, step, seconds; saved and resumed as one checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        net: nn.Module,
        folder: Path,
        *,
        device: str | torch.device = "cpu",
        longest: int = 0,
        floor: float = 0,
    ) -> None:
        self.recipe, self.folder, self.device = recipe, folder, torch.device(device)
        self.net = net.to(self.device)
        self.average = copy.deepcopy(self.net).requires_grad_(False).eval()
        self.optimiser = Soap(
            [p for p in self.net.parameters() if p.requires_grad], recipe.rate, longest=longest, floor=floor
        )
        self.step, self.seconds, self.usual, self.source_state, self.partner_state = 0, 0.0, 0.0, None, None
        if self.path.exists():
            self.resume()

    @property
    def path(self) -> Path:
        """The checkpoint's file."""
        return self.folder / "checkpoint.pt"

    @property
    def done(self) -> float:
        """How much of the run is behind, 0 to 1."""
        recipe = self.recipe
        return min(1.0, self.step / recipe.steps if recipe.steps else self.seconds / (60 * recipe.minutes))

    def save(self, source: Source | None = None, partner: Partner | None = None) -> None:
        """Write the checkpoint; a crash in the middle leaves the former one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "usual": self.usual,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "recipe": asdict(self.recipe),
            "sources": ranks.gathered(source.state()) if source else None,
            "partner": partner.state() if partner else None,
        }
        if not ranks.first():
            return
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def resume(self) -> None:
        """Take up the checkpoint."""
        state = torch.load(self.path, weights_only=True, map_location=self.device)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.usual = state["step"], state["seconds"], state["usual"]
        sources = state["sources"] if "sources" in state else [state["source"]]
        if sources and len(sources) != ranks.count():
            raise InputError(f"{self.path}: begun with {len(sources)} processes; go on with as many, or --restart")
        self.source_state = sources[ranks.mine()] if sources else None
        self.partner_state = state.get("partner")

    def update(self, loss: Callable[[nn.Module, bool], Tensor]) -> Tensor:
        """One step down loss(net, squares); its value before the step. A gradient that is not finite moves nothing."""
        return self.follow(lambda squares: self.gradients(loss, squares))

    def gradients(self, loss: Callable[[nn.Module, bool], Tensor], squares: bool) -> Tensor:
        """loss(net, squares), and its gradients in place of the former ones."""
        context = torch.autocast(self.device.type, torch.bfloat16) if self.recipe.bf16 else nullcontext()
        self.optimiser.zero_grad(set_to_none=True)
        with context:
            value = loss(self.net, squares)
        value.backward()
        return value.detach()

    def follow(self, gradients: Callable[[bool], Tensor]) -> Tensor:
        """One step along what gradients(squares) leaves in the parameters; gives what it gives, a loss."""
        recipe, began = self.recipe, time.monotonic()
        for group in self.optimiser.param_groups:
            group["lr"] = rate(recipe, self.step, self.done)
        value = gradients(self.done >= 1 - recipe.squares)
        ranks.average([p.grad for p in self.net.parameters() if p.grad is not None])
        if self._tame():
            self.optimiser.step()
        keep = min(recipe.average, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        for old, new in zip(self.average.buffers(), self.net.buffers(), strict=True):  # what a batch norm has seen
            old.lerp_(new, 1 - keep) if old.is_floating_point() else old.copy_(new)
        self.step += 1
        self.seconds += time.monotonic() - began
        return value

    def _tame(self) -> bool:
        """Shorten a gradient far longer than usual; False for one that is not finite."""
        found = [p.grad for p in self.net.parameters() if p.grad is not None]
        length = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(found))))
        if not math.isfinite(length):
            return False
        most = STEEPEST * self.usual if self.usual else length
        if length > most:
            torch._foreach_mul_(found, most / length)
        self.usual += (min(length, most) - self.usual) * (0.02 if self.usual else 1)
        return True


def train(
    run: Run,
    source: Source,
    loss: Callable[[nn.Module, Any, bool], Tensor],
    check: Callable[[nn.Module], float],
    *,
    every: int = 500,
    tell: Callable[[dict[str, float]], None] = lambda line: None,
    stepped: Callable[[Run], None] = lambda run: None,
    update: Callable[[Any], Tensor] | None = None,
    enough: Callable[[], bool] = lambda: False,
    partner: Partner | None = None,
    also: Callable[[nn.Module], dict[str, float]] = lambda net: {},
) -> nn.Module:
    """Run to the recipe's end, or until there is `enough` for now.

    Each `every` steps leave a checkpoint and a line of log.jsonl with check(average) in dB, the partner's figures and
    also(average). stepped(run) is called after every step, tell(line) after every line; update(batch) makes a step in
    another way than run.update; a partner makes its own after each. Of several processes the first checks and writes.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    if run.source_state is not None:
        source.restore(run.source_state)
    if partner and run.partner_state is not None:
        partner.restore(run.partner_state)
    losses: list[Tensor] = []
    update = update or (lambda batch: run.update(lambda net, squares: loss(net, batch, squares)))
    over = run.done >= 1
    while not over:
        began = time.monotonic()
        batch = source.draw()
        elsewhere = time.monotonic() - began
        torch.manual_seed(run.recipe.seed + run.step)  # for nets that draw while they learn, the same after a stop
        losses.append(update(batch))
        if partner:
            began = time.monotonic()
            partner.step()
            elsewhere += time.monotonic() - began
        run.seconds = ranks.agreed(run.seconds + elsewhere)  # all must see the same end and the same rate
        stepped(run)
        over = run.done >= 1 or enough()
        if run.step % every == 0 or over:
            run.save(source, partner)
            if ranks.first():
                figures = (partner.figures() if partner else {}) | also(run.average)
                tell(report(run, float(torch.stack(losses).mean()), check, figures))
            losses = []
    return run.average


def report(run: Run, loss: float, check: Callable[[nn.Module], float], figures: dict[str, float]) -> dict[str, float]:
    """A line of log.jsonl, written."""
    line = {"step": run.step, "loss": loss, "valid_db": check(run.average), "seconds": round(run.seconds), **figures}
    with (run.folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    return line
