"""A trained net as a model directory that `misr upscale -m` takes: card.json, weights, the log and a plot of the run."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from misr.card import ModelCard
from misr.train import plot

CHUNK = (4, 16, 0)  # before, emit, after of nets that go through a window view by view


def shape(net: nn.Module) -> tuple[int, int, int]:
    """How many views before, for and after the centres a net is given."""
    return CHUNK if hasattr(net, "unroll") else (0, 1, 0)


def export(net: nn.Module, card: ModelCard, folder: Path) -> ModelCard:
    """Write a net's weights and its card; the card, with the weights' sha256."""
    return write({k: v.detach().float().cpu().contiguous() for k, v in net.state_dict().items()}, card, folder)


def write(weights: dict[str, torch.Tensor], card: ModelCard, folder: Path) -> ModelCard:
    """Write weights and card, each under its name only when whole; the card, with the weights' sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / ".weights.part"
    part.write_bytes(save(weights))  # save_file() makes a file that nobody else may read
    card = with_sha(card, part)
    part.replace(folder / "weights.safetensors")
    told = folder / ".card.part"
    card.write(told)
    os.replace(told, folder / "card.json")
    return card


def with_sha(card: ModelCard, weights: Path) -> ModelCard:
    """The card of these weights."""
    return replace(card, sha256=hashlib.sha256(weights.read_bytes()).hexdigest())


def history(run: Path) -> list[dict[str, float]]:
    """The lines of a run's log; of steps that a resumed run made again, the later line."""
    try:
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    return list({line["step"]: line for line in lines}.values())


def tell(run: Path, folder: Path, *, baseline_db: float) -> None:
    """The log and the plot, in the run's folder and beside the weights."""
    lines = history(run)
    if lines:
        plot.draw(lines, run / "plot.png", baseline_db=baseline_db, name=folder.name)
        for name in ("log.jsonl", "plot.png"):
            (folder / name).write_bytes((run / name).read_bytes())


@torch.no_grad()
def precisions(net: nn.Module, views: torch.Tensor, *, most_off: float = 1.5 / 255) -> tuple[str, ...]:
    """Those in which pictures of views (1, t, 1, h, w) stay within `most_off` (rms) of fp32's; fp16 is tried on GPUs alone."""
    valid, kind = views.new_ones(1, views.shape[1], 1, 1, 1), views.device.type
    exact = net(views, valid, range(views.shape[1])).float()
    good = ["fp32"]
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if name == "fp16" and kind == "cpu":
            continue
        with torch.autocast(kind, dtype=dtype):
            off = net(views, valid, range(views.shape[1])).float() - exact
        if off.square().mean().sqrt() < most_off:
            good.append(name)
    return tuple(good)
