"""Execution providers of ONNX Runtime: CPU, CUDA and TensorRT; plugins are in `ort_plugin`."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.installation import is_jetson_board, replace_onnxruntime

if TYPE_CHECKING:
    import onnxruntime

_FIRST_PYTHON_ON_ARM = (3, 11)
"""First Python of the aarch64 wheels of onnxruntime-gpu, which began with 1.29."""


@dataclass(frozen=True)
class Provider:
    """One of ONNX Runtime's execution providers.

    Attributes:
        label: Name in vsrc's reports.
        name: Name in ONNX Runtime.
        precisions: Names of graphs, the fastest first.
        memory: Memory that it computes in: `cpu` or `cuda`.
        plugin: Name of the plugin that brings it; empty for one that ONNX Runtime contains.
        device_kind: Kind of device: CPU, GPU or NPU.
        device: Index of the CUDA device.
    """

    label: str
    name: str
    precisions: tuple[str, ...]
    memory: str = "cpu"
    plugin: str = ""
    device_kind: str = "CPU"
    device: int = 0


CPU = Provider("ort-cpu", "CPUExecutionProvider", ("int8-cpu", "fp32"))
CUDA = Provider("ort-cuda", "CUDAExecutionProvider", ("fp16", "fp32"), "cuda", device_kind="GPU")
TENSORRT = Provider(
    "ort-tensorrt", "TensorrtExecutionProvider", ("fp16", "fp32"), "cuda", device_kind="GPU"
)


def provider_list(
    runtime: Any,  # noqa: ANN401  the module onnxruntime, which has no types
    provider: Provider,
    cache: Path | None,
) -> list[Any]:
    """Build the argument `providers` of a session: the requested provider, then its fallbacks.

    Raises:
        MissingDependencyError: This build of ONNX Runtime does not have it.
    """
    if provider.name not in runtime.get_available_providers():
        raise MissingDependencyError(
            f"{provider.label}: this onnxruntime {runtime.__version__} has no {provider.name}"
            f"{_how_to_get_it()}"
        )
    if provider is CPU:
        return [CPU.name]
    device = {"device_id": str(provider.device)}
    if provider.name == CUDA.name:
        return [(CUDA.name, {"cudnn_conv_algo_search": "HEURISTIC", **device}), CPU.name]
    options = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
    if cache is not None:
        options |= {"trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)}
    return [(TENSORRT.name, {**options, **device}), (CUDA.name, device), CPU.name]


def _how_to_get_it() -> str:
    is_arm = platform.machine().lower() in ("aarch64", "arm64")
    if is_jetson_board() or (is_arm and sys.version_info < _FIRST_PYTHON_ON_ARM):
        python = "{}.{}".format(*_FIRST_PYTHON_ON_ARM)
        return (
            "; use --backend trt (docs/jetson.md), or ort, which is the CPU: for aarch64 the index "
            f"has onnxruntime-gpu for CUDA 13 and Python {python} or newer alone, and it was not "
            "tried on a Jetson"
        )
    line = replace_onnxruntime("onnxruntime", extra="gpu").text
    return f"; replace it by the build for NVIDIA GPUs: {line}"


def check_loaded(session: onnxruntime.InferenceSession, provider: Provider) -> None:
    """Raise if ONNX Runtime silently fell back to another provider.

    Raises:
        MissingDependencyError: The provider did not load.
    """
    providers = session.get_providers()
    if not providers or providers[0] != provider.name:
        raise MissingDependencyError(
            f"{provider.label} did not load, ONNX Runtime fell back to "
            f"{', '.join(providers) or 'nothing'}: "
            "its CUDA libraries or the driver do not match; run vsrc doctor for details"
        )
