"""The ComfyUI node, by ComfyUI's calling convention, with and without ComfyUI's own modules around it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import misr
from tests.hosts.comfyui import called, loaded

pytestmark = pytest.mark.usefixtures("one_thread")
CLIP, SEPARATE = "frames of a clip", "separate pictures"


def images(b: int = 3, h: int = 24, w: int = 32, c: int = 3, *, seed: int = 0) -> torch.Tensor:
    """A batch of smooth moving pictures with a little noise, in [0, 1]."""
    y, x, n, k = torch.meshgrid(*(torch.arange(s, dtype=torch.float32) for s in (h, w, b, c)), indexing="ij")
    wave = 0.5 + 0.3 * torch.sin(0.5 * (x - 0.6 * n) + k) + 0.15 * torch.cos(0.4 * y + 0.2 * x)
    noise = torch.rand(b, h, w, c, generator=torch.Generator().manual_seed(seed))
    return (wave.permute(2, 0, 1, 3) + 0.05 * noise).clamp(0, 1).contiguous()


class Cancelled(Exception):
    """What the cancel button raises."""


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """ComfyUI's modules, as far as the node looks at them; `steps` seen by the bar, `cancel` after so many frames."""
    seen = SimpleNamespace(total=0, steps=0, cancel=10**9, asked=0)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            seen.total = total

        def update(self, value: int) -> None:
            seen.steps += value

    def interrupted() -> None:
        seen.asked += 1
        if seen.asked > seen.cancel:
            raise Cancelled

    utils, manager = ModuleType("comfy.utils"), ModuleType("comfy.model_management")
    vars(utils).update(ProgressBar=ProgressBar)
    vars(manager).update(
        throw_exception_if_processing_interrupted=interrupted, get_torch_device=lambda: torch.device("cpu")
    )
    for module in (ModuleType("comfy"), utils, manager):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def test_the_folder_tells_comfyui_what_it_needs() -> None:
    module = loaded()
    assert set(module.NODE_CLASS_MAPPINGS) == set(module.NODE_DISPLAY_NAME_MAPPINGS)
    for node in module.NODE_CLASS_MAPPINGS.values():
        assert (node.RETURN_TYPES, node.CATEGORY) == (("IMAGE",), "image/upscaling")
        assert callable(getattr(node, node.FUNCTION))
        inputs = node.INPUT_TYPES()
        for kind, *options in [v for group in inputs.values() for v in group.values()]:
            assert kind in ("IMAGE", "STRING", "FLOAT", "INT") or options[0]["default"] in kind
            assert kind == "IMAGE" or options[0]["tooltip"]


def test_the_dropdown_has_every_model_for_clips_and_none_for_bursts() -> None:
    (choices, _) = loaded().NODE_CLASS_MAPPINGS["MisrUpscale"].INPUT_TYPES()["required"]["model"]
    assert {"fast-x2", "fast-x4", "video-x2", "bicubic"} <= set(choices)
    assert not [name for name in choices if "burst" in name]
    assert choices == list(misr.models())


@pytest.mark.parametrize("c", [1, 3, 4])
@pytest.mark.parametrize("model", ["bicubic", "fast-x2", "video-x2"])
def test_a_batch_comes_out_as_misr_renders_its_frames(model: str, c: int) -> None:
    batch = images(18, c=c)
    out = called(batch, model=model)
    assert out.shape == (18, 48, 64, c)
    assert (out.dtype, out.device.type) == (torch.float32, "cpu")
    color = misr.Color("gray" if c == 1 else "rgb", depth=32, range=2, alpha=c == 4)
    frames = [
        misr.Frame(tuple(np.ascontiguousarray(p) for p in image.movedim(-1, 0).numpy()), color) for image in batch
    ]
    for mine, frame in zip(out, misr.load(model).stream(frames), strict=True):
        assert torch.equal(mine, torch.from_numpy(np.stack(frame.planes, -1)).clamp(0, 1))


def test_pictures_stay_in_range_and_flat_ones_flat() -> None:
    hard = (images(2) > 0.5).float()
    out = called(hard, model="bicubic")
    assert (out.min(), out.max()) == (0, 1)
    flat = called(torch.full((1, 16, 16, 4), 0.25), model="fast-x2")
    assert (flat - 0.25).abs().max() < 0.01


