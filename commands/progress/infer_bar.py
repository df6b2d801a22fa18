"""Progress of upscaling on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.commands.progress.live_console import open_console
from vsrc.commands.progress.progress_log import ProgressLog
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.quoting import printable
from vsrc.runtime.text.time_text import format_span

if TYPE_CHECKING:
    from vsrc.runtime.jobs.cluster import ClusterProgress
    from vsrc.runtime.jobs.result import InferProgress


class InferBar:
    """A line per input, then a bar with frames/s and ETA; without a terminal, lines now and then.

    Attributes:
        shown: Notes that were printed at the start of an input.
    """

    def __enter__(self) -> InferBar:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
        console, is_live = open_console()
        self._progress = Progress(*columns, console=console, transient=True, disable=not is_live)
        self._task = self._progress.add_task("", total=None, pace="")
        self._log = ProgressLog(is_on=not is_live).__enter__()
        self.shown: set[str] = set()
        self._nodes = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self._progress.stop()

    def __call__(self, now: InferProgress) -> None:
        """Show the progress."""
        if now.done == 0:
            self.shown.update(now.notes)
            for line in (now.headline, *now.notes):
                self._say(line)
            self._begin(now.total)
            return
        pace = _format_pace(now.fps, now.eta_seconds)
        self._progress.update(self._task, completed=now.done, pace=pace)
        self._log.show(f"{now.input}: {_format_count(now.done, now.total)}  {pace}")

    def of_cluster(self, now: ClusterProgress) -> None:
        """Show the progress on a cluster; one line whenever the number of nodes changes."""
        tasks = f"{now.tasks_done} of {now.tasks} tasks done; {now.nodes} nodes"
        if now.nodes != self._nodes:
            self._nodes = now.nodes
            self._say(tasks)
            self._begin(now.total)
        fps = now.done / max(now.seconds, 1e-9)
        pace = _format_pace(fps, (now.total - now.done) / fps if fps and now.total else None)
        self._progress.update(self._task, completed=now.done, pace=pace)
        self._log.show(f"{tasks}; {_format_count(now.done, now.total)}  {pace}")

    def _say(self, line: str) -> None:
        """Print a line above the bar, or as the start of the log."""
        self._progress.console.print(printable(line), highlight=False, markup=False, soft_wrap=True)
        self._log.restart()

    def _begin(self, total: int | None) -> None:
        self._progress.start()
        self._progress.reset(self._task, total=total, pace="")


def _format_count(done: int, total: int | None) -> str:
    return f"{done} of {total} frames" if total else count_text(done, "frame")


def _format_pace(fps: float | None, eta_seconds: float | None) -> str:
    if not fps:
        return ""
    eta = "" if eta_seconds is None else f"  ETA {format_span(eta_seconds)}"
    return f"{fps:.3g} fps{eta}"
