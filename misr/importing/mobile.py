"""Three nets for telephones, rewritten as Real-ESRGAN's Compact, which spandrel knows: the same pictures, but for rounding.

ECBSR (Zhang et al., ACM MM 2021), ABPN (Du et al., CVPRW 2021) and ETDS (Chao et al., CVPR 2023), as ECNUSR/ETDS published them
after learning: convolutions of 3x3 with ReLU or PReLU between, then the pixel shuffle. Compact is such a chain, all layers as
wide, with a PReLU that has a slope for each channel, and adds the picture, repeated.
"""

from __future__ import annotations

import re
from itertools import pairwise

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def compact(tensors: Tensors) -> tuple[str, Tensors] | None:
    """The name of one of these nets, and its weights under Compact's names; None for weights of others.

    Where a layer is narrower than Compact has it, channels are added that are zero. ETDS adds no picture and ends in a ReLU:
    there three channels carry the picture, which has no negative values, through all layers, and the last takes it off again.
    """
    for name, convert in (("ECBSR", ecbsr), ("ABPN", abpn), ("ETDS", etds)):
        if made := convert(tensors):
            return name, made
    return None


def ecbsr(tensors: Tensors) -> Tensors | None:
    """ECBSR: a PReLU after each convolution but the last."""
    count = len([name for name in tensors if re.fullmatch(r"backbone\.\d+\.0\.weight", name)])
    layers = taken(tensors, [f"backbone.{n}.0" for n in range(count)])
    bends = [tensors.get(f"backbone.{n}.1.weight") for n in range(count - 1)]
    if not layers or len(tensors) != 3 * count - 1 or any(x is None for x in bends):
        return None
    return chained(layers, [x for x in bends if x is not None])


def abpn(tensors: Tensors) -> Tensors | None:
    """ABPN: a ReLU after each convolution but the last."""
    count = 2 + len([name for name in tensors if re.fullmatch(r"backbone\.\d+\.0\.weight", name)])
    names = ["backbone.0", *(f"backbone.{n}.0" for n in range(2, count)), f"backbone.{count}", f"backbone.{count + 2}"]
    layers = taken(tensors, names)
    if not layers or len(tensors) != 2 * len(names):
        return None
    return chained(layers, [bias.new_zeros(len(bias)) for _, bias in layers[:-1]])


def taken(tensors: Tensors, names: list[str]) -> list[tuple[Tensor, Tensor]]:
    """Kernels of 3x3 and biases of these names; none where one is missing or of another size."""
    found = [(tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")) for name in names]
    whole = [
        (kernel, bias)
        for kernel, bias in found
        if kernel is not None and bias is not None and kernel.shape[2:] == (3, 3) and bias.ndim == 1
    ]
    return whole if len(whole) == len(names) else []


def etds(tensors: Tensors) -> Tensors | None:
    """ETDS: three more channels all along, which the last convolution takes off."""
    count = len([name for name in tensors if re.fullmatch(r"backbone_convs\.\d+\.weight", name)])
    names = ["conv_first", *(f"backbone_convs.{n}" for n in range(count)), "conv_last", "conv_clip"]
    if set(tensors) != {f"{name}.{part}" for name in names for part in ("weight", "bias")}:
        return None
    layers = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]
    if any(kernel.shape[2:] not in ((3, 3), (1, 1)) or bias.ndim != 1 for kernel, bias in layers):
        return None
    colours = layers[0][0].shape[1]
    wide = [carrying(weight, bias, colours, first=n == 0) for n, (weight, bias) in enumerate(layers)]
    cells = len(layers[-1][1]) // colours  # x3 has a channel more, for nothing
    made = cells * colours
    last = torch.zeros(made, made + colours, 3, 3)
    for n in range(made):
        last[n, n, 1, 1], last[n, made + n // cells, 1, 1] = 1, -1
    *inner, (kernel, bias) = wide
    wide = [*inner, (torch.cat([kernel[:made], kernel[-colours:]]), torch.cat([bias[:made], bias[-colours:]]))]
    return chained([*wide, (last, torch.zeros(made))], [x.new_zeros(len(x)) for _, x in wide])


def carrying(weight: Tensor, bias: Tensor, colours: int, *, first: bool) -> tuple[Tensor, Tensor]:
    """A layer that hands on the picture beside what it makes: the whole input of the first, the last channels of others."""
    weight = same(weight)
    more = torch.zeros(colours, weight.shape[1] + (0 if first else colours), 3, 3)
    more[range(colours), range(-colours, 0), 1, 1] = 1
    if not first:
        weight = torch.cat([weight, weight.new_zeros(len(weight), colours, 3, 3)], 1)
    return torch.cat([weight, more]), torch.cat([bias, bias.new_zeros(colours)])


def same(weight: Tensor) -> Tensor:
    """A kernel as one of 3x3."""
    return torch.nn.functional.pad(weight, [(3 - weight.shape[-1]) // 2] * 4)


def chained(layers: list[tuple[Tensor, Tensor]], bends: list[Tensor]) -> Tensors | None:
    """Layers and the slopes below zero between them as Compact's, all as wide as the widest; None where they do not fit."""
    fit = all(a[0].shape[0] == b[0].shape[1] for a, b in pairwise(layers))
    if not fit or [len(x) for x in bends] != [len(bias) for _, bias in layers[:-1]]:
        return None
    width, found = max(len(bias) for _, bias in layers[:-1]), {}
    for n, (weight, bias) in enumerate(layers):
        out, into = (len(bias) if n + 1 == len(layers) else width), (weight.shape[1] if n == 0 else width)
        found[f"body.{2 * n}.weight"] = filled(same(weight), (out, into, 3, 3))
        found[f"body.{2 * n}.bias"] = filled(bias, (out,))
        if n < len(bends):
            found[f"body.{2 * n + 1}.weight"] = filled(bends[n], (width,))
    return found


def filled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A tensor in the corner of a larger one of zeros."""
    made = x.new_zeros(shape)
    made[tuple(slice(side) for side in x.shape)] = x
    return made
