"""The diagnosis as plain text, at most 80 columns where names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from vsrc.runtime.inspection.doctor import EXTRAS, Diagnosis
from vsrc.runtime.inspection.finding import Finding
from vsrc.runtime.installation import TORCH_SOURCE
from vsrc.runtime.machine import cores_text

WIDTH = 80
_LABELS = {
    "ok": "ok",
    "absent": "absent",
    "no-gpu": "no GPU",
    "no-device": "idle",
    "untried": "untried",
    "old": "OLD",
    "broken": "BROKEN",
    "slow": "SLOW",
}
_INDENT = 10
_GROUPS = {
    "base": "Required",
    "run": "To run networks (infer, bench)",
    "models": "Students that ship with vsrc",
    "nvidia": "To build engines for NVIDIA GPUs",
    **EXTRAS,
}


def doctor_text(diagnosis: Diagnosis) -> str:
    """Format the findings by group, and finally the commands that fix them."""
    lines = _title_lines(diagnosis)
    for group, title in _GROUPS.items():
        if findings := diagnosis.of(group):
            lines += ["", title, *_group(findings)]
    return "\n".join([*lines, "", *_advice(diagnosis)])


def _title_lines(diagnosis: Diagnosis) -> list[str]:
    machine = diagnosis.machine
    memory = "" if machine.memory_bytes is None else f", {machine.memory_bytes / 1e9:.0f} GB"
    if diagnosis.free_bytes is not None:
        memory += f", {diagnosis.free_bytes / 1e9:.1f} GB free"
    lines = [
        f"vsrc {diagnosis.vsrc}, Python {diagnosis.python}, {machine.system}",
        f"{machine.cpu or 'unknown processor'} ({machine.architecture}), "
        f"{cores_text(machine.cores)}{memory}",
    ]
    if diagnosis.board:
        lines.append(diagnosis.board)
    return lines + [f"GPU {gpu}" for gpu in diagnosis.gpus or ("none found by nvidia-smi",)]


def _group(findings: Sequence[Finding]) -> list[str]:
    """Format a line for each finding with a message; group the others by state."""
    lines = []
    for state, label in _LABELS.items():
        same = [finding for finding in findings if finding.state == state]
        if plain := [_name(finding) for finding in same if not finding.said]:
            lines += _wrap(label, ", ".join(plain))
        for finding in same:
            if finding.said:
                lines += _wrap(label, f"{_name(finding)}: {finding.said}")
    return lines


def _name(finding: Finding) -> str:
    return f"{finding.name} {finding.version}".rstrip()


def _wrap(label: str, words: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=f"  {label}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )


def _advice(diagnosis: Diagnosis) -> list[str]:
    """Format each command that fixes something, once, with what it fixes."""
    fixes = [finding for finding in diagnosis.findings if finding.fix]
    known = [finding for finding in fixes if not finding.unchecked]
    lines = []
    if known:
        lines += ["Commands that install or fix the rest if you need it; a dry run of each worked:"]
        lines += _lines(known)
    for why in dict.fromkeys(finding.unchecked for finding in fixes if finding.unchecked):
        lines += [f"Commands that were not checked ({why}):"]
        lines += _lines([finding for finding in fixes if finding.unchecked == why])
    if not diagnosis.gpus and any(finding.name == "torch" for finding in fixes):
        lines += textwrap.wrap(f"{TORCH_SOURCE[0].upper()}{TORCH_SOURCE[1:]}.", WIDTH)
    states = {finding.state for finding in diagnosis.findings}
    if states & {"absent", "old", "broken"}:
        return lines or ["The missing packages cannot be installed here."]
    if "slow" in states:
        return [*lines, "What is slow could not be checked; run vsrc doctor again."]
    return ["Everything is installed and works."]


def _lines(findings: Sequence[Finding]) -> list[str]:
    """Format each command, and below it what it is for."""
    names: dict[str, list[str]] = {}
    for finding in findings:
        names.setdefault(finding.fix or "", []).append(finding.name)
    return [
        line
        for fix, of_it in names.items()
        for line in (f"  {fix}", f"      for {', '.join(dict.fromkeys(of_it))}")
    ]
