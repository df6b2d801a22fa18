"""Progress of a calibration on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vsrc.commands.progress.live_console import open_console
from vsrc.commands.progress.progress_log import ProgressLog
from vsrc.runtime.text.quoting import printable

if TYPE_CHECKING:
    from vsrc.calibration.progress import CalibrationProgress

logger = logging.getLogger(__name__)

_WORDS = {
    "survey": "scanning clips",
    "feed": "running windows",
    "sensitivity": "measuring each convolution",
    "choose": "choosing float layers",
}


class CalibrationBar:
    """Progress bar per stage on a terminal; elsewhere lines now and then.

    Args:
        headline: Line to print when the work begins: not before what it needs was found.
    """

    def __init__(self, headline: str) -> None:
        self._headline = headline

    def __enter__(self) -> CalibrationBar:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}  ETA"),
            Remaining(),
        )
        console, is_live = open_console()
        self._progress = Progress(*columns, console=console, transient=True, disable=not is_live)
        self._task = self._progress.add_task("", note="", total=None)
        self._log = ProgressLog(is_on=not is_live).__enter__()
        self._stage = ""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self._progress.stop()

    def __call__(self, now: CalibrationProgress) -> None:
        """Show the progress."""
        if self._headline:
            self._begin(printable(self._headline))
            self._headline = ""
        total = now.total or None
        words = _WORDS[now.stage]
        if now.stage != self._stage:
            logger.info("%s", words)
        if now.stage != self._stage or (now.stage == "survey" and now.done == 0):
            self._stage = now.stage
            self._progress.reset(self._task, total=total, description=words, note="")
        name = f"{now.clip} of {now.clips}  {now.name}, frame" if now.clips else now.name
        self._progress.update(self._task, completed=now.done, total=total, note=printable(name))
        count = f"{now.done} of {total}" if total else str(now.done)
        text = f"{name} {count}" if now.clips else f"{count}  {name}"
        self._log.show(f"{words}: {text}".rstrip())

    def _begin(self, line: str) -> None:
        if self._progress.disable:
            self._log.start(line)
        else:
            self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
