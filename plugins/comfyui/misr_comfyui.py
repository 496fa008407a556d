"""A node of ComfyUI: IMAGE in, IMAGE out, larger and sharper. A batch is a clip, whose pictures know each other."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

import misr

CLIP, SEPARATE = "frames of a clip", "separate pictures"
COLORS = {  # by channels; IMAGE tensors are floats from 0 to 1
    1: misr.Color("gray", depth=32, range=2),
    3: misr.Color("rgb", depth=32, range=2),
    4: misr.Color("rgb", depth=32, range=2, alpha=True),
}
ROOM = (
    1024  # bytes of device memory asked for, for each pixel of a window; where it is not enough, misr tiles by itself
)


class MisrUpscale:
    """Upscale a batch of images: as a clip, each frame with the help of its neighbours, or as pictures of their own."""

    DESCRIPTION = "Multi-frame super-resolution: a batch of frames in, the same batch out, larger and sharper."
    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What the node asks for, in ComfyUI's words."""
        devices = ["auto", "cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
        share, factor = {"min": 0.0, "max": 1.0, "step": 0.05}, {"min": 0.0, "max": 16.0, "step": 0.05}
        return {
            "required": {
                "images": ("IMAGE",),
                "model": (list(misr.models()), said("fast-x2", "video models look at neighbours too: sharper, slower")),
                "batch": ([CLIP, SEPARATE], said(CLIP, "what the batch is; frames of a clip lend each other detail")),
            },
            "optional": {
                "model_path": ("STRING", said("", "directory of a model of your own, in place of the one above")),
                "scale": ("FLOAT", said(0.0, "how many times larger; 0: as the model makes it") | factor),
                "strength": ("FLOAT", said(1.0, "0: plain interpolation; 1: all learned detail") | share),
                "tile": ("INT", said(0, "for little memory; 0: whole images") | {"min": 0, "max": 8192, "step": 32}),
                "precision": (["auto", "fp32", "bf16", "fp16"], said("auto", "auto: what device and model do well")),
                "device": (devices, said("auto", "auto: the one ComfyUI computes on")),
            },
        }

    def upscale(
        self,
        images: torch.Tensor,
        model: str,
        batch: str = CLIP,
        *,
        model_path: str = "",
        scale: float = 0.0,
        strength: float = 1.0,
        tile: int = 0,
        precision: str = "auto",
        device: str = "auto",
    ) -> tuple[torch.Tensor]:
        """Images (b, h, w, c) in [0, 1], gray, RGB or RGBA, as images (b, s*h, s*w, c) in [0, 1] on the CPU, float32.

        ValueError, in one sentence, for a model, option or image that cannot be.
        """
        tensor = isinstance(images, torch.Tensor)
        if not tensor or images.ndim != 4 or images.shape[-1] not in COLORS or not images.numel():
            shape = tuple(getattr(images, "shape", ())) or type(images).__name__
            raise ValueError(f"misr takes images (batch, height, width, 1, 3 or 4 channels), one at least; got {shape}")
        if batch not in (CLIP, SEPARATE):
            raise ValueError(f"a batch is {CLIP!r} or {SEPARATE!r}, not {batch!r}")
        try:
            upscaler = loaded(
                model_path.strip() or model, scale or None, device_named(device), precision, tile, strength
            )
            return (rendered(upscaler, images, scale, alone=batch == SEPARATE),)
        except misr.MisrError as e:
            raise ValueError(str(e)) from None


@lru_cache(maxsize=1)  # a queue runs one workflow again and again
def loaded(
    model: str, scale: float | None, device: str | None, precision: Any, tile: int, strength: float
) -> misr.Upscaler:
    """The model, as it was loaded for the last run where nothing changed."""
    return misr.Upscaler(model, scale=scale, device=device, precision=precision, tile=tile, strength=strength)


def rendered(upscaler: misr.Upscaler, images: torch.Tensor, scale: float, *, alone: bool) -> torch.Tensor:
    """Images through a session of the upscaler, with ComfyUI's progress bar and cancel button."""
    b, h, w, c = images.shape
    card, manager, bar = upscaler.card, comfy("model_management"), comfy("utils")
    factor = scale or card.scale
    width, height = max(1, round(w * factor)), max(1, round(h * factor))
    if manager and upscaler.device.type != "cpu":
        manager.free_memory(ROOM * h * w * (card.before + card.emit + card.after) * upscaler.batch, upscaler.device)
    session = upscaler.session(size=(width, height))
    progress = bar.ProgressBar(b) if bar else None
    out, done = torch.empty(b, height, width, c), 0
    for n in range(b + 1):
        if manager:
            manager.throw_exception_if_processing_interrupted()
        for frame in session.push(frame_of(images, n), cut=alone or None) if n < b else session.flush():
            for channel, plane in enumerate(frame.planes):
                out[done, :, :, channel] = torch.from_numpy(plane)
            done += 1
            if progress:
                progress.update(1)
    return out.clamp_(0, 1)


def frame_of(images: torch.Tensor, n: int) -> misr.Frame:
    """Image n of a batch (b, h, w, c) as a frame; ValueError where it holds what is no number."""
    planes = images[n].movedim(-1, 0).to("cpu", torch.float32).contiguous()  # (c, h, w)
    if not planes.isfinite().all():
        raise ValueError(
            f"image {n} of the batch holds values that are no numbers (NaN or infinite); look at its source"
        )
    return misr.Frame(tuple(planes.numpy()), COLORS[images.shape[-1]])


def said(default: Any, tooltip: str) -> dict[str, Any]:
    """Options of a widget."""
    return {"default": default, "tooltip": tooltip}


def device_named(device: str) -> str | None:
    """The device to compute on: ComfyUI's own for "auto", the best one here outside of it (None)."""
    if device != "auto":
        return device
    manager = comfy("model_management")
    return str(manager.get_torch_device()) if manager else None


def comfy(name: str) -> Any:
    """A module of ComfyUI's; None outside of it."""
    try:
        return import_module(f"comfy.{name}")
    except ImportError:
        return None


NODE_CLASS_MAPPINGS = {"MisrUpscale": MisrUpscale}
NODE_DISPLAY_NAME_MAPPINGS = {"MisrUpscale": "Upscale Images (misr)"}
