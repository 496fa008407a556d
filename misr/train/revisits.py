"""Views of a burst hidden from the net as its labels: fuse the others, look at the picture as the hidden view would.

The picture is brought to the hidden view by the camera itself: along its motion, through optics and pixel, and fitted to its
light by a gain and an offset. What is left in detail is the loss, where the place can be believed to be the same (DeepSUM:
Molini et al., 2019; HDR-DSP: Nguyen et al., 2022). No sharp picture is needed anywhere. A quarter of the views is never
learned from, neither shown nor as a label: they judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import log10, nan
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from misr.errors import InputError, MisrError
from misr.nets.lattice import Camera, Stack, filled, part
from misr.nets.motion import blurred
from misr.train.camera import Dice
from misr.train.degrade import Plane
from misr.train.heldout import DOUBT, SOFT, light
from misr.train.loop import distance

if TYPE_CHECKING:
    from misr.burst.ready import Ready

SIDE = 256  # LR pixels along a side of a piece of a scene
PIECES = 16  # pieces of a scene and band, at most
FEWEST = 4  # views that a burst must have: a reference, one to show, one to learn from, one to judge by
JUDGES = 4  # every n-th view judges
ALONE = 0.2  # share of batches in which the reference is the label
Fuse = Callable[[Stack], Tensor]  # a picture (b, 1, s*h, s*w)


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a scene in one band: its stack (1, t, 1, h, w), and which of its views judge.

    watch    views that neither teach nor judge: they say when enough was learned
    """

    stack: Stack
    judges: tuple[int, ...]
    watch: tuple[int, ...] = ()

    @property
    def learned(self) -> tuple[int, ...]:
        """The views that may be shown and learned from, the reference first."""
        return tuple(n for n in range(self.stack.views.shape[1]) if n not in (*self.judges, *self.watch))


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the net is shown (b, t, 1, h, w), and the view it is not, as a stack of one."""

    shown: Stack
    label: Stack

    def missed(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """What a picture of the shown views misses of the hidden one, as the function of this name."""
        return missed(picture, self.label)


class Labelled(Protocol):
    """A batch of a lesson: what the net is shown, and what a picture (b, 1, s*h, s*w) of that misses of the label."""

    @property
    def shown(self) -> Stack:
        """The stack."""

    def missed(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Detail that is missed, and how far each pixel is to be believed, (b, 1, h, w) both."""


