"""The scripts that train video nets, at sizes of no use, on the CPU."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from misr import zoo
from misr.errors import InputError
from misr.train import data
from tests.test_train import texture

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TINY = [
    "--width",
    "8",
    "--blocks",
    "1",
    "--steps",
    "4",
    "--views",
    "3",
    "--frames",
    "6",
    "--crop",
    "16",
    "--motion-crop",
    "32",
    "--device",
    "cpu",
]


@pytest.fixture
def pack(tmp_path):
    """Stills and a clip, and another clip that validates."""
    stills = [texture(256, 300, n) for n in range(2)]
    clips = [np.stack([texture(128, 160, n)[:, 2 * t : 2 * t + 128] for t in range(6)]) for n in range(4, 6)]
    data.save(tmp_path / "pack.npz", stills, [], clips[:1], clips[1:])
    return tmp_path / "pack.npz"


def call(name, monkeypatch, *argv):
    """Run a script's main() in this process."""
    loader = SourceFileLoader(name, str(SCRIPTS / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [name, *map(str, argv)])
    monkeypatch.setattr(module, "keep_pages", lambda: None, raising=False)
    threads = torch.get_num_threads()
    try:
        module.main()
    finally:
        torch.set_num_threads(threads)


def test_a_video_net_is_trained_in_two_stages_and_lends_its_motion(pack, tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    call("train_video", monkeypatch, pack, "--out", one, "--scale", 2, "--run", tmp_path / "run", *TINY)
    card = zoo.card(one)
    assert card.recipe.startswith("scripts/train_video ") and card.options["motion"] == {"repeats": 2}
    call("train_video", monkeypatch, pack, "--out", other, "--run", tmp_path / "run4", "--motion-from", one, *TINY)
    a, b = (load_file(m / "weights.safetensors") for m in (one, other))
    assert zoo.card(other).scale == 4 and all(torch.equal(a[k], b[k]) for k in a if k.startswith("motion."))
    with pytest.raises(InputError, match="another --run"):
        call("train_video", monkeypatch, pack, "--out", one, "--run", tmp_path / "run", *TINY)
