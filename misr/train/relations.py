"""A handful of pairs, helped by many made ones that are like them: DRTL (Li et al., arXiv 2111.13078, 2021).

A distortion relation network tells what was done to a picture as a unit vector. A memory bank holds one for each of many
auxiliary tasks: kinds and strengths of blur, noise and JPEG, made of clean pictures. Cosine similarities between the
few pairs and the bank are the relations; they weigh the gradients of the tasks where the net learns from those, before
and while it learns from the pairs.

Followed, as far as its abstract tells: the few pairs as target task and synthetic distortions as auxiliary ones, a graph
of relations between them, gradients weighed by relations, transfer by pre-training. The paper's networks, tasks and numbers
were not at hand; that there is a memory bank and that cosines compare are from memory; its way by meta-learning is left out.
Ours are: the tasks; that the network sees the small picture beside what antialiased bicubic would have made of the sharp
one, as pairs have both; that it learns to tell the tasks apart by a softmax of cosines, and their blur, noise and JPEG each;
that relations are this softmax; and that a task is drawn as often as its relation says, which weighs its gradient in the
mean as a factor would, and spends no batch on tasks that count nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from misr.errors import InputError
from misr.train import ranks
from misr.train.data import Material, Twin
from misr.train.degrade import Plane, imaged, jpeg, noisy, rounded
from misr.train.features import EACH, FLAT, place
from misr.train.footage import Footage
from misr.train.loop import Source
from misr.train.scenes import Batch

BLURS = (0.0, 0.5, 0.8, 1.2)  # sigma in small pixels of a Gaussian before the pixel's box; 0: antialiased bicubic
NOISES = (0.0, 3.0, 8.0, 16.0)  # code values
QUALITIES = (0, 75, 45, 25)  # of JPEG; 0: none
FILE = "relations.safetensors"
SIDE, MARGIN = (
    32,
    8,
)  # small pixels of a crop that the network sees, and around it, where making it needs neighbours; of JPEG's 8
STEPS, CROPS, RATE = 600, 64, 2e-3
WIDE = 32  # numbers of an embedding
HEAT = 0.1  # of the softmax over cosines
TOLD = 4  # tasks in a sentence
KEPT = 16  # crops of a task in the bank
ALONE = 0.4  # share of a run in which the auxiliary tasks are learned from alone
PAIRS = 0.7  # share of batches of pairs after that


@dataclass(frozen=True, slots=True)
class Task:
    """What is done to a sharp picture: blur (sigma, small pixels), noise (sigma, code values) and JPEG (quality), 0: none."""

    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0

    def __str__(self) -> str:
        """In words."""
        parts = [f"blur {self.blur:g}"] if self.blur else []
        parts += [f"noise {self.noise:g}"] if self.noise else []
        parts += [f"JPEG {self.quality}"] if self.quality else []
        return ", ".join(parts) or "clean"


SORTS = torch.tensor(list(product(*(range(len(x)) for x in (BLURS, NOISES, QUALITIES))))).T  # (3, tasks)
TASKS = tuple(Task(*it) for it in product(BLURS, NOISES, QUALITIES))


class Relating(nn.Module):
    """The distortion relation network: unit vectors (b, WIDE) of small pictures and what bicubic makes of the sharp ones."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for wide, width, pool in ((2, 16, False), (16, 16, True), (16, 32, True), (32, 64, False)):
            parts += [nn.Conv2d(wide, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            parts += [nn.MaxPool2d(2)] if pool else []
        self.maps = nn.Sequential(*parts)
        self.out = nn.Linear(64, WIDE)

    def forward(self, small: Tensor, clean: Tensor) -> Tensor:
        """Of planes (b, 1, h, w), code values / 255; the difference is shown in eighths of code values' range."""
        x = torch.cat([2 * small - 1, 8 * (small - clean)], 1)
        return F.normalize(self.out(self.maps(x).mean((-2, -1))), dim=1)


def distorted(sharp: Sequence[Plane], tasks: Sequence[Task], scale: int, rng: np.random.Generator) -> list[Plane]:
    """Small planes (h, w) of sharp ones (s*h, s*w) of one size, each after its task: blur and shrinking, noise, JPEG."""
    small: list[Any] = [None] * len(sharp)
    for blur in {task.blur for task in tasks}:
        those = [n for n, task in enumerate(tasks) if task.blur == blur]
        seen = imaged(torch.from_numpy(np.stack([sharp[n] for n in those]))[:, None].float(), scale, blur)
        for n, plane in zip(those, seen, strict=True):
            small[n] = rounded(plane[0])
    for n, task in enumerate(tasks):
        if task.noise:
            small[n] = noisy(small[n], task.noise, rng)
        if task.quality:
            small[n] = jpeg(np.ascontiguousarray(small[n]), task.quality)
    return small


def piece(planes: Sequence[Plane], side: int, rng: np.random.Generator) -> Plane:
    """A square piece of a plane, of somewhere with detail if there is any, flipped and turned by chance."""
    found = place(planes, side, rng)
    way = int(rng.integers(8))
    found = found.T if way & 4 else found
    return np.ascontiguousarray(found[:: -1 if way & 1 else 1, :: -1 if way & 2 else 1])


def shown(
    planes: Sequence[Plane], tasks: Sequence[Task], scale: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """What the network sees of each task: small crops (n, 1, SIDE, SIDE) and bicubic's, in [0, 1]."""
    sharp = [piece(planes, scale * (SIDE + 2 * MARGIN), rng) for _ in tasks]
    both = distorted(sharp, tasks, scale, rng), distorted(sharp, [Task()] * len(tasks), scale, rng)
    small, clean = (
        torch.from_numpy(np.stack(side))[:, None, MARGIN:-MARGIN, MARGIN:-MARGIN].float() / 255 for side in both
    )
    return small, clean


def begun(seed: int) -> tuple[Relating, nn.Parameter]:
    """The network, and a vector for each task, before they have learned; what learns next draws as it would without."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Relating(), nn.Parameter(torch.randn(len(TASKS), WIDE))


def learned(
    planes: Sequence[Plane], judges: Sequence[Plane], scale: int, seed: int, say: Callable[[str], None]
) -> tuple[Relating, Tensor]:
    """A network that tells TASKS apart, and the bank (tasks, WIDE): what it says of each, a unit vector."""
    rng = np.random.default_rng(seed)
    net, kinds = begun(seed)
    optimiser = torch.optim.AdamW([*net.parameters(), kinds], RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    order = np.arange(0)
    for _ in range(STEPS):
        if len(order) < CROPS:
            order = np.concatenate([order, *(rng.permutation(len(TASKS)) for _ in range(-(-CROPS // len(TASKS))))])
        now, order = order[:CROPS], order[CROPS:]
        logits = net(*shown(planes, [TASKS[n] for n in now], scale, rng)) @ F.normalize(kinds, dim=1).T / HEAT
        optimiser.zero_grad(set_to_none=True)
        apart(logits, torch.from_numpy(now)).backward()
        optimiser.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        bank = torch.stack([net(*shown(planes, [task] * KEPT, scale, rng)).mean(0) for task in TASKS])
        bank = F.normalize(bank, dim=1)
        if judges:
            right = np.zeros(3)
            rng = np.random.default_rng(7)
            for task in TASKS:
                for found in (net(*shown(judges, [task] * 2, scale, rng)) @ bank.T).argmax(1):
                    other = TASKS[int(found)]
                    right += [other.blur == task.blur, other.noise == task.noise, other.quality == task.quality]
            blur, noise, quality = right / (2 * len(TASKS))
            say(
                f"relations: on crops not seen right on blur {blur:.0%}, noise {noise:.0%}, JPEG {quality:.0%}; 25% is chance"
            )
    return net, bank


def apart(logits: Tensor, now: Tensor) -> Tensor:
    """How badly tasks are told apart by logits (b, tasks), in nats: of the task, and of its blur, noise and JPEG alone."""
    loss = F.cross_entropy(logits, now)
    for of in range(3):
        kind = SORTS[of]
        groups = torch.stack([logits[:, kind == k].logsumexp(1) for k in range(int(kind.max()) + 1)], 1)
        loss = loss + F.cross_entropy(groups, kind[now])
    return loss


@torch.no_grad()
def related(net: Relating, bank: Tensor, twins: Sequence[Twin]) -> Tensor:
    """How much each task counts (tasks,), summing to one: a softmax of cosines, of each pair's mean vector; mean over pairs."""
    found = []
    for twin in twins:
        scale = twin.sharp.shape[0] // twin.small.shape[0]
        clean = rounded(imaged(torch.from_numpy(twin.sharp.copy())[None, None].float(), scale, 0.0)[0, 0])
        small, wide = min(twin.small.shape), SIDE
        step = min(wide, small)
        h, w = twin.small.shape
        crops = [
            tuple(torch.from_numpy(p[y : y + step, x : x + step].copy()).float() / 255 for p in (twin.small, clean))
            for y in range(0, h - step + 1, step)
            for x in range(0, w - step + 1, step)
            if clean[y : y + step, x : x + step].std() >= FLAT
        ]
        if crops:
            a, b = (torch.stack(side)[:, None] for side in zip(*crops, strict=True))
            mean = F.normalize(net(a, b).mean(0), dim=0)
            found.append(torch.softmax(bank @ mean / HEAT, 0))
    if not found:
        return torch.full((len(bank),), 1 / len(bank))
    return torch.stack(found).mean(0)


def shares(found: Footage, folder: Path, *, seed: int, say: Callable[[str], None] = lambda line: None) -> Tensor:
    """How much each task counts for the pairs that are learned from, by the network and the bank of the run's folder."""
    twins = found.twins[0]
    scale = twins[0].sharp.shape[0] // twins[0].small.shape[0]
    return related(*own(found.material, folder, scale, seed=seed, say=say), twins)


def own(
    material: Material, folder: Path, scale: int, *, seed: int, say: Callable[[str], None] = lambda line: None
) -> tuple[Relating, Tensor]:
    """The network and the bank that a run keeps in its folder; where it has none yet, they learn on clean pictures.

    Same material and seed, same bank. InputError where no picture is large enough. Of several processes the first learns.
    """
    path = folder / FILE
    if ranks.first() and not path.is_file():
        say(f"--auxiliary: a small network learns to tell {len(TASKS)} distortions apart, a minute or so")
        judges = [p for p in material.valid_stills if min(p.shape) >= scale * (SIDE + 2 * MARGIN)]
        net, bank = learned(clean(material, scale, SIDE), judges, scale, seed, say)
        part = path.with_suffix(".part")
        save_file({"bank": bank.contiguous()} | {f"net.{k}": v.contiguous() for k, v in net.state_dict().items()}, part)
        part.replace(path)
    ranks.agreed(0)  # the others wait for the file
    kept = load_file(path)
    net, _ = begun(seed)
    net.load_state_dict({k.removeprefix("net."): v for k, v in kept.items() if k != "bank"})
    return net.eval(), kept["bank"]


def clean(material: Material, scale: int, crop: int) -> list[Plane]:
    """Clean pictures, stills and every eighth frame of clips, large enough for crops; InputError where none is."""
    side = scale * (crop + 2 * MARGIN)
    planes = [*material.stills, *(frame for clip in material.clips for frame in clip[::EACH])]
    if not (planes := [p for p in planes if min(p.shape) >= side]):
        raise InputError(
            f"--auxiliary: no picture has {side} pixels along its short side; give larger ones, or a smaller --crop"
        )
    return planes


@dataclass(slots=True)
class Auxiliary:
    """Crops of clean pictures, each after a task that is drawn as often as `shares` (tasks,) says."""

    planes: Sequence[Plane]
    shares: Tensor
    scale: int
    crop: int
    frames: int
    device: torch.device
    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """Dice of its own."""
        self.rng = np.random.default_rng(self.seed)

    def draw(self) -> Batch:
        """The next batch."""
        weights = self.shares.double().numpy()
        chosen = self.rng.choice(len(TASKS), self.frames, p=weights / weights.sum())
        m, s = MARGIN, self.scale
        sharp = [piece(self.planes, s * (self.crop + 2 * m), self.rng) for _ in chosen]
        small = np.stack(distorted(sharp, [TASKS[n] for n in chosen], s, self.rng))[:, None, None, m:-m, m:-m]
        large = np.stack(sharp)[:, None, None, s * m : -s * m, s * m : -s * m]
        views, wanted = (torch.from_numpy(x).to(self.device).float() / 255 for x in (small, large))
        return Batch(views, wanted)

    def state(self) -> Any:
        """What restore() needs to draw the same batches again."""
        return self.rng.bit_generator.state

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        self.rng.bit_generator.state = state


@dataclass(slots=True)
class Transfer:
    """Auxiliary tasks alone for the first part of a run, then these and the few pairs, by turns; done() says how far it is."""

    auxiliary: Source
    pairs: Source
    done: Callable[[], float]
    owed: float = 0.0

    def draw(self) -> Any:
        """The next batch."""
        self.owed += PAIRS if self.done() >= ALONE else 0.0
        if self.owed < 1:
            return self.auxiliary.draw()
        self.owed -= 1
        return self.pairs.draw()

    def state(self) -> Any:
        """What restore() needs."""
        return {"owed": self.owed, "auxiliary": self.auxiliary.state(), "pairs": self.pairs.state()}

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        self.owed = state["owed"]
        self.auxiliary.restore(state["auxiliary"])
        self.pairs.restore(state["pairs"])


def words(shares: Tensor) -> str:
    """The tasks that count most, with their shares, in a sentence."""
    most = shares.argsort(descending=True, stable=True)[:TOLD]
    named = "; ".join(f"{TASKS[int(n)]} {float(shares[n]):.0%}" for n in most)
    return f"of the auxiliary tasks most like the pairs: {named}"
