"""Option `--shape`: sizes of LR frames, HxW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def _read_graph_shape(
    _context: click.Context, _option: click.Parameter, text: str
) -> tuple[tuple[int, int], ...]:
    return read_shapes(text) if text else ()


graph_shape_option: Callable[[Any], Any] = click.option(
    "--shape",
    default="",
    metavar="HxW[,HxW,HxW]",
    callback=_read_graph_shape,
    help="LR size of the graph: one is fixed, three are minimum, optimum and maximum.  "
    "[default: any]",
)
"""Sizes that a written graph takes, as `tuple[tuple[int, int], ...]`; empty for any."""
