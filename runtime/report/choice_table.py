"""The table of a recommendation: alternatives with time, quality and size, and what to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.text.decibels import format_gain

_COLUMNS = ("ms", "dB against truth", "size")


@dataclass(frozen=True)
class ChoiceRow:
    """One alternative.

    Attributes:
        name: Precision of a graph, or size of a network.
        latency_ms: Latency of a frame, ms; None if it was not measured.
        gain_db: Change of PSNR against ground truth, dB, negative for a loss; None if unknown.
        size: Size of its file.
        note: Short remark at the end of the row; instead of the numbers where it has none.
        is_recommended: Whether it is the one to take.
    """

    name: str
    latency_ms: float | None
    gain_db: float | None
    size: str
    note: str = ""
    is_recommended: bool = False


def choice_table(
    first_column: str, rows: Sequence[ChoiceRow], *, command: str, label: str = "next"
) -> list[str]:
    """Format the alternatives, of which one is marked, and the command that takes it.

    Args:
        first_column: Heading of the names.
        rows: Alternatives; one of them is recommended.
        command: Command for the recommended one.
        label: What stands before it.
    """
    cells = [_cells(row) for row in rows]
    head = (first_column, *_COLUMNS)
    widths = [max(len(line[at]) for line in (head, *cells)) for at in range(len(head))]
    lines = [_line(head, widths, "")]
    for row, line in zip(rows, cells, strict=True):
        mark = "recommended" if row.is_recommended else ""
        note = ", ".join(filter(None, (mark, row.note)))
        is_empty = row.latency_ms is None
        lines.append(
            f"  {row.name.ljust(widths[0])}  {note}" if is_empty else _line(line, widths, note)
        )
    return [*lines, f"{label}: {command}"]


def _cells(row: ChoiceRow) -> tuple[str, ...]:
    if row.latency_ms is None:
        return (row.name, "", "", "")
    gain = "-" if row.gain_db is None else format_gain(row.gain_db).removesuffix(" dB")
    return (row.name, f"{row.latency_ms:.2f}", gain, row.size)


def _line(cells: Sequence[str], widths: Sequence[int], note: str) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join(["", cells[0].ljust(widths[0]), *numbers, note]).rstrip()
