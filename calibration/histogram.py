"""How often which values were seen, in memory that never grows.

The bins span [-2^k, 2^k). When a value lies beyond, k grows and bins merge in pairs:

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
"""k at the start: what is smaller than 2^-40 counts as 0."""
_PIECE = 1 << 18
"""Values that are counted at once."""


class Histogram:
    """Counts of one tensor.

    Attributes:
        counts: `(BINS,)`, from -2^k to 2^k.
        exponent: k.
        low: Lowest value that was reported, whether it was counted or not.
        high: Highest value.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.exponent = _SMALLEST
        self.low = math.inf
        self.high = -math.inf

    def add(self, values: NDArray[np.float32], *, low: float, high: float) -> None:
        """Count values.

        Args:
            values: Any shape; all or a part of those of a tensor.
            low: Lowest of the whole tensor.
            high: Highest.
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
        """Counts and edges of the bins around 0 that reach to the value farthest from it."""
        largest = max(abs(self.low), abs(self.high))
        width = 2.0**self.exponent / (BINS // 2)
        reach = min(int(largest / width) + 1, BINS // 2)
        middle = BINS // 2
        edges = (np.arange(-reach, reach + 1) * width).astype(np.float32)
        return self.counts[middle - reach : middle + reach], edges
