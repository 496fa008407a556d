"""Constants of a TensorFlow graph (GraphDef, a frozen .pb), read from its protobuf wire format: names and numbers, nothing run.

OpenCV's own reader is no way: since version 5 it refuses the depth-to-space of these very files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

FLOAT = 1  # DT_FLOAT of tensorflow/core/framework/types.proto
# Field numbers of graph.proto, node_def.proto, attr_value.proto, tensor.proto and tensor_shape.proto
NODE, NAME, OP, ATTR, KEY, VALUE, TENSOR = 1, 1, 2, 5, 1, 2, 8
DTYPE, SHAPE, CONTENT, FLOATS, DIM, SIZE = 1, 2, 4, 5, 2, 1
Field = tuple[int, "int | bytes"]


def constants(data: bytes) -> tuple[dict[str, Tensor], set[str]]:
    """Float constants by name, and the operations of the graph; ValueError for what is no GraphDef."""
    found: dict[str, Tensor] = {}
    operations: set[str] = set()
    for number, node in fields(data):
        if number != NODE:
            continue
        told = list(fields(inside(node)))
        name, operation = text(told, NAME), text(told, OP)
        operations.add(operation)
        if operation == "Const":
            for number, entry in told:
                if number == ATTR and (tensor := tensor_of(inside(entry))) is not None:
                    found[name] = tensor
    if not operations - {""}:
        raise ValueError("no node")
    return found, operations


def tensor_of(entry: bytes) -> Tensor | None:
    """The tensor of an attribute called "value", float32 alone; None for another."""
    pair = dict(fields(entry))
    if pair.get(KEY) != b"value" or VALUE not in pair:
        return None
    told = dict(fields(inside(pair[VALUE])))
    if TENSOR not in told:
        return None
    parts = list(fields(inside(told[TENSOR])))
    if dict(parts).get(DTYPE) != FLOAT:
        return None
    dims = [dim for number, shape in parts if number == SHAPE for kind, dim in fields(inside(shape)) if kind == DIM]
    size = [int(dict(fields(inside(dim))).get(SIZE, 0)) for dim in dims]
    raw = b"".join(inside(value) for number, value in parts if number in (CONTENT, FLOATS))
    if not raw or len(raw) % 4:
        raise ValueError("a tensor without its numbers")
    values = np.frombuffer(raw, "<f4").astype(np.float32)
    many = math.prod(size)
    if len(values) == 1 and 1 < many <= 1 << 20:  # one value stands for all
        values = np.full(many, values[0], np.float32)
    if len(values) != many:
        raise ValueError(f"a tensor of {size} with {len(values)} numbers")
    return torch.from_numpy(values).reshape(size)


def fields(data: bytes) -> Iterator[Field]:
    """(number, value) of every field of a message; ValueError where it is cut or none."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
            yield number, value
            continue
        if kind == 2:
            length, at = varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if number == 0 or at + length > len(data):
            raise ValueError("it ends in the middle of a field")
        yield number, data[at : at + length]
        at += length


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number longer than 10 bytes")


def inside(value: int | bytes) -> bytes:
    """A field that holds bytes."""
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def text(told: list[Field], number: int) -> str:
    """A field of text, "" where there is none."""
    return next((inside(value).decode("utf-8") for n, value in told if n == number), "")
