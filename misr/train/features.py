"""What a picture is to a net that knows pictures: VGG19 as others trained it, or a small net of the user's own data.

VGG19 is Simonyan and Zisserman's (ICLR 2015), with torchvision's weights. Where they are not at hand, a net of the same
build learns to tell kinds and strengths of degradation apart, as CONTRIQUE does to judge quality (Madhusudana et al.,
TIP 2022): nobody has to say what is in a picture for that.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from misr.errors import InputError
from misr.train import ranks
from misr.train.data import Material
from misr.train.degrade import Plane, imaged, jpeg, noisy, rounded, shrink

Stages = Sequence[tuple[int, int]]  # channels and convolutions between two poolings
VGG19: Stages = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
VGG19_FILE = "vgg19-dcbb9e9d.pth"  # as torchvision names what it downloads
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, R, G, B in [0, 1]
OWN: Stages = ((16, 2), (32, 2), (64, 2))
OWN_FILE = "features.safetensors"
SIDE, MARGIN = 32, 8  # pixels of a crop that the net of our own sees, and around it, where degrading needs neighbours
STEPS = 1000  # a minute of one core; right on 53 % of new crops of photographs, after 400 steps on 44 %
CROPS, RATE = 54, 2e-3
EACH = 8  # of the frames of clips, every n-th
FLAT, TRIES = 2.0, 4  # a crop that varies by less (std in code values) shows no degradation
BROKEN = (OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, SafetensorError,
          pickle.UnpicklingError, zipfile.BadZipFile)  # fmt: skip
KINDS: dict[str, Callable[[Plane, np.random.Generator], Plane]] = {
    "as it is": lambda p, rng: p,
    "blur 0.8": lambda p, rng: soft(p, 0.8),
    "blur 1.6": lambda p, rng: soft(p, 1.6),
    "noise 4": lambda p, rng: noisy(p, 4, rng),
    "noise 10": lambda p, rng: noisy(p, 10, rng),
    "JPEG 60": lambda p, rng: jpeg(p, 60),
    "JPEG 20": lambda p, rng: jpeg(p, 20),
    "shrink 2": lambda p, rng: coarse(p, 2),
    "shrink 4": lambda p, rng: coarse(p, 4),
}


class Features(nn.Module):
    """Convolutions 3x3 with a ReLU after each, in stages with a max pooling after each; layers relu1_1, relu1_2, relu2_1 ...

    stages       channels and convolutions of each
    mean, std    of the channels that the net is used to: one, or R, G and B, to which a plane is shown as grey
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Stages, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        names: list[str] = []
        wide = len(mean)
        for stage, (width, count) in enumerate(stages, 1):
            for n in range(1, count + 1):
                parts += [nn.Conv2d(wide, width, 3, padding=1), nn.ReLU(inplace=True)]
                names += ["", f"relu{stage}_{n}"]
                wide = width
            parts.append(nn.MaxPool2d(2))
            names.append("")
        self.features, self.names = nn.Sequential(*parts), tuple(names)
        self.register_buffer("mean", rearrange(torch.tensor(mean), "c -> c 1 1"), persistent=False)
        self.register_buffer("std", rearrange(torch.tensor(std), "c -> c 1 1"), persistent=False)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that can be asked for, from shallow to deep."""
        return tuple(name for name in self.names if name)

    def channels(self, layer: str) -> int:
        """How many channels the map of a layer has."""
        return [part.out_channels for part in self.features if isinstance(part, nn.Conv2d)][self.layers.index(layer)]

    def forward(self, plane: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Maps (b, channels, h / 2**k, w / 2**k) of luma planes (b, 1, h, w), code values / 255, by layer.

        Luma from 16 to 235 is shown as black to white. InputError for a picture that is too small for a layer.
        """
        x = ((255 * plane - 16) / 219).expand(-1, len(self.mean), -1, -1)
        x = (x - self.mean) / self.std
        found: dict[str, Tensor] = {}
        for part, name in zip(self.features, self.names, strict=True):
            if len(found) == len(layers):
                break
            if isinstance(part, nn.MaxPool2d) and min(x.shape[-2:]) < 2:
                h, w = plane.shape[-2:]
                raise InputError(
                    f"a picture of {w}x{h} is too small for {', '.join(layers)}; give a larger --crop, or a shallower layer"
                )
            x = part(x)
            if name in layers:
                found[name] = x
        return found


