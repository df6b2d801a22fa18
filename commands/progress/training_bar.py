"""Progress of a training run on stderr."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vsrc.commands.progress.live_console import open_console
from vsrc.commands.progress.progress_log import ProgressLog
from vsrc.runtime.text.decibels import format_gain
from vsrc.runtime.text.quoting import printable
from vsrc.runtime.text.time_text import format_span

if TYPE_CHECKING:
    from vsrc.compressor.data.library import IngestProgress
    from vsrc.compressor.run_header import RunHeader
    from vsrc.compressor.training.progress import TrainProgress

logger = logging.getLogger(__name__)


class TrainingBar:
    """Progress bar on stderr; without a terminal, lines now and then."""

    def __enter__(self) -> TrainingBar:
        from rich.progress import BarColumn, Progress, TextColumn

        note = TextColumn("{task.fields[note]}", markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(), note)
        self._console, is_live = open_console()
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not is_live
        )
        self._task = self._progress.add_task("data", note="", total=None)
        self._progress.start()
        self._log = ProgressLog(is_on=not is_live).__enter__()
        self._source = ""
        self._has_steps = False
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._progress.disable:
            self._log.say(line)
        else:
            self._console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def announce(self, header: RunHeader) -> None:
        """Print what is going to be trained."""
        for line in header.lines():
            self.say(line)
        self._progress.update(self._task, note="opening the clips")
        self._log.start("opening the clips")

    def __call__(self, now: IngestProgress | TrainProgress) -> None:
        """Show the progress."""
        from vsrc.compressor.data.library import IngestProgress

        if isinstance(now, IngestProgress):
            self._show_data(now)
        else:
            self._show_step(now)

    def _show_data(self, now: IngestProgress) -> None:
        if now.name != self._source:
            self._source = now.name
            logger.info("%s: %d of %d clips opened", now.name, now.done, now.total)
        note = f"{now.name}, frame {now.frames}" if now.frames else now.name
        self._progress.update(self._task, completed=now.done, total=now.total, note=printable(note))
        self._log.show(f"opening the clips: {now.done} of {now.total}  {note}")

    def _show_step(self, now: TrainProgress) -> None:
        if now.notice:
            self.say(now.notice)
        note = _format_training(now)
        label = f"step {now.step}/{now.steps}"
        self._progress.update(
            self._task, description=label, completed=now.step, total=now.steps, note=note
        )
        # The first step and the last are written whatever came before.
        is_edge = not self._has_steps or now.step == now.steps
        self._has_steps = True
        (self._log.start if is_edge else self._log.show)(f"{label}  {note}")


def _format_training(now: TrainProgress) -> str:
    terms = " ".join(f"{name} {value:.4g}" for name, value in now.terms.items())
    psnr = "" if now.psnr is None else f"  PSNR {now.psnr:.2f} dB"
    if now.psnr is not None and now.bicubic_psnr is not None:
        psnr += f" ({format_gain(now.psnr - now.bicubic_psnr)} against bicubic)"
    return (
        f"loss {now.loss:.4g} ({terms}){psnr}  {now.images_per_second:.1f} images/s  "
        f"data {now.wait_share:.0%}  ETA {format_span(now.eta_seconds)}"
    )
