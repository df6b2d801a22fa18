"""The model packages included in vsrc."""

from __future__ import annotations

from pathlib import Path

from vsrc.runtime.errors import SpecError

DEFAULT_STUDENT = "edge-m"
"""Name of the default model."""

COMPRESSED_STUDENT = "edge-m-real"
"""Name of the model for sources that are strongly compressed."""


def shipped(name: str = DEFAULT_STUDENT) -> Path:
    """Return the folder of a package included in vsrc.

    Raises:
        SpecError: There is none of that name; the message lists the available ones.
    """
    home = Path(__file__).resolve().parent / "zoo"
    folder = home / f"{name}.vsrc"
    if not folder.is_dir():
        have = ", ".join(list_shipped()) or "none"
        raise SpecError(f"no model called {name!r} ships with vsrc; available: {have}")
    return folder


def list_shipped() -> list[str]:
    """Return the names of the packages included in vsrc, sorted."""
    home = Path(__file__).resolve().parent / "zoo"
    return sorted(path.stem for path in home.glob("*.vsrc"))


def typed_name(model: Path) -> str:
    """Name of a shipped model, path of any other: what to type after `-m`."""
    is_shipped = model.stem in list_shipped() and model == shipped(model.stem)
    return model.stem if is_shipped else str(model)
