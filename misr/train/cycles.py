"""CinCGAN: learning from small noisy pictures and sharp ones that have nothing to do with them (Yuan et al., CVPRW 2018).

The inner cycle learns to clean: G1 maps a noisy x to what D1 takes for a clean small picture, G2 maps that back to x, and a clean
y is to stay as it is. The outer cycle learns to enlarge what was cleaned: D2 tells its pictures from sharp ones, G3 makes them
small and noisy again, and y, shrunk from a sharp z, is to become z. A model that enlarges clean pictures is there before. The
net that is kept, a nets.Cincgan, is G1 and the enlarger; all else is its partner in learning.

As published, by memory of the paper and by code that others wrote after it: the terms, with least squares in place of cross
entropy (Mao et al., ICCV 2017); first the inner cycle alone, then all; D1 without strides, for patches of 16x16, D2 for 70x70;
Adam at betas 0.5 and 0.999 for all that is not kept.

Ours, by trials on training photographs unless another reason is given:
- identity weighs 20 in the inner cycle and 250 in the outer one. Others have 5 in both, beside 10 for the cycles and 0.5 and 2
  for variation, as here; in what unit pictures are is not told. With 5, from 0 to 1, clean pictures lost 5 dB in 250 steps
- D1 and D2 see detail alone, as in DSGAN (Fritsche et al., ICCVW 2019): of whole pictures D1 knew nothing after 240 steps. They
  have no batch norms, which bring a batch with noise and one without to the same spread; this for its reason, untried
- RATE, of runs that are a thousandth of the paper's 400,000 steps
- total variation without a square, both cycles in one sum, misr's optimiser for what is kept and its schedule for all, luma
  alone: to have one way for each of these in misr
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets.cincgan import Cincgan, Cleaner, backs
from misr.resample import resample
from misr.train import alone, footage, losses, ranks, valid
from misr.train.adversary import WIDTH, Patches, moved
from misr.train.data import Sampler, pairs
from misr.train.footage import Footage
from misr.train.lessons import Lesson, single
from misr.train.loop import Source, rate
from misr.train.sources import Crops

if TYPE_CHECKING:
    from misr.train.fit import Training
    from misr.train.loop import Recipe, Run

NET = "cincgan"
INNER = 0.45  # of a run, in which the inner cycle learns alone
WEIGHTS = {"cycle_lr": 10.0, "identity_lr": 20.0, "tv_lr": 0.5, "cycle_hr": 10.0, "identity_hr": 250.0, "tv_hr": 2.0}
DETAIL, AROUND = 8.0, 2  # how much judges magnify what is finer than a square, and how far that reaches from its middle
RATE = 5e-4  # of the partner's Adam at its height; the paper's is 2e-4, for 400,000 steps
BETAS = (0.5, 0.999)


@dataclass(frozen=True, slots=True)
class Apart:
    """Crops in [0, 1]: noisy (b, 1, h, w), and of other pictures clean (b, 1, h, w), shrunk from sharp (b, 1, s*h, s*w)."""

    noisy: Tensor
    clean: Tensor
    sharp: Tensor


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A source of both: noisy crops, and sharp ones with what they are when shrunk."""

    noisy: Source
    clean: Source

    def draw(self) -> Apart:
        """The next batch."""
        noisy, clean = self.noisy.draw(), self.clean.draw()
        return Apart(noisy.views[:, 0], clean.views[:, 0], clean.sharp[:, 0])

    def state(self) -> Any:
        """What restore() needs to draw the same batches again."""
        return [self.noisy.state(), self.clean.state()]

    def restore(self, state: Any) -> None:
        """Go on from where state() was taken."""
        self.noisy.restore(state[0])
        self.clean.restore(state[1])


