"""The packages that come with vsrc."""

from __future__ import annotations

from pathlib import Path

from vsrc.runtime.errors import SpecError

DEFAULT_STUDENT = "edge-m"
"""Is taken where no model is named."""


def shipped(name: str = DEFAULT_STUDENT) -> Path:
    """Folder of a package that comes with vsrc.

    Raises:
        SpecError: There is none of that name; the message lists those there are.
    """
    home = Path(__file__).resolve().parent / "zoo"
    folder = home / f"{name}.vsrc"
    if not folder.is_dir():
        have = ", ".join(list_shipped()) or "none"
        raise SpecError(f"no student called {name!r} comes with vsrc; there are: {have}")
    return folder


def list_shipped() -> list[str]:
    """Names of the packages that come with vsrc, sorted."""
    home = Path(__file__).resolve().parent / "zoo"
    return sorted(path.stem for path in home.glob("*.vsrc"))
