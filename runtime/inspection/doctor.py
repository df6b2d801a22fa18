"""Diagnose the installation: what is installed, what works, and which command fixes the rest.

Nothing heavy is imported here: versions come from the metadata of the packages, and trials run in
separate processes (`trials.py`). So it works even if nearly everything is broken. A command is
advised only after a dry run of it (`dry_run.py`).
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from vsrc import __version__
from vsrc.runtime.dependencies import DISTRIBUTION, Dependency, dependencies
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.inspection.doctor_gpu import examine_nvidia
from vsrc.runtime.inspection.doctor_models import examine_models
from vsrc.runtime.inspection.doctor_onnxruntime import examine_onnxruntime
from vsrc.runtime.inspection.doctor_plugins import examine_plugins
from vsrc.runtime.inspection.dry_run import DryRun, try_commands
from vsrc.runtime.inspection.finding import Finding, Remedy, examine_package, with_outcome
from vsrc.runtime.inspection.trials import TRIALS, run_trial
from vsrc.runtime.installation import is_jetson_board, this_installation
from vsrc.runtime.machine import Machine, board_model, this_machine
from vsrc.runtime.memory import free_bytes
from vsrc.runtime.report.template import PAGE_WRITERS

EXTRAS = {
    "openvino": "To run on Intel devices, or in bf16",
    "compress": "To train students (distill)",
    "teachers": "To use teachers that spandrel loads (distill)",
    "export": "To export graphs (export)",
    "eval": "To measure quality (eval)",
    "report": f"To write pages ({', '.join(PAGE_WRITERS)})",
    "cluster": "To use several machines",
}
"""Extras whose packages are listed one by one -> purpose."""

_DRY_RUN_SECONDS = 120.0

_DRIVER_DEVICE = Path("/dev/nvidiactl")
"""Device file of NVIDIA's driver: containers often have no nvidia-smi."""


@dataclass(frozen=True)
class Diagnosis:
    """Result of `vsrc doctor`.

    Attributes:
        vsrc: Version of vsrc.
        python: Version of Python.
        machine: Properties of the machine.
        board: Model of a single-board computer, or None.
        free_bytes: Memory that a process may still allocate, bytes, within the machine and the
            container; None if unknown. `vsrc infer` chooses tiles and the number of windows in
            parallel by it.
        gpus: NVIDIA GPUs: name, driver, memory, compute capability, as nvidia-smi prints them.
        findings: Findings in the order to print them.
    """

    vsrc: str
    python: str
    machine: Machine
    free_bytes: int | None
    board: str | None
    gpus: tuple[str, ...]
    findings: tuple[Finding, ...]

    def of(self, group: str) -> list[Finding]:
        """The findings of a group."""
        return [finding for finding in self.findings if finding.group == group]


def examine(
    *, offline: bool = False, progress: Callable[[str], None] = lambda _step: None
) -> Diagnosis:
    """Run the diagnosis; takes some seconds, and longer for each command that is advised.

    Args:
        offline: Whether dry runs, which query the package index, are skipped.
        progress: Called with the name of each step when it begins.
    """
    progress("testing the installation")
    try:
        needed = dependencies()
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            "vsrc runs from a folder and is not installed, so its dependencies are unknown; "
            f"install it: {this_installation().install_itself().text}"
        ) from error
    board, gpus = board_model(), find_gpus()
    has_gpu = bool(gpus) or is_jetson_board() or _DRIVER_DEVICE.exists()
    run = examine_onnxruntime(has_gpu=has_gpu)
    can_run = any(remedy.finding.state == "ok" for remedy in run)
    remedies = [
        _python(),
        *(_base(dependency, has_gpu=has_gpu) for dependency in needed if dependency.extra is None),
        *run,
        *examine_plugins(),
        *examine_nvidia(has_gpu=has_gpu),
        *examine_models(can_run=can_run),
        *(remedy for extra in EXTRAS for remedy in examine_extra(extra, needed)),
    ]
    return Diagnosis(
        vsrc=__version__,
        python=platform.python_version(),
        machine=this_machine(),
        free_bytes=free_bytes(),
        board=board,
        gpus=gpus,
        findings=checked(remedies, offline=offline, progress=progress),
    )


def check_base(diagnosis: Diagnosis) -> None:
    """Raise if no command can run a network.

    Raises:
        MissingDependencyError: A required package is missing or broken; names the fix.
    """
    bad = [finding for finding in diagnosis.of("base") if finding.state != "ok"]
    if not bad and not any(finding.state == "ok" for finding in diagnosis.of("run")):
        bad = diagnosis.of("run")[:1]
    if bad:
        what = ", ".join(f"{finding.name} is {finding.state}" for finding in bad)
        how = f"; fix it with: {bad[0].fix}" if bad[0].fix else f" ({bad[0].said})"
        raise MissingDependencyError(what + how)


def checked(
    remedies: list[Remedy],
    *,
    offline: bool = False,
    progress: Callable[[str], None] = lambda _step: None,
) -> tuple[Finding, ...]:
    """Return the findings, each with the command that fixes it unless its dry run failed."""
    commands = [remedy.command for remedy in remedies if remedy.command is not None]
    if offline:
        tried = {
            command.text: DryRun("unknown", "no package index was queried") for command in commands
        }
    else:
        if commands:
            progress(
                f"checking the suggested commands with pip, at most {_DRY_RUN_SECONDS:.0f} s "
                "(--offline skips this)"
            )
        tried = try_commands(commands, seconds=_DRY_RUN_SECONDS)
    return tuple(
        _with_fix(remedy.finding, remedy.command.text, tried[remedy.command.text])
        if remedy.command is not None
        else remedy.finding
        for remedy in remedies
    )


def examine_extra(extra: str, needed: list[Dependency]) -> list[Remedy]:
    """Examine the packages of an extra; a single command installs all missing ones."""
    packages = [dependency for dependency in needed if dependency.extra == extra]
    findings = [examine_package(extra, dependency) for dependency in packages]
    pairs = list(zip(packages, findings, strict=True))
    if missing := [package for package, finding in pairs if finding.state != "ok"]:
        command = this_installation().install_extras(extra, only=missing)
        return [Remedy(finding, command if finding.state != "ok" else None) for finding in findings]
    return [Remedy(finding) for finding in findings]


def find_gpus() -> tuple[str, ...]:
    """List NVIDIA GPUs as nvidia-smi prints them."""
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


def _python() -> Remedy:
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    bounds = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    if SpecifierSet(bounds).contains(version, prereleases=True):
        return Remedy(Finding("base", "python", "ok", version))
    return Remedy(Finding("base", "python", "old", version, f"{bounds} is needed"))


def _base(package: Dependency, *, has_gpu: bool) -> Remedy:
    finding, here = examine_package("base", package), this_installation()
    if finding.state != "ok":
        return Remedy(finding, here.install(package.requirement))
    if package.name not in TRIALS:
        return Remedy(finding)
    finding = with_outcome(finding, run_trial(package.name, "gpu" if has_gpu else ""))
    broken = finding.state == "broken"
    return Remedy(finding, here.reinstall(package.requirement) if broken else None)


def _with_fix(finding: Finding, fix: str, tried: DryRun) -> Finding:
    if tried.state == "impossible":
        words = f"cannot be installed here: {tried.said}"
        return replace(finding, said="; ".join(filter(None, [finding.said, words])))
    return replace(finding, fix=fix, unchecked=tried.said)
