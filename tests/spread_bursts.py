"""Bursts and models as files, fused by one process and by a crew: what the tests of both need."""

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

import misr
from misr.card import ModelCard
from misr.nets import NETS
from tests import burst_scenes as scenes

PLAIN = misr.Fusing(scale=2, method="shift-and-add", device="cpu", tile=32)


def views(folder: Path, number: int = 3, size: tuple[int, int] = (72, 88), *, bands: int = 1) -> list[str]:
    """Files of a synthetic burst: shifted, noisy views, uint16; bands: 1 or 3."""
    made = []
    folder.mkdir(exist_ok=True)
    for n, matrix in enumerate(scenes.moves(number)):
        plane = np.stack([scenes.seen(*size, matrix, seed) for seed in range(bands)])
        codes = 1000 + 4000 * plane + 20 * np.random.default_rng(n).standard_normal(plane.shape)
        made.append(str(folder / f"view{n}.{'png' if bands > 1 else 'npy'}"))
        codes = codes.round().astype(np.uint16)
        if bands > 1:
            cv2.imwrite(made[-1], codes.transpose(1, 2, 0))
        else:
            np.save(made[-1], codes)
    return made


def model(folder: Path) -> Path:
    """A small learned model of one's own."""
    torch.manual_seed(1)
    options = {"width": 8, "steps": 2}
    net = NETS["burst"](scale=2, **options)
    torch.nn.init.normal_(net.decode.weight, std=0.05)
    folder.mkdir()
    save_file(net.state_dict(), str(folder / "weights.safetensors"))
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card = ModelCard(name="mine", net="burst", scale=2, options=options, halo=net.halo, sha256=digest)
    card.write(folder / "card.json")
    return folder


def alone_and_spread(folder: Path, files: list[str], how: misr.Fusing, crew: Any) -> None:
    """Both runs, and that every file they leave has the same bytes."""
    for name, with_whom in (("alone", None), ("spread", crew)):
        (folder / name).mkdir()
        misr.fuse(files, folder / name / "out.npy", how, crew=with_whom)
    left = sorted(p.name for p in (folder / "alone").iterdir())
    assert left == sorted(p.name for p in (folder / "spread").iterdir())
    assert left == ["out.npy", "out.sigma.npz"][: 1 + how.sigma]
    for name in left:
        a, b = (np.load(folder / k / name) for k in ("alone", "spread"))
        for one, other in zip(*([x[k] for k in x.files] if name.endswith("z") else [x] for x in (a, b)), strict=True):
            assert np.array_equal(one, other, equal_nan=True), name
