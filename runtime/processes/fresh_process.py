"""Run a request in a fresh process and receive its progress and answer.

Start-up time, peak memory and latency are those of the network only in a fresh process: one that
has just trained or exported has torch in memory and active thread pools. The request is sent to its
stdin as JSON; it replies with lines of JSON on stdout:

    {"progress": {...}}                   any number of times
    {"answer": {...}}                     last line, or
    {"error": "name", "message": "..."}   last line
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from vsrc.runtime import errors
from vsrc.runtime.errors import StoppedError, VsrcError
from vsrc.runtime.memory import oom_kills, oom_kills_since
from vsrc.runtime.processes.child_process import PythonChild, prepare_child
from vsrc.runtime.processes.parent_watch import end_with_parent
from vsrc.runtime.processes.process_end import describe_end
from vsrc.runtime.processes.stop_signal import ignore_stop_signals, raise_on_stop_signal
from vsrc.runtime.processes.stop_watch import watch_stop_signals

Message = dict[str, Any]

_KEPT_LINES = 200
"""Number of last lines of stderr to keep; Python's report of a crash has some dozens."""

_END_SECONDS = 30
"""Timeout for a process to end that has closed stdout without an answer, seconds."""

_STOP_SECONDS = 1.5
"""Timeout for a terminated process to remove its temporary files, seconds."""


def ask(
    module: str,
    request: Message,
    progress: Callable[[Message], None],
    *,
    seconds: float | None = None,
) -> Message:
    """Run `main` of a module of vsrc in a new process, and return its answer.

    What the process writes to stderr is forwarded.

    Args:
        module: Full name of the module, whose `main` calls `answer`.
        request: Request, plain JSON.
        progress: Function called with each progress report.
        seconds: Time limit, after which the process and those that it started are killed; None
            for none.

    Raises:
        VsrcError: Raised in the module, with the same class; or the process ended otherwise.
        ValueError: Raised in the module.
    """
    # Ctrl+C at a terminal reaches the child, too; while it imports, it must not print a traceback.
    quiet = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
    child = prepare_child(f"{quiet}; from {module} import main; main()")
    before = oom_kills()
    limited = seconds is not None
    with (
        _Stderr() as stderr,
        _started(child, stderr, has_session=limited) as process,
        _limited(process, seconds) as limit,
    ):
        stderr.let_go()
        try:
            _send(process, request)
            reply = _answer_of(process, progress)
            if reply is not None:
                return reply
            # An exception closes the child's stdout before its traceback is written.
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise VsrcError(
                f"the measuring process gave no answer, and did not end in {_END_SECONDS} seconds"
            ) from None
        except KeyboardInterrupt:
            process.terminate()  # it removes its temporary files
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            raise
        finally:
            process.kill()  # no effect on one that has ended
    if limit.is_over:
        raise VsrcError(f"the measuring process gave no answer within {seconds:.0f} seconds")
    end = describe_end(process.returncode, stderr.text(), oom_kills=oom_kills_since(before))
    raise VsrcError(f"the measuring process {end}")


def answer(handle: Callable[[Message, Callable[[Message], None]], Message]) -> None:
    """Answer the request on stdin; the counterpart of `ask`, for the child process.

    Args:
        handle: Function of the request and a progress callback that returns the answer.
    """
    end_with_parent()
    channel = claim_stdout()
    faulthandler.enable()  # so that a crash of native code prints where it happened

    def send(message: Message) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        with watch_stop_signals(), raise_on_stop_signal():
            try:
                result = handle(json.loads(sys.stdin.read()), lambda step: send({"progress": step}))
            except KeyboardInterrupt:
                ignore_stop_signals()
                raise
    except KeyboardInterrupt:
        sys.exit(StoppedError.exit_status)
    except (VsrcError, ValueError) as error:
        send({"error": type(error).__name__, "message": str(error)})
    else:
        send({"answer": result})


def claim_stdout() -> TextIO:
    """Return a private copy of stdout, and redirect what libraries print to stderr from now on."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


class _Stderr:
    """Forwards what a process writes to stderr, and keeps the last lines.

    Attributes:
        write_end: File descriptor for the process; open in this process until `let_go`.
    """

    def __init__(self) -> None:
        read_end, self.write_end = os.pipe()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._thread = threading.Thread(target=self._run, args=(read_end,), daemon=True)
        self._thread.start()

    def __enter__(self) -> _Stderr:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all output of the process is forwarded."""
        self.let_go()
        self._thread.join(_END_SECONDS)  # a child of the process may hold the pipe open

    def let_go(self) -> None:
        """Close the write end in this process."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def text(self) -> str:
        """Return the last lines."""
        return "".join(self._lines)

    def _run(self, read_end: int) -> None:
        with os.fdopen(read_end, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._lines.append(line)
                sys.stderr.write(line)


class _Limit:
    """Whether the time limit of a process is over."""

    is_over = False


@contextlib.contextmanager
def _limited(process: subprocess.Popen[str], seconds: float | None) -> Iterator[_Limit]:
    """Kill a process that leads a session, and what it started, when its time is over."""
    limit = _Limit()

    def end() -> None:
        limit.is_over = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end) if seconds is not None else None
    if timer is not None:
        timer.start()
    try:
        yield limit
    finally:
        if timer is not None:
            timer.cancel()


def _started(child: PythonChild, stderr: _Stderr, *, has_session: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        child.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr.write_end,
        env=child.environment,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=has_session,
    )


def _send(process: subprocess.Popen[str], request: Message) -> None:
    assert process.stdin is not None
    # A process that has already ended does not read; how it ended is reported instead.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(request))


def _answer_of(
    process: subprocess.Popen[str], progress: Callable[[Message], None]
) -> Message | None:
    """Return the answer of a process; None if it closes its stdout without an answer."""
    assert process.stdout is not None
    for line in process.stdout:
        message = _message(line)
        if "progress" in message:
            progress(message["progress"])
        elif "answer" in message:
            found: Message = message["answer"]
            return found
        elif "error" in message:
            kind = getattr(errors, message["error"], ValueError)
            raise kind(message["message"])
        else:  # printed before stdout was claimed, or an incomplete message
            sys.stderr.write(line)
    return None


def _message(line: str) -> Message:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
