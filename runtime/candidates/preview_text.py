"""A preview as lines of text, and as tables of its page."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.candidates.preview_result import Preview, PreviewCandidate
from vsrc.runtime.report.before_after import Table
from vsrc.runtime.text.size_text import size_text
from vsrc.runtime.text.time_text import format_span

_COLUMNS = ("", "whole video", "frames/s", "file size", "runs on")


def preview_text(preview: Preview) -> str:
    """Format a line for each candidate, and the path of the page."""
    rows = [_cells(candidate) for candidate in preview.candidates]
    widths = [max(len(row[at]) for row in (*rows, _COLUMNS)) for at in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(width) if at in (0, 4) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (_COLUMNS, *rows)
    ]
    return "\n".join([*lines, preview.advice, preview.page])


def preview_tables(preview: Preview) -> list[Table]:
    """Tables of the page: time and size of each candidate, and the commands."""
    frames = preview.whole_frames
    whole = f"all {frames} frames" if frames else "the whole video, whose length is unknown"
    note = (
        f"Estimated for {whole} from this excerpt, on this machine; encoding is included, audio is "
        "not. Other work on the machine changes the times."
    )
    rows = tuple(_cells(candidate) for candidate in preview.candidates)
    commands = tuple((candidate.label, candidate.command) for candidate in preview.candidates)
    return [
        Table("Time for the whole video", _COLUMNS, rows, note),
        Table("Commands", ("", ""), commands, words=True),
    ]


def _cells(candidate: PreviewCandidate) -> tuple[str, ...]:
    seconds, size = candidate.whole_seconds, candidate.whole_bytes
    return (
        candidate.label,
        "-" if seconds is None else format_span(seconds),
        f"{candidate.fps:.3g}",
        "-" if size is None else size_text(size),
        candidate.runs,
    )


def describe_times(candidates: Sequence[PreviewCandidate]) -> str:
    """A sentence on the fastest and the slowest candidate."""
    known = [candidate for candidate in candidates if candidate.whole_seconds is not None]
    if not known:
        return ""
    parts = [f"{item.label} {format_span(item.whole_seconds or 0.0)}" for item in known]
    return f"Estimated for the whole video: {', '.join(parts)}. "
