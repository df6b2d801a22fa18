"""Names of models in tables, on pages and in messages: their files, without .vsrc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def names_of_paths(paths: Sequence[Path]) -> list[str]:
    """Name each model by its file, without .vsrc.

    Different models with the same file name get as many of their parent folders as tell them
    apart; the same model, given twice, keeps its name.
    """
    plain = [_without_suffix(path) for path in paths]
    return [_shortest(path, plain) for path in plain]


def name_of_path(path: Path) -> str:
    """Name one model by its file, without .vsrc."""
    return _without_suffix(path).name


def _without_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".vsrc" else path


def _shortest(path: Path, paths: Sequence[Path]) -> str:
    others = {other.parts for other in paths} - {path.parts}
    for count in range(1, len(path.parts) + 1):
        end = path.parts[-count:]
        if all(other[-count:] != end for other in others):
            return str(Path(*end))
    return str(path)
