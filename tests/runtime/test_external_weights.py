"""Weights beside a graph are found without onnx, as onnx itself writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vsrc.runtime.errors import SpecError
from vsrc.runtime.external_weights import external_weights
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import shipped

onnx = pytest.importorskip("onnx")


def write_split(source: Path, path: Path, location: str) -> Path:
    """Write a graph whose larger weights lie in another file."""
    onnx.save_model(
        onnx.load(str(source)),
        str(path),
        save_as_external_data=True,
        location=location,
        size_threshold=64,
    )
    return path


def test_names_are_those_that_onnx_wrote(tmp_path: Path) -> None:
    source = shipped("edge-s") / "graphs/fp32.onnx"
    assert external_weights(source) == []
    assert external_weights(write_split(source, tmp_path / "a.onnx", "w.bin")) == ["w.bin"]


def test_tensors_in_attributes_and_inner_graphs_count(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "t")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value="deep.bin")
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    inner = helper.make_graph(
        [constant], "inner", [], [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])]
    )
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([branch], "outer", [], [])
    for number, graph in enumerate((inner, outer)):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(helper.make_model(graph).SerializeToString())
        assert external_weights(path) == ["deep.bin"]


@pytest.mark.parametrize("content", [b"", b"\x3a", b"\x3a\xff\xff\xff\x7f", b"\xff" * 99, b"text"])
def test_what_is_no_graph_has_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    assert external_weights(path) == []
    assert external_weights(tmp_path) == []


def test_a_package_has_no_weights_without_a_hash(tmp_path: Path) -> None:
    package = tmp_path / "a.vsrc"
    shutil.copytree(shipped("edge-s"), package)
    graph = write_split(package / "graphs/fp32.onnx", package / "graphs/fp32.onnx", "w.bin")
    spec = json.loads((package / "model.json").read_text())
    spec["graphs"]["fp32"] |= {"sha256": file_sha256(graph), "size_bytes": graph.stat().st_size}
    (package / "model.json").write_text(json.dumps(spec))
    with pytest.raises(SpecError, match=r"fp32\.onnx keeps weights in another file \(w\.bin\)"):
        open_package(package).graph("fp32")
    open_package(package).graph("fp16" if "fp16" in spec["graphs"] else "int8-cpu")


def test_a_split_graph_is_packed_whole(tmp_path: Path) -> None:
    from vsrc.export.packing.cached import _key
    from vsrc.export.packing.config import OwnNetwork
    from vsrc.export.packing.packing import pack

    source = write_split(shipped("edge-s") / "graphs/fp32.onnx", tmp_path / "a.onnx", "w.bin")
    own = OwnNetwork(str(source))
    made = pack(own, tmp_path / "a.vsrc")
    lr = np.random.default_rng(0).integers(0, 256, (1, 5, 16, 16, 3), dtype=np.uint8)
    session = open_package(made.path).session(backend="ort", precision="fp32")
    lr = lr[:, : session.network.window]
    expected = open_package(shipped("edge-s")).session(backend="ort", precision="fp32")(lr)
    np.testing.assert_array_equal(session(lr), expected)
    before = _key(own)
    weights = tmp_path / "w.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert _key(own) != before  # what was cached is of other weights
