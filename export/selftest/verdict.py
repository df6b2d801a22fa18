"""What a self-test proves: the error that ends the command, if any."""

from __future__ import annotations

from pathlib import Path

from vsrc.export.selftest.result import SelftestReport
from vsrc.runtime.errors import GateError, MissingDependencyError, StoppedError


def check_report(report: SelftestReport, out: Path) -> None:
    """Raise unless all that could be tried passed.

    Raises:
        StoppedError: It was interrupted; status 130.
        GateError: A step failed; status 4.
        MissingDependencyError: There is no device, and `quick` was not asked for; status 3.
    """
    if report.interrupted:
        raise StoppedError(f"interrupted; what was found so far is in {out}")
    if report.failed:
        names = ", ".join(f"{step.number} ({step.name})" for step in report.failed)
        raise GateError(f"the self-test failed in step {names}; the evidence is in {out}")
    if not report.has_device and not report.quick:
        reasons = [
            check.said
            for step in report.steps
            for check in step.checks
            if check.name in ("devices", "CUDA runtime and driver") and check.state != "passed"
        ]
        why = reasons[0] if reasons else "the first step found none"
        raise MissingDependencyError(
            f"there is no CUDA device to test ({why}); vsrc selftest --quick tries what a CPU can"
        )
