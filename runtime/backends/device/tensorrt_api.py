"""Import TensorRT or TensorRT for RTX; both have the same API under two module names."""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.dependencies import version_numbers
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.installation import is_jetson_board, open_to_system_packages, this_installation

MODULES: dict[EngineBackend, str] = {"trt": "tensorrt", "trt-rtx": "tensorrt_rtx"}
"""Backend -> name of its module."""
_KNOWN_BAD: dict[tuple[int, ...], str] = {(10, 2): "it builds engines that give wrong values"}

_NO_MEMORY = re.compile(
    r"out ?of ?memory|cudaErrorMemoryAllocation|insufficient memory|failed to allocate|bad_alloc|"
    r"memory allocation",
    re.IGNORECASE,
)

FIRST_STRONG = (10,)
"""First version whose networks can be strongly typed."""
FIRST_RELIABLE = (10, 12)
"""First version whose strongly typed builds need no fallback."""


def tensorrt_module(backend: EngineBackend) -> ModuleType:
    """Import the module and check its version.

    Raises:
        MissingDependencyError: It is not installed, does not load, or has an unsupported version.
    """
    name = MODULES[backend]
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        raise MissingDependencyError(
            f"{name} does not load ({error}); {_how_to_get_it(backend)}"
        ) from error
    version = getattr(module, "__version__", None)
    if version is None:  # an empty folder of that name can be imported, too
        raise MissingDependencyError(f"{name} is not installed; {_how_to_get_it(backend)}")
    check_version(backend, str(version))
    return module


def _how_to_get_it(backend: EngineBackend) -> str:
    if is_jetson_board():
        if backend == "trt":
            return f"it is part of JetPack; {open_to_system_packages().text}"
        return "it is for desktop GPUs; on a Jetson use trt"
    return f"install it: {this_installation().install_extras(backend).text}"


def check_version(backend: EngineBackend, version: str) -> None:
    """Check that the version is one for which the API calls were verified.

    Raises:
        MissingDependencyError: The version is not supported.
    """
    numbers = (*version_numbers(version), 0, 0)
    if backend == "trt-rtx":
        known, expected = numbers[0] == 1, "1.x"
    else:
        known, expected = numbers[:2] == (8, 6) or numbers[0] in (10, 11), "8.6, 10.x or 11.x"
    if not known:
        raise MissingDependencyError(
            f"{MODULES[backend]} {version} is not supported by vsrc ({expected} are); "
            "install one of these, or a newer vsrc"
        )
    if backend == "trt" and (bad := _KNOWN_BAD.get(numbers[:2])):
        raise MissingDependencyError(
            f"tensorrt {version} is not usable ({bad}); install 10.3 or newer"
        )


class Messages:
    """Logged errors in order; the first is the cause, the others follow from it."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def cause(self) -> str:
        """The first error in one line; empty if there was none."""
        return " ".join(self.errors[0].split()) if self.errors else ""

    def are_of_memory(self, raised: str = "") -> bool:
        """Whether one of the errors, or what was raised beside them, says that memory ran out."""
        return any(_NO_MEMORY.search(text) for text in (*self.errors, raised))


def listener(module: Any, messages: Messages) -> Any:  # noqa: ANN401  classes of TensorRT
    """Create a TensorRT logger that keeps errors and ignores all other messages."""
    loud = (module.ILogger.Severity.INTERNAL_ERROR, module.ILogger.Severity.ERROR)

    class Listener(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: object, text: str) -> None:
            if severity in loud:
                messages.errors.append(text)

    return Listener()
