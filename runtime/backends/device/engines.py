"""Find, check and open the engines of a package that were built for this device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vsrc.runtime.backends.device.engine_check import check_halves, check_whole
from vsrc.runtime.backends.device.engine_file import (
    EngineBackend,
    EngineSpec,
    EngineTarget,
    ProfileShapes,
    check_engine,
    read_engine_spec,
)
from vsrc.runtime.backends.device.engine_trust import check_trusted
from vsrc.runtime.backends.device.gpu import Engine
from vsrc.runtime.backends.device.tensorrt_api import tensorrt_module
from vsrc.runtime.errors import (
    DeviceMemoryError,
    MismatchError,
    MissingDependencyError,
    SpecError,
    VsrcError,
)
from vsrc.runtime.machine import board_model
from vsrc.runtime.package import advised_export
from vsrc.runtime.sensors.cuda_device import CudaDevice, cuda_device
from vsrc.runtime.spec import GraphSpec, NetworkSpec

if TYPE_CHECKING:
    from vsrc.runtime.package import Package
    from vsrc.runtime.windows.session import Session

logger = logging.getLogger(__name__)

T = TypeVar("T")
Opened = TypeVar("Opened")

ENGINE_BACKENDS: tuple[EngineBackend, ...] = ("trt", "trt-rtx")

_PRECISIONS = ("fp16", "int8", "fp32")
"""Precisions that `auto` tries, best first. Int8 is not always faster on convolutions, so it is
used only if requested or if there is no fp16 engine."""


@dataclass(frozen=True)
class FoundEngine:
    """An engine that runs on this device.

    Attributes:
        path: Path of the engine.
        spec: Contents of its sidecar.
        graph: Graph from which it was built, with the sizes that the engine accepts.
    """

    path: Path
    spec: EngineSpec
    graph: GraphSpec

    def takes(self, size: tuple[int, int]) -> bool:
        """Whether the engine accepts frames of size (H, W)."""
        return size[0] <= self.graph.height[1] and size[1] <= self.graph.width[1]


def open_engines(
    package: Package,
    *,
    backend: EngineBackend,
    precision: str = "auto",
    device: int = 0,
    size: tuple[int, int] | None = None,
    is_deep: bool = False,
    keeps_features: bool = True,
) -> Session:
    """Open the engines that a package has for this device.

    Args:
        package: An opened package.
        backend: `trt` or `trt-rtx`.
        precision: Precision of the engine; `auto` uses the first available of fp16, int8, fp32.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        size: H and W of the frames, if known; selects the engine with the best fit.
        is_deep: Prefer an engine with float inputs and outputs, for more than 8 bits.
        keeps_features: Prefer encode and fuse engines if available: the features of a frame are
            computed once, and stay on the device. Otherwise the whole network is preferred.

    Raises:
        MissingDependencyError: There is no engine, TensorRT or GPU, or no engine for this GPU.
    """
    if not any(engine_files(package, backend)):
        raise MissingDependencyError(
            f"{package.path.name} holds no {backend} engine; build one on the device that runs it: "
            + advised_export(package.path, f"--format {backend} --precision fp16 --shape HxW")
        )
    here = this_device(backend, device)
    wanted = _PRECISIONS if precision == "auto" else (precision,)
    names = [f"{graph}-float" for graph in wanted if is_deep] + list(wanted)
    reasons: list[str] = []
    for name in names:
        pairs, engines = _pairs(package, name, here, size), []
        if not pairs or not keeps_features:
            engines = find_engines(package, name, here, reasons)
        try:
            if engines:
                return open_whole(package.spec.network, here, _fitting_first(engines, size))
            if pairs:
                return _open_first(
                    pairs, lambda pair: open_halves(package.spec.network, here, *pair)
                )[0]
        except MismatchError as error:
            reasons.append(str(error))
    why = reasons[0] if reasons else f"it has none of {', '.join(names)}"
    raise MissingDependencyError(f"no {backend} engine of {package.path.name} runs here: {why}")


@dataclass(frozen=True)
class Here:
    """TensorRT and GPU of this machine, which an engine must match.

    Attributes:
        backend: `trt` or `trt-rtx`.
        version: Version of that TensorRT.
        device: GPU of this machine.
    """

    backend: EngineBackend
    version: str
    device: CudaDevice

    def target(self, name: str, graph: GraphSpec, spec: EngineSpec) -> EngineTarget:
        """Target of an engine of a graph built on this machine for the same shapes."""
        return self.target_of(name, graph, spec.target.shapes)

    def target_of(self, name: str, graph: GraphSpec, shapes: ProfileShapes) -> EngineTarget:
        """Target of an engine of a graph built on this machine for some shapes."""
        target = self.video_target(name, graph.sha256, shapes)
        return replace(target, precision=graph.file_precision, io=graph.io)

    def video_target(self, name: str, sha256: str, shapes: ProfileShapes) -> EngineTarget:
        """Target of an engine of one of `video_engines` built on this machine."""
        bound = self.backend == "trt"  # to this model of GPU; two chips may share a name
        return EngineTarget(
            backend=self.backend,
            version=self.version,
            gpu=self.device.name if bound else None,
            compute_capabilities=(self.device.compute_capability,),
            graph=name,
            graph_sha256=sha256,
            precision="fp32",
            io="uint8",
            shapes=shapes,
            multiprocessors=self.device.multiprocessors if bound else None,
            board=(board_model() or "") if bound else None,
            memory_gb=round(self.device.total_bytes / 2**30) if bound else None,
        )


def this_device(backend: EngineBackend, device: int = 0) -> Here:
    """Detect TensorRT and a GPU of this machine, and open it.

    Raises:
        MissingDependencyError: TensorRT or a GPU is missing.
        ValueError: There is no such device.
    """
    return Here(backend, str(tensorrt_module(backend).__version__), cuda_device(device))


def find_engines(package: Package, name: str, here: Here, reasons: list[str]) -> list[FoundEngine]:
    """Find engines of a graph that are intact, built for this device and not lossy.

    Args:
        package: Package to search.
        name: Name of the graph.
        here: TensorRT and GPU of this machine.
        reasons: List to which a line is appended for each skipped engine.
    """
    graph = package.spec.graphs.get(name)
    if graph is None:
        return []
    if graph.stale:
        reasons.append(f"the {name} graph is older than the calibration, and so are its engines")
        return []
    engines = (
        _open_if_fitting(path, name, graph, here, reasons)
        for path in engine_files(package, here.backend, name)
    )
    return [engine for engine in engines if engine is not None]


def _open_if_fitting(
    path: Path, name: str, graph: GraphSpec, here: Here, reasons: list[str]
) -> FoundEngine | None:
    try:
        spec = read_engine_spec(path)
        check_engine(path, here=here.target(name, graph, spec))
        check_trusted(path, spec.sha256)
    except (SpecError, MismatchError) as error:
        reasons.append(str(error))
        return None
    if spec.lossy:
        reasons.append(f"{path.name} missed the PSNR limit of its precision")
        return None
    return FoundEngine(path, spec, with_sizes(graph, spec))


def engine_files(package: Package, backend: str, graph: str | None = None) -> Iterator[Path]:
    """Yield engine files by backend and graph of their sidecars, or by name if unreadable."""
    for path in sorted((package.path / "engines").glob("*.engine")):
        try:
            target = read_engine_spec(path).target
            matches = target.backend == backend and graph in (None, target.graph)
        except SpecError:
            matches = path.name.startswith(f"{backend}-{graph or ''}")
        if matches:
            yield path


def with_sizes(graph: GraphSpec, spec: EngineSpec) -> GraphSpec:
    """Return a graph spec with the sizes that an engine of it accepts."""
    if graph.role == "fuse":
        feature = graph.features[0]
        least, most = _ends(spec.target.shapes[feature.name])
        return replace(
            graph,
            height=(least[-2] * feature.stride, most[-2] * feature.stride),
            width=(least[-1] * feature.stride, most[-1] * feature.stride),
        )
    least, most = _ends(spec.target.shapes["lr"])
    row = -3 if graph.io == "uint8" else -2
    taken = replace(graph, height=(least[row], most[row]), width=(least[row + 1], most[row + 1]))
    # Encode and fuse engines are fed window by window, whatever the batch size.
    return taken if graph.role == "encode" else replace(taken, batch=(least[0], most[0]))


def _ends(shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return minimum and maximum shape, given one shape, or minimum, usual and maximum."""
    return shapes[0], shapes[-1]


