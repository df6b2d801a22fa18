"""Render a template of `assets/` into a page that is one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vsrc import __version__
from vsrc.runtime.installation import explain_missing, require
from vsrc.runtime.pending_file import write_file

_ASSETS = Path(__file__).resolve().parents[1] / "assets"
_DEFAULTS = {"version": __version__, "summary": "", "credit": ""}


def check_pages(purpose: str) -> None:
    """Check before the work that its page can be written.

    Args:
        purpose: What the page is for: "vsrc compare".

    Raises:
        MissingDependencyError: jinja2 is missing.
    """
    require(purpose, "jinja2")


def write_page(path: Path, template: str, values: dict[str, Any]) -> Path:
    """Write a page, whole or not at all; replaces what was there.

    Args:
        path: Where.
        template: Name of a file in `assets/`.
        values: What it shows; every name that the template uses must be there, but for a summary
            and a credit.

    Returns:
        `path`.

    Raises:
        MissingDependencyError: jinja2 is missing.
    """
    with explain_missing("jinja2"):
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    write_file(path, environment.get_template(template).render({**_DEFAULTS, **values}))
    return path
