"""`misr export`: from a model's name to a file of another runtime, which has its name only when that runtime agrees with misr."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import nn

from misr import __version__
from misr.card import ModelCard
from misr.errors import InputError, ModelError, OutputError
from misr.exporting import check
from misr.exporting.forms import Step, form
from misr.exporting.onnx_file import OPSETS, Dims, onnx_model
from misr.exporting.script_file import script
from misr.upscaler import Upscaler
from misr.zoo import build

if TYPE_CHECKING:
    from onnx import ModelProto

Format = Literal["onnx", "torchscript", "openvino"]
SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".pt": "torchscript", ".ts": "torchscript", ".xml": "openvino"}
NEEDS: dict[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxruntime"),
    "torchscript": (),
    "openvino": ("onnx", "openvino"),
}
AGREES = 1e-4  # of white; float32 in another order of summation was seen to differ by 1e-6 to 4e-5
AGREES_FP16 = 2e-3  # half a code value of 8 bits
SMALLEST = 4  # pixels: a blur of 3 pixels is traced


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    files       paths, the one that was asked for first
    inputs      name -> dimensions: sizes, or names of what may have any; outputs likewise
    error       the largest difference from misr's own pictures, white = 1
    told        what the file says about itself: name, scale, licence ...
    """

    files: tuple[Path, ...]
    format: Format
    inputs: dict[str, tuple[str | int, ...]]
    outputs: dict[str, tuple[str | int, ...]]
    error: float
    told: dict[str, str]


