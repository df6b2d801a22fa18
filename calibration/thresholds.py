"""Derive the range that int8 represents from the histogram of observed values.

minmax       all of them
percentile   all but the outermost 100 - p of 100          (ONNX Runtime)
entropy      the clipping whose int8 distribution is nearest the float one, by Kullback-Leibler
divergence (Migacz, GTC 2017, S7310)          (ONNX Runtime)
mse          the clipping with the least mean squared error of symmetric int8
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_config import Method
from vsrc.calibration.calibration_file import Range
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.qdq import LEVELS

_CANDIDATES = 96
"""Clipping thresholds that `mse` tries, down to a quarter of the largest value."""


def range_of(histogram: Histogram, method: Method, *, percentile: float) -> Range:
    """Compute the range of one tensor: `low <= high`, within the observed values.

    Args:
        histogram: Observed values.
        method: One of the methods listed above.
        percentile: Parameter p of the method `percentile`.
    """
    seen = (histogram.low, histogram.high)
    if method == "minmax" or seen == (0.0, 0.0):
        return seen
    low, high = (
        _least_squares(histogram) if method == "mse" else _of_ort(histogram, method, percentile)
    )
    low, high = max(low, seen[0]), min(high, seen[1])
    return (low, high) if low < high else seen


def _of_ort(histogram: Histogram, method: Method, percentile: float) -> Range:
    """Compute the range with ONNX Runtime's collector, given the finished histogram."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    counts, edges = histogram.occupied()
    if method == "entropy":
        counts, edges = _halve_bins(
            _without_zeros(counts), edges
        )  # its search is quadratic in bins
    low, high = np.float32(histogram.low), np.float32(histogram.high)
    collector = HistogramCollector(
        method=method,
        symmetric=False,
        num_bins=len(counts),
        # One for each value of int8; more than there are bins leaves nothing to choose.
        num_quantized_bins=min(256, len(counts) // 2),
        percentile=percentile,
        scenario="same",
    )
    collector.histogram_dict = {"x": (counts, edges, low, high, edges[-1])}
    with contextlib.redirect_stdout(io.StringIO()):  # the collector prints
        thresholds = collector.compute_collection_result()["x"]
    return float(thresholds[0]), float(thresholds[1])


def _without_zeros(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce the counts of the bins at 0 to those of their neighbours.

    After a ReLU most values are exactly 0. Every int8 range represents 0 exactly, but the peak
    would make the smallest range look best (TensorRT ignores zeros, too).
    """
    middle = len(counts) // 2
    result = counts.copy()
    result[middle] = min(counts[middle], counts[middle + 1])
    return result


def _halve_bins(
    counts: NDArray[np.int64], edges: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Merge bins in pairs, keeping the middle edge at 0."""
    if len(counts) % 4:  # an odd number on each side
        counts = np.pad(counts, 1)
        width = edges[1] - edges[0]
        edges = np.concatenate([[edges[0] - width], edges, [edges[-1] + width]]).astype(np.float32)
    return counts.reshape(-1, 2).sum(axis=1), edges[::2]


def _least_squares(histogram: Histogram) -> Range:
    counts, edges = histogram.occupied()
    middles = (edges[:-1].astype(np.float64) + edges[1:]) / 2
    kept = counts > 0
    counts, middles = counts[kept], middles[kept]
    largest = max(abs(histogram.low), abs(histogram.high))
    tries = np.linspace(0.25, 1.0, _CANDIDATES) * largest

    def error(reach: float) -> float:
        step = reach / LEVELS
        whole = np.clip(np.rint(middles / step), -LEVELS, LEVELS)
        return float(np.sum(counts * (middles - whole * step) ** 2))

    best = float(min(tries, key=error))
    return -best, best
