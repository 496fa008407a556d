"""Nets that tell made pictures from true ones, and learn to while another net learns to deceive them.

Goodfellow et al., NIPS 2014; for super-resolution SRGAN, Ledig et al., CVPR 2017. All run in float32 and take batch statistics
for their norms, always: a batch of made pictures and a batch of true ones go through apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.errors import InputError
from misr.train import ranks
from misr.train.losses import Kind, Objective

SLOPE = 0.2  # of leaky ReLUs below zero, as in both papers
WIDTH = 64  # of SRGAN's discriminator
RATE, LATER = 1e-4, 1e-5  # of Adam, beta 0.9 and 0.999, to the middle of a run and from there on, as published
TRUE = 0.9  # how sure of a true picture it may become: one-sided smoothing (Salimans et al., NIPS 2016), not in SRGAN


class Discriminator(nn.Module):
    """SRGAN's: eight convolutions 3x3 from 64 to 512 channels, every second one halves the grid, then dense 1024 and 1.

    In front of the dense layers the map is averaged to 6x6, which it is for the paper's pictures of 96x96, so that any
    size can be judged; SRGAN's last sigmoid is left to the loss.

    channels    of what is judged: 1 of luma, those of a layer of features
    width       channels of the first layer, 64 as published; all others go with it
    """

    def __init__(self, channels: int = 1, width: int = WIDTH) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
        wide = width
        for times, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            parts += stage(nn.Conv2d(wide, times * width, 3, stride, 1, bias=False))
            wide = times * width
        self.layers = nn.Sequential(*parts)
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(36 * wide, 16 * width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(16 * width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, 1), above 0 for what looks true, of x (b, channels, h, w) of any size.

        InputError for one picture of 16x16 or less, in which a batch norm sees no spread.
        """
        b, _, h, w = x.shape
        if b == 1 and max(h, w) <= 16:
            raise InputError(
                f"a discriminator cannot judge one picture of {w}x{h} at a time; give more --frames, or a larger --crop"
            )
        out: Tensor = self.dense(self.layers(x))
        return out


class Patches(nn.Module):
    """A PatchGAN, of Isola et al., CVPR 2017: five convolutions 4x4, one logit for every patch.

    channels    of what is judged
    width       channels of the first layer, 64 as published; then 2, 4 and 8 times as many
    stride      of the first three layers: 2, as published, for patches of 70x70; 1 for patches of 16x16
    norm        the batch norms, as published. They bring true and made pictures to one mean and spread, layer by layer,
                so that what both have everywhere, as noise, can hardly be told any more
    """

    def __init__(self, channels: int = 1, width: int = 64, stride: int = 2, *, norm: bool = True) -> None:
        super().__init__()
        self.least = 24 if stride == 2 else 6  # pixels along a side that leave one logit
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride, 1),
            nn.LeakyReLU(SLOPE),
            *stage(nn.Conv2d(width, 2 * width, 4, stride, 1, bias=not norm), norm=norm),
            *stage(nn.Conv2d(2 * width, 4 * width, 4, stride, 1, bias=not norm), norm=norm),
            *stage(nn.Conv2d(4 * width, 8 * width, 4, 1, 1, bias=not norm), norm=norm),
            nn.Conv2d(8 * width, 1, 4, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, 1, h', w'), above 0 where a patch of x (b, channels, h, w) looks true.

        InputError for a picture that is too small to have a patch.
        """
        h, w = x.shape[-2:]
        if min(h, w) < self.least:
            raise InputError(
                f"a picture of {w}x{h} is too small for a discriminator of patches, which wants {self.least} pixels; "
                "give a larger --crop"
            )
        out: Tensor = self.layers(x)
        return out


def stage(convolution: nn.Conv2d, *, norm: bool = True) -> list[nn.Module]:
    """A convolution with its batch norm, which keeps no running mean, and its leaky ReLU."""
    norms = [nn.BatchNorm2d(convolution.out_channels, track_running_stats=False)] if norm else []
    return [convolution, *norms, nn.LeakyReLU(SLOPE)]


class Judge:
    """A discriminator, and how it learns: by Adam from the pictures it was asked about last and the truth, after each step.

    As a term of a loss it is SRGAN's -log D(made), the mean over the batch; it lets gradients through to what is made and takes
    none. Not of SRGAN: what is called true counts as 0.9, and a gradient that is no number moves nothing. There is no
    clipping. Of several processes each has the same weights, and learns by the mean of their gradients.

    reach    what pictures are multiplied by, and added to, before they are judged: those from 0 to 1 go from -1 to 1
    """

    def __init__(self, net: nn.Module, *, reach: tuple[float, float] = (1.0, 0.0)) -> None:
        self.net, self.reach = net.requires_grad_(False), reach
        self.optimiser = torch.optim.Adam(net.parameters(), RATE)
        self.asked: tuple[Tensor, Tensor] | None = None
        self.sums, self.count = torch.zeros(3), 0
        ranks.alike(list(net.parameters()))

    def __call__(self, made: Tensor, truth: Tensor) -> Tensor:
        """How little pictures or maps (b, c, h, w) deceive: -log of what they are taken for, a number from 0 up, float32."""
        self.asked = made.detach(), truth.detach()
        with torch.autocast(made.device.type, enabled=False):
            return called(self.logits(made), 1.0)

    def logits(self, x: Tensor) -> Tensor:
        """What the discriminator says of a batch, in float32."""
        times, plus = self.reach
        out: Tensor = self.net(x.float() * times + plus)
        return out

    def step(self, rate: float = RATE) -> None:
        """Learn to tell what it was asked about last from the truth: the sum of both cross entropies, in float32."""
        assert self.asked is not None, "a judge that nobody asked"
        self.optimiser.param_groups[0]["lr"] = rate
        made, truth = self.asked
        self.net.requires_grad_(True)
        with torch.autocast(made.device.type, enabled=False):
            fake, real = self.logits(made), self.logits(truth)
            loss = called(real, TRUE) + called(fake, 0.0)
            loss.backward()
        moved(self.optimiser)
        self.net.requires_grad_(False)
        told = torch.stack([loss, real.sigmoid().mean(), fake.sigmoid().mean()]).detach()
        self.sums, self.count, self.asked = self.sums.to(told.device) + told, self.count + 1, None

    def figures(self) -> dict[str, float]:
        """Means since last asked: its loss, and how sure it is of true and of made pictures that they are true, 0 to 1."""
        loss, real, fake = (float(x) / max(1, self.count) for x in self.sums)
        self.sums, self.count = torch.zeros(3), 0
        return {"d_loss": loss, "d_real": real, "d_fake": fake}


def moved(optimiser: torch.optim.Optimizer) -> None:
    """A step along the gradients there are, the mean over all processes, none where one is no number; then there are none."""
    found = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
    ranks.average(found)
    if found and torch.stack(torch._foreach_norm(found)).isfinite().all():
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def called(logits: Tensor, truth: float) -> Tensor:
    """Mean cross entropy of logits with one label, 0 made to 1 true: of 1, -log sigmoid; of 0, -log(1 - sigmoid)."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))


