"""Open a single engine file for measuring; its sidecar gives the target and the input shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.device_stages import DeviceStages, device_stages
from vsrc.runtime.backends.device.engine_file import EngineSpec, check_engine
from vsrc.runtime.backends.device.engine_trust import check_trusted
from vsrc.runtime.backends.device.engines import (
    FoundEngine,
    Here,
    open_whole,
    this_device,
    with_sizes,
)
from vsrc.runtime.backends.device.gpu import Engine, Gpu
from vsrc.runtime.backends.device.program import Program
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.package import SPEC_FILE, Package, open_package
from vsrc.runtime.windows.session import Session


@dataclass(frozen=True)
class OpenedEngine:
    """An engine that is ready to run.

    Attributes:
        spec: Contents of its sidecar.
        session: Session on it if it is a whole network of a package; else None.
        bare: The engine without a session if it is not; else None.
        package: Package that contains it, if any.
    """

    spec: EngineSpec
    session: Session | None
    bare: BareEngine | None
    package: Package | None


def open_engine(path: Path, config: BenchConfig) -> OpenedEngine:
    """Open an engine file on this device.

    Raises:
        SpecError: It is missing, damaged, or has no sidecar.
        MismatchError: It was built for another device or version, or for other frame sizes.
        MissingDependencyError: TensorRT or a GPU is missing.
    """
    spec = check_engine(path)
    check_trusted(path, spec.sha256)
    backend = spec.target.backend
    if config.backend not in ("auto", backend):
        raise MismatchError(f"{path.name} runs on {backend}, not on {config.backend}")
    here = this_device(backend, config.device)
    package = _package_of(path, spec)
    if package is not None and spec.role == "whole":
        graph = package.spec.graphs[spec.target.graph]
        check_engine(path, here=here.target(spec.target.graph, graph, spec))
        engines = [FoundEngine(path, spec, with_sizes(graph, spec))]
        return OpenedEngine(spec, open_whole(package.spec.network, here, engines), None, package)
    _check_device(path, spec, here)
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.backends.device.trt_engine import TrtEngine

    gpu = CudaGpu(here.device)
    bare = BareEngine(gpu, TrtEngine(path, backend), _feeds(path, spec, config.shape))
    return OpenedEngine(spec, None, bare, package)


class BareEngine:
    """An engine of which only the names, types and shapes of its tensors are known."""

    def __init__(self, gpu: Gpu, engine: Engine, shapes: dict[str, tuple[int, ...]]) -> None:
        self._gpu, self._engine = gpu, engine
        self._transfers = Transfers(gpu)
        self._program = Program(gpu, engine, self._transfers.network)
        generator = np.random.default_rng(0)
        self.feeds = {
            name: _noise(shapes[name], kind, generator) for name, kind in engine.inputs.items()
        }
        self._closed = False

    def run(self) -> NDArray[Any]:
        """Upload the inputs, run, download all outputs; return the first of them."""
        program = self._program
        program.reshape({name: array.shape for name, array in self.feeds.items()})
        for name, array in self.feeds.items():
            self._transfers.upload(array, program.address(name))
        program.run()
        pending = [
            self._transfers.download(program.address(name), program.shapes[name], kind)
            for name, kind in self._engine.outputs.items()
        ]
        given = [result() for result in pending]
        return given[0]

    def stages(self, *, seconds: float) -> DeviceStages:
        """Time the stages of a run without overlap; see `device_stages`."""
        outputs, stream = tuple(self._engine.outputs), self._transfers.network
        return device_stages(self._gpu, self._program, stream, self.feeds, outputs, seconds=seconds)

    def close(self) -> None:
        """Free the device; calling it twice does nothing."""
        if not self._closed:
            self._transfers.drain()
            self._program.close()
            self._transfers.close()
        self._closed = True


def _package_of(path: Path, spec: EngineSpec) -> Package | None:
    """Return the package that contains the engine and from which it was built, if any."""
    folder = path.resolve().parent.parent
    if not (folder / SPEC_FILE).is_file():
        return None
    try:
        package = open_package(folder)
    except SpecError:
        return None
    return package if spec.target.graph in package.spec.graphs else None


def _check_device(path: Path, spec: EngineSpec, here: Here) -> None:
    """Check TensorRT and GPU against the sidecar of an engine whose graph is not available."""
    target = spec.target
    if target.version != here.version:
        raise MismatchError(
            f"{path.name} was built by {target.backend} {target.version}, and here it is "
            f"{here.version}; build it here: vsrc export --format {target.backend}"
        )
    capability = here.device.compute_capability
    if target.gpu not in (None, here.device.name) or capability not in target.compute_capabilities:
        made_for = target.gpu or f"compute capability {', '.join(target.compute_capabilities)}"
        raise MismatchError(
            f"{path.name} was built for {made_for}, and here is {here.device.name} ({capability}); "
            f"build it here: vsrc export --format {target.backend}"
        )
    if target.multiprocessors not in (None, here.device.multiprocessors):
        raise MismatchError(
            f"{path.name} was built for {target.multiprocessors} SMs, and here are "
            f"{here.device.multiprocessors}; build it here: vsrc export --format {target.backend}"
        )


def _feeds(path: Path, spec: EngineSpec, frame: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each input for frames of a size.

    Raises:
        MismatchError: The engine does not accept frames of this size.
    """
    shapes = spec.target.shapes
    pictures = shapes.get("lr") or shapes.get("centre") or next(iter(shapes.values()))
    usual_frame = _sides(_usual(pictures))
    feeds = {}
    for name, of_one in shapes.items():
        shape = list(_usual(of_one))
        row = _row(shape)
        for axis, side, usual_side in zip((row, row + 1), frame, usual_frame, strict=True):
            shape[axis] = shape[axis] * side // usual_side  # features are smaller by their stride
        for low, size, high in zip(of_one[0], shape, of_one[-1], strict=True):
            if not low <= size <= high:
                raise MismatchError(
                    f"{path.name} accepts {name} of {of_one[0]} to {of_one[-1]}, not for frames of "
                    f"{frame[0]}x{frame[1]}; choose another --shape"
                )
        feeds[name] = tuple(shape)
    return feeds


def _usual(shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """Return the middle of the minimum, usual and maximum shape; or the only one."""
    return shapes[len(shapes) // 2]


def _row(shape: Sequence[int]) -> int:
    """Index of axis H in images `(..., H, W, 3)` or in features `(..., C, H, W)`."""
    return len(shape) - (3 if shape[-1] == 3 else 2)


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    row = _row(shape)
    return shape[row], shape[row + 1]


def _noise(
    shape: tuple[int, ...], kind: np.dtype[Any], generator: np.random.Generator
) -> NDArray[Any]:
    if kind.kind == "f":
        return generator.random(shape, dtype=np.float32).astype(kind)
    return generator.integers(0, 127, shape).astype(kind)
