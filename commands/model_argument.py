"""A model on the command line: a path, or the name of one that comes with vsrc."""

from __future__ import annotations

import os
from pathlib import Path

import click


class ModelPath(click.Path):
    """`student.vsrc`, or `edge-m` where there is no file or folder of that name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """See `click.ParamType.convert`."""
        from vsrc.runtime.shipped_models import list_shipped, shipped

        if not Path(value).exists() and str(value) in list_shipped():
            return shipped(str(value))
        return super().convert(value, param, ctx)


MODEL = ModelPath()
