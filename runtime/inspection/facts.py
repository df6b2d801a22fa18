"""Properties of an inspected file, as labelled lines and as plain values for programs."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

from vsrc.runtime.errors import SpecError

WIDTH = 80
_LEAST_LABEL_WIDTH = 10


@dataclass(frozen=True)
class Inspection:
    """Result of inspecting one file or folder.

    Attributes:
        kind: Kind of file: `package`, `graph`, `weights`, `engine`, `video` or `picture`.
        path: Path as given.
        title: Short description.
        rows: Label and text of each line; an empty label continues the row above.
        facts: Properties for programs: dicts, lists and scalars, units in the names.
        problems: Defects, a sentence each; empty for a valid file.
    """

    kind: str
    path: str
    title: str
    rows: tuple[tuple[str, str], ...]
    facts: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def inspection_text(inspection: Inspection) -> str:
    """Format the rows under their title, wrapped to 80 columns."""
    labels = [label for label, _ in inspection.rows]
    width = max([_LEAST_LABEL_WIDTH, *map(len, labels)]) + 2
    lines = [f"{inspection.path}: {inspection.title}"]
    for label, text in inspection.rows:
        lines += textwrap.wrap(
            text,
            WIDTH,
            initial_indent=label.ljust(width),
            subsequent_indent=" " * width,
            break_on_hyphens=False,
            break_long_words=False,
        )
    return "\n".join(lines)


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return the facts as one flat object, for programs."""
    head = {"kind": inspection.kind, "path": inspection.path}
    return {**head, **inspection.facts, "problems": list(inspection.problems)}


def check_intact(inspection: Inspection) -> None:
    """Raise if the inspected file has problems.

    Raises:
        SpecError: There are problems; names all of them.
    """
    if inspection.problems:
        raise SpecError("; ".join(inspection.problems))
