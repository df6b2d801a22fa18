"""The site of docs/ in a browser: its scripts run, and every page fits a phone."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from support.optional import skip_without
from support.places import find_in_checkout

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MKDOCS = find_in_checkout("mkdocs.yml")
PAGES = ("index", "api", "settings", "troubleshooting", "tutorial", "jetson")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    skip_without("mkdocs", "mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    typing = MKDOCS.parent / ".typing" / "vsrc"
    if not typing.exists():
        pytest.skip("make typing creates the link that mkdocstrings reads")
    # -P: the root of the repository holds packages of its own names.
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run([*command, "--site-dir", folder], cwd=MKDOCS.parent, check=True)
    return folder


@pytest.mark.slow
def test_the_notebook_is_a_page_with_all_its_code(site: Path) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", (site / "tutorial.html").read_text("utf-8")))
    notebook = json.loads((MKDOCS.parent / "docs" / "tutorial.ipynb").read_text("utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    for source in code:
        assert source in text
    for name in ("index", "getting-started"):
        assert 'href="tutorial.html"' in (site / f"{name}.html").read_text("utf-8")
    assert (site / "tutorial.ipynb").is_file(), "the page links to the notebook"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_site_runs_offline_and_fits(
    site: Path, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    page.set_default_timeout(100_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    for name in PAGES:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
        plain = page.locator("table:not(.table-striped)").count()
        assert plain == 0, "the theme's scripts style the tables"
    context.close()
    assert complaints == []
