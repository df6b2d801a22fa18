"""Turn and mirror pictures as a display matrix says, so that they stand upright.

A point (p, q) of the coded picture, to the right and down, is shown at (x, y):

    x = a p + c q        | a  b  u |
    y = b p + d q        | c  d  v |    16.16 fixed point (u, v, w: 2.30)
                         | X  Y  w |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Orientation:
    """Steps that make a coded picture upright, in this order; the defaults change nothing.

    Attributes:
        swaps_sides: Whether rows become columns.
        flips_rows: Whether the order of the rows is reversed.
        flips_columns: Whether the order of the columns is reversed.
    """

    swaps_sides: bool = False
    flips_rows: bool = False
    flips_columns: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the upright picture."""
        return (height, width) if self.swaps_sides else (width, height)

    def upright(self, picture: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return the upright picture; `(H, W, ...)` becomes `(W, H, ...)` if sides are swapped."""
        if self == CODED:
            return picture
        turned: NDArray[Any] = picture.swapaxes(0, 1) if self.swaps_sides else picture
        rows, columns = (-1 if flips else 1 for flips in (self.flips_rows, self.flips_columns))
        return np.ascontiguousarray(turned[::rows, ::columns])


CODED = Orientation()
"""Orientation of a picture that is upright as it is coded."""


def orientation_of(matrix: tuple[int, ...] | None) -> Orientation:
    """Return the orientation that a display matrix says, to the nearest quarter turn.

    Args:
        matrix: The nine numbers, row by row; None for a picture that is upright.
    """
    if matrix is None:
        return CODED
    a, b, _, c, d = matrix[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flips_rows=d < 0, flips_columns=a < 0)
    return Orientation(swaps_sides=True, flips_rows=b < 0, flips_columns=c < 0)