def gather(
    paths: Sequence[str], *, say: Callable[[str], None], optics: float = 0.0, most_bytes: int = 2 << 30
) -> tuple[list[Place], list[str], list[str]]:
    """Pieces of all bursts that the paths name, one burst each; the paths that could be used, and why the others could not.

    most_bytes    pixels in memory; every burst gets an equal part, and gives fewer pieces where it has more
    """
    from misr.burst.preparing import Preparing  # here, for a machine that only learns has no decoder
    from misr.burst.ready import ready
    from misr.io.burst import open_burst

    places: list[Place] = []
    used: list[str] = []
    notes: list[str] = []
    for path in paths:
        say(f"reading {path}")
        try:
            with closing(open_burst([path])) as burst:
                found = pieces(ready(burst, Preparing()), optics, most_bytes // len(paths))
        except MisrError as e:
            notes.append(f"left out: {e if path in str(e) else f'{path}: {e}'}")
            continue
        if not found:
            notes.append(f"left out: {path}: fewer than {FEWEST} of its views can be used")
            continue
        places += found
        used.append(path)
    if not places:
        raise InputError("no burst to learn from: " + ("; ".join(notes) or "name folders of views, or stacks"))
    return places, used, notes


def pieces(
    it: Ready,
    optics: float = 0.0,
    most_bytes: int = 2 << 30,
    *,
    judges: Sequence[int] | None = None,
    watch: Sequence[int] = (),
) -> list[Place]:
    """Evenly spread pieces of a burst, every band; none where it has too few views. Every fourth view judges unless told."""
    t = len(it.order)
    if t < FEWEST:
        return []
    judges = range(JUDGES - 2, t, JUDGES) if judges is None else judges
    corners = [(x, y) for y in starts(it.height) for x in starts(it.width)]
    each = it.bands * t * min(SIDE, it.width) * min(SIDE, it.height) * 8  # views and masks
    corners = corners[:: -(-len(corners) // max(1, min(PIECES, most_bytes // each)))]
    found = []
    for band in range(it.bands):
        for x, y in corners:
            stack = it.stack(x, y, min(SIDE, it.width - x), min(SIDE, it.height - y), band)
            if optics:
                stack = stack._replace(optics=torch.full_like(stack.optics, optics))
            found.append(Place(stack, tuple(judges), tuple(watch)))
    return found


def stills(places: Sequence[Place]) -> list[Plane]:
    """The reference views of places as sharp pictures (h, w), uint8 luma 16-235, for synthetic bursts of a coarser scale."""
    views = [(16 + 219 * filled(p.stack.views[:, 0], p.stack.valid[:, 0])[0, 0]) for p in places]
    return [(v + 0.5).clamp(0, 255).to(torch.uint8).numpy() for v in views]


def starts(size: int) -> range:
    """Where pieces begin along a side."""
    return range(0, max(1, size - SIDE // 2), SIDE)


def hidden(stack: Stack, shown: Sequence[int], label: int) -> Hidden:
    """A stack without one view; where that is the reference, its grid stays and its pixels go."""
    seen = part(stack, [0, *(n for n in shown if n not in (0, label))])
    if label == 0:
        keep = torch.ones_like(seen.valid)
        keep[:, 0] = 0
        seen = seen._replace(views=seen.views * keep, valid=seen.valid * keep)
    return Hidden(seen, part(stack, [label]))


def missed(picture: Tensor, label: Stack) -> tuple[Tensor, Tensor]:
    """The detail (b, 1, h, w) of a label that a picture (b, 1, s*h, s*w) misses, and how far each pixel is to be believed.

    No gradient goes through belief, gain and offset.
    """
    camera = Camera(label, picture.shape[-1] // label.views.shape[-1])
    return detail(camera.see(picture)[:, 0], label.views[:, 0], label.valid[:, 0] * camera.seen[:, 0])


def detail(seen: Tensor, view: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The detail of a view that is missed in what should be seen of it, where it is known, and belief; all (b, 1, h, w)."""
    with torch.no_grad():
        view = torch.where(known > 0, view, seen)
        gain, offset = light(seen, view, known)
        off = F.avg_pool2d(gain * seen + offset - view, 5, 1, 2, count_include_pad=False)
        belief = known * torch.exp(-(off / DOUBT).square())
    error = gain * seen + offset - view
    return error - blurred(error, SOFT), belief


def loss(net: nn.Module, batch: Labelled, squares: bool) -> Tensor:
    """Mean distance between labels and what the net's pictures of what is shown say of them, the last ones counting most."""
    if hasattr(net, "pictures"):
        made = net.pictures(batch.shown)[0]  # type: ignore[operator]
    else:
        made = [net.fuse(batch.shown).picture]  # type: ignore[operator]
    device = batch.shown.views.device
    total = torch.zeros((), device=device)
    with torch.autocast(device.type, enabled=False):
        for n, picture in enumerate(made):
            error, belief = batch.missed(picture.float())
            found = distance(error * belief, torch.zeros_like(error), squares=squares)
            total = total + 0.5 ** (len(made) - 1 - n) * found / belief.mean().clamp(min=0.1)
    return total


@torch.no_grad()
def score_db(fuse: Fuse, places: Sequence[Place]) -> float:
    """Mean over places of the PSNR in dB, white = 1, of the judges' detail, predicted by all views that may be learned from.

    Places where the judges show nothing do not count; NaN where none does.
    """
    each = []
    for place in places:
        picture = fuse(part(place.stack, place.learned)).float()
        wrong = right = 0.0
        for n in place.judges:
            error, belief = missed(picture, part(place.stack, [n]))
            wrong += float((error * belief).square().sum())
            right += float(belief.square().sum())
        if right != 0:
            each.append(-10 * log10(max(wrong / right, 1e-12)))
    return sum(each) / len(each) if each else nan


class Revisits:
    """Endless batches of windows, crop x crop LR pixels, of places, each with one view hidden; about `samples` views a batch."""

    def __init__(
        self, places: Sequence[Place], *, crop: int, samples: int, longest: int, device: torch.device, seed: int
    ) -> None:
        self.places = [p for p in places if min(p.stack.views.shape[-2:]) >= crop]
        if not self.places:
            raise InputError(f"no view is {crop} pixels wide and high; give a smaller --crop")
        self.crop, self.samples, self.device = crop, samples, device
        self.longest = max(2, longest)  # a reference that is the label leaves nothing else to see
        self.dice = Dice(seed)

    def draw(self) -> Hidden:
        """The next batch: any number of views of one place, the same ones for all its windows."""
        place = self.places[self.dice.below(len(self.places))]
        learned = place.learned
        label = 0 if self.dice.chance(ALONE) else learned[1 + self.dice.below(len(learned) - 1)]
        others = [n for n in learned if n not in (0, label)]
        order = torch.randperm(len(others), generator=self.dice.source).tolist()
        many = min(len(others), self.longest - 1)
        shown = [others[n] for n in order[: (1 if label == 0 else 0) + self.dice.below(many + (label != 0))]]
        b = max(1, min(8, self.samples // (len(shown) + 1)))
        windows = [self.window(place.stack) for _ in range(b)]
        return hidden(Stack(*(torch.cat(parts).to(self.device) for parts in zip(*windows, strict=True))), shown, label)

    def window(self, stack: Stack) -> Stack:
        """A random window of a stack."""
        h, w = stack.views.shape[-2:]
        y, x = self.dice.below(h - self.crop + 1), self.dice.below(w - self.crop + 1)

        def cut(plane: Tensor) -> Tensor:
            return plane if plane.shape[-2:] == (1, 1) else plane[..., y : y + self.crop, x : x + self.crop]

        return Stack(cut(stack.views), cut(stack.valid), cut(stack.motion), cut(stack.sigma), stack.optics)

    def state(self) -> Tensor:
        """What restore() needs to go on with exactly the next batch."""
        return self.dice.source.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from where state() was taken."""
        self.dice.source.set_state(state.cpu())
