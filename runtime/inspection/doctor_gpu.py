"""Part of the diagnosis: the packages that build and run engines on NVIDIA GPUs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from vsrc.runtime.dependencies import dependencies_of, find_version, is_importable, module_of
from vsrc.runtime.inspection.finding import Finding, Remedy, examine_package, with_outcome
from vsrc.runtime.inspection.trials import run_trial
from vsrc.runtime.installation import (
    Command,
    is_jetson_board,
    open_to_system_packages,
    this_installation,
)

_CUDA_VERSION = Path("/usr/local/cuda/version.json")


def examine_nvidia(*, has_gpu: bool) -> Iterator[Remedy]:
    """Start each installed builder, and query the driver through cuda-bindings."""
    yield _builder("tensorrt", "trt", has_gpu=has_gpu)
    if not is_jetson_board():  # TensorRT for RTX is for desktop GPUs, and builds without a GPU
        yield _builder("tensorrt-rtx", "trt-rtx", has_gpu=has_gpu)
    yield _cuda_bindings(has_gpu=has_gpu)
    if has_gpu and not is_jetson_board():
        (package,) = (
            dependency for dependency in dependencies_of("gpu") if dependency.name == "nvidia-ml-py"
        )
        finding = examine_package("nvidia", package)
        fix = this_installation().install(package.requirement)
        yield Remedy(finding, None if finding.state == "ok" else fix)


def _builder(name: str, backend: str, *, has_gpu: bool) -> Remedy:
    version = find_version(name)
    # JetPack's TensorRT may be importable without metadata, so check the module.
    if version is None and not is_importable(module_of(name)):
        if name == "tensorrt" and not has_gpu:
            return Remedy(Finding("nvidia", name, "no-gpu"))
        return Remedy(Finding("nvidia", name, "absent"), _install(name, backend))
    finding = Finding("nvidia", name, "no-gpu", version or "")
    if name == "tensorrt" and not has_gpu:
        return Remedy(finding)
    finding = with_outcome(finding, run_trial(name))
    broken = finding.state == "broken" and version is not None and not is_jetson_board()
    return Remedy(finding, this_installation().reinstall(f"{name}=={version}") if broken else None)


def _cuda_bindings(*, has_gpu: bool) -> Remedy:
    name, version = "cuda-bindings", find_version("cuda-bindings")
    if not has_gpu:
        return Remedy(Finding("nvidia", name, "no-gpu", version or ""))
    if version is None:
        return Remedy(Finding("nvidia", name, "absent"), _install(name, "trt"))
    finding = with_outcome(Finding("nvidia", name, "ok", version), run_trial("cuda"))
    return Remedy(finding, None if finding.state == "ok" else _install(name, "trt"))


def _install(name: str, extra: str) -> Command:
    if name == "tensorrt" and is_jetson_board():
        return open_to_system_packages()
    wanted = [dependency for dependency in dependencies_of(extra) if dependency.name == name]
    if name == "cuda-bindings" and is_jetson_board():  # the extra would also install TensorRT
        major = _cuda_major()
        return this_installation().install_freely(f"{name}=={major}.*" if major else name)
    return this_installation().install_extras(extra, only=wanted)


def _cuda_major() -> str | None:
    """Major version of the installed CUDA, which that of cuda-bindings must match."""
    try:
        return str(json.loads(_CUDA_VERSION.read_text())["cuda"]["version"]).partition(".")[0]
    except (OSError, ValueError, KeyError):
        return None
