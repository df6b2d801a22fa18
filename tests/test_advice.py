"""What is advised anywhere, in code or in prose, is possible."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FORBIDDEN = {
    # On the index `vsrc` is another project: ours is vsrc-edge, or a checkout, or a file.
    r"pip3? install\b[^\n]*(?<![\w./-])vsrc(?![\w./-])": "installs another project",
    r"""(?<![\w./-])vsrc\[[a-z]""": "names an extra of another project",
    r"without (a|the|its) pin": "no version of torch alone decides whether it brings CUDA",
}


def texts() -> list[Path]:
    """Every file that git holds and that a person may read."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    names = done.stdout.split("\n") if done.returncode == 0 else []
    suffixes = {".py", ".md", ".txt", ".toml", ".yml", ".yaml", ".html", ".Dockerfile", ""}
    paths = [ROOT / name for name in names if name]
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_no_line_advises_what_cannot_work(pattern: str) -> None:
    if not (files := texts()):
        pytest.skip("not a clone: nothing says which files are ours")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        if path != Path(__file__)
        for match in re.finditer(pattern, path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == [], FORBIDDEN[pattern]


def test_the_patterns_find_what_they_are_for() -> None:
    for line in ("pip install 'vsrc[cpu]'", "pip install -U vsrc", "pip install --no-deps vsrc"):
        assert re.search(next(iter(FORBIDDEN)), line)
    for line in ("pip install -e /home/me/vsrc", "pip install vsrc-edge", "pip uninstall vsrc"):
        assert not re.search(next(iter(FORBIDDEN)), line)
