"""Ranges against quantiles, brute force and the calibrators of ONNX Runtime themselves."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, calibrate, create_calibrator

from vsrc.calibration.calibration_config import METHODS, Method
from vsrc.calibration.convolutions import convolutions
from vsrc.calibration.histogram import Histogram
from vsrc.calibration.observer import Observer
from vsrc.calibration.thresholds import range_of
from vsrc.runtime.sample import sample_frames


def _seen(values: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    histogram.add(values, low=float(values.min()), high=float(values.max()))
    return histogram


@pytest.fixture(scope="module")
def rectified() -> NDArray[np.float32]:
    """What lies behind a ReLU: half zeros, a tail, and one outlier."""
    values = np.maximum(np.random.default_rng(0).normal(size=200_000), 0).astype(np.float32)
    values[17] = 30.0
    return values


@pytest.mark.parametrize("method", METHODS)
def test_range_lies_within_what_was_seen(method: Method, rectified: NDArray[np.float32]) -> None:
    for values in (rectified, -rectified, rectified - 1, rectified[:50]):
        low, high = range_of(_seen(values), method, percentile=99.9)
        assert values.min() <= low <= high <= values.max()


@pytest.mark.parametrize("method", METHODS)
def test_zeros_have_a_range_of_zero(method: Method) -> None:
    assert range_of(_seen(np.zeros(9, np.float32)), method, percentile=99.9) == (0.0, 0.0)


def test_minmax_is_exact(rectified: NDArray[np.float32]) -> None:
    assert range_of(_seen(rectified), "minmax", percentile=99.9) == (0.0, 30.0)


def test_percentile_is_the_quantile(rectified: NDArray[np.float32]) -> None:
    values = rectified - 0.5
    low, high = range_of(_seen(values), "percentile", percentile=99)
    bin_width = 32 / 2048  # the outlier at 29.5 sets the bins
    assert high == pytest.approx(np.quantile(values, 0.995), abs=1.1 * bin_width)
    assert low == -0.5


def test_mse_is_the_best_of_all_clippings(rectified: NDArray[np.float32]) -> None:
    def error(reach: float) -> float:
        step = reach / 127
        whole = np.clip(np.rint(rectified / step), -127, 127)
        return float(np.mean((rectified - whole * step) ** 2, dtype=np.float64))

    _, found = range_of(_seen(rectified), "mse", percentile=99.9)
    best = min(error(reach) for reach in np.linspace(1, 30, 400))
    assert error(found) < error(30.0)
    assert error(found) <= 1.1 * best


def test_entropy_cuts_off_an_outlier_but_not_the_tail(rectified: NDArray[np.float32]) -> None:
    _, high = range_of(_seen(rectified), "entropy", percentile=99.9)
    assert float(np.quantile(rectified, 0.999)) < high < 30


class _Reader:
    def __init__(self, windows: list[NDArray[np.uint8]]) -> None:
        self._feeds = iter({"lr": window} for window in windows)

    def get_next(self) -> Any:  # noqa: ANN401  as ONNX Runtime's readers do
        return next(self._feeds, None)


def test_ranges_are_those_of_onnx_runtimes_own_calibrators(
    tiny_package: Path, tmp_path: Path
) -> None:
    graph = tiny_package / "graphs/fp32.onnx"
    model = onnx.load(graph)
    frames = sample_frames(6)
    windows = [frames[None, at : at + 3, 40:88, 60:124].copy() for at in range(4)]
    observer = Observer(model, threads=1, grid=1)
    for window in windows:
        observer.see(window)
    ways: list[tuple[Method, Any, float]] = [
        ("minmax", CalibrationMethod.MinMax, 1e-6),
        # Bins of another width: half a hundredth of the range.
        ("percentile", CalibrationMethod.Percentile, 5e-3),
    ]
    for method, theirs, tolerance in ways:
        with contextlib.redirect_stdout(io.StringIO()):
            calibrator = create_calibrator(
                graph,
                ["Conv"],
                str(tmp_path / f"{method}.onnx"),
                theirs,
                extra_options={"percentile": 99.9, "symmetric": False, "num_bins": 4096},
            )
            calibrator.collect_data(_Reader(windows))
            expected: calibrate.TensorsData = calibrator.compute_data()
        for one in convolutions(model.graph):
            for tensor, kept in ((one.input, observer.inputs), (one.output, observer.outputs)):
                found = range_of(kept[one.key], method, percentile=99.9)
                low, high = (float(np.asarray(v).item()) for v in expected[tensor].range_value)
                width = max(high - low, kept[one.key].high - kept[one.key].low)
                assert found == pytest.approx((low, high), abs=tolerance * width)
