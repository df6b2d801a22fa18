"""Calls of TensorRT fit its published signatures, on a machine that has none of it.

`make .stubs` fetches the signatures of TensorRT 10.13 (the package tensorrt-stubs, beside the
environment: inside it, it would pass for TensorRT itself).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.places import TESTS, find_in_checkout

CALLERS = (
    "export/engines/engine_build.py",
    "export/engines/layer_report.py",
    "runtime/backends/device/trt_engine.py",
)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without what Python cannot parse: mypy reads none of a file with one such line."""
    given = TESTS.parent / ".stubs"
    if not (given / "tensorrt_bindings/tensorrt.pyi").is_file():
        pytest.skip("the signatures of TensorRT are not here: make .stubs")
    path = tmp_path_factory.mktemp("stubs")
    for name in ("tensorrt", "tensorrt_bindings"):
        shutil.copytree(given / name, path / name)
    bindings = path / "tensorrt_bindings/tensorrt.pyi"
    text = re.sub(r"\bin: list", "in_: list", bindings.read_text())
    text = text.replace("channel_axis: int) ->", "channel_axis: int = ...) ->")
    bindings.write_text("# mypy: ignore-errors\n" + re.sub(r'"""(?:.|\n)*?"""', "...", text))
    front = path / "tensorrt/__init__.pyi"
    front.write_text(re.sub(r"^import tensorrt_libs.*$", "", front.read_text(), flags=re.MULTILINE))
    return path


def mypy(*files: Path, stubs: Path, cache: Path) -> str:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file=",
        *files,
    ]
    command += ["--ignore-missing-imports", f"--cache-dir={cache}", "--follow-imports=silent"]
    typing = find_in_checkout(".typing")
    environment = {**os.environ, "MYPYPATH": f"{stubs}{os.pathsep}{typing}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return str(done.stdout) + str(done.stderr)


@pytest.mark.slow
def test_calls_of_tensorrt_fit_its_signatures(stubs: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    import tensorrt as trt\n"
        "def limit(config: trt.IBuilderConfig) -> None:\n"
        "    config.set_memory_pool_limit(1)\n"
    )
    files = [find_in_checkout(f".typing/vsrc/{name}") for name in CALLERS]
    said = mypy(*files, wrong, stubs=stubs, cache=tmp_path)
    # The signatures themselves are machine-made, and not without errors.
    lines = [one for one in said.splitlines() if ": error:" in one and f"{stubs}" not in one]
    on_purpose = [line for line in lines if "wrong.py:6" in line]
    assert "Missing positional argument" in on_purpose[0]  # so the signatures are really read
    assert lines == on_purpose
