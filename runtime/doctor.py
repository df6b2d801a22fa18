"""What is installed, what of it works, and the line that mends what does not.

Nothing heavy is imported here: versions come from the metadata of the packages, and what is tried
is tried in a process of its own (`trials.py`). So this works where nearly everything is broken.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Literal

from vsrc import __version__
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.machine import Machine, board_model, this_machine
from vsrc.runtime.needs import Need, installed_like, installed_version, needs, version_numbers
from vsrc.runtime.package import open_package, shipped, shipped_names
from vsrc.runtime.trials import TRIALS, Outcome, run_trial

State = Literal["ok", "absent", "old", "broken"]

EXTRAS = {
    "compress": "To teach students (distill)",
    "export": "To export graphs (export)",
    "eval": "To judge quality (eval)",
    "report": "To write pages (compare, demo)",
    "cluster": "To use many machines",
}
"""Extras whose packages are listed one by one -> what they are for."""

_PROVIDERS = {
    "CPU": ("CPUExecutionProvider", "pip install --force-reinstall --no-deps onnxruntime"),
    "CUDA": ("CUDAExecutionProvider", "pip install 'vsrc[gpu]'"),
    # The wheel of ONNX Runtime links libnvinfer.so.10.
    "Tensorrt": ("TensorrtExecutionProvider", "pip install 'tensorrt>=10.13.2,<11'"),
}
"""Short name -> ONNX Runtime's provider, and the line that mends one that does not load."""

_ON_JETSON = "python3 -m venv --system-site-packages .venv  (TensorRT belongs to JetPack)"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        group: `base` (nothing works without), `run`, `nvidia`, `models`, or the name of an extra.
        name: What it is.
        state: Whether it can be used.
        version: Of what is installed, or empty.
        said: What was tried and found.
        fix: The line that mends it, or None where nothing is to be done.
    """

    group: str
    name: str
    state: State
    version: str = ""
    said: str = ""
    fix: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found.

    Attributes:
        vsrc: Its version.
        python: Its version.
        machine: What it runs on.
        board: Model of a single-board computer, or None.
        gpus: NVIDIA GPUs: name, driver, memory, compute capability, as nvidia-smi prints them.
        findings: What was looked at, in the order to read it.
    """

    vsrc: str
    python: str
    machine: Machine
    board: str | None
    gpus: tuple[str, ...]
    findings: tuple[Finding, ...]

    def of(self, group: str) -> list[Finding]:
        """The findings of a group."""
        return [finding for finding in self.findings if finding.group == group]


def examine() -> Diagnosis:
    """Look at everything; takes a few seconds."""
    try:
        all_needs = needs()
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            "vsrc itself is not installed, so its needs are unknown; mend it with: pip install -e ."
        ) from error
    board, gpus = board_model(), _gpus()
    findings = [
        _python(),
        *(_base(need) for need in all_needs if need.extra is None),
        *_onnxruntime(has_gpu=bool(gpus)),
        *_tensorrt(on_jetson=board is not None and "Jetson" in board),
        *_models(),
        *(_of_extra(need) for need in all_needs if need.extra in EXTRAS),
    ]
    return Diagnosis(
        vsrc=__version__,
        python=platform.python_version(),
        machine=this_machine(),
        board=board,
        gpus=gpus,
        findings=tuple(findings),
    )


def check_base(diagnosis: Diagnosis) -> None:
    """Raise if no command that runs a network can work.

    Raises:
        MissingDependencyError: With the line that mends it.
    """
    bad = [finding for finding in diagnosis.of("base") if finding.state != "ok"]
    if not bad and not any(finding.state == "ok" for finding in diagnosis.of("run")):
        bad = diagnosis.of("run")[:1]
    if bad:
        what = ", ".join(f"{finding.name} is {finding.state}" for finding in bad)
        raise MissingDependencyError(f"{what}; mend it with: {bad[0].fix}")


