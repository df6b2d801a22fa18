"""The page of a self-test: the verdict, a table of the steps, and one of the checks of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vsrc.export.selftest.result import SelftestReport, StepResult, count_checks
from vsrc.export.selftest.verdict import verdict_badge
from vsrc.runtime.machine import cores_text
from vsrc.runtime.report.before_after import Table
from vsrc.runtime.report.page_parts import Group, Note, when
from vsrc.runtime.report.template import write_page

_NAMES = {"cuda driver": "CUDA driver", "cuda runtime": "CUDA runtime", "l4t": "L4T"}


def write_selftest_page(path: Path, report: SelftestReport, *, planned: int) -> Path:
    """Write the page; an existing file is replaced.

    Args:
        path: Path of the page.
        report: Results so far.
        planned: Number of steps of a whole self-test.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    how = " (--quick)" if report.quick else ""
    values = {
        "title": f"Self-test of vsrc {report.vsrc}{how}",
        "badge": verdict_badge(report, planned=planned),
        "summary": f"Started {when(report.started_utc)}, took {report.seconds:.0f} s.",
        "machine": _machine(report.facts),
        "notes": [*_notes(report)],
        "groups": [Group(tables=tuple(_tables(report)))],
    }
    return write_page(path, "bench.html", values)


def _machine(facts: dict[str, str]) -> str:
    """Board or processor, number of cores, system, and the GPU that was tested."""
    cores = cores_text(int(facts["cores"])) if "cores" in facts else ""
    name = facts.get("board") or facts.get("processor") or facts.get("architecture", "")
    parts = (name, cores, facts.get("system", ""), facts.get("device", ""))
    return ", ".join(part for part in parts if part)


def _notes(report: SelftestReport) -> Iterator[Note]:
    for step in report.steps:
        if step.state == "failed" and step.said:
            yield Note(f"{_name(step)}: {step.said}", bad=True)
        for check in step.checks:
            if check.state == "failed":
                yield Note(f"{_name(step)}: {check.name}: {check.said}", bad=True)


def _tables(report: SelftestReport) -> Iterator[Table]:
    # Two columns: in three, the words of the narrow ones would be broken on a phone.
    if report.steps:
        rows = tuple((_name(step), _result(step)) for step in report.steps)
        yield Table("Steps", ("", ""), rows, words=True)
    for step in report.steps:
        if step.checks:
            rows = tuple(
                (check.name, ": ".join(filter(None, (check.state, check.said))))
                for check in step.checks
            )
            yield Table(f"Checks of step {_name(step)}", ("", ""), rows, words=True)
    if report.facts:
        facts = tuple((_NAMES.get(name, name), text) for name, text in report.facts.items())
        yield Table("Machine and versions", ("", ""), facts, words=True)


def _result(step: StepResult) -> str:
    took = f" in {step.seconds:.1f} s" if step.state != "skipped" else ""
    return ": ".join(filter(None, (f"{step.state}{took}", step.said or count_checks(step))))


def _name(step: StepResult) -> str:
    return f"{step.number} ({step.name})"
