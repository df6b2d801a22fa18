"""Progress of upscaling on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsrc.runtime.jobs.cluster import ClusterProgress
    from vsrc.runtime.jobs.result import InferProgress


class InferBar:
    """One line per input and, on a terminal, a bar with frames/s and ETA; on stderr."""

    def __enter__(self) -> InferBar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]:.1f} fps  ETA"),
            Remaining(),
        )
        console = Console(stderr=True)
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=None, fps=0.0)
        self.shown: set[str] = set()
        self._nodes = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, now: InferProgress) -> None:
        """Show the progress."""
        if now.done == 0:
            self.shown.update(now.notes)
            for line in (now.headline, *now.notes):
                self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
            self._progress.start()
            self._progress.reset(self._task, total=now.total, fps=0.0)
            return
        fps = now.done / max(now.seconds, 1e-9)
        self._progress.update(self._task, completed=now.done, fps=fps)

    def of_cluster(self, now: ClusterProgress) -> None:
        """Show the progress on a cluster; one line whenever the number of nodes changes."""
        if now.nodes != self._nodes:
            self._nodes = now.nodes
            line = f"{now.tasks_done} of {now.tasks} tasks done; {now.nodes} nodes"
            self._progress.console.print(line, highlight=False)
            self._progress.start()
            self._progress.reset(self._task, total=now.total, fps=0.0)
        fps = now.done / max(now.seconds, 1e-9)
        self._progress.update(self._task, completed=now.done, fps=fps)
