"""Progress of `vsrc shard` on stderr."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsrc.compressor.data.library import IngestProgress
    from vsrc.compressor.shard import ShardProgress

_REPORT_EVERY = 100
"""Number of sources between two lines while clips are decoded."""


class ShardBar:
    """Print the disk space needed, then a line for each file."""

    def __init__(self) -> None:
        self._said_size = False
        self._started = time.monotonic()

    def __call__(self, now: IngestProgress | ShardProgress) -> None:
        """Print the progress."""
        from vsrc.compressor.data.library import IngestProgress

        seconds = time.monotonic() - self._started
        if isinstance(now, IngestProgress):
            if not now.frames and now.done % _REPORT_EVERY == 0:
                click.echo(f"opened {now.done} of {now.total} clips, {seconds:.0f} s", err=True)
            return
        if not self._said_size:
            click.echo(f"the shards take {now.size_bytes / 1e9:.3g} GB of disk", err=True)
            self._said_size = True
        click.echo(f"{now.kind} {now.done} of {now.total}, {seconds:.0f} s", err=True)
