"""Call the CUDA runtime and the driver that are installed, of CUDA 11.4 to 13, through ctypes.

The functions in the tables have had the same arguments in all of these. No structure is passed:
`cudaDeviceProp` and the arguments of `cudaGraphInstantiate` changed between 11, 12 and 13, so
attributes are queried one by one, and graphs are instantiated by `cudaGraphInstantiateWithFlags`.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.installation import is_jetson_board, this_installation
from vsrc.runtime.sensors.cuda_paths import runtime_paths

SUCCESS, OUT_OF_MEMORY = 0, 2
HOST_ALLOC_DEFAULT, STREAM_NON_BLOCKING, EVENT_BLOCKING_SYNC = 0, 1, 1
COPY_DEFAULT, CAPTURE_THREAD_LOCAL = 4, 1
MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76
"""Constants of driver_types.h, the same from CUDA 11.4 to 13."""
CONTEXT_BLOCKING_SYNC = 4
"""Constant of cuda.h."""

_DRIVER = "libcuda.so.1"
_POINTER, _SIZE, _INT, _FLAGS = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint
_Kind = Any
"""A type of ctypes; in a table, a list of one stands for an output of that type."""

_RUNTIME: dict[str, tuple[_Kind, ...]] = {
    "cudaGetDeviceCount": ([_INT],),
    "cudaDeviceGetAttribute": ([_INT], _INT, _INT),
    "cudaSetDevice": (_INT,),
    "cudaMemGetInfo": ([_SIZE], [_SIZE]),
    "cudaMalloc": ([_POINTER], _SIZE),
    "cudaFree": (_POINTER,),
    "cudaHostAlloc": ([_POINTER], _SIZE, _FLAGS),
    "cudaFreeHost": (_POINTER,),
    "cudaMemcpyAsync": (_POINTER, _POINTER, _SIZE, _INT, _POINTER),
    "cudaMemcpy2DAsync": (_POINTER, _SIZE, _POINTER, _SIZE, _SIZE, _SIZE, _INT, _POINTER),
    "cudaStreamCreateWithFlags": ([_POINTER], _FLAGS),
    "cudaStreamDestroy": (_POINTER,),
    "cudaStreamWaitEvent": (_POINTER, _POINTER, _FLAGS),
    "cudaStreamBeginCapture": (_POINTER, _INT),
    "cudaStreamEndCapture": (_POINTER, [_POINTER]),
    "cudaEventCreateWithFlags": ([_POINTER], _FLAGS),
    "cudaEventDestroy": (_POINTER,),
    "cudaEventRecord": (_POINTER, _POINTER),
    "cudaEventSynchronize": (_POINTER,),
    "cudaEventElapsedTime": ([ctypes.c_float], _POINTER, _POINTER),
    "cudaGraphInstantiateWithFlags": ([_POINTER], _POINTER, ctypes.c_ulonglong),
    "cudaGraphDestroy": (_POINTER,),
    "cudaGraphLaunch": (_POINTER, _POINTER),
    "cudaGraphExecDestroy": (_POINTER,),
    "cudaGetLastError": (),
    "cudaDriverGetVersion": ([_INT],),
    "cudaRuntimeGetVersion": ([_INT],),
}
_OF_DRIVER: dict[str, tuple[_Kind, ...]] = {
    "cuInit": (_FLAGS,),
    "cuDeviceGet": ([_INT], _INT),
    "cuDeviceTotalMem_v2": ([_SIZE], _INT),
    "cuDeviceGetName": (_POINTER, _INT, _INT),
    "cuDeviceGetUuid": (_POINTER, _INT),
    "cuDevicePrimaryCtxSetFlags_v2": (_INT, _FLAGS),
}


class CudaError(VsrcError):
    """A CUDA function failed.

    Attributes:
        status: Error code of the function.
    """

    def __init__(self, function: str, status: int, name: str) -> None:
        super().__init__(f"{function} failed: {name}")
        self.status = status


@dataclass(frozen=True)
class CudaVersions:
    """Versions, (major, minor).

    Attributes:
        runtime: CUDA version of the runtime library; (0, 0) where there is no driver, and so 11
            does not tell it.
        driver: Newest CUDA version that the driver supports; (0, 0) without a driver.
    """

    runtime: tuple[int, int]
    driver: tuple[int, int]

    @property
    def are_compatible(self) -> bool:
        """Whether the driver runs this runtime: minor versions are compatible since 11.1."""
        return self.driver[0] >= self.runtime[0]


class CudaLibrary:
    """The CUDA runtime in one library file, and the driver.

    Attributes:
        path: File or soname of the runtime.
        versions: Versions of the runtime and of the driver.
    """

    def __init__(self, path: str) -> None:
        """Load a runtime library.

        Raises:
            OSError: The library cannot be loaded.
            AttributeError: It lacks a function.
        """
        runtime = ctypes.CDLL(path)
        self.path = path
        self._functions = {name: _typed(runtime, name, kinds) for name, kinds in _RUNTIME.items()}
        self._name_of: Any = runtime.cudaGetErrorName
        self._name_of.argtypes, self._name_of.restype = (_INT,), ctypes.c_char_p
        self._driver: ctypes.CDLL | None = None
        self._thread = threading.local()
        self.versions = CudaVersions(
            self._version("cudaRuntimeGetVersion"), self._version("cudaDriverGetVersion")
        )

    def call(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401  integers and floats
        """Call a function of the runtime; return its outputs: one value, several, or None.

        Raises:
            CudaError: It did not return `cudaSuccess`.
        """
        function, kinds = self._functions[name]
        status, outputs = _call(function, kinds, arguments)
        if status != SUCCESS:
            known = self._name_of(status)
            raise CudaError(name, status, known.decode() if known else f"error {status}")
        return outputs

    def _version(self, function: str) -> tuple[int, int]:
        """Convert CUDA's number of a version: 12060 is 12.6."""
        try:
            number = int(self.call(function))
        except CudaError:
            return 0, 0
        return number // 1000, number % 1000 // 10

    def select(self, device: int) -> None:
        """Make a device that of the calling thread, each of which begins with device 0.

        Raises:
            CudaError: It cannot be used.
        """
        if getattr(self._thread, "device", 0) != device:
            self.call("cudaSetDevice", device)
            self._thread.device = device

    def clear_error(self) -> None:
        """Forget the last error of this thread, which the next launch would otherwise report."""
        function, kinds = self._functions["cudaGetLastError"]
        _call(function, kinds, ())

    def ask_driver(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call a function of the driver that needs no context; return its outputs.

        Raises:
            CudaError: It failed.
            OSError: There is no driver.
        """
        if self._driver is None:
            self._driver = ctypes.CDLL(_DRIVER)
            self.ask_driver("cuInit", 0)
        function, kinds = _typed(self._driver, name, _OF_DRIVER[name])
        status, outputs = _call(function, kinds, arguments)
        if status != SUCCESS:
            raise CudaError(name, status, f"CUresult {status}")
        return outputs

    def device_name(self, device: int) -> str:
        """Name of a device of the driver; raises as `ask_driver`."""
        text = ctypes.create_string_buffer(256)
        self.ask_driver("cuDeviceGetName", ctypes.addressof(text), len(text), device)
        return text.value.decode(errors="replace")

    def device_uuid(self, device: int) -> bytes:
        """The 16 bytes that identify a device of the driver; raises as `ask_driver`."""
        identifier = ctypes.create_string_buffer(16)
        self.ask_driver("cuDeviceGetUuid", ctypes.addressof(identifier), device)
        return identifier.raw

    def share_context(self, device: int) -> None:
        """Let FFmpeg use the context of the runtime, before the runtime creates it.

        FFmpeg refuses a context with other flags ("Primary context already active with incompatible
        flags", libavutil/hwcontext_cuda.c). Where that fails, frames cannot stay on the device.
        """
        with contextlib.suppress(CudaError, OSError, AttributeError):
            handle = self.ask_driver("cuDeviceGet", device)
            self.ask_driver("cuDevicePrimaryCtxSetFlags_v2", handle, CONTEXT_BLOCKING_SYNC)


@functools.cache
def load_cuda(*, check_driver: bool = True) -> CudaLibrary:
    """Load the first CUDA runtime that the driver supports.

    Args:
        check_driver: Whether a runtime that the driver does not support is passed over.

    Raises:
        MissingDependencyError: No runtime can be loaded, or the driver is too old for all of them.
    """
    tried: list[str] = []
    too_new: list[CudaLibrary] = []
    for library in _libraries(tried):
        fits = library.versions.are_compatible or library.versions.driver == (0, 0)
        if fits or not check_driver:
            return library
        too_new.append(library)
    if too_new:
        raise MissingDependencyError(_driver_is_old(too_new[0]))
    raise MissingDependencyError(
        f"no CUDA runtime can be loaded; tried {', '.join(tried)}; {_how_to_get_it()}"
    )


def version_text(version: tuple[int, int]) -> str:
    """Format a version: "12.6"."""
    return f"{version[0]}.{version[1]}"


def _libraries(tried: list[str]) -> Iterator[CudaLibrary]:
    """Load libraries one after the other; appends the paths that failed to `tried`."""
    for path in runtime_paths():
        try:
            yield CudaLibrary(path)
        except (OSError, AttributeError):  # noqa: PERF203  a dozen at most
            tried.append(path)


def _driver_is_old(library: CudaLibrary) -> str:
    runtime, driver = library.versions.runtime, library.versions.driver
    text = (
        f"the CUDA runtime {library.path} is {version_text(runtime)}, and the NVIDIA driver "
        f"supports CUDA {version_text(driver)} at most"
    )
    if is_jetson_board():
        return f"{text}; install the runtime of this JetPack: sudo apt-get install nvidia-jetpack"
    here = this_installation()
    if driver[0] == 12:
        return f"{text}; install a newer driver, or the runtime for this one: " + (
            here.install_extras("trt-cu12").text
        )
    name = f"nvidia-cuda-runtime-cu{driver[0]}"
    return f"{text}; install a newer driver, or that runtime: {here.install_freely(name).text}"


def _how_to_get_it() -> str:
    if is_jetson_board():
        return "it is part of JetPack: sudo apt-get install nvidia-jetpack"
    line = this_installation().install_freely("nvidia-cuda-runtime").text
    return f"it needs an NVIDIA GPU with its driver, and the runtime: {line}"


def _typed(
    library: ctypes.CDLL, name: str, kinds: tuple[_Kind, ...]
) -> tuple[Callable[..., int], tuple[_Kind, ...]]:
    function = getattr(library, name)
    function.restype = _INT
    function.argtypes = [
        ctypes.POINTER(kind[0]) if isinstance(kind, list) else kind for kind in kinds
    ]
    return function, kinds


def _call(
    function: Callable[..., int], kinds: tuple[_Kind, ...], arguments: tuple[Any, ...]
) -> tuple[int, Any]:
    """Call with storage for the outputs; return the status and the outputs."""
    outputs = [kind[0]() for kind in kinds if isinstance(kind, list)]
    given, made = iter(arguments), iter(outputs)
    passed = [ctypes.byref(next(made)) if isinstance(kind, list) else next(given) for kind in kinds]
    status = function(*passed)
    values = [0 if output.value is None else output.value for output in outputs]
    return status, values[0] if len(values) == 1 else tuple(values) or None
