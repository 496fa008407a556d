"""From a name or a path to a model: card, net, weights checked against their sha256."""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from misr.card import ModelCard
from misr.errors import ModelError
from misr.nets import NETS
from misr.shelf import BURST, KERNELS, METHODS, names, shelf

__all__ = [
    "BEST",
    "BURST",
    "KERNELS",
    "METHODS",
    "ROBUST",
    "VIDEO",
    "best_device",
    "build",
    "card",
    "choose",
    "find",
    "fuses",
    "load",
    "macs_per_pixel",
    "models",
    "names",
    "parameters",
    "shelf",
    "trainable",
]

BEST = {2: "fast-x2", 4: "fast-x4"}  # what -s alone means
ROBUST = {2: "fast-robust-x2"}  # and of a compressed source, by scale
VIDEO = {2: "video-x2", 4: "video-x4"}  # and of moving pictures on a device that is quick enough


def models() -> tuple[str, ...]:
    """The names misr upscales clips with: shipped models, then the plain kernels. What fuses bursts is not among them."""
    return tuple(name for name in names() if not fuses(card(name)))


def trainable() -> tuple[str, ...]:
    """The nets that `misr train` makes models of."""
    return tuple(name for name in NETS if name not in ("interpolate", "spandrel", *METHODS))


def find(name_or_path: str | Path) -> Path:
    """The directory of a shipped model, or of a model given by path (its directory or its card.json)."""
    path = Path(name_or_path)
    for candidate in (path, path.parent if path.name == "card.json" else path, shelf() / str(name_or_path)):
        if (candidate / "card.json").is_file():
            return candidate
    raise ModelError(
        f"no model {str(name_or_path)!r}; there is {', '.join(names())}, or give the path of a directory with card.json"
    )


def card(name_or_path: str | Path, *, scale: float | None = None) -> ModelCard:
    """The card of a model; the plain kernels make theirs for the scale (2 by default)."""
    name = str(name_or_path)
    if name in KERNELS:
        halo = NETS["interpolate"](scale=2, kernel=name).halo
        assert isinstance(halo, int)
        return ModelCard(
            name=name,
            net="interpolate",
            scale=scale or 2,
            options={"kernel": name},
            halo=halo,
            source="Keys 1981" if name == "bicubic" else "",
            note="plain interpolation, no weights",
        )
    if name in METHODS:
        if scale is not None and (scale != int(scale) or scale < 1):
            raise ModelError(f"-s {scale:g}: {name} wants a whole scale, as 2, 3 or 4")
        halo = NETS[name](scale=2).halo
        assert isinstance(halo, int)
        return ModelCard(name=name, net=name, scale=int(scale or 2), halo=halo, note="no weights; fuses bursts")
    return ModelCard.read(find(name) / "card.json")


def fuses(it: ModelCard) -> bool:
    """Whether a model fuses views of one place (`misr fuse`), not the frames of a clip (`misr upscale`)."""
    return bool(getattr(NETS.get(it.net), "bursts", False))


def choose(
    scale: float | None, *, compressed: bool = False, moving: bool = False, device: str = "cpu"
) -> tuple[str, str]:
    """The name of the best shipped model for a scale, and why; the smallest one that reaches it, when none is made for it.

    compressed    the source comes from a lossy codec (H.264 and its like): the robust variant makes more of it
    moving        there are several frames, so that a video net has neighbours to look at
    device        "cpu" or "cuda": on a CPU a video net is several times slower than `fast`, and so only on request
    """
    fitting = [s for s in BEST if s >= (scale or 2)]
    made_for = min(fitting) if fitting else max(BEST)
    if compressed and made_for in ROBUST:
        return ROBUST[made_for], "the source is compressed, and this one was trained on compressed views"
    if not moving or made_for not in VIDEO:
        return BEST[made_for], "fast, from one picture alone"
    if compressed:
        return BEST[
            made_for
        ], f"the source is compressed; {VIDEO[made_for]} learned from clean views and gains nothing there"
    if device != "cpu":
        return VIDEO[made_for], f"several frames know more than one, and {device} is quick enough for it"
    return BEST[made_for], f"fast on a CPU; -m {VIDEO[made_for]} looks at neighbouring frames too: sharper, slower"


def build(name_or_path: str | Path, *, scale: float | None = None) -> tuple[nn.Module, ModelCard]:
    """The net with its weights, in evaluation mode on the CPU in fp32, and its card."""
    it = card(name_or_path, scale=scale)
    net = unfilled(it)
    if it.sha256:
        load(net, find(name_or_path) / "weights.safetensors", it)
    return net.eval().requires_grad_(False), it


def unfilled(it: ModelCard) -> nn.Module:
    """The net of a card, before it has its weights; ModelError where this misr cannot make it."""
    if it.net not in NETS:
        raise ModelError(
            f"model {it.name}: net {it.net!r} is not one of {', '.join(NETS)}; this misr is too old for it"
        )
    try:
        return NETS[it.net](scale=it.scale, **it.options)
    except TypeError as e:
        raise ModelError(f"model {it.name}: options {it.options} do not fit net {it.net} ({e})") from None
    except ValueError as e:
        raise ModelError(f"model {it.name}: net {it.net}: {e}") from None


def load(net: nn.Module, path: Path, it: ModelCard) -> None:
    """Fill a net from safetensors; a changed file or other shapes are a ModelError."""
    fill(net, weights(path, it), it)


def weights(path: Path, it: ModelCard) -> bytes:
    """The file of a model's weights as it is; ModelError where it is missing, or not the one its card describes."""
    if not path.is_file():
        raise ModelError(f"model {it.name}: {path} is missing; copy it beside its card.json")
    found = path.read_bytes()
    if hashlib.sha256(found).hexdigest() != it.sha256:
        raise ModelError(
            f"model {it.name}: {path} is not the file its card describes (sha256 differs); fetch the model again"
        )
    return found


def fill(net: nn.Module, stored: bytes, it: ModelCard) -> None:
    """Give a net the weights that a file of safetensors holds; ModelError where they are of other shapes."""
    try:
        net.load_state_dict(safetensors.torch.load(stored))
    except RuntimeError as e:
        raise ModelError(f"model {it.name}: weights do not fit net {it.net}: {str(e).splitlines()[0]}") from None


def parameters(net: nn.Module) -> int:
    """How many numbers were learned."""
    return sum(p.numel() for p in net.parameters())


def macs_per_pixel(net: nn.Module, it: ModelCard) -> float:
    """Multiply-accumulates of convolutions, matrices and attention for each LR pixel of a clip's picture.

    As torch counts them while the net makes one window, so that its weights must be on the CPU; what is gathered and warped is
    not counted.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and of use to tables alone

    side = -(-48 // it.multiple) * it.multiple
    views = torch.rand(1, it.before + it.emit + it.after, it.channels, side, side)
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        net(views, views.new_ones(1, views.shape[1], 1, 1, 1), range(it.before, it.before + it.emit))
    return counted.get_total_flops() / 2 / side**2 / it.emit


def device_of(asked: str | torch.device | None) -> torch.device:
    """The device asked for, the best one here for None; ModelError for one that cannot be used."""
    try:
        device = torch.device(asked) if asked else best_device()
        if device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("no CUDA device here")
        torch.zeros(1, device=device).cpu()
    except RuntimeError as e:
        raise ModelError(
            f"device {asked!r} cannot be used ({str(e).splitlines()[0]}); `misr doctor` lists what can"
        ) from None
    return device


def best_device() -> torch.device:
    """cuda where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
