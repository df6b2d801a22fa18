"""Part of the diagnosis: the builds of ONNX Runtime and their execution providers."""

from __future__ import annotations

from vsrc.runtime.dependencies import dependencies, find_version, providers_of
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

_TENSORRT = "tensorrt>=10.13.2,<11"
"""The wheel of ONNX Runtime links libnvinfer.so.10."""


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
        finding = Finding("run", wheel, "broken", version, outcome.said)
        return [Remedy(finding, this_installation().reinstall(_requirement(wheel)))]
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
    if finding.state == "ok" or (name != "CPU" and is_jetson_board()):
        return Remedy(finding)
    here = this_installation()
    fixes = {
        "CPU": lambda: here.reinstall(_requirement(wheel)),
        "CUDA": lambda: _install("gpu"),
        "Tensorrt": lambda: here.install(_TENSORRT),
    }
    return Remedy(finding, fixes[name]())


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
