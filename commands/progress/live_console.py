"""Whether progress can be drawn on stderr, or has to be written as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def open_console() -> tuple[Console, bool]:
    """Open a console on stderr.

    Returns:
        The console, and whether a line on it can be drawn again: not in files and pipes, and not on
        terminals that know no escape sequences (`TERM=dumb`).
    """
    from rich.console import Console

    console = Console(stderr=True)
    return console, console.is_terminal and not console.is_dumb_terminal
