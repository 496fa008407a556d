"""`misr doctor`: what this machine has and what misr would use of it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

NAME_WIDTH = 22  # characters
OPTIONAL = (  # package, what needs it, the extra it comes with
    ("rasterio", "GeoTIFF", "geo"),
    ("onnxruntime", "misr export to .onnx", "export"),
    ("openvino", "misr export to .xml", "export"),
    ("spandrel", "misr import of most that the community trains", "spandrel"),
    ("scikit-learn", "misr train --net sparse", "sparse"),
    ("ray", "--on ray", "ray"),
)
CONTAINERS = (("mkv", "matroska"), ("mp4", "mp4"), ("mov", "mov"), ("webm", "webm"))


def doctor() -> None:
    """Versions, devices, encoders tried on a frame, and the defaults that follow; a line each: name, value."""
    for section in (software, devices, encoders, defaults):
        for name, value in section():
            print(f"{name:{NAME_WIDTH}}{value}", flush=True)


def software() -> Iterator[tuple[str, str]]:
    """misr and what it stands on."""
    import cv2
    import torch

    import misr
    from misr.io.probe import versions

    yield "misr", misr.__version__
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "torch", torch.__version__
    have = versions()
    yield "PyAV", f"{have['PyAV']} (libavcodec {have.get('libavcodec', 'unknown')})"
    yield "OpenCV", cv2.__version__
    yield "ffmpeg", shutil.which("ffmpeg") or "not there: misr-ffmpeg needs it, apt-get install ffmpeg"
    for package, wants, extra in OPTIONAL:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, f'not there: {wants} needs it, pip install "misr[{extra}]"'


def devices() -> Iterator[tuple[str, str]]:
    """What nets can run on, and in which precisions it is fast."""
    import torch

    from misr.machine import free_bytes
    from misr.upscaler import fast_bf16

    yield (
        "CPU",
        f"{have_cores()}, {torch.get_num_threads()} used by torch, {torch.backends.cpu.get_cpu_capability()}",
    )
    free = free_bytes()
    yield "memory", "not told by the system" if free is None else f"{free / 2**30:.1f} GiB free"
    names = {"AVX512-BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    have = [name for name, check in names.items() if getattr(torch.cpu, check, bool)()]
    fast = fast_bf16(torch.device("cpu"))
    yield "CPU bf16", f"fast ({', '.join(have)})" if fast else "emulated and slow here: fp32 is used"
    for n in range(torch.cuda.device_count()):
        it = torch.cuda.get_device_properties(n)
        bf16 = "bf16" if fast_bf16(torch.device("cuda", n)) else "no bf16"
        yield f"cuda:{n}", f"{it.name}, {it.total_memory / 2**30:.0f} GiB, compute {it.major}.{it.minor}, {bf16}"
    if not torch.cuda.is_available():
        yield "CUDA", "none" if torch.version.cuda else "none (this torch is built without it)"


def have_cores() -> str:
    """Cores, and of how many where the rest are denied, as to a container."""
    from misr.machine import cores

    may, there = cores(), os.cpu_count() or 1
    return f"{may} core{'s' * (may != 1)}" + (f" of {there} allowed" if may < there else "")


def encoders() -> Iterator[tuple[str, str]]:
    """Each encoder, tried."""
    from misr.io import probe

    for name, fault in probe.encoders(probe.SOFTWARE).items():
        yield name, fault or "works"
    found = probe.encoders(probe.HARDWARE)
    for name, fault in found.items():
        if not fault:
            yield name, "works (hardware)"
    if all(found.values()):
        yield "hardware encoders", "none works"
    yield "hardware decoding", f"built for {', '.join(probe.hardware_decoders()) or 'nothing'}; not used"


def defaults() -> Iterator[tuple[str, str]]:
    """What `misr upscale IN OUT` would use."""
    from misr.io.probe import usual_encoder
    from misr.upscaler import pick_precision
    from misr.zoo import best_device, card, choose, shelf

    device = best_device()
    name, _ = choose(None, moving=True, device=device.type)
    model = card(name)
    yield "models", str(shelf())
    yield "default model", f"{name} on {device} in {pick_precision('auto', model, device)}"
    yield "for compressed clips", choose(None, compressed=True)[0]
    for suffix, container in CONTAINERS:
        plain, deep = usual_encoder(container), usual_encoder(container, 10)
        yield f"default for .{suffix}", plain if plain == deep else f"{plain}, 10 bit {deep}"
