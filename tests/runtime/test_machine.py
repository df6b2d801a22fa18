from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import onnx.helper
import psutil
import pytest

from vsrc.runtime.machine import (
    MATMUL_GRAPH,
    _core_limit,
    board_model,
    measure_rates,
    peak_memory_bytes,
    this_machine,
)


def test_cores_and_memory_are_those_psutil_sees() -> None:
    machine = this_machine()
    assert machine.cores == len(psutil.Process().cpu_affinity() or ())
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.cpu


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


def test_peak_memory_grows_by_what_was_held() -> None:
    code = (
        "from vsrc.runtime.machine import peak_memory_bytes\n"
        "before = peak_memory_bytes(); block = bytearray(b'1') * (200 << 20); del block\n"
        "print(peak_memory_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 195 << 20 < int(done.stdout) < 230 << 20


def test_peak_memory_of_a_child_is_not_that_of_its_parent() -> None:
    code = (
        "import subprocess, sys; block = bytearray(b'1') * (600 << 20)\n"
        "child = 'from vsrc.runtime.machine import peak_memory_bytes as p; print(p())'\n"
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 400 << 20
    assert (peak_memory_bytes() or 0) >= psutil.Process().memory_info().rss * 0.9


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("oops\n", None)]
)
def test_a_control_groups_limit_is_read_in_cores(
    text: str, cores: float | None, tmp_path: Path
) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert _core_limit(path) == cores
    assert _core_limit(tmp_path / "missing") is None


def test_a_board_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "model"
    # As NVIDIA's documents show it; device tree strings end in a zero byte.
    path.write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    assert board_model(path) == "NVIDIA Jetson Orin Nano Developer Kit"
    assert board_model(tmp_path / "missing") is None