@dataclass(frozen=True, slots=True)
class Adversary:
    """The partner of a net that learns by adversarial terms: a judge for each, by the term's name."""

    judges: Mapping[str, Judge]
    done: Callable[[], float] = lambda: 0.0  # how much of the run is behind

    def step(self) -> None:
        """Let each judge learn."""
        for judge in self.judges.values():
            judge.step(RATE if self.done() < 0.5 else LATER)

    def state(self) -> dict[str, Any]:
        """Weights and optimisers."""
        return {
            name: {"net": judge.net.state_dict(), "optimiser": judge.optimiser.state_dict()}
            for name, judge in self.judges.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where state() was taken."""
        for name, judge in self.judges.items():
            judge.net.load_state_dict(state[name]["net"])
            judge.optimiser.load_state_dict(state[name]["optimiser"])

    def figures(self) -> dict[str, float]:
        """What each judge says of itself; of features with feature_ before it."""
        found: dict[str, float] = {}
        for name, judge in self.judges.items():
            before = "feature_" if name == "feature-adversarial" else ""
            found |= {f"{before}{word}": value for word, value in judge.figures().items()}
        return found


def met(
    kind: Objective,
    device: torch.device,
    *,
    seed: int = 0,
    width: int | None = None,
    done: Callable[[], float] = lambda: 0.0,
) -> tuple[Objective, Adversary | None]:
    """A sum whose adversarial terms have judges, of fresh weights by the seed, and their partner; None without such terms.

    kind     bound to features already where it sees any; a layer's maps are judged as pictures are, as by SRFeat (Park et al.,
             ECCV 2018), whose weights for both are 1e-3 beside content
    width    channels of the discriminators' first layers, SRGAN's 64 by default
    done()   says how much of the run is behind
    """
    judges: dict[str, Judge] = {}
    for n, term in enumerate(kind.judged):
        channels = kind.features.channels(term.layers[0]) if kind.features and term.layers else 1
        with torch.random.fork_rng(devices=[]):  # so that what learns next draws as it would without
            torch.manual_seed(seed + n)
            net = Discriminator(channels, width or WIDTH)
        judges[term.name] = Judge(net.to(device), reach=(1.0, 0.0) if term.layers else (2.0, -1.0))
    return replace(kind, judges=judges), Adversary(judges, done) if judges else None


def check(kind: Kind, told: str, width: int | None) -> None:
    """Refuse a width of discriminators that cannot be, or that none has; told is what --loss says."""
    if width is None:
        return
    if not (isinstance(kind, Objective) and kind.judged):
        raise InputError(f"--discriminator {width}: no term of --loss {told!r} asks one; add adversarial")
    if width < 1:
        raise InputError(f"--discriminator {width}: at least 1 channel is wanted; leave it out for {WIDTH}")
