"""Where stderr is no terminal, commands that take long say at once what begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main


def first_line(*words: str) -> str:
    done = CliRunner().invoke(main, words, prog_name="vsrc")
    assert done.exit_code == 0, done.output
    return done.stderr.splitlines()[0]


@pytest.mark.parametrize("precision", ["fp16", "auto"])
def test_export(tmp_path: Path, tiny_package: Path, precision: str) -> None:
    package = tmp_path / "s.vsrc"
    shutil.copytree(tiny_package, package)
    words = ("export", str(package), "--precision", precision, "--overwrite")
    what = "all precisions" if precision == "auto" else precision
    assert first_line(*words) == f"{package}: export to ONNX, {what}"


def test_a_line_of_the_first_step(tiny_package: Path) -> None:
    words = ("bench", str(tiny_package), "--shape", "16x16", "--iterations", "2")
    assert first_line(*words, "--runs", "1") == f"{tiny_package}: loading"
    assert first_line(*words, "--runs", "2") == f"{tiny_package}, process 1 of 2: loading"
