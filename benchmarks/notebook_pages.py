"""Hook of mkdocs: each notebook of docs/ becomes a page of the site, and stays a download.

Code cells become blocks of Python; notebooks are kept without outputs, so there are none to show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_SUFFIX = ".ipynb"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for file in list(files):
        if file.src_uri.endswith(_SUFFIX):
            page = file.src_uri.removesuffix(_SUFFIX) + ".md"
            text = notebook_markdown(file.content_string, name=Path(file.src_uri).name)
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(
    markdown: str,
    *,
    page: Page,
    config: MkDocsConfig,  # noqa: ARG001  mkdocs passes it
    files: Files,
) -> str:
    """Lead links to a notebook to its page; on the page itself they lead to the file."""
    own = Path(page.file.src_uri).stem
    names = {Path(file.src_uri).stem for file in files if file.src_uri.endswith(_SUFFIX)} - {own}
    for name in names:
        markdown = markdown.replace(f"]({name}{_SUFFIX})", f"]({name}.md)")
    return markdown


def notebook_markdown(text: str, *, name: str) -> str:
    """Return the cells of a notebook as Markdown.

    Args:
        text: Content of the notebook, JSON.
        name: Its file name, linked below the title.
    """
    title, *cells = map(_cell_markdown, json.loads(text)["cells"])
    download = f"[Download the notebook]({name})"
    return "\n\n".join([title, download, *cells]) + "\n"


def _cell_markdown(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
