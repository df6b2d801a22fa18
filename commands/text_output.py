"""Output of text on stdout and stderr; nothing foreign in it reaches the terminal as it is."""

from __future__ import annotations

import logging
from typing import Any

import click


def echo(text: object, *, err: bool = False) -> None:
    """Print lines of text.

    What is foreign in a text of several lines must be `quoted` before: a line break in a name would
    make a line of its own.
    """
    from vsrc.runtime.text.quoting import printable_lines

    click.echo(printable_lines(text), err=err)


def echo_line(text: object, *, err: bool = False) -> None:
    """Print one line, in which line breaks are escaped, too."""
    from vsrc.runtime.text.quoting import printable

    click.echo(printable(text), err=err)


class PrintableFormatter(logging.Formatter):
    """Formats a log record with a message of one line; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  as logging calls it
        """Format the message."""
        from vsrc.runtime.text.quoting import printable

        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401  as logging calls it
        """Format a traceback."""
        from vsrc.runtime.text.quoting import printable_lines

        return printable_lines(super().formatException(ei))
