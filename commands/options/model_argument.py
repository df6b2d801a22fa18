"""Models on the command line: a path, the name of a shipped one, or module:function."""

from __future__ import annotations

import os
from pathlib import Path

import click


class ModelPath(click.Path):
    """Path such as `student.vsrc`, name such as `edge-m` if no such path exists, or other text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """See `click.ParamType.convert`."""
        return _find_shipped(value) or super().convert(value, param, ctx)


def _find_shipped(value: str | os.PathLike[str]) -> Path | None:
    """Find the shipped package of that name; None if a path of that name exists, or no package."""
    from vsrc.runtime.shipped_models import list_shipped, shipped

    is_name = not Path(value).exists() and str(value) in list_shipped()
    return shipped(str(value)) if is_name else None


MODEL = ModelPath()
