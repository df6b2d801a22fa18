"""What a self-test proves: its verdict, and the error that ends the command, if any."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vsrc.export.selftest.result import ROUND_TRIPS, SelftestReport
from vsrc.runtime.errors import GateError, MissingDependencyError, StoppedError
from vsrc.runtime.report.template import Badge
from vsrc.runtime.sensors.cuda_device import find_device
from vsrc.runtime.sensors.selftest_record import forget_selftest, remember_selftest


def verdict_badge(report: SelftestReport, *, planned: int) -> Badge:
    """The result of a self-test in a few words.

    Args:
        report: Results so far.
        planned: Number of steps of a whole self-test.
    """
    if report.interrupted:
        return Badge(f"interrupted in step {len(report.steps)} of {planned}", "bad")
    if report.failed:
        names = ", ".join(f"{step.number} ({step.name})" for step in report.failed)
        return Badge(f"failed: step{'s'[: len(report.failed) > 1]} {names}", "bad")
    if len(report.steps) < planned:
        return Badge(f"unfinished: {len(report.steps)} of {planned} steps were run")
    states = [step.state for step in report.steps]
    counts = f"{states.count('passed')} of {planned} steps passed"
    if skipped := states.count("skipped"):
        counts += f", {skipped} skipped"
    if not report.has_device and not report.quick:
        return Badge(f"no CUDA device to test: {counts}", "bad")
    return Badge(counts, "good")


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


def record_result(report: SelftestReport, device: int) -> None:
    """Let `infer --hwaccel auto` use NVDEC of a device that passed, and no longer if it failed.

    A self-test that was interrupted, or run without the device, changes nothing.
    """
    if report.quick or report.interrupted or not report.has_device:
        return
    (name, _) = ROUND_TRIPS["h264_nvenc"]
    states = [check.state for step in report.steps for check in step.checks if check.name == name]
    with suppress(MissingDependencyError):  # it may have failed in losing the device
        if report.failed:
            forget_selftest(find_device(device))
        elif states == ["passed"]:
            remember_selftest(find_device(device))
