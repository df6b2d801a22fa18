"""Step 1: versions, driver, CUDA, GPU, L4T."""

from __future__ import annotations

import platform
from pathlib import Path

from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.tensorrt_api import tensorrt_module
from vsrc.runtime.dependencies import find_version
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.machine import board_model, this_machine
from vsrc.runtime.sensors.cuda_device import find_device, list_devices
from vsrc.runtime.sensors.cuda_library import load_cuda, version_text
from vsrc.runtime.sensors.sensor import file_text

_PACKAGES = ("numpy", "av", "onnxruntime", "onnxruntime-gpu", "onnx", "nvidia-ml-py")


def try_machine(context: Context) -> None:
    """Describe the machine; a GPU or TensorRT that is not there is skipped, not failed."""
    facts = _system()
    context.add("system", "passed", ", ".join(f"{key} {value}" for key, value in facts.items()))
    for backend in ("trt", "trt-rtx"):
        with context.attempt(f"TensorRT ({backend})") as said:
            facts[backend] = str(tensorrt_module(backend).__version__)
            said.append(facts[backend])
    with context.attempt("CUDA runtime and driver") as said:
        library = load_cuda()
        facts["cuda runtime"] = f"{version_text(library.versions.runtime)} ({library.path})"
        if library.versions.driver == (0, 0):
            raise MissingDependencyError("there is no NVIDIA driver")
        facts["cuda driver"] = version_text(library.versions.driver)
        said.append(f"runtime {facts['cuda runtime']}, driver for {facts['cuda driver']}")
    with context.attempt("devices") as said:
        for device in list_devices():
            text = f"{device}, {device.multiprocessors} SMs, {device.total_bytes / 2**30:.1f} GiB"
            facts[f"gpu {device.index}"] = text
            said.append(text)
        facts["device"] = str(find_device(context.device))
    context.keep("facts.json", facts)


def _system() -> dict[str, str]:
    machine = this_machine()
    facts = {
        "python": platform.python_version(),
        "system": machine.system,
        "architecture": machine.architecture,
        "processor": machine.cpu or "",
        "cores": str(machine.cores),
        "board": board_model() or "",
        "l4t": (file_text(Path("/etc/nv_tegra_release")) or "").partition(", GCID")[0],
    }
    versions = {name: find_version(name) or "" for name in _PACKAGES}
    return {name: text for name, text in {**facts, **versions}.items() if text}
