"""Reports of real measurements, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import onnx.helper
import pytest
from click.testing import CliRunner

from support.error_lines import error_line
from support.made_reports import documented
from vsrc.cli import main
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.latency.config import BenchConfig, BenchProgress
from vsrc.runtime.latency.report import BenchReport, report_to_text
from vsrc.runtime.latency.runs import bench, bench_all, check_gates
from vsrc.runtime.package import open_package
from vsrc.runtime.processes.fresh_process import Message, ask


@pytest.fixture(scope="module")
def real(tiny_package: Path) -> BenchReport:
    """A real run, short."""
    return bench(BenchConfig(model=tiny_package, shape=(24, 32), iterations=30, min_fps=0.01))


def test_a_real_report_is_what_the_schema_says(real: BenchReport, schema: dict[str, Any]) -> None:
    data = json.loads(report_to_text(real))
    jsonschema.validate(data, schema)
    assert list(documented(schema, data)) == []


def test_a_real_report_agrees_with_itself(real: BenchReport, tiny_package: Path) -> None:
    spec = open_package(tiny_package).spec
    assert real.latency_ms.count == len(real.samples_ms) >= 30
    assert real.latency_ms.min == min(real.samples_ms)
    assert real.subject.graph_sha256 == spec.graphs["fp32"].sha256
    assert real.subject.gmac_per_frame == pytest.approx(spec.network.gmac_per_lr_pixel * 24 * 32)
    # Throughput counts the time between samples, too; what they are is up to the machine.
    assert 0 < real.throughput_fps * real.latency_ms.mean / 1000 <= 1.0
    assert real.startup.first_inference_ms > 0
    assert real.subject.versions["vsrc"]
    check_gates(real)


def test_memory_is_that_of_a_process_without_torch(real: BenchReport) -> None:
    import resource

    import torch

    assert torch.__version__  # it is loaded here, and weighs some 200 MB
    here_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert real.memory.before_load_bytes is not None
    assert real.memory.peak_bytes is not None
    assert real.memory.before_load_bytes < real.memory.peak_bytes < 0.6 * here_bytes


def test_runs_of_fresh_processes_are_kept_apart(tiny_package: Path) -> None:
    options = {"shape": (24, 32), "iterations": 50, "stages": False, "runs": 3}
    found = bench(BenchConfig(model=tiny_package, **options))  # type: ignore[arg-type]
    assert len(found.samples_per_run) == 3
    # Whether this system counts what its cores do is up to the system; if not, that is said.
    shares = found.taken_share_per_run
    assert (shares is None) == ("taken_share_per_run" in found.null_reasons)
    assert shares is None or len(shares) == 3
    assert min(found.samples_per_run) >= 17  # a third of 50
    # Readings of all three lie one after the other, on one clock.
    seconds = [reading.seconds for reading in found.device.readings]
    assert seconds == sorted(seconds)
    watched = found.device.busy_to_seconds - found.device.busy_from_seconds
    assert watched > sum(found.samples_ms) / 1000
    assert sum(found.samples_per_run) == len(found.samples_ms) == found.latency_ms.count
    assert found.intervals.p50_ms


def test_the_stages_of_a_real_run_are_those_that_are_there(real: BenchReport) -> None:
    stages = real.stages
    for part in (stages.decode_ms, stages.pre_ms, stages.post_ms, stages.encode_ms):
        assert part is not None
        assert part.mean > 0
    assert stages.network_ms
    assert stages.upload_ms is None
    assert "nothing is copied to a device" in real.null_reasons["stages.upload_ms"]
    assert stages.end_to_end_frames == 24
    assert stages.end_to_end_fps
    assert real.stages.first_frame_ms is not None


def test_a_graph_by_itself_is_measured_like_its_package(tiny_package: Path) -> None:
    path = tiny_package / "graphs" / "fp32.onnx"
    options = {"shape": (24, 32), "iterations": 12, "stages": False}
    found = bench(BenchConfig(model=path, **options))  # type: ignore[arg-type]
    spec = open_package(tiny_package).spec
    assert (found.subject.kind, found.subject.network) == ("graph", spec.network.name)
    assert found.subject.graph_sha256 == spec.graphs["fp32"].sha256
    assert found.subject.parameters == spec.network.parameters
    assert found.null_reasons["stages.decode_ms"] == "skipped because of --no-stages"


def test_a_graph_of_somebody_else_is_measured_with_noise(
    tmp_path: Path, schema: dict[str, Any]
) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["n", 3, 24, "w"])],
        [value("y", onnx.TensorProto.FLOAT, ["n", 3, 24, "w"])],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    path = tmp_path / "theirs.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    found = bench(BenchConfig(model=path, shape=(24, 32), iterations=20))
    jsonschema.validate(json.loads(report_to_text(found)), schema)
    assert (found.subject.network, found.subject.parameters) == ("theirs", None)
    assert "no such metadata" in found.null_reasons["subject.parameters"]
    assert found.null_reasons["stages.network_ms"] == (
        "the graph has no convolution or matrix product"
    )
    with pytest.raises(MismatchError, match=r"axis 2 .* x .* 24, .*25"):
        bench(BenchConfig(model=path, shape=(25, 32), iterations=20))


def test_several_are_set_side_by_side(tiny_package: Path, tmp_path: Path) -> None:
    arguments = [str(tiny_package), str(tiny_package / "graphs" / "fp32.onnx")]
    arguments += ["--shape", "24x32", "--iterations", "12", "--no-stages"]
    path, page = tmp_path / "set.json", tmp_path / "set.html"
    done = CliRunner().invoke(main, ["bench", *arguments, "--json", str(path), "--html", str(page)])
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())
    assert found["kind"] == "vsrc-bench-set"
    assert [one["subject"]["kind"] for one in found["reports"]] == ["package", "graph"]
    assert done.stdout.count("edge x2") == 2
    assert "<svg" in page.read_text()


def test_several_take_turns(tiny_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(module: str, request: Message, progress: Callable[[Message], None]) -> Message:
        asked.append(Path(request["config"]["model"]).name)
        return ask(module, request, progress)

    monkeypatch.setattr("vsrc.runtime.latency.runs.ask", noted)
    graph = tiny_package / "graphs" / "fp32.onnx"
    options = {"shape": (24, 32), "iterations": 4, "runs": 2, "stages": False}
    configs = [BenchConfig(model=one, **options) for one in (tiny_package, graph)]  # type: ignore[arg-type]
    first, second = bench_all(configs)
    assert asked == [tiny_package.name, graph.name] * 2
    assert (first.subject.kind, second.subject.kind) == ("package", "graph")
    assert len(first.samples_per_run) == len(second.samples_per_run) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations=0 "),
        ({"iterations": -5}, "iterations=-5 "),
        ({"seconds": 0.0}, r"seconds=0\.0 "),
        ({"seconds": float("nan")}, "seconds=(nan|inf) "),
        ({"seconds": float("inf")}, "seconds=(nan|inf) "),
        ({"shape": (0, 320)}, r"shape=\(0, 320\) "),
        ({"threads": -1}, "threads=-1 "),
        ({"max_p99_ms": 0.0}, r"max_p99_ms=0\.0 "),
        ({"min_fps": float("nan")}, "min_fps=nan "),
        ({"max_p99_ms": 5.0, "iterations": 99}, "iterations=99 .* 100"),
        ({"fps": 0.0}, r"^fps=0\.0 "),
        ({"minutes": float("inf")}, "minutes=inf "),
        ({"max_watts": -1.0}, r"max_watts=-1\.0 "),
        ({"max_rss_mb": 0.0}, r"max_rss_mb=0\.0 "),
        ({"minutes": 1.0, "iterations": 5}, "soak .*minutes; .*iterations "),
        ({"runs": 0}, "runs=0 "),
        ({"runs": 4, "iterations": 3}, "iterations=3 .*runs=4"),
        ({"runs": 2, "minutes": 1.0}, "soak .*minutes; .*iterations "),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchConfig(**options)


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, 5),
        ({"iterations": 50}, 5),
        ({"iterations": 49}, 1),
        ({"minutes": 1.0}, 1),
        ({"iterations": 3, "runs": 3}, 3),
    ],
)
def test_there_are_as_many_processes_as_are_worth_it(options: dict[str, Any], runs: int) -> None:
    assert BenchConfig(**options).run_count == runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "a", "b", "--runs", "3"], "--compare does not take --runs"),
        (["--compare", "a", "b", "--max-p99-ms", "3"], "does not take --max-p99-ms"),
        (["m.vsrc", "--compare", "a", "b"], "measures no models"),
        (["--profile", "p", "--json", "-"], "--profile does not take --json"),
        (["--sizes", "8x8x4"], "--sizes is for --profile"),
    ],
)
def test_no_option_goes_unheard(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["bench", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_shape_the_graph_does_not_take_is_an_error(tiny_package: Path) -> None:
    height = open_package(tiny_package).spec.graphs["fp32"].height[1] + 1
    with pytest.raises(MismatchError, match=rf"H={height} .*fp32\.onnx "):
        bench(BenchConfig(model=tiny_package, shape=(height, 32), iterations=1))


def test_a_graph_the_package_lacks_is_an_error(tiny_package: Path) -> None:
    with pytest.raises(SpecError, match=r"int8 .*fp32\).*--precision int8"):
        bench(BenchConfig(model=tiny_package, precision="int8", iterations=1))


def test_an_unknown_backend_is_an_error(tiny_package: Path) -> None:
    with pytest.raises(ValueError, match=r"backend='tpu' .*auto, ort"):
        bench(BenchConfig(model=tiny_package, backend="tpu", iterations=1))


def test_no_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.vsrc "):
        bench(BenchConfig(model=tmp_path / "none.vsrc"))


def test_progress_reaches_the_caller(tiny_package: Path) -> None:
    told: list[BenchProgress] = []
    config = BenchConfig(model=tiny_package, shape=(24, 32), seconds=0.7, runs=1, stages=False)
    bench(config, progress=told.append)
    assert [step.stage for step in told[:1] + told[-1:]] == ["load", "machine"]
    samples = [step.samples for step in told if step.stage == "sample"]
    assert samples == sorted(samples)
    assert samples


def test_progress_names_the_model_and_the_process(tiny_package: Path) -> None:
    told: list[BenchProgress] = []
    config = BenchConfig(model=tiny_package, shape=(24, 32), seconds=0.1, runs=2, stages=False)
    bench(config, progress=told.append)
    assert {step.model for step in told} == {str(tiny_package)}
    steps = dict.fromkeys((step.process, step.processes) for step in told)
    assert list(steps) == [(1, 2), (2, 2)]


def test_the_command_prints_one_json_document_and_fails_at_a_gate(
    tiny_package: Path, schema: dict[str, Any]
) -> None:
    arguments = ["bench", str(tiny_package), "--shape", "24x32", "--iterations", "2"]
    arguments.append("--no-stages")
    done = CliRunner().invoke(main, [*arguments, "--min-fps", "1e9", "--json", "-"])
    assert done.exit_code == 4
    jsonschema.validate(json.loads(done.stdout), schema)
    assert error_line(done.stderr).startswith("vsrc: --min-fps 1e+09: missed")


def test_the_command_writes_a_file_and_prints_the_table(tiny_package: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    arguments = ["bench", str(tiny_package), "--shape", "24x32", "--iterations", "2"]
    done = CliRunner().invoke(main, [*arguments, "--json", str(path)])
    assert done.exit_code == 0
    assert json.loads(path.read_text())["kind"] == "vsrc-bench"
    assert "Throughput" in done.stdout


def test_the_command_wants_one_shape(tiny_package: Path) -> None:
    done = CliRunner().invoke(main, ["bench", str(tiny_package), "--shape", "24x32,32x32,64x64"])
    assert done.exit_code == 2
    assert "3 sizes" in done.stderr


@pytest.mark.parametrize("option", ["--json", "--html", "--profile"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    option: str, tmp_path: Path
) -> None:
    place = str(tmp_path / "none" / "file.html")
    done = CliRunner().invoke(main, ["bench", option, place])
    assert done.exit_code == 1
    assert "none/file.html " in done.stderr
