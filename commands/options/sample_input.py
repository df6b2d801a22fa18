"""The clip that comes with vsrc, as an input named `sample`."""

from __future__ import annotations

from pathlib import Path

NAME = "sample"


def resolve_input(text: str) -> str:
    """Return the path of an input: of the sample clip for `sample`, unless such a file exists."""
    if text != NAME or Path(text).exists():
        return text
    from vsrc.runtime.sample import SAMPLE_CLIP

    return str(SAMPLE_CLIP)