def _python() -> Finding:
    found = platform.python_version()
    least = (metadata.metadata("vsrc")["Requires-Python"] or "").removeprefix(">=")
    if version_numbers(found) >= version_numbers(least):
        return Finding("base", "python", "ok", found)
    return Finding("base", "python", "old", found, fix=f"a Python of {least} or newer")


def _base(need: Need) -> Finding:
    finding = _installed("base", need, fix=f"pip install '{need.wanted}'")
    if finding.state != "ok" or need.name not in TRIALS:
        return finding
    fix = f"pip install --force-reinstall '{need.wanted}'"
    return _tried(finding, run_trial(need.name), fix=fix)


def _of_extra(need: Need) -> Finding:
    return _installed(need.extra or "", need, fix=f"pip install 'vsrc[{need.extra}]'")


def _installed(group: str, need: Need, *, fix: str) -> Finding:
    """The finding for what the metadata says alone."""
    if need.installed is None:
        return Finding(group, need.name, "absent", fix=fix)
    if not need.is_met:
        said, fix = f"{need.least} or newer is needed", f"pip install -U '{need.wanted}'"
        return Finding(group, need.name, "old", need.installed, said, fix)
    return Finding(group, need.name, "ok", need.installed)


def _tried(finding: Finding, outcome: Outcome, *, fix: str) -> Finding:
    """The finding, with what trying it showed."""
    if outcome.works:
        return replace(finding, state="ok", said=outcome.said)
    return replace(finding, state="broken", said=outcome.said, fix=fix)


def _onnxruntime(*, has_gpu: bool) -> list[Finding]:
    extra = "gpu" if has_gpu else "cpu"
    wheels = installed_like("onnxruntime")
    if not wheels:
        return [Finding("run", "onnxruntime", "absent", fix=f"pip install 'vsrc[{extra}]'")]
    if len(wheels) > 1:
        # Both unpack into one folder; what is there then is a mixture of the two.
        fix = f"pip uninstall -y {' '.join(wheels)} && pip install 'vsrc[{extra}]'"
        said = "they overwrite each other"
        return [Finding("run", " and ".join(wheels), "broken", said=said, fix=fix)]
    wheel, version = wheels[0], installed_version(wheels[0]) or ""
    outcome = run_trial("onnxruntime")
    if not outcome.works:
        fix = f"pip install --force-reinstall {wheel}"
        return [Finding("run", wheel, "broken", version, outcome.said, fix)]
    return [
        _tried(
            Finding("run", f"{wheel} {name}", "ok", version),
            run_trial("provider", provider),
            fix=fix,
        )
        for name, (provider, fix) in _PROVIDERS.items()
        if name in outcome.said.split()
    ]


def _tensorrt(*, on_jetson: bool) -> list[Finding]:
    fixes = {
        "tensorrt": _ON_JETSON if on_jetson else "pip install 'vsrc[trt]'",
        "tensorrt-rtx": "pip install 'vsrc[trt-rtx]'",
    }
    findings = []
    for name, fix in fixes.items():
        version, outcome = installed_version(name), run_trial(name)
        # JetPack's TensorRT may lie on the path without metadata, so the trial decides.
        if version is None and not outcome.works:
            findings.append(Finding("nvidia", name, "absent", fix=fix))
        else:
            found = Finding("nvidia", name, "ok", version or "")
            findings.append(_tried(found, outcome, fix=f"pip install --force-reinstall {name}"))
    return findings


def _models() -> list[Finding]:
    """Restore a frame with each student that ships."""
    findings = []
    for name in shipped_names():
        path = shipped(name)
        if open_package(path).spec.graphs:
            fix = "pip install --force-reinstall --no-deps vsrc"
            found = Finding("models", name, "ok")
            findings.append(_tried(found, run_trial("package", str(path)), fix=fix))
    return findings


def _gpus() -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    columns = "name,driver_version,memory.total,compute_cap"
    command = [program, f"--query-gpu={columns}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (subprocess.SubprocessError, OSError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
