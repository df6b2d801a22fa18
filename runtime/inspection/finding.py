"""A finding of `vsrc doctor` about one package, model or device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vsrc.runtime.dependencies import Dependency
from vsrc.runtime.inspection.trials import Outcome
from vsrc.runtime.installation import Command

State = Literal["ok", "absent", "old", "broken", "slow", "untried", "no-gpu", "no-device"]


@dataclass(frozen=True)
class Finding:
    """State of one package, model or device.

    Attributes:
        group: Group of the report: `base` (required), `run`, `nvidia`, `models`, or the name of an
            extra.
        name: Name of the package, model or device.
        state: Whether it can be used. `slow`: its trial did not end in time; `untried`: the package
            that runs it is missing; `no-gpu`: it needs an NVIDIA GPU, and there is none;
            `no-device`: a plugin of ONNX Runtime found no device that it runs.
        version: Installed version, or empty.
        said: Result of the trial, or the error.
        fix: Command that fixes it, or None if nothing is to be done or no command would work.
        unchecked: Why the command could not be checked; empty after a dry run.
    """

    group: str
    name: str
    state: State
    version: str = ""
    said: str = ""
    fix: str | None = None
    unchecked: str = ""


@dataclass(frozen=True)
class Remedy:
    """A finding, and the command that fixes it, before its dry run."""

    finding: Finding
    command: Command | None = None


def examine_package(group: str, package: Dependency) -> Finding:
    """Examine a package by its metadata, without importing it."""
    if not package.is_there:
        return Finding(group, package.name, "absent")
    if package.installed is None:
        said = f"{package.module} is importable, but from another package"
        return Finding(group, package.name, "ok", said=said)
    if not package.is_met:
        said = f"{package.bounds} is needed"
        return Finding(group, package.name, "old", package.installed, said)
    return Finding(group, package.name, "ok", package.installed)


def with_outcome(finding: Finding, outcome: Outcome) -> Finding:
    """Return the finding with the outcome of its trial."""
    failed: State = "slow" if outcome.is_late else "broken"
    return replace(finding, state="ok" if outcome.works else failed, said=outcome.said)
