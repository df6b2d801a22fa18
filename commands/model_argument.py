"""Models on the command line: to be read, by path or shipped name, or to be written to, by path."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click


class ModelPath(click.Path):
    """Path such as `student.vsrc`, or name such as `edge-m` if no such path exists."""

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


class WritablePackagePath(click.Path):
    """`student.vsrc`; the name of a shipped model is refused, since its files are not changed."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """See `click.ParamType.convert`."""
        if package := _find_shipped(value):
            copy = shlex.join(["cp", "-r", str(package), f"{value}.vsrc"])
            self.fail(f"{value} comes with vsrc and is not changed: copy it first: {copy}")
        return super().convert(value, param, ctx)


def _find_shipped(value: str | os.PathLike[str]) -> Path | None:
    """Find the shipped package of that name; None if a path of that name exists, or no package."""
    from vsrc.runtime.shipped_models import list_shipped, shipped

    is_name = not Path(value).exists() and str(value) in list_shipped()
    return shipped(str(value)) if is_name else None


MODEL = ModelPath()
WRITABLE_PACKAGE = WritablePackagePath()
