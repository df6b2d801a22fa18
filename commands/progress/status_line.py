"""One changing line on stderr while a job runs."""

from __future__ import annotations

import logging

from vsrc.commands.progress.live_console import open_console
from vsrc.commands.progress.progress_log import ProgressLog
from vsrc.runtime.text.quoting import printable

logger = logging.getLogger(__name__)


class StatusLine:
    """One updated line on stderr while a job runs; without a terminal, lines: the first at once."""

    def __enter__(self) -> StatusLine:
        console, is_live = open_console()
        self._status = console.status("starting")
        if is_live:
            self._status.start()
        self._log = ProgressLog(is_on=not is_live).__enter__()
        self._step = ""
        self._has_begun = False
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self._status.stop()

    def __call__(self, step: str, detail: str = "") -> None:
        """Show the current step.

        Args:
            step: Name of the step; logged when it changes.
            detail: Progress within the step.
        """
        if step != self._step:
            self._step = step
            logger.info("%s", step)
        from rich.text import Text  # a plain string would be read as markup

        text = f"{step} {detail}".rstrip()
        self._status.update(Text(printable(text)))
        (self._log.show if self._has_begun else self._log.start)(text)
        self._has_begun = True