class Shrinker(Cleaner):
    """G3: from pictures (n, 1, s*h, s*w) to small ones (n, 1, h, w), float32; it begins as the antialiased bicubic.

    As published, the second and the third convolution step over the grid; theirs are 3x3, these lie evenly about its cells.
    """

    def __init__(self, scale: int, *, width: int, blocks: int) -> None:
        super().__init__(width=width, blocks=blocks)
        self.scale = scale
        for layer, step in {2: [(2, 2)], 3: [(2, 3)], 4: [(1, 2), (2, 2)]}[scale]:
            self.head[layer] = nn.Conv2d(width, width, step + 2, step, 1)

    def base(self, x: Tensor) -> Tensor:
        """What is added to: the picture made small."""
        return resample(x.float(), (x.shape[-2] // self.scale, x.shape[-1] // self.scale))


class Cycles:
    """What learns beside a Cincgan, G2, G3, D1 and D2, and by what it learns itself; a loop's Partner.

    G2 and G3 are of the sizes of the net's front. They learn down the same loss; D1 and D2 after it, from the same pictures.
    Of several processes each has the same weights, and learns by the mean of their gradients; one that is no number moves
    nothing.

    width     channels of D1's and D2's first layers
    done()    says how much of the run is behind; recipe: the schedule that rates follow
    """

    def __init__(
        self,
        net: Cincgan,
        device: torch.device,
        *,
        recipe: Recipe,
        width: int = WIDTH,
        seed: int = 0,
        done: Callable[[], float],
    ) -> None:
        sizes = {"width": net.front.last.in_channels, "blocks": len(net.front.blocks)}
        with torch.random.fork_rng(devices=[]):  # so that what learns next draws as it would without
            torch.manual_seed(seed)
            made = {"g2": Cleaner(**sizes), "g3": Shrinker(net.scale, **sizes)}
            judging = {"d1": Patches(1, width, stride=1, norm=False), "d2": Patches(1, width, norm=False)}
        both = (nn.ModuleDict(part) for part in (made, judging))
        self.made, self.judging = (part.to(device, memory_format=torch.channels_last) for part in both)  # type: ignore[call-overload]
        self.judging.requires_grad_(False)
        self.optimisers = [torch.optim.Adam(part.parameters(), RATE, BETAS) for part in (self.made, self.judging)]
        self.recipe, self.done, self.steps = recipe, done, 0
        self.asked: dict[str, tuple[Tensor, Tensor]] = {}
        self.sums: dict[str, list[Tensor]] = {}
        ranks.alike([*self.made.parameters(), *self.judging.parameters()])

    def loss(self, net: nn.Module, batch: Apart, squares: bool) -> Tensor:
        """The sum of all terms, a number in float32; in the first INNER of a run those of the inner cycle alone."""
        it = cast(Cincgan, net)
        self.made.zero_grad(set_to_none=True)
        clean = it.front(batch.noisy)
        self.asked = {"d1": (clean.detach(), batch.clean)}
        terms = self.inner(it, batch, clean)
        if self.done() >= INNER:
            large = it.enlarged(clean)
            self.asked["d2"] = large.detach(), batch.sharp
            terms |= self.outer(it, batch, large)
        terms = {name: WEIGHTS.get(name, 1.0) * value for name, value in terms.items()}
        self.tell(terms)
        return torch.stack(list(terms.values())).sum()

    def inner(self, net: Cincgan, batch: Apart, clean: Tensor) -> dict[str, Tensor]:
        """Terms of what the front made of noisy pictures, and makes of clean ones."""
        again = self.made["g2"](clean)
        return {
            "adversarial_lr": taken(self.judging["d1"], clean, 1.0),
            "cycle_lr": losses.l2(again, batch.noisy),
            "identity_lr": losses.l1(net.front(batch.clean), batch.clean),
            "tv_lr": losses.tv(clean),
        }

    def outer(self, net: Cincgan, batch: Apart, large: Tensor) -> dict[str, Tensor]:
        """Terms of the net's pictures of noisy ones, and of the back's of clean ones."""
        again = self.made["g3"](large)
        return {
            "adversarial_hr": taken(self.judging["d2"], large, 1.0),
            "cycle_hr": losses.l2(again, batch.noisy),
            "identity_hr": losses.l2(net.enlarged(batch.clean), batch.sharp),
            "tv_hr": losses.tv(large),
        }

    def step(self) -> None:
        """Move G2 and G3 down the loss that was taken last, then let D1 and D2 learn to tell its pictures from true ones."""
        for group in chain.from_iterable(optimiser.param_groups for optimiser in self.optimisers):
            group["lr"] = RATE * rate(self.recipe, self.steps, self.done()) / self.recipe.rate
        self.steps += 1
        self.judging.requires_grad_(True)
        for name, (made, true) in self.asked.items():
            judge = self.judging[name]
            value = (taken(judge, made, 0.0) + taken(judge, true, 1.0)) / 2
            value.backward()
            self.tell({f"{name}_loss": value})
        for optimiser in self.optimisers:
            moved(optimiser)
        self.judging.requires_grad_(False)
        self.asked = {}

    def tell(self, terms: dict[str, Tensor]) -> None:
        """Remember numbers for the log."""
        for name, value in terms.items():
            self.sums.setdefault(name, []).append(value.detach())

    def figures(self) -> dict[str, float]:
        """Means since last asked: each term with its weight, and what D1 and D2 lose, from 0 to 0.25 where they know nothing."""
        means = {name: float(torch.stack(values).mean()) for name, values in self.sums.items()}
        self.sums = {}
        return means

    def state(self) -> dict[str, Any]:
        """Weights, optimisers and steps."""
        return {
            "made": self.made.state_dict(),
            "judging": self.judging.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where state() was taken."""
        self.made.load_state_dict(state["made"])
        self.judging.load_state_dict(state["judging"])
        for optimiser, before in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(before)
        self.steps = state["steps"]


def taken(judge: nn.Module, x: Tensor, label: float) -> Tensor:
    """How far pictures (b, 1, h, w) are from being taken for label, 1 true to 0 made: mean squares over patches, float32."""
    with torch.autocast(x.device.type, enabled=False):
        said: Tensor = judge(DETAIL * detail(x.float()))
        return (said - label).square().mean()


def detail(x: Tensor) -> Tensor:
    """What pictures (b, 1, h, w) have beside their means over squares; edges are repeated."""
    return x - F.avg_pool2d(F.pad(x, (AROUND,) * 4, mode="replicate"), 2 * AROUND + 1, 1)


def check(wanted: Training) -> None:
    """Refuse what contradicts --unpaired."""
    if not wanted.unpaired:
        return
    if not wanted.start:
        raise InputError(
            "--unpaired: what enlarges clean pictures is to be there already; give --start a model, as fast-x2"
        )
    if wanted.net not in ("", NET):
        raise InputError(
            f"--unpaired, --net {wanted.net}: a {NET} is made, with the net of --start in it; leave --net out"
        )
    others: dict[str, tuple[object, object, str]] = {
        "--labels": (wanted.labels, "hr", "DATA is sharp"),
        "--loss": (wanted.loss, "smooth-l1", "it has losses of its own"),
        "--features": (wanted.features, None, "none of its losses sees features"),
        "--degradation": (wanted.degradation, "bi", "what is wrong with pictures is learned from them"),
        "--optics": (wanted.optics, 0.0, "what is wrong with pictures is learned from them"),
        "--small": (wanted.small, None, "pairs are what there is none of"),
        "--unlabelled": (" ".join(wanted.unlabelled), "", "all of its pictures are without labels"),
        "--motion": (wanted.motion, "", "its net looks at one view"),
    }
    for option, (given, usual, why) in others.items():
        if given != usual:
            raise InputError(f"--unpaired, {option} {given}: {why}; leave {option} out")
    if "front" in (wanted.freeze or ()):
        raise InputError("--unpaired, --freeze front: the front is what learns first; freeze back, or nothing")
    if wanted.discriminator is not None and wanted.discriminator < 1:
        raise InputError(
            f"--discriminator {wanted.discriminator}: at least 1 channel is wanted; leave it out for {WIDTH}"
        )
    both = set(chain(*footage.sources(wanted.data))) & set(chain(*footage.sources(wanted.unpaired)))
    if both:
        raise InputError(
            f"{min(both)}: in DATA, which is sharp, and in --unpaired, which is not; leave it out of one of them"
        )


def around(model: str, first: ModelCard) -> ModelCard:
    """The card of a model, put behind a front; of one that has a front already, its own. InputError for what cannot be a back."""
    if first.net == NET:
        return first
    if first.net not in (able := backs()):
        raise InputError(
            f"--unpaired, --start {model}: net {first.net} is not one that learns from single pictures; "
            f"there is {', '.join(able)}"
        )
    return replace(first, net=NET, options={"back": first.net, "back_options": dict(first.options)})


def begun(net: nn.Module, model: str) -> nn.Module:
    """The part of a Cincgan that has a model's weights at first: its back, or all of it where the model has a front too."""
    part = net if zoo.card(model).net == NET else net.back
    assert isinstance(part, nn.Module)
    return part


def gather(wanted: Training, net: nn.Module, say: Callable[[str], None]) -> Footage:
    """DATA, and the pictures of --unpaired as they are; InputError where they are too small."""
    least = -(-Patches(1, 1).least // int(cast(Any, net.scale)))
    if wanted.crop < least:
        raise InputError(f"--unpaired, --crop {wanted.crop}: its patches are larger; give {least + least % 2} or more")
    half = int(wanted.memory * 2**29)
    sharp = footage.gather(wanted.data, most_bytes=half, say=say)
    noisy = alone.gather("--unpaired", wanted.unpaired, crop=wanted.crop, most_bytes=half, say=say)
    return replace(sharp, notes=(*sharp.notes, *noisy.notes, noisy.told), alone=noisy.planes)


def lesson(wanted: Training, run: Run, there: Footage, *, seed: int) -> Lesson:
    """Batches of both kinds, the loss and its partner; checked is that clean held-out views are enlarged no worse than before."""
    net, device = cast(Cincgan, run.net), run.device
    worn = pairs(list(there.alone), lambda plane: plane, 1, wanted.crop)
    if not worn:
        raise InputError(
            f"--unpaired: no picture has {wanted.crop} pixels with detail along its short side; give a smaller --crop"
        )
    noisy = Crops(Sampler(worn, wanted.crop, seed=seed + 1), wanted.frames or 16, device)
    clean = single(wanted, net.scale, 1, there.material, device, seed)
    those = valid.trials(
        there.material, scale=net.scale, fuses=False, degradation="bi", multiple=net.multiple, device=device
    )
    if not those:
        raise InputError(f"what is held out for validation is too small for x{net.scale}; add larger clips or pictures")
    before_db = valid.psnr_db(zoo.build(wanted.start)[0].to(device), those)
    width = wanted.discriminator or WIDTH
    partner = Cycles(net, device, recipe=run.recipe, width=width, seed=wanted.seed, done=lambda: run.done)
    return Lesson(
        Unpaired(noisy, clean),
        partner.loss,
        lambda it: valid.psnr_db(it, those),
        before_db,
        "on clean views its start",
        those[0].views[..., :64, :64],
        note=f"learned without pairs: dB are of clean views, where its start has {before_db:.2f}; judge noisy ones by eye",
        partner=partner,
    )
