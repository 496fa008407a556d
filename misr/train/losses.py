"""What learning makes small, as a user says it: terms with weights, summed.

Pictures are luma (b, 1, H, W), code values / 255, so black is 16/255 and white 235/255. A weight multiplies its term's
formula as it stands below; papers whose pictures go from -1 to 1 or to 255 mean other numbers by the same word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from misr.errors import InputError
from misr.train.features import Features
from misr.train.loop import Loss, distance

NUMBER = r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
TERM = re.compile(rf"(?:({NUMBER})\s*\*\s*)?([a-z][a-z0-9-]*)(?::(\S+))?")
TEXTURES = ("relu1_1", "relu2_1", "relu3_1")  # as EnhanceNet's texture matching (Sajjadi et al., ICCV 2017)
FORM = "write WEIGHT*NAME, weights above 0, joined by +, as in 'l1 + 0.006*content'"


def l1(made: Tensor, truth: Tensor) -> Tensor:
    """Mean of |made - truth|: in [0, 1], of the pictures' unit."""
    return F.l1_loss(made, truth)


def l2(made: Tensor, truth: Tensor) -> Tensor:
    """Mean of (made - truth)^2, the MSE that PSNR is of: in [0, 1], of the unit's square."""
    return F.mse_loss(made, truth)


def smooth_l1(made: Tensor, truth: Tensor) -> Tensor:
    """|d| - b/2, and d^2 / 2b where |d| < b, one code value: Girshick, ICCV 2015; of the pictures' unit."""
    return distance(made, truth, squares=False, kind="smooth-l1")


def charbonnier(made: Tensor, truth: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + e^2) - e, e one code value: Charbonnier et al., ICIP 1994; Lai et al., CVPR 2017; of the unit."""
    return distance(made, truth, squares=False, kind="charbonnier")


def tv(made: Tensor) -> Tensor:
    """Mean |difference| of neighbours along rows, and along columns: total variation (Rudin, Osher, Fatemi, Physica D 1992).

    Its anisotropic form; of the pictures' unit for each pixel. It asks nothing of the truth.
    """
    return made.diff(dim=-1).abs().mean() + made.diff(dim=-2).abs().mean()


def content(made: Tensor, truth: Tensor) -> Tensor:
    """Mean square difference of maps (b, c, h, w), over all channels and places: Ledig et al., CVPR 2017; Johnson et al., 2016.

    Of the square of a feature's unit: with VGG19 as torchvision has it, 0.006 is what SRGANs in PyTorch give it beside l2.
    """
    return F.mse_loss(made, truth)


def texture(made: Tensor, truth: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference of Gram matrices, mean over the batch: Gatys et al., 2015; Johnson et al., 2016.

    Which channels are active together, wherever that is. Of the fourth power of a feature's unit.
    """
    return (gram(made) - gram(truth)).square().sum((-2, -1)).mean()


def gram(maps: Tensor) -> Tensor:
    """Gram matrices (b, c, c) of maps (b, c, h, w): products of channels, summed over places, / (c h w) as Johnson et al. do."""
    _, c, h, w = maps.shape
    flat = rearrange(maps, "b c h w -> b c (h w)")
    return flat @ flat.transpose(1, 2) / (c * h * w)


HELD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "l2": l2,
    "smooth-l1": smooth_l1,
    "charbonnier": charbonnier,
}
SEEN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"content": content, "texture": texture}
JUDGED = ("adversarial", "feature-adversarial")  # by a net that learns beside (misr.train.adversary)
LAYERED = (*SEEN, "feature-adversarial")
FREE = ("tv", *JUDGED)  # of the truth that belongs to a picture
NAMES = (*HELD, *SEEN, *FREE)


