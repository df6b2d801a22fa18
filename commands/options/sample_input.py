"""The clip that comes with vsrc, as an input named `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

NAME = "sample"


class InputPath(click.Path):
    """Type of an argument or option that names one video, image or folder; a `Path`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  as click declares them
        """Return the path; for `sample` that of the clip that comes with vsrc."""
        return super().convert(resolve_input(str(value)), param, ctx)


def resolve_inputs(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """Resolve each of several inputs; a callback of click."""
    return tuple(map(resolve_input, texts))


def resolve_input(text: str) -> str:
    """Return the path of an input: of the sample clip for `sample`, unless such a file exists."""
    if text != NAME or Path(text).exists():
        return text
    from vsrc.runtime.sample import SAMPLE_CLIP

    return str(SAMPLE_CLIP)