def _pairs(
    package: Package, name: str, here: Here, size: tuple[int, int] | None
) -> list[tuple[FoundEngine, FoundEngine]]:
    """Find encode and fuse engines for the same sizes: the closest fit first, else the largest."""
    if name.endswith("-float"):
        return []  # encode graphs have uint8 inputs
    fuses = find_engines(package, f"fuse-{name}", here, [])
    pairs = [
        (encode, fuse)
        for encode in find_engines(package, f"encode-{name}", here, [])
        for fuse in fuses
        if (encode.graph.height, encode.graph.width) == (fuse.graph.height, fuse.graph.width)
    ]
    return sorted(pairs, key=lambda pair: _rank(pair[0], size))


def open_halves(
    network: NetworkSpec, here: Here, encode: FoundEngine, fuse: FoundEngine
) -> Session:
    """Open an encode and a fuse engine as one session."""
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.backends.device.device_halves import DeviceHalves
    from vsrc.runtime.backends.device.trt_engine import TrtEngine
    from vsrc.runtime.windows.feature_ring import RingSession

    gpu = CudaGpu(here.device)
    first = TrtEngine(encode.path, here.backend)
    with _closed_on_error(first):
        second = TrtEngine(fuse.path, here.backend)
    with _closed_on_error(first, second):
        check_halves((encode.path, fuse.path), (first, second), network, encode.graph)
    label = f"{here.backend} {encode.graph.precision}"
    return RingSession(
        DeviceHalves(gpu, first, second, network=network, graph=encode.graph, label=label)
    )


