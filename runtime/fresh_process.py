"""Ask a question of a process that has done nothing else, and hear how it gets on.

Start-up times, peak memory and latency are those of the network only in a fresh process: one that
trained or exported a moment ago has torch in memory and its thread pools awake. The request goes
to its stdin as JSON; it answers in lines of JSON on stdout:

    {"progress": {...}}                   any number of times
    {"answer": {...}}                     and the end, or
    {"error": "name", "message": "..."}   and the end
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from vsrc.runtime import errors
from vsrc.runtime.errors import VsrcError

Message = dict[str, Any]


def ask(module: str, request: Message, progress: Callable[[Message], None]) -> Message:
    """Have `main` of a module of vsrc answer in a process of its own.

    Args:
        module: Its full name; its `main` calls `answer`.
        request: What it is asked; plain JSON.
        progress: Told what it reports on the way.

    Raises:
        VsrcError: What the module raised, by its own class, or how the process ended.
        ValueError: What the module raised.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", f"from {module} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with child.stdin:
                child.stdin.write(json.dumps(request))
            found = _heard(child.stdout, progress)
        finally:
            child.kill()  # no effect on one that has ended
    if found is None:
        raise VsrcError(f"the measuring process {how_it_ended(child.returncode)}")
    return found


def answer(handle: Callable[[Message, Callable[[Message], None]], Message]) -> None:
    """Answer the one request on stdin: the other half of `ask`.

    Args:
        handle: Given the request and a function that reports progress; returns the answer.
    """
    channel = claim_stdout()

    def send(message: Message) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        found = handle(json.loads(sys.stdin.read()), lambda step: send({"progress": step}))
    except (VsrcError, ValueError) as error:
        send({"error": type(error).__name__, "message": str(error)})
    else:
        send({"answer": found})


def claim_stdout() -> TextIO:
    """A private copy of stdout; what libraries print there goes to stderr from now on."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def how_it_ended(status: int) -> str:
    """In words, from the exit status of a process that gave no answer."""
    if status == -signal.SIGKILL:
        return "was killed, as the system does when memory runs out; try a smaller --shape"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"failed with status {status}; its own words are above"


def _heard(lines: Iterable[str], progress: Callable[[Message], None]) -> Message | None:
    """What the child said last; None if it ended without a word."""
    for line in lines:
        message: Message = json.loads(line)
        if "progress" in message:
            progress(message["progress"])
        elif "answer" in message:
            found: Message = message["answer"]
            return found
        else:
            kind = getattr(errors, message["error"], ValueError)
            raise kind(message["message"])
    return None
