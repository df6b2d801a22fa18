"""Progress of a training run on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsrc.compressor.data.library import IngestProgress
    from vsrc.compressor.training.progress import TrainProgress

logger = logging.getLogger(__name__)


class TrainingBar:
    """Progress bar on stderr; without a terminal a line every 5 % of the run."""

    def __enter__(self) -> TrainingBar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._console = Console(stderr=True)
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task("data", note="", total=None)
        self._progress.start()
        self._source = ""
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, highlight=False)

    def __call__(self, now: IngestProgress | TrainProgress) -> None:
        """Show the progress."""
        from vsrc.compressor.data.library import IngestProgress

        if isinstance(now, IngestProgress):
            if now.name != self._source:
                self._source = now.name
                logger.info("%s: %d of %d sources decoded", now.name, now.done, now.total)
            note = f"{now.name}, frame {now.frames}" if now.frames else now.name
            self._progress.update(self._task, completed=now.done, total=now.total, note=note)
            return
        if now.notice:
            self.say(now.notice)
        note = _format_training(now)
        label = f"step {now.step}/{now.steps}"
        self._progress.update(
            self._task, description=label, completed=now.step, total=now.steps, note=note
        )
        if not self._console.is_terminal and now.step % max(now.steps // 20, 1) == 0:
            click.echo(f"{label}  {note}", err=True)


def _format_training(now: TrainProgress) -> str:
    terms = " ".join(f"{name} {value:.4g}" for name, value in now.terms.items())
    psnr = "" if now.psnr is None else f"  PSNR {now.psnr:.2f} dB"
    if now.psnr is not None and now.bicubic_psnr is not None:
        psnr += f" ({now.psnr - now.bicubic_psnr:+.2f} over bicubic)"
    minutes, seconds = divmod(round(now.eta_seconds), 60)
    return (
        f"loss {now.loss:.4g} ({terms}){psnr}  {now.images_per_second:.1f} images/s  "
        f"data {now.wait_share:.0%}  ETA {minutes}:{seconds:02d}"
    )