def open_whole(network: NetworkSpec, here: Here, engines: list[FoundEngine]) -> Session:
    """Open engines of a whole network as one session."""
    from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
    from vsrc.runtime.backends.device.device_session import DeviceSession
    from vsrc.runtime.backends.device.device_steps import DeviceSteps
    from vsrc.runtime.backends.device.lazy_engine import LazyEngine
    from vsrc.runtime.backends.device.trt_engine import TrtEngine
    from vsrc.runtime.windows.state_session import StateSession

    gpu = CudaGpu(here.device)

    def open_checked(engine: FoundEngine) -> Engine:
        loaded = TrtEngine(engine.path, here.backend)
        with _closed_on_error(loaded):
            check_whole(engine.path, loaded, network, engine.graph)
        return loaded

    # The first is opened now, so that one that cannot be loaded is known before the work; the
    # others when frames of their size come, as each takes memory for its largest frames.
    loaded, engines = _open_first(engines, open_checked)
    opened: list[tuple[Engine, GraphSpec]] = [(loaded, engines[0].graph)]
    opened += [(LazyEngine(partial(open_checked, each)), each.graph) for each in engines[1:]]
    label = f"{here.backend} {engines[0].graph.precision}"
    seconds = sum(engine.spec.build_seconds for engine in engines)
    if network.state:
        return StateSession(
            DeviceSteps(gpu, opened, network=network, label=label, build_seconds=seconds)
        )
    return DeviceSession(gpu, opened, network=network, label=label, build_seconds=seconds)


@contextmanager
def _closed_on_error(*engines: Engine) -> Iterator[None]:
    """Free engines that are refused, or beside which there is no memory for another."""
    try:
        yield
    except VsrcError:
        for engine in engines:
            engine.close()
        raise


def _fitting_first(engines: list[FoundEngine], size: tuple[int, int] | None) -> list[FoundEngine]:
    """Order engines by what they are for frames of a size, if that is known."""
    return engines if size is None else sorted(engines, key=lambda engine: _rank(engine, size))


def _rank(engine: FoundEngine, size: tuple[int, int] | None) -> tuple[bool, int]:
    """Order of engines: the closest fit to frames of a size, then the larger ones.

    Those that are too small come last, the largest first: frames are fed to them in tiles. So do
    all where the size is unknown.
    """
    area = engine.graph.height[1] * engine.graph.width[1]
    return (False, area) if size is not None and engine.takes(size) else (True, -area)


def _open_first(engines: list[T], open_one: Callable[[T], Opened]) -> tuple[Opened, list[T]]:
    """Open the first engine, or pair, that fits in memory; return it, and it with those after it.

    Raises:
        DeviceMemoryError: None fits.
    """
    for at, engine in enumerate(engines[:-1]):
        try:
            return open_one(engine), engines[at:]
        except DeviceMemoryError as error:  # noqa: PERF203  two or three in all
            logger.info("%s; trying another engine", error)
    return open_one(engines[-1]), engines[-1:]
