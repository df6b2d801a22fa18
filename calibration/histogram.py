"""Histogram of observed values in constant memory.

The bins span [-2^k, 2^k). When a value is outside, k grows and bins merge in pairs:

    k = 0   [ . . a b c d . . ]        k = 1   [ . . .  a+b  c+d  . . . ]

Ranges that are powers of two nest, so the counts do not depend on the order of the values. (The
collector of ONNX Runtime keeps its bin width and adds bins: after a dark first frame they fill the
memory.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BINS = 4096
_SMALLEST = -40
"""Initial k; values smaller than 2^-40 are counted as 0."""
_PIECE = 1 << 18
"""Number of values counted in one call."""


class Histogram:
    """Histogram of the values of one tensor.

    Attributes:
        counts: Count of each bin from -2^k to 2^k, `(BINS,)`.
        exponent: Current k.
        low: Lowest value of the tensor, including values that were not counted.
        high: Highest value of the tensor, likewise.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.exponent = _SMALLEST
        self.low = math.inf
        self.high = -math.inf

    def add(self, values: NDArray[np.float32], *, low: float, high: float) -> None:
        """Count values.

        Args:
            values: All values of a tensor, or a sample of them; any shape.
            low: Lowest value of the whole tensor.
            high: Highest value of the whole tensor.
        """
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(abs(low), abs(high))
        while largest >= 2.0**self.exponent:
            self._widen()
        flat, unit = values.reshape(-1), np.float32(BINS / 2 / 2.0**self.exponent)
        for start in range(0, flat.size, _PIECE):
            places = np.floor(flat[start : start + _PIECE] * unit).astype(np.int64) + BINS // 2
            np.clip(places, 0, BINS - 1, out=places)
            self.counts += np.bincount(places, minlength=BINS)

    def _widen(self) -> None:
        pairs = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts[:] = 0
        self.counts[BINS // 4 : BINS * 3 // 4] = pairs
        self.exponent += 1

    def occupied(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return counts and edges of the symmetric bins that cover all values seen."""
        largest = max(abs(self.low), abs(self.high))
        width = 2.0**self.exponent / (BINS // 2)
        reach = min(int(largest / width) + 1, BINS // 2)
        middle = BINS // 2
        edges = (np.arange(-reach, reach + 1) * width).astype(np.float32)
        return self.counts[middle - reach : middle + reach], edges
