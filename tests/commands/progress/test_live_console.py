"""Progress is drawn on terminals that can, and written as lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.small_clip import write_small_clip
from vsrc.cli import main


def seen_on_terminal(*words: str, cwd: Path, **environment: str) -> str:
    """What a command writes to stderr, which is a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "vsrc", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower,
        cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip
    os.close(follower)
    parts = []
    try:
        while part := os.read(leader, 4096):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    return b"".join(parts).decode()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="-P is of Python 3.11")
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_dumb_terminal_gets_lines(tmp_path: Path, term: str) -> None:
    write_small_clip(tmp_path / "a.mp4")
    write_small_clip(tmp_path / "b.mp4", seed=1)
    words = ("compare", "a.mp4", "b.mp4", "-o", "c.html")
    text = seen_on_terminal(*words, cwd=tmp_path, TERM=term)
    assert "comparing: frame" in text
    assert bool(re.search("\x1b", text)) == (term == "xterm")


def test_json_and_frames_do_not_share_stdout(tmp_path: Path, tiny_package: Path) -> None:
    clip = write_small_clip(tmp_path / "a.mp4")
    words = ["infer", str(clip), "-m", str(tiny_package), "-o", "-", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "--json" in done.stderr
    assert done.stdout_bytes == b""
