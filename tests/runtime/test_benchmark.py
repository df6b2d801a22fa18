from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import onnx.helper
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.bench_assembly import assemble
from vsrc.runtime.bench_config import BenchConfig, BenchProgress
from vsrc.runtime.bench_report import BenchReport, report_to_text
from vsrc.runtime.bench_text import WIDTH, bench_text
from vsrc.runtime.benchmark import bench, check_gates
from vsrc.runtime.errors import GateError, MismatchError, SpecError
from vsrc.runtime.machine import Machine
from vsrc.runtime.measurement import Measurement, StageTimes, Watched, joined
from vsrc.runtime.package import open_package
from vsrc.runtime.rates import Rates
from vsrc.runtime.sampling import Series
from vsrc.runtime.spec import NetworkSpec, Quality
from vsrc.runtime.telemetry import Reading

SCHEMA_FILE = (
    Path(__file__).resolve().parents[2] / "runtime" / "assets" / "bench-report.schema.json"
)

NETWORK = NetworkSpec(
    name="edge-s",
    arguments={},
    scale=4,
    window=5,
    halo=7,
    parameters=40_000,
    gmac_per_lr_pixel=50e-6,
)
MACHINE = Machine(
    cpu="A Processor With A Name That Fills Most Of A Line, As Some Vendors Like It",
    architecture="x86_64",
    cores=2,
    core_limit=1.5,
    memory_bytes=25_000_000_000,
    system="Linux 6.1",
    load_average=0.1,
)
SILENT_MACHINE = dataclasses.replace(
    MACHINE, cpu=None, core_limit=None, memory_bytes=None, load_average=None
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


WATCHED = Watched(
    facts={"board": "a board"},
    unreadable={"gpu": "there is none"},
    totals=("VDD_IN",),
    # Idle at 5 W for 3 s, then busy at 12 W: 7 W are the network's.
    readings=tuple(
        Reading(seconds=float(at), watts={"VDD_IN": 5.0 if at <= 3 else 12.0}) for at in range(10)
    ),
    idle=(0.0, 3.0),
    busy=(4.0, 9.0),
)
STAGES = StageTimes(
    durations_ms={"pre": (1.0,) * 30, "network": (15.0,) * 30, "post": (2.0,) * 30},
    missing={"decode": "not now", "encode": "not now", "end_to_end": "not now"},
    clock="a profiler",
)


def measurement(durations_ms: tuple[float, ...], *, steady: bool | None = True) -> Measurement:
    return Measurement(
        kind="package",
        name="edge-s",
        network=NETWORK,
        quality=(Quality("a", "psnr_y", "p", 26.0), Quality("b", "psnr_y", "p", 28.0)),
        fed_bytes=1_000_000,
        stages=STAGES,
        watched=WATCHED,
        import_ms=100.0,
        load_ms=20.0,
        first_inference_ms=50.0,
        series=Series((40.0, 30.0), durations_ms, sum(durations_ms) / 1000, steady),
        frames_per_run=1,
        session="ort-cpu fp32",
        graph_sha256="0" * 64,
        precision="fp32",
        before_load_bytes=50_000_000,
        peak_bytes=80_000_000,
        rates=Rates(2, 200.0, 100.0, 20.0),
        versions={"python": "3.11.7"},
    )


def report(
    durations_ms: tuple[float, ...] = (20.0,) * 1000,
    *,
    steady: bool | None = True,
    machine: Machine = MACHINE,
    **options: Any,  # noqa: ANN401  fields of BenchConfig
) -> BenchReport:
    config = BenchConfig(model=Path("student.vsrc"), **options)
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    found = measurement(durations_ms, steady=steady)
    return assemble(config, found, machine=machine, started=started)


def documented(schema: dict[str, Any], value: object, where: str = "report") -> Iterator[str]:
    """Names in `value` that the schema does not describe."""
    if isinstance(value, list) and "properties" in schema.get("items", {}):
        for item in value:
            yield from documented(schema["items"], item, f"{where}[]")
    if not isinstance(value, dict) or "properties" not in schema:
        return
    for key, item in value.items():
        described = schema["properties"].get(key)
        if described is None or not ("description" in described or "const" in described):
            yield f"{where}.{key}"
        else:
            yield from documented(described, item, f"{where}.{key}")


def nulls(value: object, where: str = "") -> Iterator[str]:
    """Dotted paths of all that is null."""
    if value is None:
        yield where.lstrip(".")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from nulls(item, f"{where}.{key}")


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
    # Throughput counts the time between samples too, so it is a little less than 1000 / mean.
    assert 0.5 < real.throughput_fps * real.latency_ms.mean / 1000 <= 1.0
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


def test_arithmetic_is_two_operations_for_each_multiply_accumulate() -> None:
    found = report((20.0,) * 100, shape=(180, 320))
    # 50e-6 GMAC x 57600 pixels = 2.88 GMAC = 5.76 GFLOP a frame, 50 frames a second.
    assert found.subject.gmac_per_frame == pytest.approx(2.88)
    assert found.throughput_fps == pytest.approx(50.0)
    assert found.arithmetic.gflop_per_s == pytest.approx(288.0)
    assert found.arithmetic.matmul_share == pytest.approx(288.0 / 200.0)
    assert found.subject.lookahead_frames == 2


def test_a_network_that_doubles_the_frame_rate_is_paid_by_the_frame() -> None:
    config = BenchConfig(model=Path("student.vsrc"))
    found = dataclasses.replace(measurement((20.0,) * 100), frames_per_run=3)
    started = datetime.now(timezone.utc)
    whole = assemble(config, found, machine=MACHINE, started=started)
    assert whole.throughput_fps == pytest.approx(150.0)


@pytest.mark.parametrize("count", [1, 2, 19, 99, 1000])
def test_every_null_has_a_reason(count: int, schema: dict[str, Any]) -> None:
    steady = None if count < 20 else True
    data = json.loads(
        report_to_text(report((20.0,) * count, steady=steady, machine=SILENT_MACHINE))
    )
    jsonschema.validate(data, schema)
    assert sorted(nulls(data)) == sorted(data["null_reasons"])


def test_the_schema_refuses_what_it_should(schema: dict[str, Any]) -> None:
    good = json.loads(report_to_text(report()))
    for path, wrong in (("throughput_fps", 0), ("schema_version", 2), ("samples_ms", [])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, path: wrong}, schema)


