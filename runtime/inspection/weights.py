"""Inspect a safetensors file without loading its tensors.

Layout (huggingface/safetensors): 8 bytes little-endian length, that many bytes of JSON that list
each tensor with dtype, shape and its half-open range of bytes, then the data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from vsrc.runtime.errors import SpecError
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.schema import to_json
from vsrc.runtime.text.size_text import size_text

_HEADER_LIMIT_BYTES = 100_000_000
"""Largest header that the format allows, bytes."""
_ELEMENT_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """Name, dtype and shape of a tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def inspect_safetensors(path: Path) -> Inspection:
    """Report names, shapes and number of weights.

    Raises:
        SpecError: It is not a safetensors file.
    """
    size_bytes = path.stat().st_size
    header, start = _header(path, size_bytes)
    metadata = header.pop("__metadata__", {})
    tensors, problems = [], []
    for name, entry in header.items():
        tensor, begin, end = _tensor(path, name, entry)
        tensors.append(tensor)
        if not _is_whole(tensor, begin, end, size_bytes - start):
            problems.append(f"{path}: the byte range of tensor {name} does not match its shape")
    return weights_inspection(path, tensors, metadata=metadata, problems=problems)


def weights_inspection(
    path: Path,
    tensors: Sequence[TensorInfo],
    *,
    metadata: Mapping[str, str],
    problems: Sequence[str] = (),
) -> Inspection:
    """Build the inspection of weights, for any file format.

    Args:
        path: Path of the file.
        tensors: Tensors in file order.
        metadata: Metadata of the file.
        problems: Defects of the file.
    """
    count = sum(tensor.count for tensor in tensors)
    by_dtype: dict[str, int] = {}
    for tensor in tensors:
        by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + tensor.count
    size_bytes = path.stat().st_size
    mix = ", ".join(f"{number:,} {dtype}" for dtype, number in by_dtype.items())
    listed = [f"{tensor.name}  {tensor.dtype} {tensor.shape}" for tensor in tensors]
    return Inspection(
        kind="weights",
        path=str(path),
        title=f"weights, {size_text(size_bytes)}",
        rows=(
            ("size", f"{count:,} values in {len(tensors)} tensors: {mix}"),
            *((str(key), str(value)) for key, value in metadata.items()),
            *(("" if index else "tensors", text) for index, text in enumerate(listed)),
        ),
        facts={
            "size_bytes": size_bytes,
            "numbers": count,
            "numbers_by_dtype": by_dtype,
            "metadata": dict(metadata),
            "tensors": to_json(tensors),
        },
        problems=tuple(problems),
    )


def _header(path: Path, size_bytes: int) -> tuple[dict[str, Any], int]:
    """Read the header; return it and the offset of the tensor data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size_bytes < 8 or length > min(size_bytes - 8, _HEADER_LIMIT_BYTES):
            raise SpecError(f"{path} is not a safetensors file: its header would be {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise SpecError(f"{path} is not a safetensors file: its header is not an object")
    return header, 8 + length


def _tensor(path: Path, name: str, entry: object) -> tuple[TensorInfo, int, int]:
    """Return a tensor, and the range of its bytes relative to the end of the header."""
    if isinstance(entry, dict):
        shape, place = entry.get("shape"), entry.get("data_offsets")
        if _is_sizes(shape) and _is_sizes(place) and len(place) == 2:
            return TensorInfo(name, str(entry.get("dtype")), tuple(shape)), place[0], place[1]
    raise SpecError(f"{path}: tensor {name!r} has no valid shape and data offsets")


def _is_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(isinstance(item, int) and item >= 0 for item in value)


def _is_whole(tensor: TensorInfo, begin: int, end: int, data_bytes: int) -> bool:
    if not begin <= end <= data_bytes:
        return False
    element_bytes = _ELEMENT_BYTES.get(tensor.dtype)
    return element_bytes is None or end - begin == tensor.count * element_bytes
