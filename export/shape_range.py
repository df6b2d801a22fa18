"""Shapes that a graph accepts."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.export.config import LARGEST_SIDE, Size

LARGEST_BATCH = 64


@dataclass(frozen=True)
class ShapeRange:
    """Shapes that a graph accepts: inclusive `(minimum, maximum)` of each axis, LR pixels."""

    height: Size
    width: Size
    batch: Size

    @property
    def fixed(self) -> bool:
        """Whether there is only one shape."""
        return all(low == high for low, high in (self.height, self.width, self.batch))


def shape_range_of(shape: tuple[Size, ...], *, multiple: int) -> ShapeRange:
    """Convert `ExportConfig.shape` to shapes of a network that needs multiples.

    Raises:
        ValueError: A side is not a multiple of `multiple`.
    """
    for side in (side for size in shape for side in size):
        if side % multiple:
            near = -(-side // multiple) * multiple
            raise ValueError(
                f"shape has {side}, this network takes multiples of {multiple}: try {near}"
            )
    if not shape:
        least = max(2, multiple)
        largest = LARGEST_SIDE // multiple * multiple
        return ShapeRange((least, largest), (least, largest), (1, LARGEST_BATCH))
    low, high = shape[0], shape[-1]
    batch = (1, 1) if len(shape) == 1 else (1, LARGEST_BATCH)
    return ShapeRange((low[0], high[0]), (low[1], high[1]), batch)
