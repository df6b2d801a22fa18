"""Engines are built for real, by NVIDIA's builder for RTX, on a machine that has no GPU."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from support.error_lines import error_line
from vsrc.cli import main
from vsrc.export.config import ExportConfig, ExportStep
from vsrc.export.engines import engine_build
from vsrc.export.engines.engine_build import BuildOrder, build_engine
from vsrc.export.engines.tensorrt_log import Phases, build_error
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.device.engine_file import check_engine, read_engine_spec
from vsrc.runtime.backends.device.tensorrt_api import (
    Messages,
    check_version,
    listener,
    tensorrt_module,
)
from vsrc.runtime.errors import MismatchError, MissingDependencyError, SpecError, VsrcError
from vsrc.runtime.package import describe_file
from vsrc.runtime.processes.stop_signal import StopSignal
from vsrc.runtime.sensors.cuda_device import cuda_device

trt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
SHAPE = ((12, 16), (24, 32), (48, 64))


@pytest.fixture(scope="module")
def exported(untrained_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with fp16 graphs of the whole and of both halves."""
    path = tmp_path_factory.mktemp("engines") / "student.vsrc"
    shutil.copytree(untrained_package, path)
    export(ExportConfig(path, precision="fp16"))
    return path


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy.vsrc"))


def ask(path: Path, *options: str) -> Result:
    asked = ["export", str(path), "--format", "trt-rtx", "--precision", "fp16"]
    return CliRunner().invoke(main, [*asked, *options])


def test_the_whole_and_its_halves_are_built_and_described(copy: Path) -> None:
    steps: list[ExportStep] = []
    config = ExportConfig(copy, format="trt-rtx", precision="fp16", shape=SHAPE, gpus=("8.9",))
    result = export(config, steps.append)
    assert [one.spec.role for one in result.engines] == ["whole", "encode", "fuse"]
    for one in result.engines:
        assert one.file.name == f"{one.spec.key}.engine"
        spec = check_engine(one.file, here=one.spec.target)
        assert spec == one.spec
        assert spec.asked_layers.keys() == {"fp16"}
        assert spec.target.compute_capabilities == ("8.9",)
        assert spec.target.version == trt_rtx.__version__
    whole = result.engines[0].spec.target.shapes
    assert whole == {"lr": ((1, 3, 12, 16, 3), (1, 3, 24, 32, 3), (1, 3, 48, 64, 3))}
    assert result.engines[2].spec.target.shapes["feature1"][0] == (1, 3, 8, 12, 16)
    told = [step for step in steps if step.words == "building the engine"]
    assert {step.done for step in told} >= {0, 1, 2}
    assert all(step.total > 1 for step in told)
    again = export(config)
    assert [one.built for one in again.engines] == [False, False, False]


def test_any_other_condition_has_another_key(copy: Path) -> None:
    config = ExportConfig(copy, format="trt-rtx", precision="fp16", shape=SHAPE, halves=False)
    keys = set()
    for changed in ({}, {"shape": SHAPE[:1]}, {"gpus": ("8.6",)}):
        (engine,) = export(ExportConfig(**{**vars(config), **changed})).engines
        assert engine.built
        keys.add(engine.spec.key)
    assert len(keys) == 3
    assert len(list((copy / "engines").iterdir())) == 6  # nothing but engines and sidecars


