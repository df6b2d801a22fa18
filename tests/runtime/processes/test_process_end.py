from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from vsrc.runtime.processes.process_end import describe_end


def ended(code: str) -> str:
    """What is said of a process that really ran the code."""
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return describe_end(done.returncode, done.stderr, oom_kills=0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise TypeError('no argument x')", "failed with status 1: TypeError: no argument x"),
        ("import os; os._exit(3)", "failed with status 3 and wrote no message"),
        ("pass", "ended without an answer and wrote no message"),
        ("import sys; sys.exit('no such model')", "failed with status 1: no such model"),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
            "failed with status 1: KeyError: 'k'",
        ),
        (
            "import os, sys\nprint('a warning', file=sys.stderr, flush=True)\nos.kill(0, 15)",
            "was ended by SIGTERM (terminated): a warning",
        ),
    ],
)
def test_the_end_is_told_by_its_status_and_last_words(code: str, expected: str) -> None:
    code = f"import os; os.setpgid(0, 0)\n{code}"  # `os.kill(0, ...)` ends its own group alone
    assert ended(code) == expected


def test_what_is_written_after_a_traceback_is_not_the_reason() -> None:
    code = (
        "import atexit, sys\natexit.register(lambda: print('bye', file=sys.stderr))\n"
        "raise RuntimeError('the reason')"
    )
    assert ended(code) == "failed with status 1: RuntimeError: the reason"


def test_a_crash_of_native_code_is_placed() -> None:
    said = ended("import ctypes\ndef encode():\n    ctypes.string_at(0)\nencode()")
    assert "SIGSEGV (segmentation fault): Segmentation fault, at File" in said
    assert said.endswith("in string_at")


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    number = signal.SIGRTMIN + 3
    assert f"signal {number} " in describe_end(-number, "")


@pytest.mark.parametrize(
    ("status", "said", "oom_kills"),
    [
        (-signal.SIGKILL, "", 1),
        (1, "Traceback (most recent call last):\n  ...\nMemoryError\n", 0),
        (1, "Traceback (most recent call last):\n  ...\nnumpy.MemoryError: Unable to allocate", 0),
        (-signal.SIGABRT, "terminate called after ...\n  what():  std::bad_alloc\n", None),
    ],
)
def test_memory_is_blamed_on_evidence(status: int, said: str, oom_kills: int | None) -> None:
    assert "(out of memory: close" in describe_end(status, said, oom_kills=oom_kills)


@pytest.mark.parametrize(
    ("status", "said", "oom_kills"),
    [
        (-signal.SIGKILL, "", 0),
        (-signal.SIGKILL, "", None),
        (-signal.SIGSEGV, "", 1),  # another process of the machine ran out of memory
        (1, "TypeError: open() got an unexpected keyword argument", 1),
        (
            1,
            "Traceback (most recent call last):\n  ...\nKeyError: 'out of memory'\n",
            0,
        ),
    ],
)
def test_memory_is_not_blamed_without(status: int, said: str, oom_kills: int | None) -> None:
    assert "(out of memory: close" not in describe_end(status, said, oom_kills=oom_kills)
