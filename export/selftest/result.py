"""Results of a self-test, as JSON with a version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsrc.runtime.schema import to_json

KIND = "vsrc-selftest"
SCHEMA_VERSION = 1

ROUND_TRIPS = {
    "h264_nvenc": ("NVENC and NVDEC round trip", "yuv420p"),
    "hevc_nvenc": ("NVENC and NVDEC round trip in 10 bits", "p010le"),
}
"""FFmpeg's name of an encoder -> name of the check, and pixel format."""

CheckState = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class SelftestConfig:
    """What to test.

    Attributes:
        out: Folder of the evidence; files of an earlier self-test in it are replaced.
        quick: Run only what needs no GPU.
        device: Index of the CUDA device.
        json_file: Another file that the caller writes the JSON to; it is only checked.
        overwrite: Replace files and folders of these names that no self-test wrote.
    """

    out: Path = Path("vsrc-selftest")
    quick: bool = False
    device: int = 0
    json_file: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Check:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        state: Whether it passed, failed, or could not be tried.
        said: Result, or the reason, in one line.
    """

    name: str
    state: CheckState
    said: str = ""


@dataclass(frozen=True)
class StepResult:
    """One step of the self-test.

    Attributes:
        number: Number of the step, from 1.
        name: Name of the step, and of its folder of evidence.
        state: `failed` if a check failed, or the process did; `skipped` if nothing could be tried.
        said: Why it failed or was skipped as a whole; empty otherwise.
        seconds: Duration, seconds.
        checks: What was tried, in order.
    """

    number: int
    name: str
    state: CheckState
    said: str = ""
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class SelftestReport:
    """Result of a self-test.

    Attributes:
        vsrc: Version of vsrc.
        started_utc: Start time, ISO 8601, UTC.
        seconds: Duration, seconds.
        quick: Whether only what needs no GPU was run.
        has_device: Whether there is a CUDA device.
        interrupted: Whether it was stopped before its end.
        steps: Results of the steps.
        facts: What the first step found out about the machine.
    """

    vsrc: str
    started_utc: str
    seconds: float
    quick: bool
    has_device: bool
    interrupted: bool
    steps: tuple[StepResult, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[StepResult, ...]:
        """The steps that failed."""
        return tuple(step for step in self.steps if step.state == "failed")


def step_state(checks: Sequence[Check]) -> CheckState:
    """CheckState of a step whose checks have these states."""
    states = {check.state for check in checks}
    if "failed" in states:
        return "failed"
    return "passed" if "passed" in states else "skipped"


def report_json(report: SelftestReport) -> str:
    """Format a report as JSON."""
    head = {"kind": KIND, "schema_version": SCHEMA_VERSION}
    return json.dumps({**head, **to_json(report)}, indent=2) + "\n"


def count_checks(step: StepResult) -> str:
    """Format how many checks of a step passed: "2 of 5 checks passed"; empty without checks."""
    passed = sum(check.state == "passed" for check in step.checks)
    return f"{passed} of {len(step.checks)} checks passed" if step.checks else ""


def report_lines(report: SelftestReport) -> list[str]:
    """Format a report as text: a line for each step, and one for each check that did not pass."""
    lines = []
    for step in report.steps:
        passed = f" ({count_checks(step)})" if step.checks else ""
        said = f": {step.said}" if step.said else ""
        lines.append(
            f"{step.number} {step.name:<10} {step.state:<8}{step.seconds:6.1f} s{passed}{said}"
        )
        lines += [
            f"    {check.state}: {check.name}: {check.said}"
            for check in step.checks
            if check.state != "passed"
        ]
    return lines
