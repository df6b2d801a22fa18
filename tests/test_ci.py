"""CI is written once, in .ci/: the workflows call its steps and add none of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps_of_run() -> list[str]:
    """The scripts that .ci/run calls, in order."""
    return re.findall(r"^step (\.ci/\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in WORKFLOWS:
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return found


def test_the_workflows_run_the_steps_of_ci_and_nothing_else() -> None:
    lines = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    called = [shlex.split(line)[0] for line in lines if "\n" not in line]
    assert len(called) == len(lines)
    assert set(called) == set(steps_of_run())


def test_every_step_is_a_program() -> None:
    assert steps_of_run()
    for step in steps_of_run():
        assert os.access(ROOT / step, os.X_OK), step


def test_the_matrix_has_every_python_of_the_metadata() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert jobs()["suite"]["strategy"]["matrix"]["python"] == named
    assert sorted(jobs()["wheel"]["steps"][1]["with"]["python-version"].split()) == sorted(named)


def test_a_python_that_is_missing_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / ".ci" / "find_python", "2.99"],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no Python 2.99" in done.stderr


def test_a_name_on_the_path_that_leads_nowhere_is_not_taken(tmp_path: Path) -> None:
    shim = tmp_path / "python2.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    python = tmp_path / ".pyenv" / "versions" / "2.99.1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) ;; *) echo "$0" ;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "find_python", "2.99"],
        env={**os.environ, "HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(python)


def test_the_run_ends_at_the_first_step_that_fails(tmp_path: Path) -> None:
    ci = tmp_path / ".ci"
    ci.mkdir()
    (ci / "run").write_text((ROOT / ".ci" / "run").read_text())
    for number, step in enumerate(steps_of_run()):
        status = 3 if number == 2 else 0
        (tmp_path / step).write_text(f"#!/bin/sh\necho step {number}\nexit {status}\n")
        (tmp_path / step).chmod(0o755)
    run = ["bash", str(ci / "run")]
    failed = subprocess.run(run, capture_output=True, text=True, check=False)
    assert failed.returncode == 3
    assert "step 2" in failed.stdout
    assert "step 3" not in failed.stdout
    (tmp_path / steps_of_run()[2]).write_text("#!/bin/sh\necho '== 7 passed in 1.20s =='\n")
    passed = subprocess.run(run, capture_output=True, text=True, check=False)
    assert passed.returncode == 0
    assert passed.stdout.splitlines()[-1] == "== 7 passed in 1.20s =="
    (tmp_path / steps_of_run()[2]).write_text("#!/bin/sh\n")  # a run that tried no test has failed
    assert subprocess.run(run, capture_output=True, check=False).returncode != 0
