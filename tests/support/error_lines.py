"""The error that a command prints behind its progress."""

from __future__ import annotations


def error_line(stderr: str) -> str:
    """The last line; none before it may be an error."""
    *progress, error = stderr.strip().splitlines()
    assert error.startswith("vsrc: ")
    assert not [line for line in progress if line.startswith(("vsrc: ", "Traceback"))]
    return error
