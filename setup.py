"""What pyproject.toml cannot say: the packages below the root, and the README of the index.

The repository root is the package `vsrc` itself. setuptools finds packages below a folder but
cannot put a prefix before their names, so they are found here.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

LINK = re.compile(r"!?\[([^\]]*)\]\(([^)]*)\)")
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|#")  # a whole address, or a place on the same page


def index_readme(text: str) -> str:
    """The README for a page outside the repository, where relative links and pictures lead nowhere.

    `[Restore](docs/infer.md)` becomes "Restore (`docs/infer.md`)", a picture its description; the
    source distribution holds the files.
    """

    def in_words(link: re.Match[str]) -> str:
        label, target = link.groups()
        return link[0] if OUTSIDE.match(target) else f"{label} (`{target}`)"

    return f"{LINK.sub(in_words, text).rstrip()}\n\nThe source distribution holds `docs/`.\n"


setup(
    script_name="setup.py",  # setuptools leaves the script of this name out of the package `vsrc`
    packages=["vsrc", *(f"vsrc.{package}" for package in find_packages())],
    long_description=index_readme(Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
