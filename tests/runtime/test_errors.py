"""Errors of libraries in the words of one line."""

from __future__ import annotations

import pytest

from vsrc.runtime.errors import describe_error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("a"), "KeyError: 'a'"),
        (ValueError(" one\n\ttwo "), "ValueError: one two"),
        (StopIteration(), "StopIteration"),
        (MemoryError(), "out of memory"),
        (MemoryError("894 GiB"), "MemoryError: 894 GiB"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (FileNotFoundError(2, "No such file", "a\nb.mp4"), "No such file: a b.mp4"),
        (OSError("odd"), "OSError: odd"),
    ],
)
def test_an_exception_is_one_line_with_its_cause(error: Exception, text: str) -> None:
    assert describe_error(error) == text


def test_a_long_message_is_cut() -> None:
    assert len(describe_error(ValueError("a" * 10**6))) < 400
