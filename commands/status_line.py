"""One changing line on stderr while a job runs."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class StatusLine:
    """One updated line on stderr while a job runs; without a terminal, a log of steps."""

    def __enter__(self) -> StatusLine:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._status.start()
        self._step = ""
        return self

    def __exit__(self, *_: object) -> None:
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
        self._status.update(f"{step} {detail}".rstrip())
