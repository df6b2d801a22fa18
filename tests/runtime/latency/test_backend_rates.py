"""Rates through the backend itself: arithmetic, graphs, and reasons where one is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.optional import skip_without
from support.reordering_gpu import ReorderingGpu
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency import matrix_graphs
from vsrc.runtime.latency.backend_rates import measure_backend_rates
from vsrc.runtime.latency.engine_rates import build_plan, device_copy_rate
from vsrc.runtime.latency.matrix_graphs import LINKS, chain_feeds, matrix_rate
from vsrc.runtime.latency.rates import MATMUL_GRAPH

ASSETS = MATMUL_GRAPH.parent


def run(name: str, feeds: dict[str, Any]) -> Any:  # noqa: ANN401
    return open_ort(ASSETS / name, threads=1).run(None, feeds)[0]


@pytest.mark.parametrize(("name", "kind"), [("uint8", np.uint8), ("int8", np.int8)])
def test_quantised_matrices_are_multiplied(name: str, kind: Any) -> None:  # noqa: ANN401
    a = np.random.default_rng(0).integers(0, 127, (3, 512)).astype(kind)
    # b is all ones, scales are 1, and the result is divided by 512.
    expected = np.rint(a.astype(float).sum(1, keepdims=True) / 512).repeat(512, 1)
    np.testing.assert_array_equal(run(f"matmul-{name}.onnx", {"a": a}), expected.astype(kind))


@pytest.mark.parametrize("name", ["float32", "float16", "int8"])
def test_a_chain_is_sixteen_products(name: str) -> None:
    graph = ASSETS / f"chain-{name}.onnx"
    feeds = chain_feeds(graph, 32)
    expected = feeds["a"].astype(np.float64)
    for _ in range(LINKS):
        expected = expected @ feeds["b"].astype(np.float64)
    assert 0.01 < np.abs(expected).mean() < 100  # neither vanishes nor overflows
    made = run(graph.name, feeds).astype(np.float64)
    error = np.abs(made - expected).mean() / np.abs(expected).mean()
    # int8 rounds each operand to 1/32 and ends at 127/32: the same kind of numbers is enough.
    assert error < {"float32": 1e-4, "float16": 0.02, "int8": 1.0}[name]


def test_the_rate_follows_from_the_fastest_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_graphs, "time_fastest", lambda call: (call(), 0.5)[1])
    fed: list[dict[str, Any]] = []
    rate = matrix_rate(fed.append, ASSETS / "chain-float16.onnx", chain_side=64)
    assert rate == pytest.approx(16 * 2 * 64**3 / 0.5 / 1e9)
    assert {name: value.dtype for name, value in fed[0].items()} == {"a": "f2", "b": "f2"}
    rate = matrix_rate(fed.append, ASSETS / "matmul-uint8.onnx")
    assert rate == pytest.approx(2 * 1024 * 512**2 / 0.5 / 1e9)
    assert fed[1]["a"].dtype == np.uint8


@pytest.mark.parametrize(
    ("label", "precision", "arithmetic"),
    [
        ("ort-cpu fp32", "fp32", "float32"),
        ("ort-cpu int8-cpu", "int8-cpu", "uint8 x int8"),
        ("ort-cpu int8", "int8", "int8 x int8"),
        ("openvino bf16", "bf16", "bfloat16"),
    ],
)
def test_a_cpu_is_measured_in_the_arithmetic_of_the_graph(
    label: str, precision: str, arithmetic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if label.startswith("openvino"):
        skip_without("openvino")
    monkeypatch.setattr("vsrc.runtime.latency.rates._SECONDS", 0.01)
    found = measure_backend_rates(label, precision=precision, threads=1, copy_gb_per_s=12.5)
    assert found.arithmetic == arithmetic
    assert found.matmul_gop_per_s is not None
    assert found.matmul_gop_per_s > 0
    assert (found.copy_gb_per_s, found.missing) == (12.5, {})


def test_what_is_unknown_has_a_reason() -> None:
    found = measure_backend_rates("ort-cpu", precision=None, threads=1, copy_gb_per_s=12.5)
    assert (found.arithmetic, found.matmul_gop_per_s) == (None, None)
    assert set(found.missing) == {"arithmetic", "matmul_gop_per_s"}
    found = measure_backend_rates("ort:qnn/npu fp16", precision="fp16", threads=1, copy_gb_per_s=1)
    assert (found.arithmetic, found.matmul_gop_per_s) == ("float16", None)
    assert set(found.missing) == {"matmul_gop_per_s", "copy_gb_per_s"}


def test_copies_on_a_device_are_timed_by_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, times_ms = ReorderingGpu(), iter((5.0, 2.0, *[3.0] * 8))
    monkeypatch.setattr(gpu, "elapsed_ms", lambda _start, _stop: next(times_ms))
    assert device_copy_rate(gpu, size_bytes=1 << 20) == pytest.approx(2 * 2**20 / 0.002 / 1e9)
    assert gpu.done.count("copy") == 10


@pytest.mark.parametrize("name", ["float32", "float16", "int8"])
def test_engines_of_the_chain_are_built(name: str) -> None:
    skip_without("tensorrt_rtx")
    assert len(build_plan("trt-rtx", ASSETS / f"chain-{name}.onnx", side=64)) > 1000


def test_a_graph_that_tensorrt_rejects_is_named(tmp_path: Path) -> None:
    skip_without("tensorrt_rtx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(MismatchError, match=r"trt-rtx does not build broken\.onnx"):
        build_plan("trt-rtx", broken, side=64)