def test_separate_pictures_know_nothing_of_each_other() -> None:
    batch = images(4)
    apart = called(batch, model="video-x2", batch=SEPARATE)
    alone = torch.cat([called(batch[n : n + 1], model="video-x2") for n in range(4)])
    assert torch.allclose(apart, alone, atol=2e-3)  # a place in the window is told by what half precision rounds
    assert (called(batch, model="video-x2", batch=CLIP) - apart).abs().max() > 0.005


def test_the_callers_batch_is_left_as_it_was() -> None:
    batch = images()
    before = batch.clone()
    called(batch, model="fast-x2")
    assert torch.equal(batch, before)


@pytest.mark.parametrize(
    ("model", "scale", "size"), [("fast-x2", 1.5, (36, 48)), ("bicubic", 3.0, (72, 96)), ("fast-x2", 0.0, (48, 64))]
)
def test_a_scale_of_ones_own_is_met(model: str, scale: float, size: tuple[int, int]) -> None:
    assert called(images(1), model=model, scale=scale).shape == (1, *size, 3)


def test_a_model_of_ones_own_goes_before_the_dropdown() -> None:
    with pytest.raises(ValueError, match="/nowhere/my-model"):
        called(images(1), model="fast-x2", model_path=" /nowhere/my-model ")


def test_images_in_half_precision_are_taken() -> None:
    assert called(images(1).half(), model="bicubic").dtype == torch.float32


@pytest.mark.parametrize(
    ("batch", "inputs", "said"),
    [
        (images(1), {"model": "no-such-model"}, "no-such-model"),
        (images(1), {"model": "burst-x2"}, "burst-x2"),
        (images(1), {"strength": 1.5}, "strength 1.5"),
        (images(1), {"device": "warp"}, "warp"),
        (images(1), {"batch": "heap"}, "heap"),
        (images(1)[0], {}, r"\(24, 32, 3\)"),
        (images(1, c=2), {}, r"\(1, 24, 32, 2\)"),
        (images(1)[:0], {}, r"\(0, 24, 32, 3\)"),
        (torch.full((1, 8, 8, 3), torch.nan), {}, "image 0 of the batch"),
        ("x", {}, "got str"),
    ],
)
def test_what_cannot_be_is_one_sentence_in_a_value_error(batch: Any, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        called(batch, **inputs)
    assert not isinstance(caught.value, misr.MisrError)
    assert "\n" not in str(caught.value)


def test_the_model_is_loaded_once_for_runs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    module, made = loaded(), []
    inner = sys.modules[module.__name__ + ".misr_comfyui"]
    real = misr.Upscaler
    monkeypatch.setattr(inner.misr, "Upscaler", lambda *a, **k: made.append(a) or real(*a, **k))
    node = module.NODE_CLASS_MAPPINGS["MisrUpscale"]
    inner.loaded.cache_clear()
    for model in ("bicubic", "bicubic", "fast-x2", "fast-x2"):
        node().upscale(images(1), model)
    assert made == [("bicubic",), ("fast-x2",)]


def test_the_progress_bar_counts_every_image(comfy: SimpleNamespace) -> None:
    called(images(5), model="video-x2")
    assert (comfy.total, comfy.steps) == (5, 5)


def test_cancel_stops_between_images_and_the_next_run_is_whole(comfy: SimpleNamespace) -> None:
    comfy.cancel = 2
    with pytest.raises(Cancelled):
        called(images(5), model="fast-x2")
    assert comfy.steps == 2
    comfy.cancel = 10**9
    assert torch.equal(called(images(5), model="fast-x2"), called(images(5), model="fast-x2"))


def test_auto_is_the_device_comfyui_computes_on(comfy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["comfy.model_management"], "get_torch_device", lambda: torch.device("meta"))
    with pytest.raises(ValueError, match="meta"):
        called(images(1), model="bicubic")


@pytest.mark.gpu
def test_memory_is_asked_for_on_a_gpu(comfy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, torch.device]] = []
    manager = sys.modules["comfy.model_management"]
    monkeypatch.setattr(manager, "free_memory", lambda size, device: asked.append((size, device)), raising=False)
    monkeypatch.setattr(manager, "get_torch_device", lambda: torch.device("cuda:0"))
    on_gpu = called(images(4), model="video-x2", precision="fp32")
    assert asked
    assert asked[0][0] > 0
    assert torch.allclose(on_gpu, called(images(4), model="video-x2", device="cpu", precision="fp32"), atol=2e-3)
