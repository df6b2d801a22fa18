"""Progress of a calibration on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsrc.calibration.progress import CalibrationProgress

logger = logging.getLogger(__name__)

_WORDS = {
    "survey": "looking through clips",
    "feed": "feeding windows",
    "sensitivity": "one convolution at a time",
    "choose": "choosing what stays float",
}


class CalibrationBar:
    """Progress bar per stage on a terminal; elsewhere a log of stages."""

    def __enter__(self) -> CalibrationBar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}  ETA"),
            Remaining(),
        )
        console = Console(stderr=True)
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", note="", total=None)
        self._stage = ""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, now: CalibrationProgress) -> None:
        """Show the progress."""
        total = now.total or None
        if now.stage != self._stage:
            logger.info("%s", _WORDS[now.stage])
        if now.stage != self._stage or (now.stage == "survey" and now.done == 0):
            self._stage = now.stage
            self._progress.reset(self._task, total=total, description=_WORDS[now.stage], note="")
        self._progress.update(self._task, completed=now.done, total=total, note=now.name)
