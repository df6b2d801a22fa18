from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import onnx
import onnx.helper
import pytest
from click.testing import CliRunner

from support.foreign import ForeignCase, write_foreign
from vsrc.cli import main
from vsrc.export.foreign.form import ForeignForm
from vsrc.export.inspection.any_file import inspect
from vsrc.runtime.backends.device.engine_file import EngineSpec, EngineTarget, engine_text
from vsrc.runtime.errors import MediaError, SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.inspection.facts import (
    WIDTH,
    Inspection,
    check_intact,
    inspection_json,
    inspection_text,
)
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.text.size_text import size_text


@pytest.fixture
def package(tiny_package: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_package, tmp_path / "student.vsrc"))


def rows_of(inspection: Inspection) -> dict[str, str]:
    return dict(inspection.rows)


# --- Packages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".", "model.json"])
def test_a_package_says_what_it_is_and_that_it_is_whole(package: Path, name: str) -> None:
    found = inspect(package / name)
    spec = open_package(package).spec
    check_intact(found)
    assert found.kind == "package"
    assert found.facts["network"]["parameters"] == spec.network.parameters
    assert found.facts["graphs"]["fp32"]["sha256"] == spec.graphs["fp32"].sha256
    assert found.facts["files"] == {"weights": "intact", "graph fp32": "intact"}
    assert f"{spec.network.parameters:,} parameters" in rows_of(found)["size"]
    assert rows_of(found)["graph fp32"].endswith("intact")
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert found.facts["size_bytes"] == size


def test_a_changed_file_is_reported_beside_the_sound_ones(package: Path) -> None:
    graph = package / "graphs" / "fp32.onnx"
    data = bytearray(graph.read_bytes())
    data[-1] ^= 1
    graph.write_bytes(data)
    found = inspect(package)
    assert found.facts["files"]["weights"] == "intact"
    assert "sha256 is" in found.facts["files"]["graph fp32"]
    with pytest.raises(SpecError, match=r"fp32\.onnx: sha256 .*model\.json"):
        check_intact(found)


def test_the_command_shows_a_damaged_package_and_fails(package: Path) -> None:
    (package / "weights.safetensors").unlink()
    done = CliRunner().invoke(main, ["inspect", str(package)])
    assert done.exit_code == 1
    assert "edge x2" in done.stdout
    assert "weights.safetensors is missing" in done.stderr


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"model\.json"):
        inspect(tmp_path)


# --- Graphs ---------------------------------------------------------------------------------------


def test_a_graph_is_counted_as_it_is(package: Path) -> None:
    path = package / "graphs" / "fp32.onnx"
    found = inspect(path)
    model = onnx.load(path)
    check_intact(found)
    assert found.facts["nodes_by_type"] == Counter(node.op_type for node in model.graph.node)
    assert sum(found.facts["nodes_by_dtype"].values()) <= len(model.graph.node)
    assert found.facts["opsets"]["ai.onnx"] == 18
    assert found.facts["inputs"][0].startswith("lr uint8 (")
    assert found.facts["outputs"][0].startswith("sr uint8 (")
    assert json.loads(found.facts["metadata"]["vsrc"])["network"]["name"] == "edge"


def test_precision_is_told_by_weights_and_by_nodes(tmp_path: Path) -> None:
    make, value = onnx.helper, onnx.helper.make_tensor_value_info
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("Cast", ["x"], ["h"], to=half),
            make.make_node("Mul", ["h", "w"], ["m"]),
            make.make_node("Relu", ["m"], ["r"]),
            make.make_node("Cast", ["r"], ["y"], to=single),
        ],
        "mixed",
        [value("x", single, [1, "n"])],
        [value("y", single, [1, "n"])],
        [make.make_tensor("w", half, [1], [2.0])],
    )
    path = tmp_path / "mixed.onnx"
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9), path)
    found = inspect(path)
    assert found.facts["nodes_by_dtype"] == {"float16": 3, "float": 1}
    assert found.facts["weights_by_dtype"] == {"float16": 1}
    assert found.facts["inputs"] == ["x float (1, n)"]


def test_a_graph_that_breaks_the_rules_has_a_problem(package: Path, tmp_path: Path) -> None:
    model = onnx.load(package / "graphs" / "fp32.onnx")
    del model.graph.node[0]
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.SerializeToString())
    found = inspect(path)
    assert found.problems
    assert "is not valid ONNX" in found.problems[0]


@pytest.mark.parametrize("data", [b"", b"not a graph at all", b"\xff" * 100])
def test_what_only_calls_itself_onnx_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(SpecError, match=r"a\.onnx .*ONNX"):
        inspect(path)


