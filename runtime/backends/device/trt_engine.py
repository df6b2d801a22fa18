"""An engine file in TensorRT 8.6 to 11, or TensorRT for RTX, behind the `Engine` protocol."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.gpu import Address, GpuStream
from vsrc.runtime.backends.device.tensorrt_api import Messages, listener, tensorrt_module
from vsrc.runtime.errors import DeviceMemoryError, MismatchError, VsrcError
from vsrc.runtime.machine import cache_folder
from vsrc.runtime.pending_file import write_file

if TYPE_CHECKING:
    import tensorrt as trt

_MORE_MEMORY = (
    "close other programs that use the GPU, or build one with a smaller largest --shape: frames "
    "are then processed in tiles"
)


class TrtEngine:
    """A loaded engine with its execution context; see `Engine`.

    Attributes:
        memory_bytes: Device memory of its weights and its context, bytes.
    """

    def __init__(self, path: Path, backend: EngineBackend) -> None:
        module = tensorrt_module(backend)
        self._path, self._messages = path, Messages()
        logger: trt.ILogger = listener(module, self._messages)
        runtime: trt.Runtime = module.Runtime(logger)
        # Mapped, not read: on a Jetson a copy in main memory is taken from the GPU's.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            engine: trt.ICudaEngine | None = runtime.deserialize_cuda_engine(content)
        if engine is None and self._messages.are_of_memory():
            raise DeviceMemoryError(
                f"no memory to load {path.name} ({self._messages.cause()}); {_MORE_MEMORY}"
            )
        if engine is None:
            raise MismatchError(
                f"TensorRT {module.__version__} cannot load {path} ({self._messages.cause()}); "
                f"build it here: vsrc export --format {backend} --overwrite"
            )
        self.is_capturable = backend == "trt"  # TensorRT for RTX captures graphs itself
        self._kernels: Path | None = None
        if backend == "trt-rtx":
            self._kernels = cache_folder() / f"{path.stem}.kernels"
        self._config: Any = None
        if backend == "trt-rtx":
            self._config = _rtx_config(module, engine, self._kernels)
            context = engine.create_execution_context(self._config)
        else:
            context = engine.create_execution_context()
        if context is None:
            raise DeviceMemoryError(
                f"no memory to run {path.name}, which takes {_megabytes(engine)} beside its "
                f"weights ({self._messages.cause()}); {_MORE_MEMORY}"
            )
        # A context needs its engine, an engine its runtime, and a runtime its logger.
        self._held: tuple[object, ...] = (logger, runtime, engine)
        self._context: trt.IExecutionContext | None = context
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        types = {name: _type(module, engine, name) for name in names}
        fed = {name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT}
        self.memory_bytes = path.stat().st_size + (memory_bytes(engine) or 0)
        self.inputs = {name: types[name] for name in names if name in fed}
        self.outputs = {name: types[name] for name in names if name not in fed}

    def reshape(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """See `Engine`."""
        context = self._open()
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise MismatchError(
                    f"{self._path.name} rejects {name} of {shape} ({self._messages.cause()});"
                    " build one for this size: vsrc export --shape"
                )
        return {name: _sides(context.get_tensor_shape(name)) for name in self.outputs}

    def bind(self, name: str, address: Address) -> None:
        """See `Engine`."""
        if not self._open().set_tensor_address(name, address):
            raise VsrcError(f"{self._path.name} has no tensor {name}")

    def enqueue(self, stream: GpuStream) -> None:
        """See `Engine`.

        Raises:
            DeviceMemoryError: There is not enough memory.
            VsrcError: The run could not be enqueued.
        """
        if self._open().execute_async_v3(stream):
            return
        cause, is_of_memory = self._messages.cause(), self._messages.are_of_memory()
        self._messages.errors.clear()  # the next run may be of a smaller frame
        if is_of_memory:
            raise DeviceMemoryError(f"no memory to run {self._path.name} ({cause}); {_MORE_MEMORY}")
        raise VsrcError(
            f"TensorRT could not run {self._path.name} ({cause}); run vsrc doctor to check the GPU"
        )

    def close(self) -> None:
        """See `Engine`; saves the kernels compiled so far for the next start."""
        if self._context is None:
            return
        if self._kernels is not None:
            _keep_kernels(self._config, self._kernels)
        self._context, self._config, self._held = None, None, ()

    def _open(self) -> trt.IExecutionContext:
        if self._context is None:
            raise RuntimeError("the session was closed")
        return self._context


def _rtx_config(module: Any, engine: Any, cached: Path | None) -> Any:  # noqa: ANN401
    """Create the runtime configuration of TensorRT for RTX: graph capture and kernel cache."""
    config = engine.create_runtime_config()
    if hasattr(module, "CudaGraphStrategy"):  # since 1.2
        config.cuda_graph_strategy = module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    if cached is not None and cached.is_file():
        cache.deserialize(cached.read_bytes())  # a cache of another version is ignored
    config.set_runtime_cache(cache)
    return config


def _keep_kernels(config: Any, path: Path) -> None:  # noqa: ANN401
    cache = config.get_runtime_cache()
    compiled = cache.serialize() if cache is not None else None
    if compiled is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, bytes(compiled))
    except (OSError, VsrcError):  # without a writable home, the next start is some seconds slower
        return


def memory_bytes(engine: Any) -> int | None:  # noqa: ANN401  of any version
    """Device memory that a context of an engine takes, bytes; None if this version tells none."""
    for name in ("device_memory_size_v2", "device_memory_size"):  # since 10.1; before 11
        size = getattr(engine, name, None)
        if size is not None:
            return int(size)
    return None


def _megabytes(engine: Any) -> str:  # noqa: ANN401
    size = memory_bytes(engine)
    return "an unknown amount" if size is None else f"{size / 1e6:.0f} MB"


def _type(module: Any, engine: trt.ICudaEngine, name: str) -> np.dtype[Any]:  # noqa: ANN401
    dtype: np.dtype[Any] = np.dtype(module.nptype(engine.get_tensor_dtype(name)))
    return dtype


def _sides(shape: trt.Dims) -> tuple[int, ...]:
    return tuple(int(shape[axis]) for axis in range(len(shape)))
