from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsrc.runtime.backends.ort_stages import graph_stages, stages_of


def event(name: str, start_us: int, duration_us: int) -> dict[str, Any]:
    return {
        "cat": "Node",
        "name": f"{name}_1_kernel_time",
        "ts": start_us,
        "dur": duration_us,
        "args": {"op_name": name},
    }


def run(start_us: int, *nodes: tuple[str, int]) -> list[dict[str, Any]]:
    events, at = [], start_us
    for name, duration in nodes:
        events.append(event(name, at, duration))
        at += duration
    span = {"cat": "Session", "name": "model_run", "ts": start_us, "dur": at - start_us}
    return [span, *events]


NODES = (("Cast", 100), ("Transpose", 200), ("FusedConv", 5000), ("Relu", 50), ("Conv", 900),
         ("DepthToSpace", 300), ("Cast", 100))  # fmt: skip


def test_nodes_are_parted_at_the_first_and_the_last_convolution() -> None:
    events = [one for start in (0, 10_000, 20_000) for one in run(start, *NODES)]
    found = stages_of(events[::-1])  # the order in the file does not matter
    assert found
    # The first of the three runs allocates and is left out.
    assert found.pre_ms == pytest.approx((0.3, 0.3))
    assert found.network_ms == pytest.approx((5.95, 5.95))
    assert found.post_ms == pytest.approx((0.4, 0.4))


def test_a_graph_without_matrices_has_no_stages() -> None:
    assert stages_of(run(0, ("Cast", 5)) + run(100, ("Cast", 5))) is None
    assert stages_of([]) is None


def test_a_real_graph_has_all_stages_in_each_run(tiny_package: Path) -> None:
    lr = np.zeros((1, 3, 64, 96, 3), dtype=np.uint8)
    path = tiny_package / "graphs" / "fp32.onnx"
    found = graph_stages(path, {"lr": lr}, threads=1, seconds=0.5)
    assert found
    assert len(found.pre_ms) == len(found.network_ms) == len(found.post_ms) >= 2
    assert min(*found.pre_ms, *found.network_ms, *found.post_ms) > 0
