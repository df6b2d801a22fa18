"""Render a template of `assets/` to a page in a single file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vsrc import __version__
from vsrc.runtime.installation import explain_missing, require
from vsrc.runtime.pending_file import write_file

_ASSETS = Path(__file__).resolve().parents[1] / "assets"
_DEFAULTS = {"version": __version__, "summary": "", "credit": "", "badge": None, "machine": ""}


@dataclass(frozen=True)
class Badge:
    """The result of a page in a few words, shown beside its title.

    Attributes:
        text: What was found: "passed", "2 metrics are worse".
        kind: `good`, `bad`, or `plain` where nothing is judged.
    """

    text: str
    kind: Literal["good", "bad", "plain"] = "plain"


PAGE_WRITERS = ("compare", "preview", "demo", "bench", "infer", "export", "selftest")
"""Commands that write pages: all of their output, on request, or beside JSON."""

PAGE_SUFFIXES = (".html", ".htm")


def check_page_name(path: Path, option: str, *, others: Sequence[str] = ()) -> None:
    """Check that the name of a page is one of HTML, before any work.

    Args:
        path: Path of the page.
        option: Option that it comes from: "-o".
        others: Further suffixes that the option takes.

    Raises:
        ValueError: It has another suffix.
    """
    if path.suffix.lower() not in (*PAGE_SUFFIXES, *others):
        kinds = " or ".join([".html", *others])
        if str(path) == "-":
            raise ValueError(
                f"{option} {path}: the page is written to a file, not to stdout; name a file that "
                f"ends in {kinds}"
            )
        raise ValueError(
            f"{option} {path}: the page is HTML, so its name ends in {kinds}; "
            f"write {option} {path.with_suffix('.html') if path.suffix else f'{path}.html'}"
        )


def check_pages(purpose: str) -> None:
    """Check that pages can be rendered, before the work that they report.

    Args:
        purpose: Command that needs the page, for the message: "vsrc compare".

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    require(purpose, "jinja2")


def write_page(path: Path, template: str, values: dict[str, Any]) -> Path:
    """Write a page atomically; an existing file is replaced.

    Args:
        path: Path of the page.
        template: Name of a file in `assets/`.
        values: Variables of the template; all that it uses are required, except summary, badge,
            machine and credit.

    Returns:
        `path`.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    with explain_missing("jinja2"):
        import jinja2
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template(template).render({**_DEFAULTS, **values})
    # Bytes of file names that are not UTF-8 are surrogates in Python, and no text of a page.
    write_file(path, page.encode("utf-8", "backslashreplace"))
    return path
