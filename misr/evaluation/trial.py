"""A model on trial: LR made of references by a paper's protocol, and what the model makes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from misr import zoo
from misr.errors import InputError
from misr.evaluation.measure import eight_bit_rgb, planes
from misr.evaluation.settings import Measure
from misr.frame import FULL, LIMITED, Color, Frame
from misr.metrics import bd, bi, cropped, to_codes
from misr.upscaler import Upscaler

Protocol = Literal["bi", "bd"]
PROTOCOLS: dict[str, Callable[[Tensor, int], Tensor]] = {"bi": bi, "bd": bd}
RGB = Color("rgb")


def common_scale(models: Iterable[str], scale: int | None) -> int:
    """The scale of all models; the plain kernels take any, 4 where nobody says."""
    made_for = {name: zoo.card(name).scale for name in models if name not in zoo.KERNELS}
    wanted = scale or next(iter(made_for.values()), 4)
    if unfit := [f"{name} (x{s:g})" for name, s in made_for.items() if s != wanted]:
        raise InputError(f"scale {wanted:g} is not that of {', '.join(unfit)}; compare models of one scale at a time")
    if wanted != int(wanted):
        raise InputError(f"scale {wanted:g}: the protocols of the papers know whole scales only")
    return int(wanted)


def trial(frames: Iterable[Frame], up: Upscaler, how: Measure, protocol: Protocol) -> Iterator[tuple[Frame, Frame]]:
    """Pairs (result, reference) of a clip: the reference at 8 bits, shrunk, and upscaled as `misr upscale` would.

    Measured on one plane, a net of one plane is given that plane alone; nets of RGB, and all when RGB is measured, get RGB.
    """
    scale = int(up.card.scale)
    in_rgb = how.color == "rgb" or up.card.channels == 3
    session, waiting = up.session(), deque[Frame]()
    for frame in frames:
        truth = reference(frame, how, in_rgb=in_rgb)
        if min(truth.width, truth.height) < scale:
            raise InputError(f"a reference of {truth.width}x{truth.height} cannot be shrunk by {scale}")
        waiting.append(truth)
        for sharp in session.push(shrunk(truth, scale, protocol)):
            yield sharp, waiting.popleft()
    for sharp in session.flush():
        yield sharp, waiting.popleft()


def reference(frame: Frame, how: Measure, *, in_rgb: bool) -> Frame:
    """What the model is to make: 8 bits, RGB or one plane, sides cropped to multiples of the scale."""
    found = eight_bit_rgb(frame) if in_rgb else planes(frame, how, frame.color)
    full = how.color == "plane" and frame.color.full or frame.color.model != "rgb" and frame.color.full
    color = RGB if in_rgb else Color("gray", range=FULL if full else LIMITED)
    return stored(cropped(found, how.scale or 1), color, frame)


def shrunk(truth: Frame, scale: int, protocol: Protocol) -> Frame:
    """The LR frame that a protocol makes."""
    make = PROTOCOLS[protocol]
    return stored(torch.stack([make(torch.from_numpy(p), scale) for p in truth.planes]), truth.color, truth)


def stored(codes: Tensor, color: Color, like: Frame) -> Frame:
    """Code values (planes, h, w) as a frame of 8 bits."""
    arrays = to_codes(codes).to(torch.uint8).numpy()
    return Frame(tuple(np.ascontiguousarray(p) for p in arrays), color, like.time, like.duration)
