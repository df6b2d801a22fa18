"""Execution providers that packages of their own add to ONNX Runtime: `--backend ort:NAME`.

    package                   module                   gives ONNX Runtime
    onnxruntime-ep-openvino   onnxruntime_ep_openvino  a library, which finds the devices it can run

A plugin is registered once a process. It may take a graph only in part, and ONNX Runtime then runs
the rest on the CPU without a word: `check_assignment` makes that an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vsrc.runtime.backends.ort_provider import Provider
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import MismatchError, MissingDependencyError, describe_error
from vsrc.runtime.installation import explain_missing, missing_text, this_installation
from vsrc.runtime.machine import thread_count

if TYPE_CHECKING:
    import onnxruntime

NO_DEVICE = "offers no device here"
"""Words of the error where a plugin is installed and the machine has nothing for it."""

PREFIX = "ort:"
"""First characters of the names of these backends."""

_ORDER = ("GPU", "NPU", "CPU")
"""Kinds of devices; the first that a plugin offers is taken."""

_HEAVY = ("Conv", "MatMul", "Gemm")
"""Parts of the names of operators that must run on the device."""

_REGISTERED_SINCE = "1.24"
"""Version of ONNX Runtime that registers plugins and says which nodes they run."""


@dataclass(frozen=True)
class Plugin:
    """A package with an execution provider.

    Attributes:
        name: Name after `ort:`.
        package: Distribution that brings it.
        module: Its module.
        cpu_precisions: Names of graphs, the fastest first on a CPU; on other devices it is fp16.
    """

    name: str
    package: str
    module: str
    cpu_precisions: tuple[str, ...] = ("fp32",)

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return f"{PREFIX}{self.name}"


PLUGINS = {
    plugin.name: plugin
    for plugin in (
        Plugin(
            "nv-tensorrt-rtx", "onnxruntime-ep-nv-tensorrt-rtx", "onnxruntime_ep_nv_tensorrt_rtx"
        ),
        Plugin(
            "openvino",
            "onnxruntime-ep-openvino",
            "onnxruntime_ep_openvino",
            ("int8-cpu", "fp32"),
        ),
        Plugin("qnn", "onnxruntime-qnn", "onnxruntime_qnn"),
        Plugin("mlx", "onnxruntime-ep-mlx", "onnxruntime_ep_mlx"),
        Plugin("webgpu", "onnxruntime-ep-webgpu", "onnxruntime_ep_webgpu"),
    )
}
"""Plugins that are known by name, the fastest first. OpenVINO's has run networks on a CPU; of the
others only the registration was tried."""

_DEVICE_PRECISIONS = ("fp16", "fp32")


def is_plugin(backend: str) -> bool:
    """Whether a backend is a plugin of ONNX Runtime."""
    return backend.startswith(PREFIX)


def plugin_of(backend: str) -> Plugin:
    """Return the plugin of `ort:NAME`; an unknown one is looked for as `onnxruntime-ep-NAME`."""
    name = backend.removeprefix(PREFIX)
    package = f"onnxruntime-ep-{name}"
    return PLUGINS.get(name) or Plugin(name, package, package.replace("-", "_"))


def installed_plugins() -> list[Plugin]:
    """The known plugins that are installed."""
    return [plugin for plugin in PLUGINS.values() if is_importable(plugin.module)]


def require_plugin(backend: str) -> None:
    """Check that a plugin is installed, without importing it.

    Raises:
        MissingDependencyError: It is not; names the command that installs it.
        ValueError: No plugin of this name is known or installed.
    """
    plugin = plugin_of(backend)
    if is_importable(plugin.module):
        return
    if plugin.name not in PLUGINS:
        raise ValueError(
            f"{backend=} is not known and {plugin.module} is not installed; known plugins are: "
            f"{', '.join(known.backend for known in PLUGINS.values())}"
        )
    if plugin.name == "openvino":
        text = missing_text(plugin.module, extra="openvino")
    else:
        command = this_installation().install_freely(plugin.package).text
        text = f"{plugin.module}, which is not installed; install it: {command}"
    raise MissingDependencyError(f"the backend {backend} needs {text}")


def plugin_provider(backend: str) -> Provider:
    """Register a plugin and describe the device that it will run on.

    Raises:
        MissingDependencyError: It is not installed, does not load, or offers no device here.
    """
    require_plugin(backend)
    plugin = plugin_of(backend)
    devices = find_devices(backend)
    kind = _kind(devices[0])
    precisions = plugin.cpu_precisions if kind == "CPU" else _DEVICE_PRECISIONS
    return Provider(
        f"{backend}/{kind.lower()}",
        devices[0].ep_name,
        precisions,
        plugin=plugin.name,
        device_kind=kind,
    )


def find_devices(backend: str) -> Sequence[onnxruntime.OrtEpDevice]:
    """Return the devices of one kind that a plugin offers; see `plugin_provider` for the errors."""
    plugin = plugin_of(backend)
    with explain_missing("onnxruntime"):
        import onnxruntime
    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        command = this_installation().install(f"onnxruntime>={_REGISTERED_SINCE}").text
        raise MissingDependencyError(
            f"{backend}: this onnxruntime {onnxruntime.__version__} is too old for plugins; "
            f"update it: {command}"
        )
    names = _register(plugin)
    offered = [device for device in onnxruntime.get_ep_devices() if device.ep_name in names]
    for kind in _ORDER:
        if same := [device for device in offered if _kind(device) == kind]:
            return same
    raise MissingDependencyError(_describe_no_device(backend))


def add_plugin(
    options: onnxruntime.SessionOptions, provider: Provider, *, precision: str, threads: int
) -> None:
    """Add the devices of a plugin to the options of a session."""
    given = _options(provider, precision, threads)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_provider_for_devices(list(find_devices(f"{PREFIX}{provider.plugin}")), given)


def check_assignment(session: onnxruntime.InferenceSession, provider: Provider) -> None:
    """Check that all convolutions and matrix products run on the device.

    Raises:
        MismatchError: ONNX Runtime runs some of them on the CPU.
    """
    left = [
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider.name
        for node in part.get_nodes()
        if any(name in node.op_type for name in _HEAVY)
    ]
    if left:
        raise MismatchError(
            f"{provider.label} leaves {len(left)} operators ({', '.join(dict.fromkeys(left))}) to "
            "the CPU: some devices take graphs of one size only (vsrc export --shape HxW), or of "
            "another precision (--precision); --backend ort runs any graph on the CPU"
        )


def _options(provider: Provider, precision: str, threads: int) -> dict[str, str]:
    """Options of a provider: OpenVINO else chooses a lower precision than that of the graph."""
    if provider.plugin != "openvino" or provider.device_kind == "NPU":
        return {}
    hint = {"bf16": "bf16", "fp16": "f16"}.get(precision, "f32")
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint}
    if provider.device_kind == "CPU":
        settings |= {
            "INFERENCE_PRECISION_HINT": "f32" if hint == "f16" else hint,
            "INFERENCE_NUM_THREADS": thread_count(threads),
        }
    return {"load_config": json.dumps({provider.device_kind: settings})}


@lru_cache(maxsize=16)
def _register(plugin: Plugin) -> tuple[str, ...]:
    """Register the library of a plugin; return the names of its execution providers.

    Raises:
        MissingDependencyError: The library, or one that it needs, does not load.
    """
    import onnxruntime

    with explain_missing(plugin.module):
        module = import_module(plugin.module)
    try:
        given = _named(module, "get_ep_names", "get_ep_name", "ep_name")
        names: tuple[str, ...] = (given,) if isinstance(given, str) else tuple(given)
        path = _named(module, "get_library_path", "library_path")
        # Some plugins give their devices the name that they are registered under.
        onnxruntime.register_execution_provider_library(names[0], str(path))
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        if "already registered" in str(error):  # by other code in this process
            return names
        raise MissingDependencyError(
            f"{plugin.backend} does not load: {describe_error(error)}"
        ) from error
    return names


def _named(module: Any, *functions: str) -> Any:  # noqa: ANN401  modules of different makers
    """Call the first of these functions that the module has."""
    function = next(name for name in functions if hasattr(module, name))
    return getattr(module, function)()


def _kind(device: onnxruntime.OrtEpDevice) -> str:
    """Kind of a device: GPU, NPU or CPU."""
    return str(device.device.type.name)


def _describe_no_device(backend: str) -> str:
    if backend == "ort:openvino":
        return (
            f"{backend} {NO_DEVICE}: it supports only Intel devices; on other CPUs use --backend "
            "openvino"
        )
    return f"{backend} {NO_DEVICE}: it found no device that it supports, or no driver"
