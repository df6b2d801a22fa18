"""Part of the diagnosis: what builds and runs engines on NVIDIA GPUs, and the GPUs themselves."""

from __future__ import annotations

from collections.abc import Iterator

from vsrc.runtime.dependencies import dependencies_of, find_version, is_importable, module_of
from vsrc.runtime.inspection.finding import Finding, Remedy, examine_package, with_outcome
from vsrc.runtime.inspection.trials import run_trial
from vsrc.runtime.installation import (
    Command,
    is_jetson_board,
    open_to_system_packages,
    this_installation,
)

_RUNTIMES = ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime-cu11")
_CODECS = ("nvenc", "nvdec")


def examine_nvidia(*, has_gpu: bool) -> Iterator[Remedy]:
    """Start each installed builder, query CUDA, and open encoder and decoder of the GPU."""
    yield _builder("tensorrt", "trt", has_gpu=has_gpu)
    if not is_jetson_board():  # TensorRT for RTX is for desktop GPUs, and builds without a GPU
        yield _builder("tensorrt-rtx", "trt-rtx", has_gpu=has_gpu)
    yield _cuda(has_gpu=has_gpu)
    if not has_gpu:
        return
    yield Remedy(with_outcome(Finding("nvidia", "power mode", "ok"), run_trial("power-mode")))
    for name in _CODECS:
        yield _codec(name)
    if not is_jetson_board():
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


def _cuda(*, has_gpu: bool) -> Remedy:
    """Query the devices through the runtime that `cuda_library.py` chooses."""
    if not has_gpu:
        return Remedy(Finding("nvidia", "cuda", "no-gpu"))
    finding = with_outcome(Finding("nvidia", "cuda", "ok"), run_trial("cuda"))
    # JetPack brings the runtime; elsewhere a wheel does, unless one is there and something else is
    # wrong, which the finding says.
    has_wheel = any(find_version(name) is not None for name in _RUNTIMES)
    if finding.state != "broken" or has_wheel or is_jetson_board():
        return Remedy(finding)
    return Remedy(finding, _install("nvidia-cuda-runtime", "trt"))


def _codec(name: str) -> Remedy:
    """Encode or decode some frames on the GPU."""
    if is_jetson_board():
        said = "a Jetson's are not NVENC and NVDEC of desktop GPUs; the CPU does it"
        return Remedy(Finding("nvidia", name, "untried", said=said))
    outcome = run_trial(name)
    # Some GPUs for data centres have no encoder: that is a lack, not damage.
    return Remedy(Finding("nvidia", name, "ok" if outcome.works else "absent", said=outcome.said))


def _install(name: str, extra: str) -> Command:
    if name == "tensorrt" and is_jetson_board():
        return open_to_system_packages()
    wanted = [dependency for dependency in dependencies_of(extra) if dependency.name == name]
    return this_installation().install_extras(extra, only=wanted)
