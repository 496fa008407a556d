"""ComfyUI: its loader's way into plugins/comfyui, and its way of calling a node; frames as IMAGE tensors, there and back."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

import misr
from tests.hosts import ROOT, Shown

FOLDER = ROOT / "plugins" / "comfyui"


def loaded(name: str = "custom_nodes_x_misr") -> Any:
    """The folder as ComfyUI imports what lies in custom_nodes/: by path, as a package of a name of ComfyUI's choice."""
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def called(images: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """What ComfyUI does with a node: defaults of its widgets, a fresh object, its function by name, in inference mode."""
    node = loaded().NODE_CLASS_MAPPINGS["MisrUpscale"]
    widgets = {k: v for group in node.INPUT_TYPES().values() for k, v in group.items() if len(v) > 1}
    values = {k: v[1]["default"] for k, v in widgets.items()} | inputs
    with torch.inference_mode():
        (out,) = getattr(node(), node.FUNCTION)(images=images, **values)
    assert isinstance(out, torch.Tensor)
    return out


class ComfyUI:
    """The node over a batch that is the whole clip."""

    name = "comfyui"
    formats: tuple[str, ...] = ("bgr0", "bgra", "gbrp10le", "gbrp16le")
    keeps: frozenset[str] = frozenset()  # an IMAGE is floats, and nothing else
    tick = Fraction(0)
    codes = 1  # n / 255 in float32 is not the n * (1 / 255) of integer frames, and nets in half precision see it
    error: type[BaseException] = ValueError

    def missing(self) -> str:
        return ""

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        frames = list(misr.open(clip, deinterlace="off"))
        white = 2 ** frames[0].color.depth - 1
        images = torch.stack([torch.from_numpy(np.stack(f.planes, -1).astype(np.float32)) for f in frames]) / white
        dtype = frames[0].planes[0].dtype
        out = (called(images, model=model) * white + 0.5).numpy().astype(dtype)  # as misr stores codes
        return [Shown(tuple(np.moveaxis(picture, -1, 0)), Fraction(0), (2, 2, 2, 2)) for picture in out]


HOST = ComfyUI()
