"""Time before, in and after the convolutions of a graph, from ONNX Runtime's profiler."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.machine import thread_count

_HEAVY = ("Conv", "MatMul", "Gemm")
"""Substrings of the names of convolution and matrix product operators, fused or not."""


@dataclass(frozen=True)
class GraphStages:
    """Durations of each run, ms.

    Attributes:
        pre_ms: Time of all nodes before the first convolution or matrix product.
        network_ms: Time from that node to the last such node.
        post_ms: Time of all nodes after it.
    """

    pre_ms: tuple[float, ...]
    network_ms: tuple[float, ...]
    post_ms: tuple[float, ...]


def graph_stages(
    path: Path, feeds: Mapping[str, NDArray[Any]], *, threads: int, seconds: float, runs: int = 10
) -> GraphStages | None:
    """Run a graph under the profiler, whose overhead is some per cent.

    Args:
        path: Path of the ONNX file.
        feeds: Input name -> array.
        threads: CPU threads, 0 for as many as there are cores.
        seconds: Time limit; at least three runs are done.
        runs: Largest number of runs.

    Returns:
        None if the graph has no convolution or matrix product.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="vsrc-stages.") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.intra_op_num_threads = thread_count(threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        began, done = time.perf_counter(), 0
        while done < 3 or (done < runs and time.perf_counter() - began < seconds):
            run_graph(session, None, feeds)
            done += 1
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return stages_of(events)


def stages_of(events: list[dict[str, Any]]) -> GraphStages | None:
    """Sum the durations of each run, from the events of a profile."""
    rows: list[tuple[float, float, float]] = []
    for nodes in _runs(events):
        heavy = [at for at, (name, _) in enumerate(nodes) if any(op in name for op in _HEAVY)]
        if not heavy:
            return None
        edges = ((0, heavy[0]), (heavy[0], heavy[-1] + 1), (heavy[-1] + 1, len(nodes)))
        pre, network, post = (sum(ms for _, ms in nodes[low:high]) for low, high in edges)
        rows.append((pre, network, post))
    if len(rows) < 2:
        return None
    # The first run allocates.
    pre_ms, network_ms, post_ms = zip(*rows[1:], strict=True)
    return GraphStages(pre_ms, network_ms, post_ms)


def _runs(events: list[dict[str, Any]]) -> list[list[tuple[str, float]]]:
    """List the nodes of each run in execution order: operator and duration, ms."""
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    spans = [e for e in events if e.get("name") == "model_run"]
    runs = []
    for span in sorted(spans, key=lambda event: float(event["ts"])):
        begin, end = span["ts"], span["ts"] + span["dur"]
        inside = [node for node in nodes if begin <= node["ts"] < end]
        inside.sort(key=lambda event: float(event["ts"]))
        runs.append([(node["args"]["op_name"], node["dur"] / 1000) for node in inside])
    return runs
