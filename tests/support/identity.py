"""A network that changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.package import describe_file, write_spec
from vsrc.runtime.spec import GraphIo, GraphSpec, ModelSpec, NetworkSpec

_EDGES: dict[GraphIo, tuple[str, list[Any]]] = {
    "uint8": ("fp32", ["N", 1, "H", "W", 3]),
    "float": ("fp32-float", ["N", 1, 3, "H", "W"]),
}


def write_identity(path: Path) -> Path:
    """Write a package whose graphs return the one frame of their window, as uint8 and as float."""
    onnx = pytest.importorskip("onnx")
    (path / "graphs").mkdir(parents=True)
    (path / "weights.safetensors").write_bytes(b"")
    graphs = {}
    for io, (name, shape) in _EDGES.items():
        kind = onnx.TensorProto.UINT8 if io == "uint8" else onnx.TensorProto.FLOAT
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Squeeze", ["lr", "axes"], ["sr"])],
            "identity",
            [onnx.helper.make_tensor_value_info("lr", kind, shape)],
            [onnx.helper.make_tensor_value_info("sr", kind, [shape[0], *shape[2:]])],
            [onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])],
        )
        opset = [onnx.helper.make_opsetid("", 18)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.save(model, path / f"graphs/{name}.onnx")
        graphs[name] = GraphSpec(
            **vars(describe_file(path, f"graphs/{name}.onnx")),
            precision="fp32", io=io, opset=18, height=(1, 4096), width=(1, 4096), batch=(1, 8),
        )  # fmt: skip
    network = NetworkSpec("identity", {}, 1, 1, halo=0, parameters=0, gmac_per_lr_pixel=0.0)
    weights = describe_file(path, "weights.safetensors")
    write_spec(path, ModelSpec(network, weights, "none", graphs))
    return path
