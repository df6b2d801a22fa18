"""An engine that is not what its package says is refused before a frame is read.

Loaded engines are stand-ins that run real graphs (reordering_gpu.py); the lies are in descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.reordering_gpu import ADA, HostEngine, ReorderingGpu
from vsrc.runtime.backends.device.engine_check import check_halves, check_whole
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.engines import (
    FoundEngine,
    Here,
    open_halves,
    open_whole,
)
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.spec import FeatureSpec, GraphSpec, NetworkSpec, StateSpec

PATHS = Path("encode.engine"), Path("fuse.engine")


def network_with(**values: Any) -> Callable[[NetworkSpec], NetworkSpec]:  # noqa: ANN401
    return lambda network: replace(network, **values)


LIES = {
    "smaller scale": network_with(scale=1),
    "larger scale": network_with(scale=4),
    "longer window": network_with(window=5),
    "shorter window": network_with(window=1),
    "time_scale": network_with(time_scale=2),
}


def sized(graph: GraphSpec) -> GraphSpec:
    """Of a graph: the sizes of an engine."""
    return replace(graph, batch=(1, 1), height=(8, 24), width=(8, 40))


def engine_of(package: Package, name: str, gpu: ReorderingGpu | None = None) -> Any:  # noqa: ANN401
    return HostEngine(gpu or ReorderingGpu(), package.graph(name)[0])


def test_engines_that_are_what_is_described_pass(
    tiny_package: Path, halves_package: Path, state_package: Path
) -> None:
    for path in (tiny_package, state_package):
        package = open_package(path)
        graph = sized(package.spec.graphs["fp32"])
        check_whole(path, engine_of(package, "fp32"), package.spec.network, graph)
    package = open_package(halves_package)
    halves = engine_of(package, "encode-fp32"), engine_of(package, "fuse-fp32")
    graph = sized(package.spec.graphs["encode-fp32"])
    check_halves(PATHS, halves, package.spec.network, graph)


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_about_the_network_is_found(
    tiny_package: Path, halves_package: Path, kind: str
) -> None:
    package = open_package(tiny_package)
    network = LIES[kind](package.spec.network)
    graph = sized(package.spec.graphs["fp32"])
    with pytest.raises(MismatchError, match=r"student\.engine"):
        check_whole(Path("student.engine"), engine_of(package, "fp32"), network, graph)
    package = open_package(halves_package)
    halves = engine_of(package, "encode-fp32"), engine_of(package, "fuse-fp32")
    graph = sized(package.spec.graphs["encode-fp32"])
    with pytest.raises(MismatchError, match=r"(encode|fuse)\.engine"):
        check_halves(PATHS, halves, LIES[kind](package.spec.network), graph)


@pytest.mark.parametrize(
    "values", [{"io": "float"}, {"io": "float", "layout": "stacked"}], ids=["float", "stacked"]
)
def test_a_lie_about_inputs_and_outputs_is_found(
    tiny_package: Path, values: dict[str, Any]
) -> None:
    package = open_package(tiny_package)
    graph = replace(sized(package.spec.graphs["fp32"]), **values)
    with pytest.raises(MismatchError, match="uint8"):
        check_whole(Path("a"), engine_of(package, "fp32"), package.spec.network, graph)


@pytest.mark.parametrize(
    "state",
    [
        (StateSpec("hidden", 8), StateSpec("second", 8)),
        (StateSpec("other", 8),),
        (StateSpec("hidden", 4),),
        (StateSpec("hidden", 8, stride=2),),
    ],
    ids=["one more", "name", "channels", "stride"],
)
def test_a_lie_about_the_state_is_found(state_package: Path, state: tuple[StateSpec, ...]) -> None:
    package = open_package(state_package)
    assert package.spec.network.state != state
    network = replace(package.spec.network, state=state, size_multiple=state[0].stride)
    graph = sized(package.spec.graphs["fp32"])
    with pytest.raises(MismatchError):
        check_whole(Path("a"), engine_of(package, "fp32"), network, graph)


@pytest.mark.parametrize(
    "change",
    [
        lambda feature: (replace(feature, name="other"),),
        lambda feature: (replace(feature, channels=2 * feature.channels),),
        lambda feature: (replace(feature, stride=2 * feature.stride),),
        lambda feature: (feature, replace(feature, name="second")),
    ],
    ids=["name", "channels", "stride", "one more"],
)
def test_a_lie_about_the_features_is_found(
    halves_package: Path, change: Callable[[FeatureSpec], tuple[FeatureSpec, ...]]
) -> None:
    package = open_package(halves_package)
    halves = engine_of(package, "encode-fp32"), engine_of(package, "fuse-fp32")
    graph = sized(package.spec.graphs["encode-fp32"])
    graph = replace(graph, features=change(graph.features[0]))
    with pytest.raises(MismatchError, match="engine"):
        check_halves(PATHS, halves, package.spec.network, graph)


def test_a_fuse_engine_that_reads_another_type_is_refused(halves_package: Path) -> None:
    package = open_package(halves_package)
    encode, fuse = engine_of(package, "encode-fp32"), engine_of(package, "fuse-fp32")
    graph = sized(package.spec.graphs["encode-fp32"])
    (feature,) = graph.features
    fuse.inputs[feature.name] = np.dtype(np.float16)  # half the bytes of what the other writes
    with pytest.raises(MismatchError, match=r"float16.*float32"):
        check_halves(PATHS, (encode, fuse), package.spec.network, graph)


def found(path: Path, graph: GraphSpec) -> FoundEngine:
    spec: Any = type("Spec", (), {"build_seconds": 1.0})()
    return FoundEngine(path, spec, sized(graph))


@pytest.mark.parametrize("backend", ["trt", "trt-rtx"])
def test_engines_are_checked_when_they_are_opened(
    tiny_package: Path,
    halves_package: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: EngineBackend,
) -> None:
    gpu = ReorderingGpu()
    engines: list[HostEngine] = []

    def engine(name: Path, _: str) -> HostEngine:
        package = open_package(halves_package if "code" in name.stem else tiny_package)
        engines.append(engine_of(package, name.stem, gpu))
        return engines[-1]

    monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", lambda _: gpu)
    monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
    here = Here(backend, "10.3", ADA)
    package = open_package(tiny_package)
    whole = [found(Path("fp32.engine"), package.spec.graphs["fp32"])] * 2
    network = replace(package.spec.network, scale=4)
    with pytest.raises(MismatchError, match=r"fp32\.engine"):
        open_whole(network, here, whole)
    assert (len(engines), engines[0].closed) == (1, True)
    open_whole(package.spec.network, here, whole).close()
    package = open_package(halves_package)
    encode = found(Path("encode-fp32.engine"), package.spec.graphs["encode-fp32"])
    twice = replace(encode, path=Path("encode-fp32.engine"))
    with pytest.raises(MismatchError, match=r"encode-fp32\.engine"):
        open_halves(package.spec.network, here, encode, twice)
    assert engines[-1].closed
    assert engines[-2].closed
