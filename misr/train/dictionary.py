"""How a net of sparse codes learns (misr.nets.sparse): atoms by scikit-learn, what they mean by least squares; no gradients.

The first batches tell by what principal components features are described. To the middle of a run every step gives 256
patches, features beside what the bicubic lacks there, to MiniBatchDictionaryLearning (online learning of Mairal et al., ICML
2009), so that `low` and `high` are learned as one, coupled, as Yang et al. do (TIP 2010; they alternate over all patches at
once). From then on `low` stays, and each step adds 4096 patches to the normal equations of `high` for the codes that `low`
alone gives, as Zeyde et al. do (2010, with the pseudo-inverse). Both halves are logged and kept in the checkpoint like those
of any other run.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from misr.errors import InputError
from misr.nets.sparse import FAINT, PATCH, REACH, Sparse, derivatives, directions, longest_step
from misr.train import ranks
from misr.train.lessons import Lesson
from misr.train.loop import BETA, Run
from misr.train.scenes import Batch

if TYPE_CHECKING:
    from misr.train.fit import Training

JOINT, FITTED = 256, 4096  # patches of a step that learns atoms, and of one that fits what they mean
BEGIN = 8  # batches whose patches tell the principal components
COUPLED = 0.5  # share of a run in which low and high are learned as one
PASSES = (
    50  # of scikit-learn's coordinate descent over the atoms; more changes codes by less than atoms change in a step
)
RIDGE = 1e-4  # of the mean energy of a code: atoms that are never used add nothing
MISSING = 'it learns through scikit-learn: pip install "misr[sparse]"'


def check(wanted: Training) -> None:
    """InputError for what means nothing without gradients, and where scikit-learn is not."""
    meant = {
        f"--labels {wanted.labels}": wanted.labels != "hr",
        f"--loss {wanted.loss}": wanted.loss != "smooth-l1",
        f"--start {wanted.start}": wanted.start,
        f"--rate {wanted.rate:g}": wanted.rate,
        f"--precision {wanted.precision}": wanted.precision == "bf16",
        "--small": wanted.small,
        "--unlabelled": wanted.unlabelled,
    }
    if others := [option for option, given in meant.items() if given]:
        raise InputError(
            f"--net sparse: it learns a dictionary of sharp pictures, not by gradients; leave out {others[0]}"
        )
    if ranks.count() > 1:
        raise InputError("--net sparse: it learns in one process; start it without torchrun")
    try:
        import sklearn.decomposition  # noqa: F401
    except ImportError:
        raise InputError(f"--net sparse: {MISSING}") from None


def lesson(study: Lesson, net: Any, *, seed: int, done: Callable[[], float]) -> Lesson:
    """The same pictures and the same trials, learned from by steps of a Dictionary."""
    atoms = Dictionary(net, seed, done, study.source.draw)
    return replace(study, update=atoms.update, partner=atoms)


class Dictionary:
    """What a net of sparse codes learns with; a loop.Partner by its state, a step of which update() makes.

    more    draws batches like those that update() is given: the first step wants more than one
    """

    def __init__(self, net: Sparse, seed: int, done: Callable[[], float], more: Callable[[], Batch]) -> None:
        self.net, self.seed, self.done, self.more = net, seed, done, more
        self.atoms: Any = None  # scikit-learn's, from the first step on
        self.used: list[float] = []  # atoms of a patch, by step
        self.balance = 0.0  # by what patches are multiplied to weigh as much as features
        k, p = net.high.shape
        self.gram, self.target = torch.zeros(k, k, dtype=torch.float64), torch.zeros(k, p, dtype=torch.float64)

    @torch.no_grad()
    def update(self, run: Run, batch: Batch) -> Tensor:
        """A step: half the mean square over one code value by which the detail of its patches was missed before it."""
        began = time.monotonic()
        if not run.step:
            self.begin([batch, *(self.more() for _ in range(BEGIN - 1))])
        coupled = self.done() < COUPLED
        features, wanted = self.drawn(batch, JOINT if coupled else FITTED, run.step)
        unit, length = directions(features)
        codes = self.net.codes(unit)
        self.used.append(float((codes != 0).sum(1).float().mean()))
        missed = (codes @ self.net.high) * length - wanted
        if coupled:
            self.couple(unit.cpu(), (wanted / length).cpu())
        else:
            self.fit((codes * length).cpu().double(), wanted.cpu().double())
        for ours, average in zip(self.net.state_dict().values(), run.average.state_dict().values(), strict=True):
            average.copy_(ours)
        run.step += 1
        run.seconds += time.monotonic() - began
        return missed.square().mean() / (2 * BETA)

    def begin(self, batches: list[Batch]) -> None:
        """Principal components of the derivatives of all patches, and the first atoms: patches, as Yang et al. have them."""
        pictures = [patches(self.net, rearrange(b.views, "b t c h w -> (b t) c h w")) for b in batches]
        planes = torch.cat(pictures)[:: max(1, sum(map(len, pictures)) // 50_000)]  # (n, 1, k, k) of the bicubic
        seen = derivatives(planes).flatten(1)
        _, axes = torch.linalg.eigh((seen.T @ seen).double())
        k = self.net.look.shape[-1]
        of_each = derivatives(torch.eye(k * k, device=seen.device).reshape(-1, 1, k, k)).flatten(1)  # of a lone pixel
        look = axes[:, -len(self.net.look) :].flip(1).float().T @ of_each.T
        self.net.look.copy_(look.reshape(self.net.look.shape))
        features, wanted = (
            torch.cat(x) for x in zip(*(self.drawn(b, FITTED, n) for n, b in enumerate(batches)), strict=True)
        )
        unit, length = directions(features)
        self.balance = 1 / float((wanted / length).square().sum(1).mean().sqrt().clamp(min=1e-6))
        self.make(self.joint(unit, wanted / length).cpu())

    def make(self, some: Tensor) -> None:
        """scikit-learn's part, its atoms the first of some joint patches, of unit length."""
        from sklearn.decomposition import MiniBatchDictionaryLearning

        if len(some) < len(self.net.low):
            raise InputError(
                f"--net sparse: there are {len(some)} patches with detail to begin {len(self.net.low)} atoms with; "
                "add pictures, or give --option atoms=64"
            )
        draw = np.random.RandomState(self.seed)  # the kind that scikit-learn takes
        first = torch.nn.functional.normalize(some[draw.permutation(len(some))[: len(self.net.low)]], dim=1)
        self.atoms = MiniBatchDictionaryLearning(
            len(first), alpha=self.net.sparsity, batch_size=JOINT, fit_algorithm="cd", transform_max_iter=PASSES,
            dict_init=first.numpy(), random_state=draw,
        )  # fmt: skip

    def joint(self, unit: Tensor, wanted: Tensor) -> Tensor:
        """Features and detail of patches as one vector of unit length on average, both weighing the same."""
        return torch.cat([unit, self.balance * wanted], 1) / 2**0.5

    def couple(self, unit: Tensor, wanted: Tensor) -> None:
        """A step of scikit-learn's, and its atoms as low and high."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # codes need not converge in a step
            self.atoms.partial_fit(self.joint(unit, wanted).numpy())
        made = torch.from_numpy(np.ascontiguousarray(self.atoms.components_)).to(self.net.low)
        low, high = made.split([self.net.low.shape[1], self.net.high.shape[1]], 1)
        length = torch.linalg.vector_norm(low, dim=1, keepdim=True).clamp(min=1e-3)
        self.net.low.copy_(low / length)
        self.net.high.copy_(high / length / self.balance)
        self.net.pace.copy_(longest_step(self.net.low))

    def fit(self, codes: Tensor, wanted: Tensor) -> None:
        """Patches added to the normal equations, and `high` from all of them."""
        self.gram += codes.T @ codes
        self.target += codes.T @ wanted
        ridge = RIDGE * self.gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(self.gram), dtype=torch.float64)
        self.net.high.copy_(torch.linalg.solve(self.gram + ridge, self.target).float())

    def drawn(self, batch: Batch, n: int, step: int) -> tuple[Tensor, Tensor]:
        """Up to n patches of a batch that are not flat: features (n, f), and what the bicubic lacks there (n, 3 s * 3 s)."""
        views, sharp = (rearrange(x, "b t c h w -> (b t) c h w") for x in (batch.views, batch.sharp))
        base, seen = self.net.seen(views)
        features = rearrange(seen[..., 1:-1, 1:-1], "n f h w -> (n h w) f")[self.inside(views)]
        side, s = PATCH * self.net.scale, self.net.scale
        lacks = torch.nn.functional.unfold(sharp - base, side, stride=s)
        lacks = rearrange(lacks, "n p l -> (n l) p")
        rich = (torch.linalg.vector_norm(features, dim=1) > FAINT).nonzero()[:, 0].cpu()
        order = torch.randperm(len(rich), generator=torch.Generator().manual_seed(self.seed * 1_000_003 + step))
        taken = rich[order[:n]].to(features.device)
        return features[taken], lacks[taken]

    def inside(self, views: Tensor) -> Tensor:
        """Which patches (n * h * w) of pictures do not reach beyond them."""
        n, _, h, w = views.shape
        whole = torch.zeros(n, h, w, dtype=torch.bool, device=views.device)
        whole[:, 1:-1, 1:-1] = True
        return whole.flatten()

    def step(self) -> None:
        """Nothing: update() has learned from the batch."""

    def figures(self) -> dict[str, float]:
        """How many atoms a patch is a sum of, on average over the steps since last asked."""
        used, self.used = self.used, []
        return {"atoms": round(sum(used) / max(1, len(used)), 1)}

    def state(self) -> dict[str, Any]:
        """The normal equations, and all that scikit-learn's part has learned."""
        kept: dict[str, Any] = {"gram": self.gram, "target": self.target, "balance": self.balance, "atoms": None}
        if self.atoms is not None:
            kept["atoms"] = {name: plain(value) for name, value in vars(self.atoms).items()}
        return kept

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where state() was taken."""
        self.gram, self.target, self.balance = state["gram"].cpu(), state["target"].cpu(), state["balance"]
        if state["atoms"] is None:
            return
        self.make(torch.eye(len(self.net.low)))
        for name, value in state["atoms"].items():
            if isinstance(value, list):
                self.atoms.random_state.set_state([v.cpu().numpy() if isinstance(v, Tensor) else v for v in value])
                setattr(self.atoms, name, self.atoms.random_state)
            else:
                setattr(self.atoms, name, value.cpu().numpy() if isinstance(value, Tensor) else value)


def plain(value: Any) -> Any:
    """What scikit-learn keeps as a checkpoint does: arrays as tensors of the same order in memory, generators as lists."""
    if isinstance(value, np.random.RandomState):
        return [torch.from_numpy(v.astype(np.int64)) if isinstance(v, np.ndarray) else v for v in value.get_state()]
    return torch.from_numpy(value.copy(order="K")) if isinstance(value, np.ndarray) else value


def patches(net: Sparse, views: Tensor) -> Tensor:
    """All patches of the bicubic of pictures (n, 1, h, w) that lie inside, with what their derivatives see: (m, 1, k, k)."""
    k, s = net.look.shape[-1], net.scale
    found = torch.nn.functional.unfold(net.seen(views)[0][..., s - REACH :, s - REACH :], k, stride=s)
    return rearrange(found, "n (y x) l -> (n l) 1 y x", y=k)
