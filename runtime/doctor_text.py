"""The diagnosis for people: plain text, at most 80 columns where names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from vsrc.runtime.doctor import EXTRAS, Diagnosis, Finding

WIDTH = 80
_LABELS = {"ok": "ok", "absent": "absent", "old": "OLD", "broken": "BROKEN"}
_INDENT = 10
_GROUPS = {
    "base": "Always needed",
    "run": "To run networks (infer, bench)",
    "models": "Students that ship with vsrc",
    "nvidia": "To build engines for NVIDIA GPUs",
    **EXTRAS,
}


def doctor_text(diagnosis: Diagnosis) -> str:
    """What was found, group by group, and at the end what to do."""
    lines = _heading(diagnosis)
    for group, title in _GROUPS.items():
        if findings := diagnosis.of(group):
            lines += ["", title, *_group(findings)]
    return "\n".join([*lines, "", *_advice(diagnosis)])


def _heading(diagnosis: Diagnosis) -> list[str]:
    machine = diagnosis.machine
    memory = "" if machine.memory_bytes is None else f", {machine.memory_bytes / 1e9:.0f} GB"
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    lines = [
        f"vsrc {diagnosis.vsrc}, Python {diagnosis.python}, {machine.system}",
        f"{machine.cpu or 'unknown processor'} ({machine.architecture}), {cores}{memory}",
    ]
    if diagnosis.board:
        lines.append(diagnosis.board)
    return lines + [f"GPU {gpu}" for gpu in diagnosis.gpus or ("none seen by nvidia-smi",)]


def _group(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding with something to say; the others together, by their state."""
    lines = []
    for state, label in _LABELS.items():
        same = [finding for finding in findings if finding.state == state]
        if plain := [_name(finding) for finding in same if not finding.said]:
            lines += _wrapped(label, ", ".join(plain))
        for finding in same:
            if finding.said:
                lines += _wrapped(label, f"{_name(finding)}: {finding.said}")
    return lines


def _name(finding: Finding) -> str:
    return f"{finding.name} {finding.version}".rstrip()


def _wrapped(label: str, words: str) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=f"  {label}".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )


def _advice(diagnosis: Diagnosis) -> list[str]:
    """Each line that mends something, once, and what it mends."""
    mends: dict[str, list[str]] = {}
    for finding in diagnosis.findings:
        if finding.state != "ok" and finding.fix:
            mends.setdefault(finding.fix, []).append(finding.name)
    if not mends:
        return ["All is there and works."]
    lines = ["What adds or mends the rest, where you need it:"]
    for fix, names in mends.items():
        lines += [f"  {fix}", f"      for {', '.join(dict.fromkeys(names))}"]
    return lines
