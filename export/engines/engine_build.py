"""Build an engine from a graph, with TensorRT 8.6, 10 or 11 or TensorRT for RTX.

Never imports torch: it runs on the device. The types are in the graph, so networks are strongly
typed wherever TensorRT has that; only 8.6, and releases of 10 that refuse a graph so, are left free
to choose and told by flags what they may use.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.export.checks.layer_precisions import convolution_precisions
from vsrc.export.config import ExportProgress
from vsrc.export.engines.tensorrt_log import Phases, build_error, monitor
from vsrc.runtime.backends.engine_file import EngineBackend, ProfileShapes
from vsrc.runtime.backends.tensorrt_api import (
    FIRST_RELIABLE,
    FIRST_STRONG,
    Messages,
    listener,
    tensorrt_module,
)
from vsrc.runtime.dependencies import version_numbers
from vsrc.runtime.errors import MismatchError, VsrcError
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.spec import FeatureSpec, Precision
from vsrc.runtime.stop_signal import note_stop_signal

if TYPE_CHECKING:
    import tensorrt as trt

ShapesOf = Callable[[str, tuple[int, ...]], tuple[tuple[int, ...], ...]]
"""Name and declared shape of an input, -1 where free -> least, usual, largest; or the one shape."""


def shapes_for(features: Sequence[FeatureSpec], sizes: Sequence[tuple[int, int, int]]) -> ShapesOf:
    """How sizes of frames become shapes of inputs: the free axes are N and those of the picture.

    Args:
        features: What the halves hand over; one that is an input is smaller by its stride.
        sizes: Least, usual and largest `(N, H, W)` of the frames, LR pixels; or the one.
    """
    strides = {feature.name: feature.stride for feature in features}

    def shapes_of(name: str, declared: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        stride, free = strides.get(name, 1), [at for at, side in enumerate(declared) if side == -1]
        if not free:
            return (declared,)
        shapes = []
        for count, height, width in sizes:
            sides = zip(free, (count, height // stride, width // stride), strict=True)
            shapes.append(tuple({**dict(enumerate(declared)), **dict(sides)}.values()))
        return tuple(shapes)

    return shapes_of


@dataclass(frozen=True)
class BuildOrder:
    """What is built.

    Attributes:
        graph: The ONNX file.
        precision: Of it.
        shapes_of: Shapes of each input.
        compute_capabilities: GPUs that a `trt-rtx` engine is for.
        workspace_bytes: Most memory that kernels may use while they are tried; None for no limit.
        timing_cache: File of earlier measurements.
    """

    graph: Path
    precision: Precision
    shapes_of: ShapesOf
    compute_capabilities: tuple[str, ...] = ()
    workspace_bytes: int | None = None
    timing_cache: Path | None = None


@dataclass(frozen=True)
class BuiltEngine:
    """What came of it.

    Attributes:
        engine: Its bytes.
        shapes: That it takes.
        strongly_typed: Whether TensorRT was bound to the types in the graph.
        asked: Convolutions of the network by the precision that they read.
        layers: Convolutions of the engine likewise, as the inspector says; empty without a GPU.
        seconds: Time that it took.
    """

    engine: bytes
    shapes: ProfileShapes
    strongly_typed: bool
    asked: dict[str, int]
    layers: dict[str, int]
    seconds: float


def build_engine(
    backend: EngineBackend, order: BuildOrder, progress: ExportProgress = lambda _: None
) -> BuiltEngine:
    """Parse and build.

    Raises:
        MissingDependencyError: TensorRT is not there, or not one that is known.
        MismatchError: It does not take the graph, or these shapes or GPUs.
        VsrcError: The build failed; the line says at what.
    """
    version = version_numbers(str(tensorrt_module(backend).__version__))
    if backend == "trt-rtx" or version >= FIRST_RELIABLE:
        return _build(backend, order, progress, typed=True)
    if version < FIRST_STRONG:
        return _build(backend, order, progress, typed=False)
    try:
        return _build(backend, order, progress, typed=True)
    except VsrcError:
        return _build(backend, order, progress, typed=False)


def input_shapes(backend: EngineBackend, graph: Path, shapes_of: ShapesOf) -> ProfileShapes:
    """Shapes of all inputs of a graph, as the parser reads them; arguments as in `BuildOrder`.

    Raises:
        MismatchError: The parser does not take the graph.
    """
    module, messages = tensorrt_module(backend), Messages()
    with _name_failures(graph, messages):
        logger: trt.ILogger = listener(module, messages)
        builder: trt.Builder = module.Builder(logger)
        network = builder.create_network(_network_flags(module, typed=True))
        _parse(module, network, graph, logger)
        return {name: shapes_of(name, shape) for name, shape in _input_shapes(network).items()}


def _build(
    backend: EngineBackend, order: BuildOrder, progress: ExportProgress, *, typed: bool
) -> BuiltEngine:
    module, messages = tensorrt_module(backend), Messages()
    started = time.perf_counter()
    with note_stop_signal() as stop, _name_failures(order.graph, messages):
        phases = Phases(progress, stop)
        logger: trt.ILogger = listener(module, messages)
        builder: trt.Builder = module.Builder(logger)
        network = builder.create_network(_network_flags(module, typed=typed))
        _parse(module, network, order.graph, logger)
        config = builder.create_builder_config()
        if hasattr(module, "IProgressMonitor"):  # some releases of 8.6 have none
            config.progress_monitor = monitor(module, phases)
        shapes = _add_profile(builder, network, config, order.shapes_of)
        cache = None
        if backend == "trt-rtx":
            _set_gpus(module, config, choose_gpus(module, order.compute_capabilities))
        else:
            cache = _configure(module, config, order)
            if not typed:
                _allow_precisions(module, network, config, order.precision)
        serialized = builder.build_serialized_network(network, config)
        if phases.stopped or stop.requested:
            raise KeyboardInterrupt
        if serialized is None:
            raise build_error(order.graph, messages)
        engine = bytes(serialized)
        if cache is not None and order.timing_cache is not None:
            _keep_timings(config, order.timing_cache)
        layers = _inspect(module, logger, engine) if backend == "trt" else {}
    asked = _convolutions(module, network)
    return BuiltEngine(engine, shapes, typed, asked, layers, time.perf_counter() - started)


@contextlib.contextmanager
def _name_failures(graph: Path, messages: Messages) -> Iterator[None]:
    """Turn what the bindings raise into one line with the cause that was logged."""
    try:
        yield
    except (MemoryError, RuntimeError, TypeError) as error:
        raise build_error(graph, messages, str(error)) from error


def _network_flags(module: Any, *, typed: bool) -> int:  # noqa: ANN401  a module
    flags = module.NetworkDefinitionCreationFlag
    if typed and hasattr(flags, "STRONGLY_TYPED"):
        return 1 << int(flags.STRONGLY_TYPED)
    # Gone in 11, ignored in 10, needed in 8.6.
    return 1 << int(flags.EXPLICIT_BATCH) if hasattr(flags, "EXPLICIT_BATCH") else 0


def _parse(
    module: Any,  # noqa: ANN401
    network: trt.INetworkDefinition,
    graph: Path,
    logger: trt.ILogger,
) -> None:
    parser: trt.OnnxParser = module.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        reason = errors[0].desc() if errors else "no reason given"
        raise MismatchError(f"TensorRT {module.__version__} does not take {graph.name}: {reason}")


def _add_profile(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    shapes_of: ShapesOf,
) -> ProfileShapes:
    """Shapes of all inputs, and the profile that a graph of free shapes needs."""
    declared = _input_shapes(network)
    shapes = {name: shapes_of(name, shape) for name, shape in declared.items()}
    if any(-1 in shape for shape in declared.values()):
        profile = builder.create_optimization_profile()
        for name, of_one in shapes.items():
            least, usual, largest = of_one if len(of_one) == 3 else of_one * 3
            profile.set_shape(name, least, usual, largest)  # type: ignore[arg-type,unused-ignore]
        config.add_optimization_profile(profile)
    return shapes


def _input_shapes(network: trt.INetworkDefinition) -> dict[str, tuple[int, ...]]:
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    return {value.name: _sides(value.shape) for value in inputs}


def _sides(shape: trt.Dims) -> tuple[int, ...]:
    return tuple(int(shape[axis]) for axis in range(len(shape)))


def choose_gpus(module: Any, wanted: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ANN401
    """Compute capabilities that TensorRT for RTX builds for, in its order.

    Args:
        module: It.
        wanted: Those that are asked for; empty for all but Turing (7.5), which has no float32
            matrix products there.

    Raises:
        MismatchError: It does not know one of them.
    """
    known = list_gpus(module)
    for name in wanted:
        if name not in known:
            raise MismatchError(
                f"TensorRT for RTX {module.__version__} builds for compute capability "
                f"{', '.join(known)}, not for {name}; for a GPU that is not among them use "
                "--format trt on that GPU"
            )
    return tuple(name for name in known if (name in wanted if wanted else name != "7.5"))


def _set_gpus(module: Any, config: Any, names: tuple[str, ...]) -> None:  # noqa: ANN401
    known = list_gpus(module)
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        config.set_compute_capability(known[name], index)


def list_gpus(module: Any) -> dict[str, Any]:  # noqa: ANN401
    """Compute capability ("8.9") -> what TensorRT for RTX calls it."""
    members = module.ComputeCapability.__members__
    gpus = {name[2:]: value for name, value in members.items() if name.startswith("SM")}
    return {f"{digits[:-1]}.{digits[-1]}": gpus[digits] for digits in sorted(gpus, key=int)}


def _configure(module: Any, config: trt.IBuilderConfig, order: BuildOrder) -> object:  # noqa: ANN401
    """Memory, names in the inspector, earlier measurements; returns the timing cache."""
    if order.workspace_bytes is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, order.workspace_bytes)
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
    if order.timing_cache is None:
        return None
    known = order.timing_cache.read_bytes() if order.timing_cache.is_file() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")  # of another GPU or version, or damaged
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _keep_timings(config: trt.IBuilderConfig, path: Path) -> None:
    measured = config.get_timing_cache()
    if measured is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, bytes(measured.serialize()))


def _allow_precisions(
    module: Any,  # noqa: ANN401
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    precision: Precision,
) -> None:
    """Where types are hints: allow those of the precision, and pin what the graph keeps in fp32."""
    if precision == "fp32":
        return
    config.set_flag(module.BuilderFlag.FP16)
    if precision == "int8":
        config.set_flag(module.BuilderFlag.INT8)
    config.set_flag(module.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    pinned = {module.LayerType.GRID_SAMPLE, module.LayerType.ELEMENTWISE, module.LayerType.UNARY}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in pinned and layer.get_output(0).dtype == module.float32:
            layer.precision = module.float32


def _convolutions(module: Any, network: trt.INetworkDefinition) -> dict[str, int]:  # noqa: ANN401
    """Convolutions of a parsed network by what they read; of one behind Q/DQ that is int8."""
    kinds = (module.LayerType.CONVOLUTION, module.LayerType.DECONVOLUTION)
    names = {module.float32: "fp32", module.float16: "fp16"}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantised = {
        layer.get_output(0).name for layer in layers if layer.type == module.LayerType.DEQUANTIZE
    }
    counts: dict[str, int] = {}
    for layer in layers:
        if layer.type in kinds:
            read = layer.get_input(0)
            name = "int8" if read.name in dequantised else names.get(read.dtype, "other")
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def _inspect(module: Any, logger: trt.ILogger, engine: bytes) -> dict[str, int]:  # noqa: ANN401
    """What the finished engine says of its convolutions."""
    runtime: trt.Runtime = module.Runtime(logger)
    loaded = runtime.deserialize_cuda_engine(engine)
    if loaded is None:
        raise VsrcError("TensorRT does not load the engine that it has just built")
    inspector = loaded.create_engine_inspector()
    return convolution_precisions(
        inspector.get_engine_information(module.LayerInformationFormat.JSON)
    )
