from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
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
from vsrc.runtime.measurement import Measurement
from vsrc.runtime.package import open_package
from vsrc.runtime.rates import Rates
from vsrc.runtime.sampling import Series
from vsrc.runtime.spec import NetworkSpec

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


def measurement(durations_ms: tuple[float, ...], *, steady: bool | None = True) -> Measurement:
    return Measurement(
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
    return assemble(config, NETWORK, found, machine=machine, started=started)


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
    whole = assemble(config, NETWORK, found, machine=MACHINE, started=started)
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


def test_a_gate_on_what_could_not_be_measured_is_missed() -> None:
    found = report((20.0,) * 99, max_p99_ms=1e6)
    with pytest.raises(GateError, match="measured nothing"):
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
    bench(BenchConfig(model=tiny_package, shape=(24, 32), seconds=0.7), progress=told.append)
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
