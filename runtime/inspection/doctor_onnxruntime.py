"""Part of the diagnosis: the builds of ONNX Runtime and their execution providers."""

from __future__ import annotations

from dataclasses import replace

from vsrc.runtime.dependencies import (
    dependencies,
    find_version,
    providers_of,
    requirements_of,
    version_numbers,
)
from vsrc.runtime.inspection.finding import Finding, Remedy, with_outcome
from vsrc.runtime.inspection.trials import run_trial
from vsrc.runtime.installation import (
    Command,
    is_jetson_board,
    onnxruntime_extras,
    replace_onnxruntime,
    this_installation,
)

_PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "Tensorrt": "TensorrtExecutionProvider",
}
"""Short name -> ONNX Runtime's execution provider."""

_TENSORRT_BOUNDS = ">=10.13.2,<11"
"""The wheel of ONNX Runtime links libnvinfer.so.10."""
FIRST_CUDA_13 = (1, 27)
"""First version of the wheel that is built with CUDA 13; those before it are built with 12."""


def examine_onnxruntime(*, has_gpu: bool) -> list[Remedy]:
    """Find ONNX Runtime, and run a graph on each of the providers that vsrc uses."""
    extra, _ = onnxruntime_extras()
    wheels = providers_of("onnxruntime")
    if not wheels:
        return [Remedy(Finding("run", "onnxruntime", "absent"), _install(extra))]
    if len(wheels) > 1:
        # All builds install into the same folder, which then has a mixture of their files.
        finding = Finding("run", " and ".join(wheels), "broken", said="they overwrite each other")
        return [Remedy(finding, replace_onnxruntime(*wheels, extra=extra))]
    wheel = wheels[0]
    version, outcome = find_version(wheel) or "", run_trial("onnxruntime")
    if not outcome.works:
        finding = with_outcome(Finding("run", wheel, "ok", version), outcome)
        reinstall = this_installation().reinstall(_requirement(wheel))
        return [Remedy(finding, reinstall if finding.state == "broken" else None)]
    return [
        _provider(wheel, version, name, has_gpu=has_gpu)
        for name in _PROVIDERS
        if name in outcome.said.split()
    ]


def _provider(wheel: str, version: str, name: str, *, has_gpu: bool) -> Remedy:
    finding = Finding("run", f"{wheel} {name}", "no-gpu", version)
    if name != "CPU" and not has_gpu:
        return Remedy(finding)
    finding = with_outcome(finding, run_trial("provider", _PROVIDERS[name]))
    if finding.state != "broken" or (name != "CPU" and is_jetson_board()):
        return Remedy(finding)
    here = this_installation()
    if name == "CPU":
        return Remedy(finding, here.reinstall(_requirement(wheel)))
    return _cuda_remedy(finding, wheel) if name == "CUDA" else Remedy(finding, _tensorrt(wheel))


def _cuda_remedy(finding: Finding, wheel: str) -> Remedy:
    """Install what the CUDA provider lacks; the line that installed all of it is no remedy."""
    if _lacking(wheel):
        return Remedy(finding, _install("gpu" if _is_cuda_13(wheel) else "gpu-cu12"))
    outcome = run_trial("cuda-versions")
    if not outcome.works:
        return Remedy(replace(finding, said=f"{finding.said}; {outcome.said}"))
    driver = version_numbers(outcome.said.split()[-1])
    said = f"{finding.said}; the driver supports CUDA {outcome.said.split()[-1]} at most"
    is_too_new = _is_cuda_13(wheel) and driver[:1] == (12,)
    return Remedy(replace(finding, said=said), _install("gpu-cu12") if is_too_new else None)


def _lacking(wheel: str) -> list[str]:
    """Packages of CUDA and cuDNN that the build names as its extras and that are not installed."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in requirements_of(wheel)]
    return [
        one.name
        for one in wanted
        if one.marker is not None
        and any(one.marker.evaluate({"extra": extra}) for extra in ("cuda", "cudnn"))
        and not one.marker.evaluate({"extra": ""})
        and find_version(one.name) is None
    ]


def _is_cuda_13(wheel: str) -> bool:
    return version_numbers(find_version(wheel) or "0") >= FIRST_CUDA_13


def _tensorrt(wheel: str) -> Command | None:
    """Install the TensorRT that the wheel links; None if it is there and does not load."""
    name = "tensorrt" if _is_cuda_13(wheel) else "tensorrt-cu12"
    installed = version_numbers(find_version(name) or "0")
    if (10, 13, 2) <= installed < (11,):
        return None
    return this_installation().install(f"{name}{_TENSORRT_BOUNDS}")


def _install(extra: str) -> Command:
    wanted = [
        dependency
        for dependency in dependencies()
        if dependency.extra == extra and dependency.holds("onnxruntime")
    ]
    return this_installation().install_extras(extra, only=wanted)


def _requirement(wheel: str) -> str:
    """Return the requirement of a build from vsrc's metadata, or its name alone."""
    known = [dependency.requirement for dependency in dependencies() if dependency.name == wheel]
    return known[0] if known else wheel
