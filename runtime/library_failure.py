"""Turn exceptions of libraries into one line about the file that was handled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vsrc.runtime.errors import MediaError, VsrcError, describe_error

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
        raise MediaError(f"{name} cannot be processed: {describe_error(error)}") from error
