"""Describes how a process ended, from its exit status and what it wrote to stderr."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|bad allocation|cannot allocate memory|out of memory"
    r"|failed to allocate memory|unable to allocate",
    re.IGNORECASE,
)

_FATAL = "Fatal Python error: "


def describe_end(status: int, said: str, *, oom_kills: int | None = None) -> str:
    """How a process ended without an answer: the predicate of a sentence.

    Args:
        status: Its exit status; the negative number of the signal that ended it.
        said: What it wrote to stderr.
        oom_kills: Processes that the kernel ended for memory meanwhile; None if it does not say.
    """
    words = _last_words(said, status)
    text = f"{_ending(status)}: {words}" if words else f"{_ending(status)} and wrote no message"
    if _OUT_OF_MEMORY.search(words) or (status == -signal.SIGKILL and oom_kills):
        return f"{text} (memory ran out: close other programs, or use smaller frames, --shape)"
    if status == -signal.SIGKILL:
        count = "keeps no count" if oom_kills is None else "counted none"
        return f"{text} (sent from outside; of processes ended for memory the kernel {count})"
    return text


def _ending(status: int) -> str:
    if status == 0:
        return "ended without an answer"
    if status > 0:
        return f"failed with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # real-time signals have numbers alone
        return f"was ended by signal {-status}"
    meaning = signal.strsignal(-status)
    return f"was ended by {name}" + (f" ({meaning.lower()})" if meaning else "")


def _last_words(said: str, status: int) -> str:
    """The line that says why the process ended; empty if it wrote none.

    As a rule the last one. A crash that Python reports (`faulthandler`) is named further up, and so
    is an exception, if that ended the process.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(_FATAL)]
    if fatal:
        return fatal[-1].removeprefix(_FATAL) + _place(lines)
    exception = _exception(said.splitlines()) if status > 0 else ""
    return exception or (lines[-1] if lines else "")


def _exception(lines: Sequence[str]) -> str:
    """First line of the exception of the last traceback; empty if there is none."""
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    if not starts:
        return ""
    for line in lines[starts[-1] + 1 :]:
        if line and not line[0].isspace():
            return line.strip()
    return ""


def _place(lines: Sequence[str]) -> str:
    """Where the thread that crashed was, as `faulthandler` prints it."""
    for at, line in enumerate(lines[:-1]):
        if line.startswith("Current thread"):
            return ", at " + lines[at + 1] if lines[at + 1].startswith("File ") else ""
    return ""
