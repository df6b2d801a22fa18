from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from support.places import ASSETS
from vsrc.cli import main
from vsrc.compressor.networks.video.edge import build_edge
from vsrc.export.profiles.profile_graphs import write_profile_packages
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.config import ProfileConfig
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import Precision

SCHEMA_FILE = ASSETS / "latency-profile.schema.json"


@pytest.mark.parametrize(
    ("precision", "operator"), [("fp16", "Cast"), ("int8-cpu", "QuantizeLinear")]
)
def test_graphs_are_in_the_precision_they_are_named_after(
    precision: Precision, operator: str, tmp_path: Path
) -> None:
    config = ProfileConfig(sizes=(EdgeSize(4, 8, 1),), precision=precision, window=3)
    (path,) = write_profile_packages(config, tmp_path, progress=lambda _step: None)
    graph = open_package(path).spec.graphs[precision]
    model = onnx.load(path / graph.file)
    assert graph.precision == precision
    assert operator in {node.op_type for node in model.graph.node}
    kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    of = onnx.TensorProto
    assert kinds & {of.FLOAT16 if precision == "fp16" else of.INT8}
    session = open_package(path).session(precision=precision, threads=1)
    assert session(np.zeros((1, 3, 16, 24, 3), dtype=np.uint8)).shape == (1, 64, 96, 3)


def test_the_command_measures_the_sizes_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    arguments = ["bench", "--profile", str(path), "--sizes", "4x8x1,4x32x6", "--shape", "24x32"]
    done = CliRunner().invoke(main, [*arguments, "--threads", "1", "--seconds", "0.2"])
    assert done.exit_code == 0, done.output
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)

    profile = LatencyProfile.read(path)
    small, large = profile.points
    assert (str(small.size), str(large.size)) == ("4x8x1", "4x32x6")
    for point in profile.points:
        network = build_edge(point.size, name="edge")
        assert point.parameters == network.spec.parameters
        assert len(point.rounds_ms) == 5
        assert all(len(values) >= 3 for values in point.rounds_ms)
        assert point.median_ms > 0
        assert point.interval_ms is not None
        assert point.interval_ms.low <= point.median_ms <= point.interval_ms.high
    assert profile.threads == 1
    assert "4x8x1" not in done.stdout  # the table has a column for each number
    assert "24x32" in done.stdout
