"""Round the weights of a convolution so that its output changes least on real frames.

Weights are rounded one after the other; what each gets wrong is made up for by those that are not
rounded yet, as far as the values that they multiply are correlated (GPTQ: Frantar et al., ICLR
2023, section 3). Neighbouring pixels, frames and channels are strongly correlated, so most of the
error cancels. It needs the second moments of what the convolution reads (`calibration/moments.py`);
without them there is `calibration/rounding.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_DAMPING = 0.01
"""Share of the mean second moment that is added to each, as in the paper: windows tell little of
what is rare, and a quantised input has an error of its own."""


class CompensatedRounding:
    """Function that rounds the weights of one convolution; results are kept.

    Args:
        moments: Mean products of the values that two weights multiply, `(n, n)`, n = I kh kw;
            symmetric, with positive values on the diagonal.
    """

    def __init__(self, moments: NDArray[np.float64]) -> None:
        self._moments = moments
        self._balanced: dict[tuple[float, ...], CompensatedRounding] = {}
        self._known: dict[bytes, NDArray[np.float64]] = {}

    def __call__(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Round to whole numbers; none becomes larger than the largest of its output channel.

        Args:
            steps: Weights in units of their scale, `(O, I, kh, kw)`. Input channels beyond those
                of the moments hold zeros.
        """
        name = hashlib.sha256(steps.tobytes()).digest()
        if name not in self._known:
            self._known[name] = self._round(steps.reshape(len(steps), -1))
        return self._known[name].reshape(steps.shape)

    def balanced(self, divisors: Sequence[float]) -> CompensatedRounding:
        """Rounding of the convolution when its input channels are divided by these numbers."""
        key = tuple(divisors)
        if key not in self._balanced:
            each = np.repeat(key, len(self._moments) // len(key))
            self._balanced[key] = CompensatedRounding(self._moments / np.outer(each, each))
        return self._balanced[key]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Weights in the order in which they are rounded: those of large values first."""
        return np.argsort(-np.diagonal(self._moments), kind="stable")

    @cached_property
    def _factor(self) -> NDArray[np.float64]:
        """Upper Cholesky factor of the inverse of the moments, in this order."""
        count = len(self._moments)
        damping = _DAMPING * np.trace(self._moments) / count
        damped = self._moments[np.ix_(self._order, self._order)] + damping * np.eye(count)
        factor: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped)).T
        return factor

    def _round(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        most = np.rint(np.abs(rows).max(axis=1))
        left = rows[:, self._order]
        whole = np.zeros_like(rows)
        for at, (place, factors) in enumerate(zip(self._order, self._factor, strict=True)):
            whole[:, place] = np.clip(np.rint(left[:, at]), -most, most)
            error = (left[:, at] - whole[:, place]) / factors[at]
            left[:, at:] -= np.outer(error, factors[at:])
        return whole
