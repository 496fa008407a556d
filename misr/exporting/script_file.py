"""TorchScript of a picture model: what FFmpeg's dnn_processing loads with its torch backend, and any libtorch.

FFmpeg (7.0 and later, libavfilter/dnn/dnn_backend_torch.cpp and dnn_io_proc.c) gives float32 (1, 3, h, w), R, G, B of an rgb24
frame divided by 255, and takes the same at any size back, from memory in that order, rounded and clipped.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping

import torch
from torch import nn

TOLD = "misr.json"  # in the file, beside the code: torch.jit.load(..., _extra_files={"misr.json": ""})


def script(form: nn.Module, told: Mapping[str, str]) -> bytes:
    """The file, whole: one input (n, 3, h, w), one output; for the CPU."""
    x = torch.rand(1, 3, 44, 71)
    sink = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that TorchScript is no longer developed
        form(x)  # kernels that are cached are constants from here on
        traced = torch.jit.trace(form, x, check_trace=False)  # check does it, at other sizes
        torch.jit.save(torch.jit.freeze(traced), sink, _extra_files={TOLD: json.dumps(dict(told))})
    return sink.getvalue()
