"""`misr import`: from a file of published weights to a model directory, which gets its name only when the model works."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError, ModelError, OutputError
from misr.importing import mobile
from misr.importing.published import Found, found
from misr.importing.tensors import Weights, read
from misr.nets import NETS
from misr.nets.spandrel import OVERLAP, described
from misr.train.export import write

COMMUNITY = "spandrel"
TRIAL = (40, 48)  # pixels of the picture that a new model is tried on
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Imported:
    """What was made: where, its card, and lines for people."""

    folder: Path
    card: ModelCard
    lines: tuple[str, ...]


def import_model(
    file: str | Path,
    out: str | Path,
    *,
    scale: int | None = None,
    net: str | None = None,
    licence: str = "",
    overwrite: bool = False,
) -> Imported:
    """A model directory of weights that others published; misr.upscale, misr.load and `misr upscale -m` take it.

    file        .safetensors, .npz, .pth and its like, .pb; plain tensors alone, anything else is refused and never run
    scale       where the weights serve several (VDSR, LapSRN); else it must be theirs
    net         one of NETS that the weights are of, or "spandrel"; found out when not given
    licence     of the weights, as their publisher says; "unknown" when not given

    Weights of nets that misr has itself become those; all others go to spandrel (pip install "misr[spandrel]"), which
    knows most that the community trains. InputError for a file that cannot be read, ModelError for weights that no net takes,
    OutputError for a place that cannot be written; then nothing is there.
    """
    path, folder = Path(file), Path(out)
    check(folder, net, overwrite=overwrite)
    weights = read(path)
    own = None if net == COMMUNITY else found(weights, str(path))
    if net not in (None, COMMUNITY) and (own is None or own.net != net):
        has = "none of misr's own nets" if own is None else own.net
        raise ModelError(f"{path}: its weights are of {has}, not of {net}; leave --net out to let misr find out")
    it, state = of_own(path, own, scale) if own else of_community(path, weights, scale)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    note = f"imported from {path.name} (sha256 {sha})" + (f"; {it.note}" if it.note else "")
    it = replace(
        it, name=folder.resolve().name, note=note, licence=licence or UNKNOWN, trained_on=UNKNOWN, recipe="misr import"
    )
    try:
        it = tried(state, it, path)
        folder.mkdir(parents=True, exist_ok=True)
        it = write(state, it, folder)
    except OSError as e:
        raise OutputError(f"{folder}: cannot be written ({e.strerror}); choose another place") from None
    return Imported(folder, it, tuple(told(it, path, folder, state)))


def check(folder: Path, net: str | None, *, overwrite: bool) -> None:
    """Refuse what cannot be meant, before anything is read."""
    if net is not None and net not in NETS:
        raise InputError(f"--net {net}: there is {', '.join(NETS)}")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a model is a directory, name another place")
    if (folder / "card.json").exists() and not overwrite:
        raise OutputError(f"{folder}: holds a model already; -y overwrites it")
    if folder.is_dir() and not (folder / "card.json").exists() and any(folder.iterdir()):
        raise OutputError(f"{folder}: holds other files; name a directory that is new, empty or a model's")


def of_own(path: Path, own: Found, scale: int | None) -> tuple[ModelCard, dict[str, Tensor]]:
    """Card and weights of a net that misr has itself."""
    if scale is None and len(own.scales) > 1 and own.net == "vdsr":
        raise InputError(f"{path}: {own.net} serves x{', x'.join(map(str, own.scales))}; say which with -s")
    scale = scale or own.scales[0]
    if scale not in own.scales:
        raise ModelError(
            f"{path}: {own.net} enlarges by {' or '.join(map(str, own.scales))} with these weights, not by {scale}"
        )
    try:
        net = NETS[own.net](scale=scale, **own.options)
        state = own.state(scale)
        net.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as e:
        raise ModelError(f"{path}: its weights do not fit {own.net} ({str(e).splitlines()[-1].strip()})") from None
    return card(own.net, net, own.options, scale, own.source, own.note), state


def of_community(path: Path, weights: Weights, scale: int | None) -> tuple[ModelCard, dict[str, Tensor]]:
    """Card and weights of a net that spandrel knows, or that can be written as one."""
    name, tensors = mobile.compact(weights.tensors) or ("", weights.tensors)
    try:
        it = described(tensors)
    except (ImportError, RuntimeError) as e:
        known = "vdsr, lapsrn, espcn, fsrcnn and srresnet as some published them"
        raise ModelError(f"{path}: {str(e).splitlines()[0]}; by itself misr knows {known}") from None
    if it.input_channels != it.output_channels or it.input_channels not in (1, 3):
        raise ModelError(
            f"{path}: {it.architecture.name} takes {it.input_channels} channels and gives {it.output_channels}; misr has one, "
            "a plane, or three, RGB"
        )
    if scale not in (None, it.scale):
        raise ModelError(f"{path}: {it.architecture.name} enlarges by {it.scale}, not by {scale}; leave -s out")
    net = NETS[COMMUNITY](scale=it.scale, channels=it.input_channels)
    step = it.size_requirements.multiple_of
    note = f"tiles overlap by {OVERLAP} px, though it may look farther: whole pictures (--tile 0) are exact"
    note += f"; pictures are padded to multiples of {step}" if step > 1 else ""
    options = {"channels": it.input_channels}
    source = f"{name}, as {it.architecture.name}" if name else it.architecture.name
    return card(COMMUNITY, net, options, it.scale, f"{source}, by spandrel", note), dict(tensors)


def card(name: str, net: nn.Module, options: dict[str, Any], scale: int, source: str, note: str) -> ModelCard:
    """What is known of an imported net before its file is."""
    multiple, halo, channels = (
        getattr(net, key, usual) for key, usual in (("multiple", 1), ("halo", OVERLAP), ("channels", 1))
    )
    return ModelCard(
        name="", net=name, scale=scale, options=options, channels=int(channels), multiple=int(multiple), halo=int(halo),
        source=source, note=note,
    )  # fmt: skip


def tried(state: dict[str, Tensor], it: ModelCard, path: Path) -> ModelCard:
    """The card, once the model was written, loaded as users load it, and made a picture of the size it says."""
    h, w = TRIAL
    x = torch.rand(1, 1, it.channels, h, w, generator=torch.Generator().manual_seed(1))
    with tempfile.TemporaryDirectory() as place:
        write(state, it, Path(place))
        net, _ = zoo.build(place)
        with torch.inference_mode():
            made = net(x, x.new_ones(1, 1, 1, 1, 1), range(1))
    wanted = (1, 1, it.channels, round(h * it.scale), round(w * it.scale))
    if made.shape != wanted or not made.isfinite().all():
        raise ModelError(
            f"{path}: a trial picture came out as {tuple(made.shape)} or not finite, where {wanted} is wanted; these weights do "
            "not work"
        )
    return it


def told(it: ModelCard, path: Path, folder: Path, state: dict[str, Tensor]) -> list[str]:
    """Lines for people."""
    many = sum(v.numel() for v in state.values() if v.is_floating_point())
    kind = "RGB" if it.channels == 3 else "one plane; colour is interpolated"
    lines = [f"{folder}: {it.source or it.net}, x{it.scale:g}, {many:,} numbers, {kind}"]
    if it.licence == UNKNOWN:
        lines.append(f"its licence is not known: look where {path.name} comes from, and tell it with --licence")
    return [*lines, f"misr upscale IN OUT -m {folder}"]
