"""Published weights of nets that misr has itself: known by the names and shapes of their tensors, renamed to its own.

A converter looks at tensors and either is not meant (None), or says which net of NETS they are, with which options, and what
each is called there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from misr.errors import ModelError
from misr.importing.tensors import Weights

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Found:
    """Weights as one of misr's own nets.

    net, scales     its name in NETS, and the scales it can be had in, the usual one first
    options, state  what builds it, beside the scale, and its weights, by scale where they depend on it
    """

    net: str
    scales: tuple[int, ...]
    options: dict[str, Any]
    state: Callable[[int], Tensors]
    source: str = ""
    note: str = field(default="")


def found(weights: Weights, where: str) -> Found | None:
    """The net of published weights, None for none of misr's own; ModelError for a net that is called like one and is another."""
    tensors = weights.tensors
    if all(name.startswith("model.") for name in tensors):
        tensors = {name.removeprefix("model."): value for name, value in tensors.items()}
    if weights.operations:
        return of_graph(Weights(tensors, weights.operations), where)
    for converter in (vdsr, lapsrn, espcn, srresnet):
        if it := converter(tensors):
            return it
    return None


def vdsr(tensors: Tensors) -> Found | None:
    """twtygqyy/pytorch-vdsr: input, residual_layer.0 ..., output; without biases. One file for every scale."""
    depth = 2 + len([n for n in tensors if re.fullmatch(r"residual_layer\.\d+\.conv\.weight", n)])
    inner = {f"residual_layer.{k}.conv.weight": f"layers.{k + 1}.weight" for k in range(depth - 2)}
    names = {"input.weight": "layers.0.weight", **inner, "output.weight": f"layers.{depth - 1}.weight"}
    if set(tensors) != set(names):
        return None
    width, channels = tensors["input.weight"].shape[:2]
    options = {"depth": depth, "width": width, "bias": False} | colours(channels)
    return Found("vdsr", (2, 3, 4), options, lambda scale: renamed(tensors, names), "Kim et al., CVPR 2016")


def lapsrn(tensors: Tensors) -> Found | None:
    """twtygqyy/pytorch-LapSRN: conv_input, and of each level convt_F, convt_I, convt_R; without biases."""
    levels = len([n for n in tensors if re.fullmatch(r"convt_I\d+\.weight", n)])
    depth = len([n for n in tensors if re.fullmatch(r"convt_F1\.0\.cov_block\.\d+\.weight", n)]) - 1
    names = {"conv_input.weight": "head.weight"}
    for n in range(levels):
        names |= {f"convt_I{n + 1}.weight": f"enlarge.{n}.weight", f"convt_R{n + 1}.weight": f"detail.{n}.weight"}
        inside = f"convt_F{n + 1}.0.cov_block"
        names |= {f"{inside}.{2 * k}.weight": f"features.{n}.layers.{k}.weight" for k in range(depth)}
        names[f"{inside}.{2 * depth}.weight"] = f"features.{n}.up.weight"
    if not levels or set(tensors) != set(names):
        return None

    def state(scale: int) -> Tensors:
        used = scale.bit_length() - 1  # a lower scale is the picture of a lower level
        kept = {a: b for a, b in names.items() if not (at := re.search(r"\.(\d+)\.", b)) or int(at[1]) < used}
        return renamed({name: tensors[name] for name in kept}, kept)

    width, channels = tensors["conv_input.weight"].shape[:2]
    options = {"depth": depth, "width": width, "bias": False} | colours(channels)
    scales = tuple(2**n for n in range(levels, 0, -1))
    return Found("lapsrn", scales, options, state, "Lai et al., CVPR 2017")


def espcn(tensors: Tensors) -> Found | None:
    """Thmen/EGVSR's ESPCN: three convolutions with tanh, one of 1x1 to the cells, a sigmoid on the picture.

    reconv and deconv, other ends of the same training, are left out.
    """
    layers = ("conv1", "conv2", "conv3", "pwconv")
    if not {f"{name}.{part}" for name in layers for part in ("weight", "bias")} <= set(tensors):
        return None
    shapes = [tensors[f"{name}.weight"].shape for name in layers]
    scale = round((shapes[3][0] / shapes[0][1]) ** 0.5)
    options = {
        "kernels": [shape[2] for shape in shapes],
        "widths": [shape[0] for shape in shapes[:3]],
        "squash": "sigmoid",
    } | colours(shapes[0][1])
    names = {f"{name}.{p}": f"layers.{n}.{p}" for n, name in enumerate(layers) for p in ("weight", "bias")}
    kept = {name: tensors[name] for name in names}
    return Found("espcn", (scale,), options, lambda _: renamed(kept, names), "Shi et al., CVPR 2016")


