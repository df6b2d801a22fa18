"""Build an engine from a graph, with TensorRT 8.6, 10 or 11 or TensorRT for RTX.

Never imports torch: it runs on the device. The types are in the graph, so networks are strongly
typed where TensorRT supports it; only 8.6, and releases of 10 that reject a graph so typed, choose
precisions themselves among those that flags allow.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.export.config import ExportProgress
from vsrc.export.engines.layer_report import LayerReport, inspect_layers
from vsrc.export.engines.tensorrt_log import Phases, build_error, monitor
from vsrc.runtime.backends.device.engine_file import EngineBackend, ProfileShapes
from vsrc.runtime.backends.device.tensorrt_api import (
    FIRST_RELIABLE,
    FIRST_STRONG,
    Messages,
    listener,
    tensorrt_module,
)
from vsrc.runtime.dependencies import version_numbers
from vsrc.runtime.errors import MismatchError, VsrcError
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.processes.stop_signal import note_stop_signal
from vsrc.runtime.spec import FeatureSpec, Precision, StateSpec

if TYPE_CHECKING:
    import tensorrt as trt

ShapesOf = Callable[[str, tuple[int, ...]], tuple[tuple[int, ...], ...]]
"""Name and declared shape of an input, -1 where dynamic -> minimum, optimum, maximum; or the one
shape."""


def shapes_for(
    features: Sequence[FeatureSpec | StateSpec], sizes: Sequence[tuple[int, int, int]]
) -> ShapesOf:
    """Map frame sizes to input shapes: the dynamic axes are N, height and width.

    Args:
        features: Feature maps between encode and fuse, or of a state; as inputs they are smaller by
            their stride.
        sizes: Minimum, optimum and maximum `(N, H, W)` of the frames, LR pixels; or only one.
    """
    strides = {feature.name: feature.stride for feature in features}

    def shapes_of(name: str, declared: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        stride, free = strides.get(name, 1), [at for at, side in enumerate(declared) if side == -1]
        if not free:
            return (declared,)
        shapes = []
        for count, height, width in sizes:
            # A graph whose N is fixed has two free axes.
            wanted = (count, height // stride, width // stride)[-len(free) :]
            sides = zip(free, wanted, strict=True)
            shapes.append(tuple({**dict(enumerate(declared)), **dict(sides)}.values()))
        return tuple(shapes)

    return shapes_of


@dataclass(frozen=True)
class BuildOrder:
    """Parameters of an engine build.

    Attributes:
        graph: ONNX file.
        precision: Precision of the graph.
        shapes_of: Function that returns the shapes of each input.
        compute_capabilities: Compute capabilities that a `trt-rtx` engine supports.
        workspace_bytes: Maximum memory for kernels while they are timed; None for no limit.
        timing_cache: TensorRT timing cache file.
    """

    graph: Path
    precision: Precision
    shapes_of: ShapesOf
    compute_capabilities: tuple[str, ...] = ()
    workspace_bytes: int | None = None
    timing_cache: Path | None = None


@dataclass(frozen=True)
class BuiltEngine:
    """Result of an engine build.

    Attributes:
        engine: Serialised engine.
        shapes: Shapes of its inputs.
        strongly_typed: Whether the network is strongly typed.
        asked: Number of convolutions of the network by input precision.
        layers: Description of the layers by the inspector of TensorRT; empty without a GPU.
        seconds: Build time, seconds.
        fallback: Why the network is not strongly typed although this TensorRT can be asked for it:
            the error of that build; otherwise empty.
    """

    engine: bytes
    shapes: ProfileShapes
    strongly_typed: bool
    asked: dict[str, int]
    layers: LayerReport
    seconds: float
    fallback: str = ""


def build_engine(
    backend: EngineBackend, order: BuildOrder, progress: ExportProgress = lambda _: None
) -> BuiltEngine:
    """Parse a graph and build an engine.

    Raises:
        MissingDependencyError: TensorRT is not installed, or its version is not supported.
        MismatchError: TensorRT rejects the graph, the shapes or the GPUs.
        VsrcError: The build failed; the message has the cause.
    """
    version = version_numbers(str(tensorrt_module(backend).__version__))
    if backend == "trt-rtx" or version >= FIRST_RELIABLE:
        return _build(backend, order, progress, typed=True)
    if version < FIRST_STRONG:
        return _build(backend, order, progress, typed=False)
    try:
        return _build(backend, order, progress, typed=True)
    except VsrcError as error:
        first = error
    try:
        built = _build(backend, order, progress, typed=False)
    except VsrcError as error:  # the first one names the cause
        raise type(first)(f"{first} (a weakly typed build failed, too: {error})") from first
    return replace(built, fallback=str(first))


def build_unpinned(
    backend: EngineBackend, order: BuildOrder, progress: ExportProgress = lambda _: None
) -> BuiltEngine:
    """Build the same graph weakly typed with no precision but fp32 allowed, to compare with.

    Raises:
        VsrcError: As for `build_engine`.
    """
    return _build(backend, replace(order, precision="fp32"), progress, typed=False)


def input_shapes(backend: EngineBackend, graph: Path, shapes_of: ShapesOf) -> ProfileShapes:
    """Read the shapes of all inputs of a graph with the parser; arguments as in `BuildOrder`.

    Raises:
        MismatchError: The parser rejects the graph.
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
        if order.precision == "fp32" and hasattr(module.BuilderFlag, "TF32"):
            config.clear_flag(module.BuilderFlag.TF32)  # it keeps 10 bits of each factor
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
    layers = inspect_layers(module, logger, engine, shapes) if backend == "trt" else LayerReport()
    asked = _convolutions(module, network)
    return BuiltEngine(engine, shapes, typed, asked, layers, time.perf_counter() - started)


@contextlib.contextmanager
def _name_failures(graph: Path, messages: Messages) -> Iterator[None]:
    """Turn exceptions of the bindings into one line with the logged cause."""
    try:
        yield
    except (MemoryError, RuntimeError, TypeError) as error:
        raise build_error(graph, messages, str(error)) from error


def _network_flags(module: Any, *, typed: bool) -> int:  # noqa: ANN401  a module
    flags = module.NetworkDefinitionCreationFlag
    if typed and hasattr(flags, "STRONGLY_TYPED"):
        return 1 << int(flags.STRONGLY_TYPED)
    # Removed in 11, ignored in 10, required in 8.6.
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
        raise MismatchError(f"TensorRT {module.__version__} rejects {graph.name}: {reason}")


def _add_profile(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    shapes_of: ShapesOf,
) -> ProfileShapes:
    """Add the optimisation profile of a graph with dynamic shapes; returns all input shapes."""
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
    """Choose the compute capabilities that TensorRT for RTX builds for, in its order.

    Args:
        module: Module of TensorRT for RTX.
        wanted: Requested ones; empty for all but Turing (7.5), which has no float32 matrix
            products there.

    Raises:
        MismatchError: One of them is not supported.
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
    """Map each compute capability ("8.9") to its enumerator in TensorRT for RTX."""
    members = module.ComputeCapability.__members__
    gpus = {name[2:]: value for name, value in members.items() if name.startswith("SM")}
    return {f"{digits[:-1]}.{digits[-1]}": gpus[digits] for digits in sorted(gpus, key=int)}


def _configure(module: Any, config: trt.IBuilderConfig, order: BuildOrder) -> object:  # noqa: ANN401
    """Set workspace, profiling verbosity and timing cache; returns the timing cache."""
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
    """Allow the precision in a weakly typed network, and pin nodes kept in fp32."""
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
    """Count the convolutions of a parsed network by input precision; int8 behind Q/DQ."""
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
