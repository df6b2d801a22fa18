"""One changing line on stderr while a job runs."""

from __future__ import annotations


class StatusLine:
    """One changing line on stderr while a job runs; nothing where stderr is no terminal."""

    def __enter__(self) -> StatusLine:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, words: str) -> None:
        """Show these words."""
        self._status.update(words)
