"""Turn exceptions of libraries into one line about the file that was handled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vsrc.runtime.errors import MediaError, VsrcError

logger = logging.getLogger(__name__)


@contextmanager
def library_failures_named(name: str) -> Iterator[None]:
    """Turn any exception of a library, whatever its type, into one line about a file.

    Errors of our own and missing packages pass unchanged; `vsrc -v` logs the others in full.

    Raises:
        MediaError: Replaces any other exception.
    """
    try:
        yield
    except (VsrcError, ModuleNotFoundError):
        raise
    except Exception as error:
        logger.info("%s failed", name, exc_info=True)
        raise MediaError(f"{name} cannot be processed: {describe_exception(error)}") from error


def describe_exception(error: Exception) -> str:
    """Describe an exception of a library in one line: its type, unless that says nothing."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"memory ran out ({text})" if text else "memory ran out"
    return f"{text} ({type(error).__name__})" if text else type(error).__name__
