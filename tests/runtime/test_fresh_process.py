from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.fresh_process import ask, how_it_ended


def test_a_child_that_died_is_explained() -> None:
    assert "memory runs out" in how_it_ended(-signal.SIGKILL)
    assert "SIGSEGV" in how_it_ended(-signal.SIGSEGV)
    assert "status 3" in how_it_ended(3)


def test_what_a_library_prints_does_not_reach_the_answer() -> None:
    code = (
        "from vsrc.runtime import fresh_process; import os, sys\n"
        "channel = fresh_process.claim_stdout()\n"
        "os.write(1, b'a library speaks'); print('so does Python', flush=True)\n"
        "channel.write('the answer'); channel.flush()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"the answer"
    assert b"a library speaks" in done.stderr


def test_a_process_that_says_nothing_is_an_error() -> None:
    # This module has no `main`, so the process ends with Python's status for an error.
    with pytest.raises(VsrcError, match="failed with status 1"):
        ask("vsrc.runtime.interval", {}, lambda _step: None)
