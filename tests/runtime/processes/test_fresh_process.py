from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vsrc.runtime.errors import SpecError, VsrcError
from vsrc.runtime.processes import fresh_process
from vsrc.runtime.processes.child_process import PythonChild, prepare_child
from vsrc.runtime.processes.fresh_process import Message, ask

ANSWER = "from vsrc.runtime.processes.fresh_process import answer\n"

Run = Callable[[str], Message]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Asks a process that runs some code in place of a module of vsrc."""

    def ask_code(code: str) -> Message:
        monkeypatch.setattr(fresh_process, "prepare_child", lambda _: prepare_child(code))
        return ask("some.module", {"a": 1}, lambda _step: None)

    return ask_code


def test_what_a_library_prints_does_not_reach_the_answer() -> None:
    code = (
        "from vsrc.runtime.processes import fresh_process; import os, sys\n"
        "channel = fresh_process.claim_stdout()\n"
        "os.write(1, b'a library speaks'); print('so does Python', flush=True)\n"
        "channel.write('the answer'); channel.flush()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"the answer"
    assert b"a library speaks" in done.stderr


def test_an_answer_comes_back_whatever_was_printed_before(run: Run) -> None:
    code = f"print('a site greets')\nprint(1)\n{ANSWER}answer(lambda request, tell: request)"
    assert run(code) == {"a": 1}


def test_errors_of_vsrc_keep_their_class(run: Run) -> None:
    code = (
        "from vsrc.runtime.errors import SpecError\n"
        f"{ANSWER}def refuse(request, tell): raise SpecError('no such graph')\nanswer(refuse)"
    )
    with pytest.raises(SpecError, match=r"^no such graph$"):
        run(code)


def test_a_process_that_cannot_start_is_explained() -> None:
    # This module has no `main`.
    with pytest.raises(VsrcError, match=r"status 1: ImportError: .*'main'"):
        ask("vsrc.runtime.report.interval", {}, lambda _step: None)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("open(1, no_such=2)", r"status 1: TypeError: .*'no_such'"),
        ("import no_such", r"status 1: ModuleNotFoundError: .*'no_such'"),
        ("import os; os._exit(3)", "status 3 "),
        (
            "import os; os.kill(os.getpid(), 9)",
            "SIGKILL ",
        ),
        ("import ctypes; ctypes.string_at(0)", r"SIGSEGV .* in string_at$"),
        ("raise MemoryError", "status 1: MemoryError .*--shape"),
    ],
)
def test_a_process_that_dies_at_work_is_described_by_what_it_said(
    body: str, expected: str, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    code = f"{ANSWER}def work(request, tell):\n    {body}\nanswer(work)"
    with pytest.raises(VsrcError, match=expected) as caught:
        run(code)
    assert ("out of memory" in str(caught.value)) == ("MemoryError" in body)
    if "status 1" in expected:
        assert "Traceback" in capfd.readouterr().err


def test_a_process_that_does_not_read_is_described_by_how_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import sys; sys.exit('not today')"
    monkeypatch.setattr(fresh_process, "prepare_child", lambda _: prepare_child(code))
    with pytest.raises(VsrcError, match="status 1: not today"):
        ask("some.module", {"more than a pipe holds": "x" * 1_000_000}, lambda _step: None)


def test_the_half_of_a_message_is_not_an_answer(run: Run) -> None:
    code = "import os; os.write(1, b'{\"answer\": {\"a'); os.write(2, b'gave up\\n'); os._exit(7)"
    with pytest.raises(VsrcError, match="status 7: gave up"):
        run(code)


def test_a_process_that_goes_on_without_an_answer_is_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_process, "_END_SECONDS", 1)
    with pytest.raises(VsrcError, match="1 seconds"):
        run("import os, time; os.close(1); time.sleep(600)")


def test_a_program_that_is_not_there_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = PythonChild([str(tmp_path / "none")], {})
    monkeypatch.setattr(fresh_process, "prepare_child", lambda _: child)
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    with pytest.raises(FileNotFoundError):
        ask("some.module", {}, lambda _step: None)
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before
