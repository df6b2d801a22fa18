"""Find the files beside an ONNX graph that hold its weights, without the package `onnx`.

Only the fields of onnx.proto that lead to a tensor are read; all else is skipped by its length:

    ModelProto   .graph, .functions[].node
    GraphProto   .node, .initializer, .sparse_initializer
    NodeProto    .attribute -> tensors and graphs
    TensorProto  .external_data: entries of key and value, where `location` is a name
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "tensor": {13: "entry"},
}  # fmt: skip
"""Message -> number of a field -> message in it."""

_DEEPEST = 64
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def external_weights(path: Path) -> list[str]:
    """List the names of the files, relative to the graph; empty where all weights are in it.

    What is no ONNX file gives an empty list, too: it is for others to say so.
    """
    if not path.is_file() or not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return sorted(set(_locations(data, 0, len(data), "model", depth=0)))
        except (IndexError, ValueError):
            return []


def _locations(data: mmap.mmap, start: int, stop: int, kind: str, *, depth: int) -> Iterator[str]:
    """Yield the names in a message that lies in a range of bytes."""
    if depth > _DEEPEST:
        raise ValueError(f"messages within more than {_DEEPEST} others")
    for field, begin, end in _fields(data, start, stop):
        inner = _FIELDS[kind].get(field)
        if inner == "entry":
            words = {number: data[first:last] for number, first, last in _fields(data, begin, end)}
            if words.get(1) == b"location":
                yield words.get(2, b"").decode("utf-8", "surrogateescape")
        elif inner is not None:
            yield from _locations(data, begin, end, inner, depth=depth + 1)


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of each field that has a length."""
    at = start
    while at < stop:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            _, at = _varint(data, at)
        elif wire == _BYTES:
            size, at = _varint(data, at)
            if size > stop - at:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, at, at + size
            at += size
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"no type of a field: {wire}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number is longer than 10 bytes")
