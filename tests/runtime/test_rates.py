from __future__ import annotations

import subprocess
import sys

import onnx
import onnx.helper

from vsrc.runtime.rates import MATMUL_GRAPH, measure_rates


def test_the_shipped_graph_is_one_matrix_multiplication() -> None:
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
    shipped = onnx.load(MATMUL_GRAPH)
    onnx.checker.check_model(shipped)
    assert shipped.graph == expected
    assert (shipped.opset_import[0].version, shipped.ir_version) == (13, 7)


def test_rates_lie_near_what_numpy_reaches() -> None:
    rates = measure_rates(threads=1)
    side = 512
    code = (
        "import sys, time, numpy as np\n"
        f"a = np.random.default_rng(0).random(({side}, {side}), dtype=np.float32)\n"
        "times = []\n"
        "for _ in range(20):\n"
        "    start = time.perf_counter(); a @ a; times.append(time.perf_counter() - start)\n"
        f"print(2 * {side}**3 / min(times) / 1e9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"OPENBLAS_NUM_THREADS": "1"},
    )
    # Two libraries on a machine that others use too: the order of magnitude is the promise.
    assert 0.2 < rates.matmul_gflop_per_s / float(done.stdout) < 5
    assert rates.matmul_one_thread_gflop_per_s == rates.matmul_gflop_per_s
    assert rates.threads == 1
    assert 0.1 < rates.copy_gb_per_s < 2000