def explained(schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """A row of the table in docs/bench.md for each field."""
    for key, entry in schema["properties"].items():
        path = f"{where}{key}"
        if "properties" in entry:
            yield from explained(entry, f"{path}.")
        elif "properties" in entry.get("items", {}):
            yield from explained(entry["items"], f"{path}[].")
        else:
            meaning = entry.get("description") or f"Always `{entry['const']}`."
            yield f"| `{path}` | {meaning} |"


def test_the_document_explains_every_field_as_the_schema_does(schema: dict[str, Any]) -> None:
    document = (SCHEMA_FILE.parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
    section = document.partition("\n## The report\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == list(explained(schema))


@pytest.mark.parametrize(
    ("options", "missed"),
    [
        ({"max_p99_ms": 20.0}, ""),
        ({"max_p99_ms": 19.9}, "--max-p99-ms 19.9: missed, measured 20"),
        ({"min_fps": 50.0}, ""),
        ({"min_fps": 50.1}, "--min-fps 50.1: missed, measured 50"),
        ({"max_p99_ms": 1.0, "min_fps": 100.0}, "max-p99-ms 1: .*; --min-fps 100: "),
    ],
)
def test_gates_hold_at_their_limit_and_not_beyond(options: dict[str, Any], missed: str) -> None:
    found = report(**options)
    if missed:
        with pytest.raises(GateError, match=missed):
            check_gates(found)
    else:
        check_gates(found)


def test_power_is_paid_by_the_frame_and_idle_is_taken_off() -> None:
    found = report((20.0,) * 100, max_watts=11.9)
    assert found.power.source == "VDD_IN"
    assert found.power.idle_w == pytest.approx(5.0)
    assert found.power.busy_w == pytest.approx(12.0)
    assert found.power.joule_per_frame == pytest.approx(7.0 / 50)
    with pytest.raises(GateError, match=r"--max-watts 11\.9: missed, measured 12"):
        check_gates(found)


def test_memory_has_a_gate() -> None:
    check_gates(report(max_rss_mb=80.0))
    with pytest.raises(GateError, match="--max-rss-mb 79: missed, measured 80"):
        check_gates(report(max_rss_mb=79.0))


def test_deadlines_of_a_stream_are_counted_and_look_ahead_is_told_apart() -> None:
    found = report((20.0,) * 90 + (50.0,) * 10, fps=25.0)
    assert found.stream.deadline_ms == 40.0
    assert found.stream.deadline_misses == 10
    assert found.stream.deadline_miss_share == pytest.approx(0.1)
    assert found.stream.lookahead_ms == pytest.approx(2 * 40.0)  # two frames of a window of five
    assert "10 of 100 frames (10.0%) took longer than 40 ms" in " ".join(bench_text(found).split())


def test_jitter_is_the_change_from_one_frame_to_the_next() -> None:
    assert report((10.0, 14.0, 10.0, 12.0)).jitter_ms == pytest.approx((4 + 4 + 2) / 3)
    assert report((10.0,)).jitter_ms is None


def test_intervals_hold_the_numbers_they_belong_to() -> None:
    found = report(tuple(10 + index % 7 for index in range(200)))
    for name, value in (("p50_ms", found.latency_ms.p50), ("mean_ms", found.latency_ms.mean)):
        ends = getattr(found.intervals, name)
        assert ends.low <= value <= ends.high
    rate = found.intervals.throughput_fps
    assert rate
    assert rate.low <= found.throughput_fps <= rate.high


def test_runs_of_fresh_processes_are_kept_apart(tiny_package: Path) -> None:
    options = {"shape": (24, 32), "iterations": 10, "stages": False, "runs": 3}
    found = bench(BenchConfig(model=tiny_package, **options))  # type: ignore[arg-type]
    assert len(found.samples_per_run) == 3
    assert min(found.samples_per_run) >= 10
    assert sum(found.samples_per_run) == len(found.samples_ms) == found.latency_ms.count
    assert found.intervals.p50_ms


def test_two_runs_tell_no_interval() -> None:
    two = joined([measurement((20.0,) * 50), measurement((30.0,) * 50)])
    assert two.runs_ms == [(20.0,) * 50, (30.0,) * 50]
    config = BenchConfig(model=Path("student.vsrc"), runs=2)
    found = assemble(config, two, machine=MACHINE, started=datetime.now(timezone.utc))
    assert found.intervals.p50_ms is None
    assert "two runs do not tell" in found.null_reasons["intervals.p50_ms"]


def test_a_soak_sets_the_first_minute_against_the_last() -> None:
    cooling_lost = (10.0,) * 6000 + (15.0,) * 4000  # a minute at 100 frames/s, one at 67
    found = report(cooling_lost, minutes=2.0)
    assert found.soak
    assert found.soak.first_minute_fps == pytest.approx(100.0, rel=0.01)
    assert found.soak.last_minute_fps == pytest.approx(66.7, rel=0.01)
    assert found.soak.settled is None  # these readings hold no temperature
    words = " ".join(bench_text(found).split())
    assert "first minute 99.9 frames/s, last 66.7" in words  # 40 and 30 ms of warm-up
    short = report((10.0,) * 100, minutes=2.0)
    assert short.soak
    assert short.soak.first_minute_fps is None
    assert short.null_reasons["soak.first_minute_fps"] == "the soak lasted less than two minutes"


def test_the_quality_of_a_package_is_the_mean_over_its_clips() -> None:
    subject = report().subject
    assert (subject.quality_db, subject.quality_data) == (27.0, "a, b")


def test_the_stages_of_a_real_run_are_those_that_are_there(real: BenchReport) -> None:
    stages = real.stages
    for part in (stages.decode_ms, stages.pre_ms, stages.post_ms, stages.encode_ms):
        assert part is not None
        assert part.mean > 0
    assert stages.network_ms
    assert stages.upload_ms is None
    assert "nothing is moved" in real.null_reasons["stages.upload_ms"]
    assert stages.end_to_end_frames == 24
    assert stages.end_to_end_fps is not None
    # Everything together is no faster than the slowest stage alone: the network.
    assert stages.end_to_end_fps < 2000 / stages.network_ms.mean
    assert real.stages.first_frame_ms is not None


def test_a_graph_by_itself_is_measured_like_its_package(tiny_package: Path) -> None:
    path = tiny_package / "graphs" / "fp32.onnx"
    options = {"shape": (24, 32), "iterations": 12, "stages": False}
    found = bench(BenchConfig(model=path, **options))  # type: ignore[arg-type]
    spec = open_package(tiny_package).spec
    assert (found.subject.kind, found.subject.network) == ("graph", spec.network.name)
    assert found.subject.graph_sha256 == spec.graphs["fp32"].sha256
    assert found.subject.parameters == spec.network.parameters
    assert found.null_reasons["stages.decode_ms"] == "left out with --no-stages"


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
    assert "does not say" in found.null_reasons["subject.parameters"]
    assert found.null_reasons["stages.network_ms"] == "nothing in the graph multiplies matrices"
    with pytest.raises(MismatchError, match="axis 2 of input x is 24, not 25"):
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
    assert done.stdout.count("edge-s x2") == 2
    assert "<svg" in page.read_text()


def test_a_gate_on_what_could_not_be_measured_is_missed() -> None:
    found = report((20.0,) * 99, max_p99_ms=1e6)
    with pytest.raises(GateError, match=r"measured nothing \(needs 100 samples; there are 99\)"):
        check_gates(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations=0 must be at least 1"),
        ({"iterations": -5}, "must be at least 1"),
        ({"seconds": 0.0}, "seconds=0.0 must be a positive number"),
        ({"seconds": float("nan")}, "must be a positive number"),
        ({"seconds": float("inf")}, "must be a positive number"),
        ({"shape": (0, 320)}, "must be at least 1x1"),
        ({"threads": -1}, "threads=-1 must not be negative"),
        ({"max_p99_ms": 0.0}, "max_p99_ms=0.0 must be a positive number"),
        ({"min_fps": float("nan")}, "min_fps=nan must be a positive number"),
        ({"max_p99_ms": 5.0, "iterations": 99}, "needs at least 100"),
        ({"fps": 0.0}, "fps=0.0 must be a positive number"),
        ({"minutes": float("inf")}, "minutes=inf must be a positive number"),
        ({"max_watts": -1.0}, "max_watts=-1.0 must be a positive number"),
        ({"max_rss_mb": 0.0}, "max_rss_mb=0.0 must be a positive number"),
        ({"minutes": 1.0, "iterations": 5}, "leave iterations and runs out"),
        ({"runs": 0}, "runs=0 must be at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BenchConfig(**options)


def test_a_shape_the_graph_does_not_take_is_an_error(tiny_package: Path) -> None:
    height = open_package(tiny_package).spec.graphs["fp32"].height[1] + 1
    with pytest.raises(MismatchError, match=rf"H={height} is not a size .* takes"):
        bench(BenchConfig(model=tiny_package, shape=(height, 32), iterations=1))


def test_a_graph_the_package_lacks_is_an_error(tiny_package: Path) -> None:
    with pytest.raises(SpecError, match="has no int8 graph"):
        bench(BenchConfig(model=tiny_package, precision="int8", iterations=1))


def test_an_unknown_backend_is_an_error(tiny_package: Path) -> None:
    with pytest.raises(ValueError, match="backend='tpu' is not known"):
        bench(BenchConfig(model=tiny_package, backend="tpu", iterations=1))


def test_no_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="does not exist"):
        bench(BenchConfig(model=tmp_path / "none.vsrc"))


def test_progress_reaches_the_caller(tiny_package: Path) -> None:
    told: list[BenchProgress] = []
    config = BenchConfig(model=tiny_package, shape=(24, 32), seconds=0.7, stages=False)
    bench(config, progress=told.append)
    assert [step.stage for step in told[:1] + told[-1:]] == ["load", "machine"]
    samples = [step.samples for step in told if step.stage == "sample"]
    assert samples == sorted(samples)
    assert samples


@pytest.mark.parametrize("count", [1, 12, 150, 1000])
@pytest.mark.parametrize("scale_ms", [0.004, 1.0, 6000.0])
def test_the_text_fits_a_terminal(count: int, scale_ms: float) -> None:
    durations = tuple(scale_ms * (1 + index % 3) for index in range(count))
    text = bench_text(report(durations, steady=False, machine=MACHINE, min_fps=1e9))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "kept drifting" in text


def test_the_text_says_what_few_samples_cannot_tell() -> None:
    text = bench_text(report((20.0,) * 12, machine=dataclasses.replace(MACHINE, load_average=3.0)))
    assert "12 samples cannot tell p95, p99; add --seconds" in text
    assert "other work was running (load average 3.0)" in text


def test_the_command_prints_one_json_document_and_fails_at_a_gate(
    tiny_package: Path, schema: dict[str, Any]
) -> None:
    arguments = ["bench", str(tiny_package), "--shape", "24x32", "--iterations", "2"]
    arguments.append("--no-stages")
    done = CliRunner().invoke(main, [*arguments, "--min-fps", "1e9", "--json", "-"])
    assert done.exit_code == 4
    jsonschema.validate(json.loads(done.stdout), schema)
    assert done.stderr.startswith("vsrc: --min-fps 1e+09: missed")


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
    place = str(tmp_path / "none" / "file")
    done = CliRunner().invoke(main, ["bench", option, place])
    assert done.exit_code == 1
    assert "none is not a folder that exists" in done.stderr
