"""What the doctor advises."""

from __future__ import annotations

from collections.abc import Iterable

from vsrc.runtime.inspection.finding import Remedy


def lines_of(remedies: Iterable[Remedy]) -> dict[str, str | None]:
    """Name of what was looked at -> the line that fixes it."""
    return {one.finding.name: one.command.text if one.command else None for one in remedies}
