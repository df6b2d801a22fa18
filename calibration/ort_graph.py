"""ONNX Runtime sessions of in-memory graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.installation import explain_missing, refuse_clashing_onnxruntimes
from vsrc.runtime.machine import core_count

if TYPE_CHECKING:
    import onnx
    import onnxruntime


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
    options.intra_op_num_threads = threads or core_count()
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
