"""Say that a path does not exist, and which one may have been meant."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_MOST_NAMES = 10_000
"""Entries of a folder that are compared with the name."""

_LEAST_RATIO = 0.7
"""Similarity of two names without suffix, as difflib measures it, from which one is suggested."""


def describe_missing(path: Path) -> str:
    """Describe a path that does not exist, and say where to look.

    Args:
        path: The path as it was given.

    Returns:
        For example "clpi.mp4 does not exist; did you mean clip.mp4?".
    """
    folder = next(parent for parent in (*path.parents, Path()) if parent.is_dir())
    try:
        there = {entry.stem: entry.name for entry in islice(folder.iterdir(), _MOST_NAMES)}
    except OSError:
        there = {}
    wanted = Path(path.relative_to(folder).parts[0]).stem
    if near := get_close_matches(wanted, there, n=1, cutoff=_LEAST_RATIO):
        return f"{path} does not exist; did you mean {folder / there[near[0]]}?"
    return f"{path} does not exist; to list what is there: ls {shlex.quote(str(folder))}"
