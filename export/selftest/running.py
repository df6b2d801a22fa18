"""Run the steps of a self-test one after the other, and keep what each of them finds.

Each step is a process of its own: one that crashes, hangs or uses up the memory of the device ends
alone. Evidence is written after each step, so that it is there whatever happens to the next.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from vsrc import __version__
from vsrc.export.selftest.page import write_selftest_page
from vsrc.export.selftest.privacy import anonymize, anonymize_files
from vsrc.export.selftest.result import (
    KIND,
    Check,
    CheckState,
    SelftestConfig,
    SelftestReport,
    StepResult,
    report_json,
    step_state,
)
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.output_guard import PlannedOutput, check_outputs
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.processes.fresh_process import Message, ask

LIMIT_SECONDS = 480.0
"""Time limit of all steps together."""

_HEAD_BYTES = 4096
"""Part of a file that is searched for the kind of report it is."""

REPORT_FILE, PAGE_FILE = "selftest.json", "selftest.html"


@dataclass(frozen=True)
class TimedStep:
    """One step.

    Attributes:
        name: Name, and that of its folder of evidence.
        seconds: Time limit.
        is_quick: Whether it is run without a GPU, too.
        needs_tensorrt: Whether there is nothing to try without TensorRT.
    """

    name: str
    seconds: float
    is_quick: bool = False
    needs_tensorrt: bool = False


STEPS = (
    TimedStep("machine", 45, is_quick=True),
    TimedStep("memory", 30),
    TimedStep("sensors", 30),
    TimedStep("builds", 205, is_quick=True, needs_tensorrt=True),
    TimedStep("pictures", 60, needs_tensorrt=True),
    TimedStep("routes", 80),
    TimedStep("bench", 30, needs_tensorrt=True),
)

SelftestProgress = Callable[[str], None]


def selftest(config: SelftestConfig, progress: SelftestProgress = lambda _: None) -> SelftestReport:
    """Run the self-test, and write JSON and raw evidence to `config.out`, and with jinja2 a page.

    Args:
        config: What to test.
        progress: Called with the name of each step.

    Returns:
        The report; `interrupted` is set after Ctrl+C, which ends the step that runs.

    Raises:
        OutputError: A file or folder of its names exists that no self-test wrote, or they lie in a
            package; nothing was changed.
    """
    _check_outputs(config)
    config.out.mkdir(parents=True, exist_ok=True)
    began, started = time.monotonic(), datetime.now(timezone.utc)
    report = SelftestReport(
        vsrc=__version__,
        started_utc=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=0.0,
        quick=config.quick,
        has_device=False,
        interrupted=False,
        steps=(),
    )
    _write(config, report)  # so that the next one knows this folder, whatever ends this one
    with TemporaryDirectory(prefix="vsrc-selftest-") as work:
        for number, step in enumerate(STEPS, 1):
            progress(f"step {number} of {len(STEPS)}: {step.name}")
            left = LIMIT_SECONDS - (time.monotonic() - began)
            checks: list[Check] = []
            try:
                result = _run_step(config, report, (number, step), Path(work), left, checks)
            except KeyboardInterrupt:
                done = tuple(checks)
                stopped = StepResult(number, step.name, "failed", "interrupted", checks=done)
                report = replace(report, steps=(*report.steps, stopped), interrupted=True)
                break
            finally:
                seconds = round(time.monotonic() - began, 1)
                report = replace(report, seconds=seconds)
            report = _with_facts(config, replace(report, steps=(*report.steps, result)))
            _write(config, report)
    _write(config, report)
    return report


def _check_outputs(config: SelftestConfig) -> None:
    """Raise if something would be replaced that no self-test wrote; see `check_outputs`."""
    report = config.out / REPORT_FILE
    names = [REPORT_FILE, PAGE_FILE, *(step.name for step in STEPS)]
    outputs = [
        PlannedOutput(
            config.out / name,
            "--out",
            is_ours=lambda path: not path.is_symlink() and _is_report(report),
        )
        for name in names
    ]
    if config.json_file is not None:
        outputs.append(PlannedOutput(config.json_file, "--json", is_ours=_is_report))
    check_outputs(outputs, overwrite=config.overwrite)


def _is_report(path: Path) -> bool:
    """Whether a file is the JSON of a self-test."""
    try:
        with path.open("rb") as file:
            return f'"kind": "{KIND}"'.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _run_step(
    config: SelftestConfig,
    report: SelftestReport,
    of: tuple[int, TimedStep],
    work: Path,
    left: float,
    checks: list[Check],
) -> StepResult:
    """Run one step, or say why it is skipped; each check is added to `checks` as it ends."""
    number, step = of
    if config.quick and not step.is_quick:
        return StepResult(number, step.name, "skipped", "it needs a GPU; --quick skips it")
    if not config.quick and not report.has_device and number > 1:
        return StepResult(number, step.name, "skipped", "there is no CUDA device")
    if left < 1:
        said = f"the time limit of {LIMIT_SECONDS:.0f} seconds is reached"
        return StepResult(number, step.name, "failed", said)
    evidence = config.out / step.name
    if evidence.is_symlink() or evidence.is_file():
        evidence.unlink()
    shutil.rmtree(evidence, ignore_errors=True)  # that of an earlier self-test
    evidence.mkdir()

    def tell(message: Message) -> None:
        checks.append(Check(**{**message, "said": anonymize(message["said"])}))

    request = {
        "step": step.name,
        "evidence": str(evidence.resolve()),
        "work": str(work),
        "device": config.device,
        "quick": config.quick,
    }
    began, said, is_lacking = time.monotonic(), "", False
    try:
        ask("vsrc.export.selftest.child", request, tell, seconds=min(step.seconds, left))
    except (VsrcError, ValueError) as error:
        said = anonymize(str(error))
        is_lacking = step.needs_tensorrt and isinstance(error, MissingDependencyError)
    finally:
        anonymize_files(evidence)
    state = _state(checks, said, is_lacking=is_lacking)
    seconds = round(time.monotonic() - began, 1)
    return StepResult(number, step.name, state, said, seconds, tuple(checks))


def _state(checks: list[Check], said: str, *, is_lacking: bool) -> CheckState:
    """State of a step: a process that failed has failed, unless what it needs is not installed."""
    if said:
        return "skipped" if is_lacking and not checks else "failed"
    return step_state(checks)


def _with_facts(config: SelftestConfig, report: SelftestReport) -> SelftestReport:
    """Take over what the first step found out."""
    path = config.out / STEPS[0].name / "facts.json"
    if len(report.steps) != 1 or not path.is_file():
        return report
    facts = json.loads(path.read_text(encoding="utf-8"))
    return replace(report, facts=facts, has_device="device" in facts)


def _write(config: SelftestConfig, report: SelftestReport) -> None:
    write_file(config.out / REPORT_FILE, report_json(report))
    page = config.out / PAGE_FILE
    try:
        write_selftest_page(page, report, planned=len(STEPS))
    except MissingDependencyError:
        page.unlink(missing_ok=True)  # that of an earlier self-test