def export(
    model: str | tuple[nn.Module, ModelCard],
    out: str | Path,
    *,
    scale: float | None = None,
    format: Format | None = None,
    rgb: bool = False,
    opset: int = 17,
    fp16: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write a model for ONNX Runtime, libtorch or OpenVINO, after that runtime has made the same pictures with it.

    model       a shipped name, a directory, or a ready (net, card)
    scale       of a plain kernel; a trained model has its own
    format      onnx, torchscript, openvino; by the suffix (.onnx, .pt, .xml) when not given
    rgb         take and give R'G'B' where the net knows luma alone: BT.709 luma, bicubic colour. TorchScript always does
    opset       of ONNX, 16 to 20
    fp16        openvino: weights in 16 bits, half the file; models of one view bear it
    progress    is told steps done, and of how many: writing, then every size at which it is checked

    ModelError when the model cannot leave misr, InputError when the wish is none, OutputError when torch cannot write it or the
    runtime differs by more than 1e-4 of white (2e-3 with fp16); then nothing is left under the name.
    """
    path = Path(out)
    kind = wanted(path, format, rgb=rgb, opset=opset, fp16=fp16, overwrite=overwrite)
    net, card = build(model, scale=scale) if isinstance(model, str) else (deepcopy(model[0]), model[1])
    if scale is not None and scale != card.scale:
        raise InputError(
            f"-s {scale:g}: {card.name} is made for x{card.scale:g}; leave -s out, or choose another model"
        )
    rgb = rgb or kind == "torchscript"
    shaped = form(net, card, rgb=rgb)
    if kind == "torchscript" and isinstance(shaped, Step):
        raise ModelError(
            f"{card.name} looks at {views(card)} views, and FFmpeg's torch backend gives one; export it to .onnx or .xml, "
            "or choose a model of one view, as fast-x2"
        )
    up = Upscaler((net, card), device="cpu", precision="fp32")
    dims = dimensions(card, shaped, rgb=rgb)
    told = about(card, dims, rgb=rgb)
    step = partial(count, progress, itertools.count(1))
    if kind == "torchscript":
        with whole(path) as (part,):
            part.write_bytes(made := script(shaped, told))
            step()
            error = agreed(path, partial(check.in_torch, made), up, step, rgb=rgb)
    else:
        error = through_onnx(path, kind, shaped, up, dims, told, step, rgb=rgb, opset=opset, fp16=fp16)
    *given, (name, result) = dims.items()
    return Exported(files(path, kind), kind, dict(given), {name: result}, error, told)


def count(progress: Callable[[int, int], None] | None, steps: Iterator[int]) -> None:
    """Another step is done."""
    if progress:
        progress(next(steps), 1 + len(check.SIZES))


def through_onnx(
    path: Path,
    kind: Format,
    shaped: nn.Module,
    up: Upscaler,
    dims: Dims,
    told: dict[str, str],
    step: Callable[[], None],
    *,
    rgb: bool,
    opset: int,
    fp16: bool,
) -> float:
    """Write and check ONNX, or OpenVINO's files by way of it."""
    try:
        made: ModelProto = onnx_model(shaped, up.card, dims, told, opset)
    except (RuntimeError, TypeError, ValueError) as e:
        said = f"torch cannot write {up.card.name} as ONNX opset {opset}: {check.gist(e)}"
        raise OutputError(f"{path}: {said}") from e
    data, window = made.SerializeToString(), isinstance(shaped, Step)
    with whole(*files(path, kind)) as parts:
        if kind == "onnx":
            parts[0].write_bytes(data)
            step()
            return agreed(path, partial(check.in_onnxruntime, data), up, step, rgb=rgb, window=window)
        import openvino

        try:
            graph = openvino.Core().read_model(data)
            for key, value in told.items():
                graph.set_rt_info(value, ["misr", key])
            openvino.save_model(graph, parts[0], compress_to_fp16=fp16)
        except RuntimeError as e:
            raise OutputError(f"{path}: OpenVINO cannot write {up.card.name}: {check.gist(e)}") from e
        step()
        return agreed(path, partial(check.in_openvino, parts[0]), up, step, rgb=rgb, window=window, fp16=fp16)


def wanted(path: Path, format: Format | None, *, rgb: bool, opset: int, fp16: bool, overwrite: bool) -> Format:
    """The format, after everything about the wish that can be refused."""
    kind = format or SUFFIXES.get(path.suffix.lower())
    if kind is None or kind not in NEEDS:
        raise InputError(
            f"{path}: what format? Name it .onnx, .pt (TorchScript) or .xml (OpenVINO), or say --format {'|'.join(NEEDS)}"
        )
    if kind == "openvino" and path.suffix.lower() != ".xml":
        raise InputError(f"{path}: OpenVINO wants a name that ends in .xml; the weights go beside it, in .bin")
    if opset not in OPSETS:
        raise InputError(
            f"--opset {opset}: {OPSETS[0]} to {OPSETS[-1]} can hold what the nets need; leave it out for 17"
        )
    if fp16 and kind != "openvino":
        raise InputError(f"--fp16 is about the weights in OpenVINO's files; {kind} is written in 32 bits, leave it out")
    lacking = [name for name in NEEDS[kind] if find_spec(name) is None]
    if lacking:
        raise InputError(f'{path}: needs {" and ".join(lacking)}; pip install "misr[export]"')
    for file in files(path, kind):
        if not file.parent.is_dir() or file.is_dir():
            raise OutputError(f"{file}: not a place for a file; name one in a folder that exists")
        if file.exists() and not overwrite:
            raise OutputError(f"{file} exists; -y overwrites it")
    return kind


def files(path: Path, kind: Format) -> tuple[Path, ...]:
    """The files of an export."""
    return (path, path.with_suffix(".bin")) if kind == "openvino" else (path,)


@contextmanager
def whole(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Hidden names to write to, which become these when all has gone well, the first one last; OutputError of the disk's."""
    parts = tuple(p.with_name(f".{p.stem}.part{p.suffix}") for p in paths)
    try:
        yield parts
        for part, path in reversed(list(zip(parts, paths, strict=True))):
            os.replace(part, path)
    except OSError as e:
        raise OutputError(f"{paths[0]}: cannot be written ({e.strerror or e}); choose another place") from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def agreed(
    path: Path,
    load: Callable[[], check.Run],
    up: Upscaler,
    step: Callable[[], None],
    *,
    rgb: bool,
    window: bool = False,
    fp16: bool = False,
) -> float:
    """How far a runtime is from misr; OutputError when that is too far."""
    limit, cure = (AGREES_FP16, "leave --fp16 out") if fp16 else (AGREES, "please report it")
    try:
        error = check.worst(load, up, rgb=rgb, window=window, step=step)
    except OutputError as e:
        raise OutputError(f"{path}: {e}; nothing was written, please report it") from e
    if not error <= limit:
        raise OutputError(
            f"{path}: its pictures are {error:.1e} of white off misr's, more than {limit:.0e}; nothing was written, {cure}"
        )
    return error


def views(card: ModelCard) -> int:
    """Views of a window."""
    return card.before + card.emit + card.after


def dimensions(card: ModelCard, shaped: nn.Module, *, rgb: bool) -> dict[str, tuple[str | int, ...]]:
    """Names and dimensions of what goes in and, last, of what comes out."""
    c = 3 if rgb else card.channels
    if isinstance(shaped, Step):
        seen = {"views": ("n", views(card), c, "h", "w"), "valid": ("n", views(card))}
        return {**seen, "sharp": ("n", card.emit, c, "H", "W")}
    return {"rgb" if c == 3 else "luma": ("n", c, "h", "w"), "sharp": ("n", c, "H", "W")}


def about(card: ModelCard, dims: Dims, *, rgb: bool) -> dict[str, str]:
    """What a file says about itself, for whoever is to use it without this program."""
    given = (
        "R'G'B', black 0 and white 1"
        if rgb or card.channels == 3
        else "luma as stored, code value / 255 (of 10 bits / 1020 when limited, / 1023 when full), 0 to 1"
    )
    told = {
        "about": f"{card.name}: super-resolution x{card.scale:g} by misr. "
        + ", ".join(f"{name} {list(d)}" for name, d in dims.items()),
        "misr": __version__,
        "name": card.name,
        "scale": f"{card.scale:g}",
        "input": given,
        "output": "on the same scale as the input; may overshoot it: clamp where integers are made",
        "size": f"any height and width from {SMALLEST}; no padding is wanted",
        "licence": card.licence,
        "source": card.source,
        "trained_on": card.trained_on,
        "sha256": card.sha256,
    }
    if rgb and card.channels == 1:
        told["matrix"] = "BT.709 luma; colour differences are enlarged by bicubic interpolation"
    if "valid" in dims:
        told |= {"before": str(card.before), "emit": str(card.emit), "after": str(card.after)}
        told["window"] = (
            f"views: {card.before} before, {card.emit} that come out sharp, {card.after} after; valid: 1 for a real view, 0 for "
            f"what lies beyond a cut or an end. Windows begin at frames that are multiples of {card.emit}"
        )
    return {k: v for k, v in told.items() if v}
