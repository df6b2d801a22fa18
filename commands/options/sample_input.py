"""The clip that comes with vsrc, as an input named `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.runtime.sample import SAMPLE_CLIP, SAMPLE_NAME


class InputPath(click.Path):
    """Type of an argument or option that names one video, image or folder; a `Path`."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  as click declares them
        """Return the path; for `sample` that of the clip that comes with vsrc."""
        return super().convert(resolve_input(str(value)), param, ctx)


class OutputPath(click.Path):
    """Type of an option that names what is written; a `Path`."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  as click declares them
        """Return the path; refuse a new `sample`, which would replace the clip as an input."""
        if str(value) == SAMPLE_NAME and not Path(SAMPLE_NAME).exists():
            self.fail(
                f"{SAMPLE_NAME!r} names the clip that comes with vsrc, and a file or folder of "
                "that name would replace it as an input; choose another name, for example "
                f"{SAMPLE_NAME}-out",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def resolve_inputs(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """Resolve each of several inputs; a callback of click."""
    return tuple(map(resolve_input, texts))


def resolve_input(text: str) -> str:
    """Return the path of an input: of the sample clip for `sample`, unless such a file exists."""
    if text != SAMPLE_NAME or Path(text).exists():
        return text
    return str(SAMPLE_CLIP)
