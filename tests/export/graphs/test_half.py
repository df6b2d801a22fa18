"""Half-precision graphs, judged by torch's own half arithmetic and by networks that overflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from vsrc.compressor.networks.loading.packaged import from_package, to_deployed
from vsrc.compressor.networks.table import NETWORKS
from vsrc.export.checks.unrounded import unround
from vsrc.export.config import ExportConfig
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.graphs.graph_plan import plan_whole
from vsrc.export.graphs.half import select_float32_nodes, to_half, value_types
from vsrc.export.graphs.half_emulation import as_rounded
from vsrc.export.graphs.overflow import half_or_kept, magnitudes
from vsrc.export.graphs.shape_range import shape_range_of
from vsrc.export.graphs.to_onnx import to_onnx
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import NetworkSpec


def float_graph(*nodes: onnx.NodeProto, opset: int = 18, **constants: float) -> onnx.ModelProto:
    """`x` float `(4,)` to `y`, through nodes named by their outputs."""
    for node in nodes:
        node.name = node.output[0]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("x", TensorProto.FLOAT, [4])],
        [value("y", TensorProto.FLOAT, [4])],
        [numpy_helper.from_array(np.array(x, np.float32), name) for name, x in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


def run(model: onnx.ModelProto, folder: Path, **feeds: np.ndarray) -> np.ndarray:
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return np.asarray(open_ort(path, threads=1).run(["sr" if "lr" in feeds else "y"], feeds)[0])


@pytest.fixture
def graph(tiny_package: Path) -> onnx.ModelProto:
    return onnx.load(tiny_package / "graphs/fp32.onnx")


def test_a_half_graph_gives_what_the_half_network_gives(
    graph: onnx.ModelProto, tiny_package: Path, tmp_path: Path
) -> None:
    package = open_package(tiny_package)
    network = to_deployed(from_package(package)).half()
    lr = real_window(3, height=24, width=32)
    with torch.inference_mode():
        frames = torch.from_numpy(lr).permute(0, 1, 4, 2, 3).float() / 255
        expected = (network(frames.half()).float() * 255).clamp(0, 255).numpy()
    to_half(graph)
    found = run(unround(graph), tmp_path, lr=lr)
    # Both round every value to half, but sum in another order: 2**-11 of a value, now and then.
    assert np.abs(found - expected).max() < 0.5
    assert 10 * np.log10(255**2 / np.mean((found - expected) ** 2)) > 70


def test_edges_stay_float32_and_weights_keep_their_names(graph: onnx.ModelProto) -> None:
    weights = {tensor.name for tensor in graph.graph.initializer if "weight" in tensor.name}
    count = to_half(graph)
    assert count > 10
    types = value_types(graph)
    assert {types[name] for name in weights} == {TensorProto.FLOAT16}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    assert {types[node.output[0]] for node in convolutions} == {TensorProto.FLOAT16}
    (rounding,) = [node for node in graph.graph.node if node.op_type == "Round"]
    assert types[rounding.input[0]] == TensorProto.FLOAT
    assert types["lr"] == types["sr"] == TensorProto.UINT8


def test_the_same_graph_gives_the_same_bytes(graph: onnx.ModelProto) -> None:
    first, second = copy(graph), copy(graph)
    to_half(first)
    to_half(second)
    assert first.SerializeToString() == second.SerializeToString()


def test_small_constants_and_divisions_stay_float32(tmp_path: Path) -> None:
    model = float_graph(
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Add", ["square", "eps"], ["safe"]),
        helper.make_node("Div", ["x", "safe"], ["y"]),
        eps=1e-8,  # zero in half precision: 0 / 0 where x is 0
    )
    assert select_float32_nodes(model, value_types(model)) == {"safe", "y"}
    to_half(model)
    found = run(as_rounded(model), tmp_path, x=np.array([0, 0.5, 1, 2], np.float32))
    np.testing.assert_allclose(found, [0, 2, 1, 0.5], rtol=1e-3)


def test_positions_stay_float32_up_to_the_convolution_they_come_from() -> None:
    class Warp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow = nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            grid = torch.tanh(self.flow(x)).permute(0, 2, 3, 1)
            return nn.functional.grid_sample(torch.relu(x), grid, align_corners=False)

    extent = shape_range_of(((8, 8),), multiple=1)
    spec = NetworkSpec("warp", {}, 1, 1, 0, 0, 0.0)
    plan = plan_whole(Warp(), spec, graph_io="float", extent=extent)
    model = to_onnx(plan, spec, graph_io="float", extent=extent, opset=18)
    kinds = {node.name: node.op_type for node in model.graph.node}
    kept = {kinds[name] for name in select_float32_nodes(model, value_types(model))}
    assert kept == {"GridSample", "Transpose", "Tanh", "Clip"}  # which keeps sr within [0, 1]
    assert {"Conv", "Relu"} <= set(kinds.values())


def test_rounding_is_that_of_numpy(tmp_path: Path) -> None:
    """ONNX Runtime runs half graphs in float32 and leaves out roundings; the copy does not."""
    model = float_graph(
        helper.make_node("Mul", ["x", "third"], ["a"]),
        helper.make_node("Add", ["a", "big"], ["b"]),
        helper.make_node("Sub", ["b", "big"], ["y"]),
        third=1 / 3,
        big=1000.0,
    )
    to_half(model)
    x = np.array([0.1, 1, 2, 5], np.float32)
    half = np.float16
    a = (x.astype(half).astype(np.float32) * np.float32(half(1 / 3))).astype(half)
    b = (a.astype(np.float32) + 1000).astype(half)
    expected = (b.astype(np.float32) - 1000).astype(half)
    np.testing.assert_array_equal(run(as_rounded(model), tmp_path, x=x), expected)
    assert not np.array_equal(expected, a)


def test_an_overflow_in_the_middle_is_found_where_it_begins_and_kept(tmp_path: Path) -> None:
    model = float_graph(
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("Mul", ["size", "up"], ["high"]),
        helper.make_node("Relu", ["high"], ["still"]),
        helper.make_node("Mul", ["still", "down"], ["low"]),
        helper.make_node("Add", ["low", "low"], ["y"]),
        up=3e4,
        down=1e-4,
    )
    x = np.array([0, 1, 2, 3], np.float32)
    plain = copy(model)
    to_half(plain)
    assert np.isinf(run(as_rounded(plain), tmp_path, x=x)).any()
    half, kept = half_or_kept(model, {"x": x})
    assert [(one.node, one.operator) for one in kept] == [
        ("high", "Mul"),
        ("still", "Relu"),
        ("low", "Mul"),
    ]
    assert kept[0].largest == pytest.approx(9e4)
    np.testing.assert_allclose(run(as_rounded(half), tmp_path, x=x), 6 * x, rtol=2e-3)
    types = value_types(half)
    assert types["still"] == TensorProto.FLOAT
    assert all(size < 100 for size in magnitudes(half, {"x": x}).values())


class Hot(nn.Module):
    """Brightness far beyond half precision between two convolutions."""

    spec = NetworkSpec("hot", {}, 1, 1, 1, 0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 3, 1, bias=False)
        with torch.no_grad():
            self.first.weight.fill_(4e4)
            self.last.weight.fill_(2e-6)

    def forward(self, lr: Tensor) -> Tensor:
        high: Tensor = torch.relu(self.first(lr))
        sr: Tensor = self.last(high)
        return sr


def test_export_names_the_nodes_that_it_keeps(
    pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "hot", Hot)
    path = pack(Hot())
    result = export(ExportConfig(path, precision="fp16", shape=((16, 24),)))
    (graph,) = result.graphs
    operators = [one.operator for one in graph.kept_in_fp32]
    assert operators == ["Conv", "Relu", "Conv"]
    assert result.worst_db > 50
    report = (path / "reports/export-fp16.json").read_text()
    assert all(f'"{one.node}"' in report for one in graph.kept_in_fp32)
    page = (path / "reports/export-fp16.html").read_text()
    assert "Kept in float32" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
