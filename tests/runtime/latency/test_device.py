"""What bench tells of a device: stages apart, engines by themselves, their build.

The engines are built for real; the device, and the engine that is loaded onto it, are stand-ins
(reordering_gpu.py), so only where numbers come from and what they are called is tested, not their
size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from support.made_reports import MACHINE
from support.reordering_gpu import ReorderingGpu
from vsrc.runtime.backends.device.engine_file import read_engine_spec
from vsrc.runtime.errors import MismatchError, MissingDependencyError, SpecError
from vsrc.runtime.latency.assembly import assemble
from vsrc.runtime.latency.child import measure
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.report import report_to_text
from vsrc.runtime.latency.subject import open_subject
from vsrc.runtime.latency.text import bench_text
from vsrc.runtime.package import open_package

Place = Callable[[Path], list[ReorderingGpu]]


def engine_of(package: Path, graph: str, *, fixed: bool = False) -> Path:
    """An engine of a graph: that for 24x32 alone, or that for a range."""
    for path in sorted((package / "engines").glob(f"trt-rtx-{graph}-*.engine")):
        shapes = next(iter(read_engine_spec(path).target.shapes.values()))
        if (shapes[0] == shapes[-1]) is fixed:
            return path
    raise AssertionError(graph)


@pytest.mark.parametrize("by_itself", [False, True])
def test_stages_on_a_device_are_told_apart(
    built: Path, stand_in: Place, schema: dict[str, Any], by_itself: bool
) -> None:
    stand_in(built)
    model = engine_of(built, "fp32") if by_itself else built
    config = BenchConfig(model, shape=(24, 32), backend="trt-rtx", iterations=4)
    found = measure(config, lambda _: None)
    report = assemble(config, found, machine=MACHINE, started=datetime.now(timezone.utc))
    stages, reasons = report.stages, report.null_reasons
    for part in (stages.upload_ms, stages.network_ms, stages.download_ms, stages.enqueue_ms):
        assert part is not None
        assert part.count >= 3
    assert (stages.pre_ms, stages.post_ms) == (None, None)
    assert "part of network_ms" in reasons["stages.pre_ms"]
    assert stages.end_to_end_frames == 24
    assert stages.clock is not None
    assert "events of the device" in stages.clock
    assert report.subject.kind == ("engine" if by_itself else "package")
    assert report.subject.session == "trt-rtx fp32"
    assert report.subject.scale == 2
    specs = [read_engine_spec(path) for path in (built / "engines").glob("trt-rtx-fp32*.engine")]
    ms = [1000 * spec.build_seconds for spec in specs]
    wanted = 1000 * read_engine_spec(model).build_seconds if by_itself else sum(ms)
    assert report.startup.engine_build_ms == pytest.approx(wanted)
    jsonschema.validate(json.loads(report_to_text(report)), schema)
    text = bench_text(report)
    assert "Engine build" in text
    assert "enqueue" in text


def test_an_engine_by_itself_gives_what_its_graph_gives(built: Path, stand_in: Place) -> None:
    stand_in(built)
    subject = open_subject(BenchConfig(engine_of(built, "fp32"), shape=(24, 32)))
    package = open_package(built)
    np.testing.assert_array_equal(subject.run(), package.session()(subject.feeds["lr"]))
    subject.close()


@pytest.mark.parametrize(("graph", "shapes"), [
    ("encode-fp32", {"lr": (1, 24, 32, 3)}),
    ("fuse-fp32", {"feature1": (1, 3, 8, 24, 32), "centre": (1, 24, 32, 3)}),
])  # fmt: skip
@pytest.mark.parametrize("fixed", [True, False])
def test_a_half_is_fed_noise_of_its_shapes(
    built: Path, stand_in: Place, graph: str, shapes: dict[str, tuple[int, ...]], fixed: bool
) -> None:
    gpus = stand_in(built)
    subject = open_subject(BenchConfig(engine_of(built, graph, fixed=fixed), shape=(24, 32)))
    assert {name: array.shape for name, array in subject.feeds.items()} == shapes
    made = subject.run()
    np.testing.assert_array_equal(subject.run(), made)
    assert subject.on_device is not None
    assert len(subject.on_device(0.0).network_ms) == 3
    subject.close()
    subject.close()
    assert (gpus[0].held_bytes, gpus[0].handles) == (0, 0)


def test_an_engine_outside_its_package_is_measured_too(
    built: Path, stand_in: Place, tmp_path: Path
) -> None:
    stand_in(built)
    engine = engine_of(built, "fp32")
    for file in (engine, engine.with_suffix(".json")):
        shutil.copy(file, tmp_path)
    subject = open_subject(BenchConfig(tmp_path / engine.name, shape=(24, 32)))
    assert (subject.network, subject.kind, subject.name) == (None, "engine", engine.stem)
    assert subject.run().shape == (1, 48, 64, 3)
    subject.close()


def test_what_an_engine_does_not_fit_is_one_line(
    built: Path, stand_in: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, half = engine_of(built, "fp32"), engine_of(built, "encode-fp32")
    if not Path("/dev/nvidia0").exists():
        with pytest.raises(MissingDependencyError, match="no CUDA device"):
            open_subject(BenchConfig(whole, shape=(24, 32)))
    stand_in(built)
    with pytest.raises(MismatchError, match=r"H=8 .*fp32\.onnx .*16 to 64"):
        open_subject(BenchConfig(whole, shape=(8, 32)))
    with pytest.raises(MismatchError, match=r"\.engine .*lr .* 8x32"):
        open_subject(BenchConfig(half, shape=(8, 32)))
    with pytest.raises(MismatchError, match=r"\.engine .*trt-rtx, .*ort"):
        open_subject(BenchConfig(whole, shape=(24, 32), backend="ort"))
    lone = Path(shutil.copy(whole, tmp_path))
    with pytest.raises(SpecError, match=r"\.json .*\.engine "):
        open_subject(BenchConfig(lone, shape=(24, 32)))
    from vsrc.runtime.sensors.cuda_device import CudaDevice

    old = CudaDevice("Tesla V100", "7.0", 1 << 30)
    monkeypatch.setattr("vsrc.runtime.backends.device.engines.cuda_device", lambda _: old)
    for engine in (whole, half):
        with pytest.raises(MismatchError, match=r"\.engine .*8\.9.*\b7\.0\b"):
            open_subject(BenchConfig(engine, shape=(24, 32)))
