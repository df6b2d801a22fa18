"""Shapes that a graph made from a foreign one accepts."""

from __future__ import annotations

from vsrc.export.config import Size
from vsrc.export.foreign.original import OriginalGraph
from vsrc.export.shape_range import ShapeRange, shape_range_of
from vsrc.runtime.spec import NetworkSpec

_LEAST = 16
"""Least H and W of a graph of free size, LR pixels: smaller frames are padded."""


def foreign_extent(
    original: OriginalGraph, spec: NetworkSpec, shape: tuple[Size, ...]
) -> ShapeRange:
    """Shapes of a graph: those asked for, where the foreign graph leaves them free.

    Raises:
        ValueError: The foreign graph has another fixed size.
    """
    multiple = spec.size_multiple
    extent = shape_range_of(shape, multiple=multiple)
    sides = []
    for have, (low, high) in zip(original.shape[-2:], (extent.height, extent.width), strict=True):
        if have is None:
            least = -(-max(low, _LEAST) // multiple) * multiple
            sides.append((min(least, high), high))
        elif shape and not low <= have <= high:
            raise ValueError(
                f"{original.name} takes frames of {original.shape[-2]}x{original.shape[-1]} only; "
                "leave out --shape, or export it again from its source with dynamic axes"
            )
        else:
            sides.append((have, have))
    batch = extent.batch if original.shape[0] is None else (original.shape[0],) * 2
    return ShapeRange(sides[0], sides[1], batch)
