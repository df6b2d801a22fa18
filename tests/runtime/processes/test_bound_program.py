"""Programs of others end with the process that runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from vsrc.runtime.processes.bound_program import bound_to_parent

PARENT = """
import subprocess, sys
from vsrc.runtime.processes.bound_program import bound_to_parent
code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
subprocess.run(bound_to_parent([sys.executable, "-c", code]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the signal is Linux's")
def test_a_program_ends_with_a_killed_parent() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        program = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        program.wait(timeout=60)


def test_a_program_is_what_it_is_without(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['A'], sys.argv[1:]); sys.exit(7)"
    done = subprocess.run(
        bound_to_parent([sys.executable, "-c", code, "-x", "a b"]),
        cwd=tmp_path,
        env={"A": "kept"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, f"{tmp_path} kept ['-x', 'a b']\n")
