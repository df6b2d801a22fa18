"""What `vsrc doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vsrc.runtime.dependencies import Dependency
from vsrc.runtime.inspection.trials import Outcome
from vsrc.runtime.installation import Command

State = Literal["ok", "absent", "old", "broken", "untried", "no-gpu"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        group: `base` (nothing works without), `run`, `nvidia`, `models`, or the name of an extra.
        name: What it is.
        state: Whether it can be used. `untried`: what runs it is missing; `no-gpu`: it needs an
            NVIDIA GPU, and there is none.
        version: Of what is installed, or empty.
        said: What was tried and found.
        fix: The line that fixes it, or None where nothing is to be done or none would work.
        unchecked: Why it is not known whether that line would work; empty after a dry run.
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
    """A finding, and the command that fixes it, which is not checked yet."""

    finding: Finding
    command: Command | None = None


def examine_package(group: str, package: Dependency) -> Finding:
    """What the metadata of a package says alone."""
    if not package.is_there:
        return Finding(group, package.name, "absent")
    if package.installed is None:
        said = f"{package.module} comes from elsewhere"
        return Finding(group, package.name, "ok", said=said)
    if not package.is_met:
        said = f"{package.bounds} is needed"
        return Finding(group, package.name, "old", package.installed, said)
    return Finding(group, package.name, "ok", package.installed)


def with_outcome(finding: Finding, outcome: Outcome) -> Finding:
    """The finding, with what trying it showed."""
    return replace(finding, state="ok" if outcome.works else "broken", said=outcome.said)
