from __future__ import annotations

import pytest

from support.optional import skip_without
from vsrc.runtime.latency import rates


def test_the_shipped_graph_is_one_matrix_multiplication() -> None:
    skip_without("onnx")
    import onnx
    import onnx.helper

    value = onnx.helper.make_tensor_value_info
    expected = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["a", "b"], ["c"])],
        "matmul",
        [
            value("a", onnx.TensorProto.FLOAT, ["m", "k"]),
            value("b", onnx.TensorProto.FLOAT, ["k", "n"]),
        ],
        [value("c", onnx.TensorProto.FLOAT, ["m", "n"])],
    )
    shipped = onnx.load(rates.MATMUL_GRAPH)
    onnx.checker.check_model(shipped)
    assert shipped.graph == expected
    assert (shipped.opset_import[0].version, shipped.ir_version) == (13, 7)


def test_rates_follow_from_the_fastest_call(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((0.25, 0.5, 0.125, 1.0, 0.0625))
    monkeypatch.setattr(rates, "time_fastest", lambda _call: next(seconds))
    found = rates.measure_rates(threads=2)
    assert found.threads == 2
    # 512 and 1024 a side, the better one counts; then both with two threads.
    assert found.matmul_one_thread_gflop_per_s == pytest.approx(2 * 1.024**3 / 0.5)
    assert found.matmul_gflop_per_s == pytest.approx(2 * 0.512**3 / 0.125)
    assert found.copy_gb_per_s == pytest.approx(2 * 128 * 1.024**2 / 1000 / 0.0625)


def test_the_fastest_of_at_least_three_calls_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now, durations = [0.0], iter((9.0, 0.3, 0.2, 0.4, 0.1))  # the first warms up

    def call() -> None:
        now[0] += next(durations)

    monkeypatch.setattr("vsrc.runtime.latency.rates.time.perf_counter", lambda: now[0])
    assert rates.time_fastest(call) == pytest.approx(0.2)  # of 0.3, 0.2 and 0.4: then time is up


def test_rates_of_this_machine_are_measured() -> None:
    found = rates.measure_rates(threads=1)
    assert found.threads == 1
    assert found.matmul_gflop_per_s == found.matmul_one_thread_gflop_per_s > 0
    assert found.copy_gb_per_s > 0