def known(told: str | None) -> Features | None:
    """The net that --features names, ready to be asked; None for `self`, which has yet to learn.

    told    a file of VGG19's weights; None for torchvision's, if they lie where torchvision puts them
    InputError for a file that cannot be used, or where none is there; nothing is downloaded.
    """
    if told == "self":
        return None
    path = Path(told) if told else Path(torch.hub.get_dir()) / "checkpoints" / VGG19_FILE
    if told is None and not path.is_file():
        raise InputError(
            f"content, texture and feature-adversarial want the weights of VGG19, and {path} is not there; give --features "
            f"FILE with torchvision's {VGG19_FILE}, or --features self for a small net that learns on your own data first"
        )
    return vgg19(path)


def vgg19(path: Path) -> Features:
    """VGG19 with weights named as torchvision's, of a .pth or .safetensors file; InputError for another file."""
    net = Features(VGG19, MEAN, STD)
    try:
        if path.suffix.lower() == ".safetensors":
            told: Any = load_file(path)
        else:
            told = torch.load(path, map_location="cpu", weights_only=True)
        theirs = {name: told[name].float() for name in net.state_dict()}
        net.load_state_dict(theirs)
    except FileNotFoundError:
        raise InputError(f"--features {path}: no such file; give the weights of VGG19, or self") from None
    except KeyError as e:
        raise InputError(
            f"--features {path}: not the weights of VGG19, as {e} is not in it; give torchvision's {VGG19_FILE}"
        ) from None
    except BROKEN as e:
        why = (str(e).splitlines() or [type(e).__name__])[0][:120]
        if isinstance(e, pickle.UnpicklingError):
            why = "more than plain tensors is in it, or it is cut short; nothing in it was run"
        raise InputError(
            f"--features {path}: cannot be read as the weights of VGG19 ({why}); give torchvision's {VGG19_FILE}"
        ) from None
    if broken := next((name for name, v in theirs.items() if not v.isfinite().all()), None):
        raise InputError(f"--features {path}: {broken} holds what is no number; fetch the file again")
    return ready(net, torch.device("cpu"))


def ready(net: Features, device: torch.device) -> Features:
    """The net on a device, where it learns no more."""
    return net.requires_grad_(False).eval().to(device)


def own(
    material: Material, folder: Path, device: torch.device, *, seed: int, say: Callable[[str], None] = lambda line: None
) -> Features:
    """The net that a run keeps in its folder; where it has none yet, one that learns on the material, and is put there.

    Same material and seed, same net. InputError where no picture is large enough. Of several processes the first learns.
    """
    path = folder / OWN_FILE
    if ranks.first() and not path.is_file():
        net = learned(material, device, seed, say)
        part = path.with_suffix(".part")
        save_file({name: v.cpu().contiguous() for name, v in net.state_dict().items()}, part)
        part.replace(path)
    ranks.agreed(0)  # the others wait for the file
    net = blank()
    net.load_state_dict(load_file(path))
    return ready(net, device)


def blank() -> Features:
    """The net of our own before it has learned."""
    return Features(OWN, (0.45,), (0.225,))