def test_neither_torch_nor_onnx_is_needed_where_graphs_are_there(copy: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, onnx=None)\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name in ('torch', 'onnx') else found(name, *a)\n"
        "from vsrc.cli import main; main()"
    )
    asked = ["export", str(copy), "--format", "trt-rtx", "--precision", "fp16", "--shape", "12x16"]
    done = subprocess.run(
        [sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "trt-rtx-fp16-" in done.stdout
    asked[5] = "fp32"
    missing = subprocess.run(
        [sys.executable, "-c", code, *asked], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1
    assert "fp32 graph" in missing.stderr
    assert "torch" in missing.stderr


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ((), 2, "add --shape HxW"),
        (("--shape", "12x16", "--precision", "auto"), 2, "an engine is fp32, fp16 or int8"),
        (("--shape", "12x16", "--gpu", "8.7"), 1, "not for 8.7; .* --format trt on that GPU"),
        (("--shape", "12x9000"), 2, "must lie in"),
        (("--shape", "12x16", "--precision", "int8"), 1, "run vsrc calibrate"),
    ],
)
def test_what_cannot_be_built_says_why_in_one_line(
    copy: Path, options: tuple[str, ...], status: int, message: str
) -> None:
    done = ask(copy, *options)
    assert done.exit_code == status
    line = error_line(done.stderr)
    assert re.search(message, line), line
    assert not (copy / "engines").exists()


def test_a_truncated_or_foreign_engine_is_refused(copy: Path) -> None:
    config = ExportConfig(
        copy, format="trt-rtx", precision="fp16", shape=SHAPE[:1], halves=False, gpus=("8.9",)
    )
    (engine,) = export(config).engines
    target = engine.spec.target
    for other, message in (
        (
            {"compute_capabilities": ("12.0",)},
            r"8\.9, .* 12\.0",
        ),
        ({"version": "1.8.0"}, "another version"),
        ({"graph_sha256": "0" * 64}, "sha256: 9?.* 0{12}"),
    ):
        here = type(target)(**{**vars(target), **other})
        with pytest.raises(MismatchError, match=message):
            check_engine(engine.file, here=here)
    content = engine.file.read_bytes()
    engine.file.write_bytes(content[: len(content) // 2])
    with pytest.raises(SpecError, match="truncated"):
        check_engine(engine.file)
    asked = ("--shape", "12x16", "--no-halves", "--gpu", "8.9")
    refused = ask(copy, *asked)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert (
        ask(copy, "--shape", "12x16", "--no-halves", "--gpu", "8.9", "--overwrite").exit_code == 0
    )
    assert check_engine(engine.file) == read_engine_spec(engine.file)
    engine.file.write_bytes(bytes(len(engine.file.read_bytes())))
    with pytest.raises(SpecError, match="sha256 differs"):
        check_engine(engine.file)
    engine.file.with_suffix(".json").unlink()
    with pytest.raises(SpecError, match=r"json .*TensorRT .*engine "):
        check_engine(engine.file)


def test_operators_that_a_jetson_lacks_are_refused_before_the_build(copy: Path) -> None:
    graph = copy / "graphs/fp16.onnx"
    model = onnx.load(graph)
    model.graph.node[-1].op_type = "Col2Im"
    onnx.save(model, graph)
    spec = json.loads((copy / "model.json").read_text())
    spec["graphs"]["fp16"] |= vars(describe_file(copy, "graphs/fp16.onnx"))
    (copy / "model.json").write_text(json.dumps(spec))
    done = ask(copy, "--shape", "12x16")
    assert done.exit_code == 1
    assert re.search(r"fp16\.onnx .*TensorRT 8\.6 to 11: Col2Im", done.stderr)
    assert not (copy / "engines").exists()


def test_what_the_parser_refuses_is_one_line(tmp_path: Path) -> None:
    """Half and float in one Add: strongly typed networks take no such thing."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "graph",
        [value("a", TensorProto.FLOAT, [4]), value("b", TensorProto.FLOAT16, [4])],
        [value("c", TensorProto.FLOAT, [4])],
    )
    path = tmp_path / "mixed.onnx"
    imports = [helper.make_opsetid("", 18)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
    )
    order = BuildOrder(path, "fp16", lambda _, declared: (declared,))
    with pytest.raises(MismatchError, match=r"mixed\.onnx: "):
        build_engine("trt-rtx", order)


def test_a_build_can_be_stopped(exported: Path) -> None:
    def stop(_: ExportStep) -> None:
        raise KeyboardInterrupt

    order = BuildOrder(
        exported / "graphs/fp16.onnx", "fp16", lambda *_: ((1, 3, 12, 16, 3),), ("8.9",)
    )
    with pytest.raises(KeyboardInterrupt):
        build_engine("trt-rtx", order, stop)


def test_only_outermost_phases_are_shown() -> None:
    steps: list[ExportStep] = []
    phases = Phases(steps.append, StopSignal())
    phases.start("all", None, 2)
    phases.start("inner", "all", 9)
    assert phases.step("inner", 3)
    assert phases.step("all", 1)
    phases.finish("all")
    assert phases.step("all", 2)
    assert steps == [ExportStep("building the engine", 1, 2)]


@pytest.mark.parametrize(
    "said",
    [
        "[resizingAllocator.cpp::allocate::74] Error Code 1: Cuda Runtime (out of memory)",
        "Requested amount of GPU memory (17179869184 bytes) could not be allocated: OutOfMemory",
        "std::bad_alloc",
    ],
)
def test_out_of_memory_says_what_to_do(said: str) -> None:
    messages = Messages()
    messages.errors += [said, "Error Code 2: Internal Error (Assertion engine failed.)"]
    error = build_error(Path("fp16.onnx"), messages)
    assert type(error) is VsrcError
    assert "--workspace" in str(error)
    assert said in str(error)
    assert "\n" not in str(build_error(Path("fp16.onnx"), Messages(), "two\nlines"))


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "10.3.0.26", "10.16.2", "11.4.1.7"])
def test_known_versions_pass(version: str) -> None:
    check_version("trt", version)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("7.1.3", r"7\.1\.3 .*8\.6, 10\.x "),
        ("8.5.2", r"8\.5\.2 .*8\.6, 10\.x "),
        ("12.0", r"12\.0 .*8\.6, 10\.x "),
        ("10.2.0", r"10\.2\.0 .*10\.3"),
    ],
)
def test_unknown_versions_are_refused(version: str, message: str) -> None:
    with pytest.raises(MissingDependencyError, match=message):
        check_version("trt", version)


def test_an_empty_folder_does_not_pass_for_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    with pytest.raises(MissingDependencyError, match=r"tensorrt .*pip install "):
        tensorrt_module("trt")


@pytest.mark.parametrize(("is_jetson", "expected"), [(True, "JetPack"), (False, "[trt]")])
def test_without_tensorrt_the_line_says_where_it_comes_from(
    is_jetson: bool, expected: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vsrc.runtime.backends.device.tensorrt_api.is_jetson_board", lambda: is_jetson
    )
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    asked = ["export", str(copy), "--format", "trt", "--precision", "fp16", "--shape", "12x16"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 3
    assert expected in done.stderr


@pytest.mark.parametrize(("version", "tried"), [("8.6.1", [False]), ("10.3.0", [True, False])])
def test_old_versions_fall_back_to_flags(
    version: str, tried: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which way a version goes; what is built either way is TensorRT's."""
    asked: list[bool] = []

    def refuse(*_: object, typed: bool) -> None:
        asked.append(typed)
        raise VsrcError("refused")

    module = ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(engine_build, "_build", refuse)
    with pytest.raises(VsrcError, match="refused"):
        build_engine("trt", BuildOrder(tmp_path / "g.onnx", "fp16", lambda _, d: (d,)))
    assert asked == tried


@pytest.mark.gpu
@pytest.mark.trt
def test_tensorrt_builds_what_it_was_asked_for(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    try:
        cuda_device()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    cache = tmp_path / "timings"
    config = ExportConfig(
        copy, format="trt", precision="fp16", shape=SHAPE, halves=False, timing_cache=cache
    )
    (engine,) = export(config).engines
    assert cache.stat().st_size > 0
    assert engine.spec.layers.get("fp16", 0) > 0
    assert check_engine(engine.file, here=engine.spec.target) == engine.spec


@pytest.mark.filterwarnings("ignore:.*Timing cache operations are no-ops:DeprecationWarning")
def test_memory_names_and_timings_are_set_as_tensorrt_takes_them(tmp_path: Path) -> None:
    """The settings of a `trt` build, on the builder for RTX; its timing cache is an empty one."""
    logger = listener(trt_rtx, Messages())  # TensorRT does not keep it alive
    builder = trt_rtx.Builder(logger)
    cache = tmp_path / "cache" / "timings"
    order = BuildOrder(
        *(tmp_path / "g.onnx", "fp16", lambda _, declared: (declared,)),
        workspace_bytes=1 << 28,
        timing_cache=cache,
    )
    config = builder.create_builder_config()
    assert engine_build._configure(trt_rtx, config, order) is not None
    assert config.get_memory_pool_limit(trt_rtx.MemoryPoolType.WORKSPACE) == 1 << 28
    assert config.profiling_verbosity == trt_rtx.ProfilingVerbosity.DETAILED
    engine_build._keep_timings(config, cache)
    kept = cache.read_bytes()
    assert kept
    for content in (kept, b"damaged"):
        cache.write_bytes(content)
        again = builder.create_builder_config()
        assert engine_build._configure(trt_rtx, again, order) is not None
        assert again.get_timing_cache() is not None
    assert [file.name for file in cache.parent.iterdir()] == ["timings"]