@dataclass(frozen=True, slots=True)
class Term:
    """A weight, a name, and of a term of features its layers; none: the usual ones."""

    weight: float
    name: str
    layers: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As it is read."""
        named = f"{self.name}:{','.join(self.layers)}" if self.layers else self.name
        return named if self.weight == 1 else f"{self.weight:.12g}*{named}"


class Tally:
    """What the terms of a sum came to since it was last asked, as means; kept where the pictures are."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, terms: Sequence[Term], parts: Sequence[Tensor]) -> None:
        """Count the terms of one more batch, weighted."""
        for term, part in zip(terms, parts, strict=True):
            name, value = str(replace(term, weight=1)), part.detach()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def figures(self) -> dict[str, float]:
        """The mean of each term, by its name and layers; nothing where nothing was counted."""
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum of terms, called with pictures and the truth (b, 1, H, W).

    features    the net that terms of features ask: see bound()
    judges      those whom adversarial terms ask, by name; what they learn is theirs
    tally       who counts what the terms come to
    """

    terms: tuple[Term, ...]
    features: Features | None = None
    judges: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    tally: Tally | None = None

    def __str__(self) -> str:
        """As it is read."""
        return " + ".join(map(str, self.terms))

    @property
    def sees(self) -> bool:
        """Whether a term asks a net for features."""
        return any(term.name in LAYERED for term in self.terms)

    @property
    def judged(self) -> tuple[Term, ...]:
        """The adversarial terms."""
        return tuple(term for term in self.terms if term.name in JUDGED)

    @property
    def for_looks(self) -> bool:
        """Whether a term wants pictures to look true, at the cost of dB."""
        return self.sees or bool(self.judged)

    def bound(self, features: Features) -> Objective:
        """The same with a net to ask; InputError for a layer it does not have."""
        usual = dict.fromkeys(LAYERED, features.layers[-1:]) | {"texture": TEXTURES}
        terms = tuple(
            replace(term, layers=term.layers or usual[term.name]) if term.name in usual else term for term in self.terms
        )
        for term in terms:
            if unknown := [layer for layer in term.layers if layer not in features.layers]:
                raise InputError(
                    f"--loss: {term.name} has no layer {unknown[0]!r} to ask; there is {', '.join(features.layers)}"
                )
        return replace(self, terms=terms, features=features)

    def __call__(self, made: Tensor, truth: Tensor) -> Tensor:
        """The sum, a number in float32."""
        return self.over([made], [truth])

    def over(self, made: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
        """The sum for a net of several levels, the picture last: means over levels; of adversarial terms the picture's alone."""
        last = len(made) - 1
        each = [self.parts(*pair, picture=n == last) for n, pair in enumerate(zip(made, truth, strict=True))]
        columns = zip(self.terms, zip(*each, strict=True), strict=True)
        parts = [column[-1] if term.name in JUDGED else torch.stack(column).mean() for term, column in columns]
        if self.tally:
            self.tally.add(self.terms, parts)
        return torch.stack(parts).sum()

    def parts(self, made: Tensor, truth: Tensor, *, picture: bool = True) -> list[Tensor]:
        """Each term, weighted, in order; adversarial ones are 0 where this is not the picture but a level below it."""
        terms = [term for term in self.terms if picture or term.name not in JUDGED]
        with torch.autocast(made.device.type, enabled=False):  # small differences of large features: bf16 loses them
            made, truth = made.float(), truth.float()
            ours, theirs = self._seen(made, truth, {layer for term in terms for layer in term.layers})
            none = made.new_zeros(())
            return [
                term.weight * self._one(term, made, truth, ours, theirs) if term in terms else none
                for term in self.terms
            ]

    def _seen(self, made: Tensor, truth: Tensor, layers: set[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Maps of both by layer; none where no term asks."""
        if not layers:
            return {}, {}
        assert self.features is not None, "terms of features before bound()"
        with torch.no_grad():
            theirs = self.features(truth, layers)
        return self.features(made, layers), theirs

    def _one(
        self, term: Term, made: Tensor, truth: Tensor, ours: dict[str, Tensor], theirs: dict[str, Tensor]
    ) -> Tensor:
        """A term as its formula has it; the mean over its layers."""
        if term.name == "tv":
            return tv(made)
        if term.name in HELD:
            return HELD[term.name](made, truth)
        if term.name == "adversarial":
            return self.judges[term.name](made, truth)
        if term.name == "feature-adversarial":
            return self.judges[term.name](ours[term.layers[0]], theirs[term.layers[0]])
        return torch.stack([SEEN[term.name](ours[layer], theirs[layer]) for layer in term.layers]).mean()


Kind = Loss | Objective


def read(text: str) -> Kind:
    """What --loss says: smooth-l1, charbonnier and l2 alone are the losses of the loop, all else a sum of terms.

    InputError for what is no sum, or has nothing in it that holds pictures against the truth.
    """
    for loss in get_args(Loss):
        if text.strip() == loss:
            return loss
    terms = tuple(term(piece.strip(), text) for piece in re.split(r"(?<![\d.][eE])\+", text))
    named = [(one.name, one.layers) for one in terms]
    if twice := [str(one) for one in terms if named.count((one.name, one.layers)) > 1]:
        raise InputError(f"--loss {text!r}: {twice[0]} stands there twice; add up its weights")
    for name in JUDGED:
        if len([one for one in terms if one.name == name]) > 1:
            raise InputError(
                f"--loss {text!r}: one {name} is enough, as each has a net of its own to deceive; keep one"
            )
    if all(one.name in FREE for one in terms):
        raise InputError(f"--loss {text!r}: nothing in it holds pictures against the truth; add a term, as l1")
    return Objective(terms)


def term(piece: str, text: str) -> Term:
    """A term of a sum."""
    found = TERM.fullmatch(piece)
    if not found:
        raise InputError(f"--loss {text!r}: {piece!r} is no term; {FORM}")
    weight, name, layers = float(found[1] or 1), found[2], tuple(found[3].split(",")) if found[3] else ()
    if name not in NAMES:
        raise InputError(f"--loss {text!r}: there is no term {name!r}; there is {listed(NAMES)}")
    if not weight or not math.isfinite(weight):
        raise InputError(f"--loss {text!r}: a weight of {found[1]} for {name} means nothing; {FORM}")
    if layers and name not in LAYERED:
        raise InputError(f"--loss {text!r}: {name} has no layers; {listed(LAYERED)} have")
    if len(layers) > 1 and name in JUDGED:
        raise InputError(f"--loss {text!r}: {name} judges one layer, not {len(layers)}; keep one")
    return Term(weight, name, layers)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return f"{', '.join(names[:-1])} and {names[-1]}"
