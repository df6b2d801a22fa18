"""ONNX Runtime sessions of in-memory graphs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.ort_state import iter_steps
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.installation import explain_missing, refuse_clashing_onnxruntimes
from vsrc.runtime.machine import thread_count
from vsrc.runtime.schema import from_json
from vsrc.runtime.spec import StateSpec

if TYPE_CHECKING:
    import onnx
    import onnxruntime

METADATA_KEY = "vsrc"


def state_of(model: onnx.ModelProto) -> tuple[StateSpec, ...]:
    """State that a graph takes and returns; described, as all of it, in its metadata."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            listed = json.loads(entry.value)["network"].get("state", [])
            return tuple(from_json(StateSpec, each, where="the graph") for each in listed)
    return ()


def keep_outputs_of_state(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Copy the declarations of a graph's outputs that are inputs at the next frame."""
    names = {each.next_name for each in state_of(model)}
    kept = []
    for value in model.graph.output:
        if value.name in names:
            copied = type(value)()
            copied.CopyFrom(value)
            kept.append(copied)
    return kept


def run_in_order(
    session: onnxruntime.InferenceSession,
    windows: NDArray[np.uint8],
    state: Sequence[StateSpec],
    outputs: Sequence[str],
) -> list[list[NDArray[Any]]]:
    """Run a graph on windows, `(N, T, H, W, 3)`.

    Args:
        session: Session of the graph.
        windows: Windows fed at once; with a state, one after the other, as those of a shot.
        state: State of the graph.
        outputs: Names of the outputs to return.

    Returns:
        The outputs of each run: one, or one for each window.
    """
    fed = [windows[at : at + 1] for at in range(len(windows))] if state else [windows]
    return [given for _, given in iter_steps(session, fed, state, outputs=outputs)]


def open_model(model: onnx.ModelProto, *, threads: int) -> onnxruntime.InferenceSession:
    """Open a session that does not fuse Q/DQ pairs into integer kernels.

    So int8 graphs return the same numbers on every CPU.

    Args:
        model: Any graph.
        threads: Threads inside one operator, 0 for as many as this process may use.
    """
    refuse_clashing_onnxruntimes()
    with explain_missing("onnxruntime"):
        import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = thread_count(threads)
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # Memory first, measured on edvr-xs with all its tensors watched: without these, 2.5 times as
    # much. Node by node in the order given, nothing kept for the next run, no second layout.
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise MismatchError(f"ONNX Runtime cannot load the graph: {error}") from error
