"""The net that is to learn, as it begins: of what name and size, with whose weights; what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets import NETS
from misr.train import consistency, counterparts, cycles, dictionary, export

if TYPE_CHECKING:
    from misr.train.fit import Training


def student(wanted: Training) -> tuple[nn.Module, ModelCard]:
    """The net as it begins, and a card for what will become of it; InputError for what cannot be meant."""
    check(wanted)
    first = zoo.card(wanted.start) if wanted.start else None
    if first and wanted.unpaired:
        first = cycles.around(wanted.start, first)
    name = wanted.net or (first.net if first else "")
    scale = wanted.scale or (int(first.scale) if first else 0)
    options = dict(first.options) | wanted.options if first else dict(wanted.options)
    if name not in (able := zoo.trainable()):
        raise InputError(f"net {name!r} cannot be trained; there is {', '.join(able)}")
    if first and (first.net, first.scale) != (name, scale):
        raise InputError(f"{wanted.start} is {first.net} x{first.scale:g}, not {name} x{scale}; start from one alike")
    if scale < 2:
        raise InputError("which scale? Give -s 2, 3 or 4, or a model to start from")
    torch.manual_seed(wanted.seed)
    try:
        net = NETS[name](scale=scale, **options)
    except TypeError as e:
        raise InputError(f"options {options} do not fit net {name} ({e})") from None
    except ValueError as e:
        raise InputError(f"--net {name}: {e}") from None
    if (channels := int(getattr(net, "channels", 1))) != 1:
        raise InputError(f"--net {name}: misr learns from luma alone, so leave out channels={channels}")
    if learns_atoms(net):
        dictionary.check(wanted)
    if first:
        begun = cycles.begun(net, wanted.start) if wanted.unpaired else net
        zoo.load(begun, zoo.find(wanted.start) / "weights.safetensors", first)
    if wanted.motion:
        take_motion(net, wanted.motion)
    freeze(net, wanted)
    before, emit, after = export.shape(net)
    multiple = getattr(net, "multiple", 0) or getattr(net, "cell", 1) or 1
    card = ModelCard(name=wanted.out.resolve().name, net=name, scale=scale, options=options, before=before, emit=emit,
                     after=after, multiple=multiple, halo=int(net.halo))  # type: ignore[arg-type]  # fmt: skip
    return net.to(memory_format=torch.channels_last), card  # type: ignore[call-overload]


def take_motion(net: nn.Module, model: str) -> None:
    """Give a net the motion of a model."""
    theirs = getattr(zoo.build(model)[0], "motion", None)
    if theirs is None or not hasattr(net, "motion"):
        raise InputError(
            f"--motion {model}: {'the net' if theirs is not None else 'this model'} has no part that finds motion"
        )
    try:
        net.motion.load_state_dict(theirs.state_dict())  # type: ignore[union-attr]
    except RuntimeError:
        raise InputError(
            f"--motion {model}: its motion has other sizes; give its options with --option 'motion={{...}}'"
        ) from None


def check(wanted: Training) -> None:
    """Refuse what contradicts itself."""
    if bool(wanted.steps) == bool(wanted.minutes):
        raise InputError("how long? Give --steps or --minutes, and only one of them")
    if (
        min(wanted.steps, wanted.minutes, wanted.views, wanted.frames, wanted.rate, wanted.optics) < 0
        or wanted.crop < 8
    ):
        raise InputError("--crop is at least 8, and steps, minutes, views, frames, rate and optics are not negative")
    if wanted.crop % 2:
        raise InputError(f"--crop {wanted.crop}: an even number is wanted")
    counterparts.check(wanted)
    cycles.check(wanted)
    consistency.check(wanted)
    if (wanted.out / "card.json").is_file() and not (wanted.run or Path("runs") / wanted.out.name).is_dir():
        raise InputError(f"{wanted.out} holds a model that no run here has made; choose another -o, or remove it")


def freeze(net: nn.Module, wanted: Training) -> None:
    """Keep parts of the net as they are: by default the motion that another model has learned."""
    parts = wanted.freeze
    if parts is None:
        parts = ("motion",) if (wanted.start or wanted.motion) and hasattr(net, "motion") else ()
    for part in parts:
        if not isinstance(getattr(net, part, None), nn.Module):
            raise InputError(f"--freeze {part}: the net has {', '.join(dict(net.named_children()))}")
        getattr(net, part).requires_grad_(False)


def learns_atoms(net: nn.Module) -> bool:
    """Whether a net learns a dictionary, without gradients."""
    return bool(getattr(net, "dictionary", False))
