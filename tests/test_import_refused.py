"""misr import refuses what is more than tensors, and what is damaged, in one sentence; nothing in a file runs."""

import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from misr.errors import InputError, MisrError
from misr.importing.tensors import read
from tests import command
from tests.small_nets import compact
from tests.test_import import drawn, espcn_pth, graph, srgan_pth, vdsr_npz

pytestmark = pytest.mark.usefixtures("one_thread")


class Bomb:
    """What a crafted file holds: unpickling it would write a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.mark, "it ran")


def crafted(kind: str, path: Path, mark: Path) -> None:
    """A file of that kind with a bomb among its tensors."""
    told = {"params": {"a": drawn(2)}, "bomb": Bomb(mark)}
    if kind == "zip":
        torch.save(told, path)
    elif kind == "legacy":
        torch.save(told, path, _use_new_zipfile_serialization=False)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(told))
    elif kind == "npz":
        np.savez(path, a=np.array([Bomb(mark)], dtype=object))
    elif kind == "npy in zip":
        with zipfile.ZipFile(path, "w") as pack:
            pack.writestr("archive/data.pkl", pickle.dumps(told))
            pack.writestr("archive/version", "3")


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors", ".ckpt", ".pb", ".bin"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "npz", "npy in zip"])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path, capsys, kind, suffix):
    mark, path = tmp_path / "mark", tmp_path / f"x{suffix}"
    crafted(kind, tmp_path / "made.npz", mark)
    (tmp_path / "made.npz").rename(path)
    assert command.misr("import", path, "-o", tmp_path / "m") == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and str(path) in told.err
    assert not mark.exists()
    assert not (tmp_path / "m").exists()


def test_the_bomb_would_have_gone_off(tmp_path):
    crafted("pickle", tmp_path / "x", tmp_path / "mark")
    pickle.loads((tmp_path / "x").read_bytes())
    assert (tmp_path / "mark").exists()


MAKERS = {
    "x.npz": vdsr_npz,
    "x.pth": espcn_pth,
    "old.pth": srgan_pth,
    "x.safetensors": lambda path: save_file(compact(2), path),
    "x.pb": lambda path: graph(path, {"f1": drawn(3, 3, 1, 4).numpy(), "b1": drawn(4).numpy()}, "Conv2D"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_cut_or_damaged_file_is_one_sentence(tmp_path, name):
    """Cut anywhere, or with bytes changed: an error of misr's, or weights that were read; never another exception."""
    MAKERS[name](tmp_path / name)
    whole, rng = (tmp_path / name).read_bytes(), np.random.default_rng(2)
    for n in range(24):
        data = bytearray(whole[: len(whole) * n // 24])
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
        data = bytearray(whole)
        for at in rng.integers(0, min(len(data), 400 if n % 2 else len(data)), 3):
            data[at] = rng.integers(256)
        (tmp_path / name).write_bytes(data)
        with suppress(MisrError):
            read(tmp_path / name)


def test_what_is_not_a_number_is_refused(tmp_path):
    save_file({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="not a number"):
        read(tmp_path / "x.safetensors")


def test_a_zip_that_unpacks_to_more_than_is_read_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1 << 20, np.float32))
    monkeypatch.setattr("misr.importing.tensors.MOST_BYTES", 1 << 20)
    with pytest.raises(InputError, match="unpacks to more"):
        read(tmp_path / "x.npz")