def srresnet(tensors: Tensors) -> Found | None:
    """leftthomas/SRGAN's generator: block1, residual blocks, a convolution with PReLU, sub-pixel, (tanh + 1) / 2."""
    blocks = len([n for n in tensors if re.fullmatch(r"block\d+\.conv1\.weight", n)])
    end = f"block{blocks + 3}"
    ups = len([n for n in tensors if re.fullmatch(rf"{end}\.\d+\.conv\.weight", n)])
    names = {
        "block1.0": "head.0",
        "block1.1": "head.1",
        f"block{blocks + 2}.0": "tail.0",
        f"block{blocks + 2}.1": "tail.1",
    }
    for k in range(blocks):
        inner = ("conv1", "bn1", "prelu", "conv2", "bn2")
        names |= {f"block{k + 2}.{part}": f"blocks.{k}.layers.{n}" for n, part in enumerate(inner)}
    for k in range(ups):
        names |= {f"{end}.{k}.conv": f"up.{3 * k}", f"{end}.{k}.prelu": f"up.{3 * k + 2}"}
    names[f"{end}.{ups}"] = "last"
    known = {
        name: f"{names[stem]}.{part}" for name in tensors for stem, _, part in [name.rpartition(".")] if stem in names
    }
    if not blocks or not ups or set(tensors) - set(known) or f"{end}.{ups}.weight" not in tensors:
        return None
    state = renamed(tensors, known)
    for name in [n for n in state if n.endswith(".running_mean")]:  # files older than the counter lack it
        state.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.zeros((), dtype=torch.int64))
    width, channels = tensors["block1.0.weight"].shape[:2]
    options = {"blocks": blocks, "width": width, "tail": "prelu", "squash": True} | colours(channels)
    return Found("srresnet", (2**ups,), options, lambda _: state, "Ledig et al., CVPR 2017")


def of_graph(weights: Weights, where: str) -> Found | None:
    """OpenCV's dnn_superres graphs: ESPCN and FSRCNN. Their LapSRN is another net than the one of the paper."""
    tensors = weights.tensors
    if any("deconv_f" in name for name in tensors):
        raise ModelError(
            f"{where}: not LapSRN as published (its second level begins at the picture of the first, its 4x4 kernels lie off the "
            "grid), so no net of misr takes it; take other weights of LapSRN"
        )
    last = max((int(n[1:]) for n in tensors if re.fullmatch(r"f\d+", n)), default=0)
    if (
        not last
        or "DepthToSpace" not in weights.operations
        or not {f"b{n}" for n in range(1, last + 1)} <= set(tensors)
    ):
        return None
    layers = [kernel(tensors[f"f{n}"]) for n in range(1, last + 1)]
    return fsrcnn(tensors, layers) if "alpha1" in tensors else relu_espcn(tensors, layers)


def relu_espcn(tensors: Tensors, layers: list[Tensor]) -> Found | None:
    """fannymonori/TF-ESPCN: ReLU, and a tanh on the picture."""
    scale = round(layers[-1].shape[0] ** 0.5)
    if scale * scale != layers[-1].shape[0]:
        return None
    options = {
        "kernels": [layer.shape[2] for layer in layers],
        "widths": [layer.shape[0] for layer in layers[:-1]],
        "activation": "relu",
        "squash": "tanh",
    }
    state = {f"layers.{n}.weight": layer for n, layer in enumerate(layers)}
    state |= {f"layers.{n}.bias": tensors[f"b{n + 1}"] for n in range(len(layers))}
    return Found("espcn", (scale,), options, lambda _: state, "Shi et al., CVPR 2016", NO_ANTIALIASING)


def fsrcnn(tensors: Tensors, layers: list[Tensor]) -> Found | None:
    """Saafke/FSRCNN_Tensorflow: it ends in a 1x1 convolution to a pixel's cells, which is a deconvolution of side `scale`."""
    *inner, up = layers
    scale = round(up.shape[0] ** 0.5)
    if (
        scale * scale != up.shape[0]
        or up.shape[2:] != (1, 1)
        or not {f"alpha{n + 1}" for n in range(len(inner))} <= set(tensors)
    ):
        return None
    options = {"width": inner[0].shape[0], "shrunk": inner[1].shape[0], "depth": len(inner) - 3, "kernel": scale}
    state = {f"layers.{n}.0.weight": layer for n, layer in enumerate(inner)}
    state |= {f"layers.{n}.0.bias": tensors[f"b{n + 1}"] for n in range(len(inner))}
    state |= {f"layers.{n}.1.weight": tensors[f"alpha{n + 1}"] for n in range(len(inner))}
    state["up.weight"] = rearrange(up, "(y x) c 1 1 -> c 1 y x", y=scale).contiguous()
    state["up.bias"] = tensors[f"b{len(layers)}"]
    return Found("fsrcnn", (scale,), options, lambda _: state, "Dong et al., ECCV 2016", NO_ANTIALIASING)


NO_ANTIALIASING = "learned from LR made without antialiasing, for which it is best"


def kernel(tensor: Tensor) -> Tensor:
    """A convolution's weights from TensorFlow's order to torch's."""
    return rearrange(tensor, "h w i o -> o i h w").contiguous()


def renamed(tensors: Tensors, names: dict[str, str]) -> Tensors:
    """Tensors under other names."""
    return {names[name]: value for name, value in tensors.items()}


def colours(channels: int) -> dict[str, int]:
    """The option of nets that take RGB."""
    return {} if channels == 1 else {"channels": channels}