def test_a_foreign_graph_says_what_it_is_fed_with(tmp_path: Path) -> None:
    case = ForeignCase(ForeignForm("image", 1, 1, "rgb", 3))
    fed = inspect(write_foreign(tmp_path / "f.onnx", case)).facts["fed_with"]
    assert str(fed).startswith("one frame, RGB in 0..1, x3")


def test_an_output_without_a_shape_is_no_problem(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "f.onnx", ForeignCase(ForeignForm("image", 1, 1, "rgb", 3)))
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    found = inspect(path)
    assert not found.problems
    (given,) = found.facts["outputs"]
    assert given == "output float of any shape"


@pytest.mark.parametrize("is_there", [True, False])
def test_weights_beside_a_graph_are_looked_for(is_there: bool, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "f.onnx", ForeignCase(ForeignForm("image", 1, 1, "rgb", 3)))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="f.bin", size_threshold=0)
    if not is_there:
        (tmp_path / "f.bin").unlink()
    found = inspect(path)
    assert bool(found.problems) is not is_there
    assert str(found.facts["fed_with"]).startswith("one frame" if is_there else "unknown")
    assert is_there or "f.bin" in found.problems[0]


def test_a_graph_says_what_a_jetson_would_refuse_and_why(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gelu", ["x"], ["a"], name="gelu"),
            onnx.helper.make_node("Erf", ["a"], ["y"], name="erf"),
        ],
        "graph",
        [value("x", onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
        [value("y", onnx.TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    imports = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)
    path = tmp_path / "g.onnx"
    onnx.save(model, path)
    refused = inspect(path).facts["refused_by_tensorrt"]
    assert len(refused) == 2
    assert refused[0].startswith("opset 21 is newer than 20")
    assert refused[1] == "Gelu (gelu): not in TensorRT 8.6: use Erf"


# --- Engines --------------------------------------------------------------------------------------


def write_engine(path: Path) -> None:
    """Bytes that no TensorRT made, with the sidecar of an engine that fits them."""
    path.write_bytes(b"plan" * 100)
    target = EngineTarget("trt", "10.3.0", "Orin", ("8.7",), "fp16", "0" * 64, "fp16", "uint8", {})
    spec = EngineSpec(target.key, target, "whole", file_sha256(path), 400, layers={"fp16": 7})
    path.with_suffix(".json").write_text(engine_text(spec))


def test_an_engine_says_what_its_sidecar_says(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path)
    found = inspect(path)
    check_intact(found)
    assert found.facts["sha256"] == file_sha256(path)
    assert found.facts["sidecar"]["target"]["gpu"] == "Orin"
    assert rows_of(found)["layers"] == '{"fp16": 7}'
    assert rows_of(found)["needs"] == "TensorRT 10.3.0, the GPU Orin"


def test_a_truncated_engine_has_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SpecError, match=r"100 bytes, .*400: .*--overwrite"):
        check_intact(inspect(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, r"a\.json .*TensorRT"), ("{", "not readable"), ("[]", r"a\.json .*JSON")],
)
def test_an_engine_without_a_sidecar_has_a_problem(
    text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"plan")
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        check_intact(inspect(path))


# --- Video and the rest ---------------------------------------------------------------------------


def test_a_video_says_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.xyz"):
        path = Path(shutil.copy(SAMPLE_CLIP, tmp_path / name))
        found = inspect(path)
        assert found.kind == "video"
        facts = found.facts
        assert (facts["width_px"], facts["height_px"]) == (640, 360)
        assert facts["codec"] == "h264"
        assert facts["refusal"] is None
        assert rows_of(found)["infer"] == "accepts it"


def test_a_damaged_video_is_refused_as_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0" * 1000)
    with pytest.raises(MediaError, match=r"a\.mp4"):
        inspect(path)


@pytest.mark.parametrize(
    ("name", "data"), [("a.txt", b"text\n" * 99), ("a", b""), ("a.zip", b"PK")]
)
def test_anything_else_is_refused_with_what_there_can_be(
    name: str, data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SpecError, match=rf"{name} .*\.onnx, \.engine"):
        inspect(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.onnx"):
        inspect(tmp_path / "none.onnx")


def test_the_text_fits_a_terminal_and_the_json_is_flat(package: Path) -> None:
    for path in (package, package / "weights.safetensors"):
        found = inspect(path)
        text = inspection_text(found).removeprefix(str(path))
        assert max(map(len, text.splitlines())) <= WIDTH
        data = json.loads(json.dumps(inspection_json(found)))
        assert data["kind"] == found.kind
        assert data["problems"] == []
        assert data["size_bytes"] > 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (2_880_000, "2.88 MB"),
        (5_000_000_000_000, "5,000 GB"),
    ],
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert size_text(size) == text
