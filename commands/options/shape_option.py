"""Option `--shape`: sizes of LR frames, HxW."""

from __future__ import annotations

import click

from vsrc.export.config import parse_shape
from vsrc.runtime.text.size_text import hint_at_swapped_shape


def read_shapes(text: str) -> tuple[tuple[int, int], ...]:
    """Parse `HxW[,HxW...]`, and hint on stderr at width and height that look swapped.

    Raises:
        ValueError: Not of that form.
    """
    shapes = parse_shape(text)
    for hint in {hint_at_swapped_shape(*shape) for shape in shapes} - {None}:
        click.echo(f"note: {hint}", err=True)
    return shapes
