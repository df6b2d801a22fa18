"""Describe how a process ended, from its exit status and its stderr."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|bad allocation|cannot allocate memory|out of memory"
    r"|failed to allocate memory|unable to allocate",
    re.IGNORECASE,
)

_IS_MEMORY_ERROR = re.compile(
    r"[\w.]*MemoryError\b|RuntimeError: .*(out of memory|failed to allocate)", re.IGNORECASE
)
"""Beginning of the line of an exception for lack of memory."""

_FATAL = "Fatal Python error: "


def describe_end(status: int, stderr: str, *, oom_kills: int | None = None) -> str:
    """Describe how a process ended without an answer, as the predicate of a sentence.

    Args:
        status: Exit status; the negative signal number if a signal ended it.
        stderr: Text that it wrote to stderr.
        oom_kills: Number of OOM kills by the kernel meanwhile; None if unknown.
    """
    words = _last_words(stderr, status)
    text = f"{_ending(status)}: {words}" if words else f"{_ending(status)} and wrote no message"
    is_exception = status > 0 and bool(_exception(stderr.splitlines()))
    is_out_of_memory = _OUT_OF_MEMORY.search(words) and (
        not is_exception or _IS_MEMORY_ERROR.match(words)
    )
    if is_out_of_memory or (status == -signal.SIGKILL and oom_kills):
        return f"{text} (out of memory: close other programs, or use smaller frames, --shape)"
    if status == -signal.SIGKILL:
        count = "unknown" if oom_kills is None else "none"
        return f"{text} (sent by another process; kills by the kernel for lack of memory: {count})"
    return text


def _ending(status: int) -> str:
    if status == 0:
        return "ended without an answer"
    if status > 0:
        return f"failed with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # real-time signals have no names
        return f"was ended by signal {-status}"
    meaning = signal.strsignal(-status)
    return f"was ended by {name}" + (f" ({meaning.lower()})" if meaning else "")


def _last_words(stderr: str, status: int) -> str:
    """Return the line that says why the process ended; empty if there is none.

    Usually the last one. A crash reported by `faulthandler`, or an exception that ended the
    process, is named further up.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(_FATAL)]
    if fatal:
        return fatal[-1].removeprefix(_FATAL) + _place(lines)
    exception = _exception(stderr.splitlines()) if status > 0 else ""
    return exception or (lines[-1] if lines else "")


def _exception(lines: Sequence[str]) -> str:
    """Return the first line of the exception of the last traceback; empty if there is none."""
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    if not starts:
        return ""
    for line in lines[starts[-1] + 1 :]:
        if line and not line[0].isspace():
            return line.strip()
    return ""


def _place(lines: Sequence[str]) -> str:
    """Return the position of the crashed thread, as printed by `faulthandler`."""
    for at, line in enumerate(lines[:-1]):
        if line.startswith("Current thread"):
            return ", at " + lines[at + 1] if lines[at + 1].startswith("File ") else ""
    return ""
