"""Files of weights as plain tensors by name, and nothing else: what would have to run code to be read is refused.

safetensors; NumPy's npz without objects; PyTorch's files through its reader of weights alone, which builds tensors and
containers and calls nothing a file names; constants of TensorFlow's frozen graphs.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from misr.errors import InputError
from misr.importing.graph import constants

MOST_BYTES = 4 << 30  # of tensors; the largest nets for pictures have 200 MB
KINDS = ("safetensors", "npz", "pth, pt, ckpt (PyTorch)", "pb (TensorFlow)")
WRAPPED = (  # where training programs keep the weights in a checkpoint, the ones they would use first
    "params_ema", "params-ema", "g_ema", "ema", "params", "state_dict", "model_state_dict", "net_g", "netG", "generator",
    "network", "net", "model", "weights",
)  # fmt: skip
BROKEN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError,
    RuntimeError, SafetensorError, TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by name, float tensors as float32, and of a graph its operations."""

    tensors: dict[str, Tensor]
    operations: frozenset[str] = frozenset()


def read(path: Path) -> Weights:
    """The weights in a file; InputError in one sentence for anything but plain tensors."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); name a file of weights") from None
    if not size or size > MOST_BYTES:
        raise InputError(f"{path}: {size:,} bytes are no file of weights; {MOST_BYTES:,} at most are read")
    kind = kind_of(path, head)
    try:
        found = READERS[kind](path)
    except BROKEN as e:
        raise InputError(f"{path}: {why(kind, e)}; misr reads plain tensors of {', '.join(KINDS)}") from None
    if not found.tensors:
        raise InputError(f"{path}: no tensors in it; misr reads plain tensors of {', '.join(KINDS)}")
    if broken := next((k for k, v in found.tensors.items() if v.is_floating_point() and v.isnan().any()), None):
        raise InputError(f"{path}: {broken} holds what is not a number; fetch the file again")
    return found


def kind_of(path: Path, head: bytes) -> str:
    """How a file is read: by its first bytes where they tell, else by its suffix."""
    if path.suffix.lower() in (".pb", ".safetensors"):
        return path.suffix.lower()[1:]
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as pack:
                names = pack.namelist()
        except (zipfile.BadZipFile, OSError, ValueError):
            return "npz" if path.suffix.lower() == ".npz" else "torch"
        return "npz" if names and all(name.endswith(".npy") for name in names) else "torch"
    return "torch"


def why(kind: str, e: BaseException) -> str:
    """What is wrong with a file, in words that do not depend on its reader."""
    if isinstance(e, pickle.UnpicklingError) or "weights_only" in str(e).lower():
        return "is no file of plain tensors, or is cut short; nothing in it was run"
    if "allow_pickle" in str(e):
        return "holds Python objects; nothing in it was run"
    said = (str(e).splitlines() or [""])[0][:120]
    return f"cannot be read as {kind} ({said or type(e).__name__})"


def from_safetensors(path: Path) -> Weights:
    """safetensors."""
    return Weights(plain(load_file(path)))


def from_npz(path: Path) -> Weights:
    """NumPy's zip of arrays; one that unpacks to more than is read is not unpacked."""
    with zipfile.ZipFile(path) as pack:
        if sum(entry.file_size for entry in pack.infolist()) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        return Weights(plain({name: torch.from_numpy(arrays[name].copy()) for name in arrays.files}))


def from_torch(path: Path) -> Weights:
    """PyTorch's files, new (zip) and old, by its reader of weights alone."""
    with warnings.catch_warnings(action="ignore"):  # of formats that are newer or older than torch's own
        return Weights(plain(unwrapped(torch.load(path, map_location="cpu", weights_only=True))))


def from_graph(path: Path) -> Weights:
    """TensorFlow's frozen graph."""
    found, operations = constants(path.read_bytes())
    return Weights(plain(found), frozenset(operations))


READERS = {"safetensors": from_safetensors, "npz": from_npz, "torch": from_torch, "pb": from_graph}


def unwrapped(told: Any) -> Mapping[str, Any]:
    """The weights of a checkpoint that may hold an optimiser, steps and several sets of weights; TypeError for none."""
    for _ in range(3):
        if isinstance(told, Mapping) and (
            inner := next((told[k] for k in WRAPPED if isinstance(told.get(k), Mapping)), None)
        ):
            told = inner
    if not isinstance(told, Mapping):
        raise TypeError(f"a {type(told).__name__}, not tensors by name")
    return told


def plain(told: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors by name, floats as float32, each with memory of its own; what is not a tensor is left out."""
    kept = {str(k).removeprefix("module."): v for k, v in told.items() if isinstance(v, Tensor) and not v.is_sparse}
    return {k: (v.float() if v.is_floating_point() else v).detach().clone().contiguous() for k, v in kept.items()}