def learned(material: Material, device: torch.device, seed: int, say: Callable[[str], None]) -> Features:
    """A net that tells KINDS apart on crops, each of its layers brought to a mean square of 1 on crops as they are."""
    planes = large([*material.stills, *(frame for clip in material.clips for frame in clip[::EACH])])
    judges = large([*material.valid_stills, *(frame for clip in material.valid_clips for frame in clip[::EACH])])
    if not planes:
        raise InputError(
            f"--features self: no picture has {SIDE + 2 * MARGIN} pixels along its short side to learn from; give larger ones"
        )
    say(f"--features self: a small net learns to tell {len(KINDS)} kinds of degradation apart, a minute or so")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):  # so that what learns next draws as it would without
        torch.manual_seed(seed)
        net, head = blank().to(device), nn.Linear(OWN[-1][0], len(KINDS)).to(device)
    parameters = [*net.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        views, kinds = crops(planes, CROPS, rng)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits(net, head, views.to(device)), kinds.to(device)).backward()
        optimiser.step()
        schedule.step()
    if judges:
        views, kinds = crops(judges, 10 * len(KINDS), np.random.default_rng(7))
        with torch.no_grad():
            right = (logits(net, head, views.to(device)).argmax(1).cpu() == kinds).float().mean()
        say(f"--features self: right on {right:.0%} of crops that it had not seen; {1 / len(KINDS):.0%} is chance")
    views, kinds = crops(planes, 10 * len(KINDS), rng)
    return evened(net, views[kinds == 0].to(device))


def logits(net: Features, head: nn.Module, views: Tensor) -> Tensor:
    """Logits (b, kinds) of crops (b, 1, h, w), by the mean over the deepest layer's map."""
    last = net.layers[-1]
    out: Tensor = head(net(views, (last,))[last].mean((-2, -1)))
    return out


@torch.no_grad()
def evened(net: Features, views: Tensor) -> Features:
    """The net with every layer's mean square 1 on these views, so that weights of terms mean the same for any data.

    A ReLU lets a factor through, so that the next layer takes it back (Gatys et al., CVPR 2016, do so to VGG).
    """
    before = 1.0
    convolutions = (part for part in net.features if isinstance(part, nn.Conv2d))
    for name, layer in zip(net.layers, convolutions, strict=True):
        layer.weight *= before
        size = float(net(views, (name,))[name].square().mean().sqrt().clamp(min=1e-6))
        for parameter in layer.parameters():
            parameter.div_(size)
        before = size
    return net


def large(planes: Sequence[Plane]) -> list[Plane]:
    """Those of which a crop can be taken."""
    return [p for p in planes if min(p.shape) >= SIDE + 2 * MARGIN]


def crops(planes: Sequence[Plane], count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Crops (count, 1, SIDE, SIDE) in [0, 1], and which of KINDS was done to each; all kinds alike often."""
    ways, m = list(KINDS.values()), MARGIN
    kinds = [n % len(ways) for n in range(count)]
    made = [ways[kind](place(planes, SIDE + 2 * MARGIN, rng), rng)[m:-m, m:-m] for kind in kinds]
    return torch.from_numpy(np.stack(made))[:, None].float() / 255, torch.tensor(kinds)


def place(planes: Sequence[Plane], side: int, rng: np.random.Generator) -> Plane:
    """A square piece of a plane, of somewhere with detail if there is any."""
    for _ in range(TRIES):
        plane = planes[int(rng.integers(len(planes)))]
        y, x = (int(rng.integers(n - side + 1)) for n in plane.shape)
        piece = np.ascontiguousarray(plane[y : y + side, x : x + side])
        if piece.std() >= FLAT:
            break
    return piece


def soft(plane: Plane, sigma: float) -> Plane:
    """The plane after a Gaussian of `sigma` pixels."""
    return rounded(imaged(torch.from_numpy(plane)[None, None].float(), 1, sigma)[0, 0])


def coarse(plane: Plane, factor: int) -> Plane:
    """The plane shrunk by a factor and enlarged again, both by bicubic."""
    h, w = plane.shape
    return shrink(shrink(plane, (h // factor, w // factor)), (h, w))
