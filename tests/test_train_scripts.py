"""The scripts that train nets, at sizes of no use, on the CPU."""

import json
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets.gru import Gru
from misr.train import data, export, parcel
from misr.train.data import load_scenes
from tests.test_train import texture

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TINY = ["--width", "8", "--blocks", "1", "--steps", "4", "--views", "3", "--frames", "6", "--crop", "16"]
TINY += ["--motion-crop", "32", "--device", "cpu"]


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
    monkeypatch.setattr(module, "keep_heap", lambda: None, raising=False)
    threads = torch.get_num_threads()
    try:
        module.main()
    finally:
        torch.set_num_threads(threads)


def test_a_video_net_is_trained_in_two_stages_and_lends_its_motion(pack, tmp_path, monkeypatch):
    one, other = tmp_path / "one", tmp_path / "other"
    call("train_video", monkeypatch, pack, "--out", one, "--scale", 2, "--run", tmp_path / "run", *TINY)
    card = zoo.card(one)
    assert card.recipe.startswith("scripts/train_video ") and card.options["motion"] == {}
    call("train_video", monkeypatch, pack, "--out", other, "--run", tmp_path / "run4", "--motion-from", one, *TINY)
    a, b = (load_file(m / "weights.safetensors") for m in (one, other))
    assert zoo.card(other).scale == 4 and all(torch.equal(a[k], b[k]) for k in a if k.startswith("motion."))
    with pytest.raises(InputError, match="give --run"):
        call("train_video", monkeypatch, pack, "--out", one, "--run", tmp_path / "run", *TINY)


def test_pixels_travel_in_a_pack_of_bounded_size(pack, tmp_path, monkeypatch):
    out = tmp_path / "small.npz"
    call("gpu_train_video", monkeypatch, "--pack", pack, out)
    sent, there = load_scenes(pack), parcel.unwrap(out)
    assert len(there.stills) == 2 and [c.shape for c in there.clips] == [c.shape for c in sent.clips]
    assert all(
        any(np.abs(a.astype(int) - b).max() < 12 for b in sent.stills if b.shape == a.shape) for a in there.stills
    )
    assert np.array_equal(there.valid_clips[0], sent.valid_clips[0])  # without loss
    with pytest.raises(InputError, match="more than the"):
        call("gpu_train_video", monkeypatch, "--pack", pack, out, "--most-mb", "0.01")
    with pytest.raises(InputError, match="not a parcel"):
        parcel.unwrap(pack)


def test_the_gpu_script_trains_on_a_cpu_too_and_goes_on(pack, tmp_path, monkeypatch, capsys):
    small, out = tmp_path / "small.npz", tmp_path / "out"
    torch.manual_seed(0)
    net = Gru(scale=2, width=8, blocks=1, motion=(motion := {"levels": 2, "width": 4, "depth": 1}))
    export.export(net, ModelCard("m", "gru", 2, {"width": 8, "blocks": 1, "motion": motion}), tmp_path / "m")
    call("gpu_train_video", monkeypatch, "--pack", pack, small)
    monkeypatch.setattr(zoo, "best_device", lambda: torch.device("cpu"))
    usual = ["--data", small, "--name", "new", "--scale", "4", "--width", "8", "--blocks", "1", "--views", "3"]
    usual += ["--frames", "6", "--crop", "16", "--motion-from", tmp_path / "m", "--workers", "0", "--every", "2"]
    call(
        "gpu_train_video", monkeypatch, out, *usual, "--steps", "1000000", "--minutes", "0", "--resume", tmp_path / "n"
    )
    assert "cp OUT/checkpoint.pt" in capsys.readouterr().out
    call("gpu_train_video", monkeypatch, tmp_path / "on", *usual, "--steps", "3", "--resume", out)
    table = json.loads((tmp_path / "on" / "table.json").read_text())
    assert table["steps, all"] == 3 and table["steps, this call"] == 2 and table["CUDA graph"] == "on a cpu"
    card = zoo.card(tmp_path / "on" / "new")
    assert (
        card.scale == 4 and card.recipe.startswith("scripts/gpu_train_video OUT ") and card.options["motion"] == motion
    )
    weights = load_file(tmp_path / "on" / "new" / "weights.safetensors")
    assert all(torch.equal(weights["motion." + k], v) for k, v in net.motion.state_dict().items())
    files = [p for p in (tmp_path / "on").rglob("*") if p.is_file()]
    assert len(files) <= 8


def test_a_classic_x4_begins_with_what_its_x2_has_learned(pack, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = [pack, "--out", tmp_path / "models", "--share", "0.0005", "--trained-on", "a test"]
    call("train_classics", monkeypatch, *few, "--only", "lapsrn-x2", "lapsrn-x4")
    made, begun = (
        load_file(tmp_path / p / "weights.safetensors") for p in ("models/lapsrn-x2", "runs/lapsrn-x4-start")
    )
    for part in ("head.weight", "features.0.layers.3.weight", "detail.0.bias"):
        assert torch.equal(made[part], begun[part])
        if part.startswith(("features", "detail")):
            assert torch.equal(made[part], begun[part.replace(".0.", ".1.", 1)])
    card = zoo.card(tmp_path / "models" / "lapsrn-x4")
    assert (card.name, card.scale, card.trained_on) == ("lapsrn-x4", 4, "a test") and "Lai et al." in card.source
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["lapsrn-x2", "lapsrn-x4"]
    with pytest.raises(SystemExit, match="no such plan"):
        call("train_classics", monkeypatch, *few, "--only", "lapsrn-x3")
