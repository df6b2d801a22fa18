"""Only the engine that is used takes memory of the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.reordering_gpu import ADA, HostEngine, ReorderingGpu
from vsrc.runtime.backends.device.engines import (
    FoundEngine,
    Here,
    _fitting_first,
    _open_first,
    open_whole,
)
from vsrc.runtime.backends.device.gpu import Engine
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.package import open_package


def found(package: Path, side: int) -> FoundEngine:
    graph = open_package(package).spec.graphs["fp32"]
    sizes = replace(graph, height=(8, side), width=(8, side))
    spec: Any = type("Spec", (), {"build_seconds": 1.0})()
    return FoundEngine(Path(f"{side}.engine"), spec, sizes)


@pytest.mark.parametrize(
    ("size", "order"),
    [
        (None, [64, 16, 32]),
        ((10, 10), [16, 32, 64]),
        ((20, 8), [32, 64, 16]),
        ((99, 9), [64, 32, 16]),
    ],
)
def test_the_engine_that_fits_best_is_opened_first(
    tiny_package: Path, size: tuple[int, int] | None, order: list[int]
) -> None:
    engines = [found(tiny_package, side) for side in (64, 16, 32)]
    sorted_ = _fitting_first(engines, size)
    assert [engine.graph.height[1] for engine in sorted_] == order


def test_an_engine_that_does_not_fit_in_memory_gives_way_to_the_next(tiny_package: Path) -> None:
    engines = [found(tiny_package, side) for side in (64, 32, 16)]

    def fits(most: int) -> Callable[[FoundEngine], Engine]:
        def open_one(engine: FoundEngine) -> Any:  # noqa: ANN401
            if engine.graph.height[1] > most:
                raise DeviceMemoryError("no memory")
            return engine.path.name

        return open_one

    name, rest = _open_first(engines, fits(32))
    assert (str(name), rest) == ("32.engine", engines[1:])
    with pytest.raises(DeviceMemoryError):
        _open_first(engines, fits(8))


def test_the_others_are_opened_when_frames_of_their_size_come(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = open_package(tiny_package).graph("fp32")
    gpu, opened = ReorderingGpu(), []

    def engine(name: Path, _: str) -> HostEngine:
        opened.append(name.stem)
        return HostEngine(gpu, path)

    monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", lambda _: gpu)
    monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
    network = open_package(tiny_package).spec.network
    engines = [found(tiny_package, side) for side in (16, 64)]
    session = open_whole(network, Here("trt", "10.3", ADA), engines)
    small, large = (np.zeros((1, 3, side, side, 3), np.uint8) for side in (12, 40))
    session(small)
    session(small)
    assert opened == ["16"]
    session(large)
    session(small)
    assert opened == ["16", "64"]
    session.close()
    assert (gpu.held_bytes, gpu.handles) == (0, 0)


def test_engines_that_were_never_used_are_closed_without_being_opened(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = open_package(tiny_package).graph("fp32")
    gpu, opened = ReorderingGpu(), []
    monkeypatch.setattr("vsrc.runtime.backends.device.cuda_gpu.CudaGpu", lambda _: gpu)

    def engine(name: Path, _: str) -> HostEngine:
        opened.append(name)
        return HostEngine(gpu, path)

    monkeypatch.setattr("vsrc.runtime.backends.device.trt_engine.TrtEngine", engine)
    network = open_package(tiny_package).spec.network
    engines = [found(tiny_package, side) for side in (16, 64)]
    open_whole(network, Here("trt", "10.3", ADA), engines).close()
    assert len(opened) == 1
