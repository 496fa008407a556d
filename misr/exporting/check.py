"""Whether an exported model does what misr does: its runtime against the Upscaler, at sizes it was not traced with."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from misr.card import ModelCard
from misr.color import luma_view, picture_planes
from misr.errors import OutputError
from misr.exporting.forms import BT709
from misr.frame import Color, Frame
from misr.upscaler import Upscaler
from misr.window import Window

SIZES = ((1, 33, 47), (2, 32, 24), (1, 37, 26))  # n, h, w
RGB = Color("rgb", depth=32, matrix=BT709)
Array = np.ndarray[Any, np.dtype[np.float32]]
T = TypeVar("T")
Run = Callable[[dict[str, Array]], Array]  # inputs by name -> output


def worst(
    load: Callable[[], Run], up: Upscaler, *, rgb: bool, window: bool, step: Callable[[], None] | None = None
) -> float:
    """The largest difference between a runtime's pictures and misr's, white = 1, over SIZES; OutputError when it fails.

    window      the model takes views and which of them are real, not a picture
    step        is called after each size
    """
    run = tried("cannot load it", load)
    centres = slice(up.card.before, up.card.before + up.card.emit)
    found = 0.0
    for k, (n, h, w) in enumerate(SIZES):
        views, valid = scene(up.card, n, h, w, c=3 if rgb else up.card.channels, gaps=k)
        truth = torch.stack([sharp(up, v, r, rgb=rgb) for v, r in zip(views, valid, strict=True)])
        given = {"views": views, "valid": valid} if window else {"rgb" if views.shape[2] == 3 else "luma": views[:, 0]}
        got = tried(f"fails at {w}x{h}", partial(run, {name: x.numpy() for name, x in given.items()}))
        want = truth.numpy() if window else truth[:, 0].numpy()
        if got.shape != want.shape or not np.isfinite(got).all():
            raise OutputError(f"at {w}x{h} it gives {got.shape}, not {want.shape}, or what is no number")
        off = np.abs(got - want)
        seen = off[valid[:, centres].numpy() > 0] if window else off  # nobody looks at pictures of padding
        found = max(found, float(seen.max()))
        if step:
            step()
    return found


def tried(what: str, work: Callable[[], T]) -> T:
    """work(); OutputError where a runtime fails, each with errors of its own."""
    try:
        return work()
    except Exception as e:
        raise OutputError(f"its runtime {what}: {gist(e)}") from e


def gist(e: Exception) -> str:
    """The first line of what an exception says."""
    return str(e).strip().partition("\n")[0] or type(e).__name__


def scene(card: ModelCard, n: int, h: int, w: int, *, c: int, gaps: int) -> tuple[Tensor, Tensor]:
    """Views (n, t, c, h, w) of pictures that move, with detail and noise, and which are real (n, t): all, or less at each end."""
    dice = torch.Generator().manual_seed(7 * h + w)
    t = card.before + card.emit + card.after
    coarse = torch.rand(n * c, 1, h // 3 + 1, (w + 2 * t) // 3 + 1, generator=dice)
    wide = rearrange(F.interpolate(coarse, scale_factor=3, mode="bicubic"), "(n c) 1 h w -> n c h w", c=c) * 0.8 + 0.1
    views = torch.stack([wide[..., :h, 2 * k : 2 * k + w] for k in range(t)], 1)
    views = (views + 0.01 * torch.rand(views.shape, generator=dice)).clamp(0, 1)
    valid = torch.ones(n, t)
    if gaps and t > 1:
        valid[:, : gaps + 1] = valid[:, t - gaps :] = 0
    return views, valid


def sharp(up: Upscaler, views: Tensor, valid: Tensor, *, rgb: bool) -> Tensor:
    """What misr makes of one window: pictures (emit, c, s*h, s*w); views (t, c, h, w), valid (t)."""
    card = up.card
    centres = range(card.before, card.before + card.emit)
    if not rgb or card.channels == 3:
        return up([Window(views, valid[:, None, None, None], centres)])[0]
    frames = [Frame(tuple(v.numpy()), RGB, Fraction(0), Fraction(1)) for v in views]
    luma = torch.stack([luma_view(f, up.device) for f in frames])
    pictures = up([Window(luma, valid[:, None, None, None], centres)])[0]
    scale = card.scale, card.scale
    seen = zip(frames[card.before :], pictures, strict=False)
    return torch.stack([torch.cat(picture_planes(f, p[None], RGB, scale))[:, 0] for f, p in seen])


def in_onnxruntime(model: bytes) -> Run:
    """A model as ONNX Runtime runs it on a CPU."""
    import onnxruntime

    how = onnxruntime.SessionOptions()
    how.log_severity_level = 3
    how.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, how, providers=["CPUExecutionProvider"])
    return lambda given: np.asarray(session.run(None, given)[0], np.float32)


def in_openvino(model: Any) -> Run:
    """A model, or the path of one, as OpenVINO runs it on a CPU, in float32 throughout."""
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # a file that is mapped cannot be renamed everywhere
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda given: np.array(compiled(given)[0])


def in_torch(model: bytes) -> Run:
    """TorchScript as libtorch runs it."""
    net = torch.jit.load(io.BytesIO(model))

    def run(given: dict[str, Array]) -> Array:
        with torch.no_grad():
            out = net(*(torch.from_numpy(x) for x in given.values()))
        if not out.is_contiguous():
            raise ValueError("its output does not lie in memory as its shape says")
        return np.asarray(out.numpy())

    return run
