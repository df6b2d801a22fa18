"""Progress as lines on stderr, where it is not a terminal: in files, pipes and job logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from vsrc.commands.text_output import echo_line
from vsrc.runtime.text.time_text import format_span

SHORTEST_SECONDS = 10.0
"""Least time between two lines; it doubles with each line."""

LONGEST_SECONDS = 60.0
"""Most time between two lines, even if nothing has changed."""

_TICK_SECONDS = 1.0


def write_line(text: str) -> None:
    """Write a line of progress to stderr."""
    echo_line(text, err=True)


class ProgressLog:
    """Lines of progress: one at the start, then 10 s apart, then up to 60 s apart.

    As a context manager it also writes a line every 60 s while nothing is reported.

    Args:
        is_on: Whether lines are written at all.
        clock: Time, seconds.
    """

    def __init__(self, *, is_on: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_on, self._clock = is_on, clock
        self._began = self._last = clock()
        self._wait = SHORTEST_SECONDS
        self._latest = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> ProgressLog:
        self._began = self._last = self._clock()
        if self._is_on:
            self._ticker = threading.Thread(target=self._run_ticker, daemon=True)
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()

    def start(self, text: str) -> None:
        """Write a line at once: something begins."""
        with self._lock:
            self._latest = text
            self._wait = SHORTEST_SECONDS
            self._write(text)

    def say(self, text: str) -> None:
        """Write a line at once that is no progress, so that it is not written again later."""
        with self._lock:
            self._wait = SHORTEST_SECONDS
            self._write(text)

    def restart(self) -> None:
        """Count the time from now: a line was written by other means."""
        with self._lock:
            self._wait, self._last = SHORTEST_SECONDS, self._clock()

    def show(self, text: str) -> None:
        """Take note of the progress, and write it if a line is due."""
        with self._lock:
            self._latest = text
            if self._clock() - self._last >= self._wait:
                self._wait = min(2 * self._wait, LONGEST_SECONDS)
                self._write(text)

    def tick(self) -> None:
        """Write the latest line again if nothing was written for a minute."""
        with self._lock:
            now = self._clock()
            if now - self._last >= LONGEST_SECONDS:
                self._write(f"{self._latest or 'starting'}  ({format_span(now - self._began)})")

    def _write(self, text: str) -> None:
        self._last = self._clock()
        if self._is_on:
            write_line(text)

    def _run_ticker(self) -> None:
        with suppress(OSError):  # where nobody reads stderr any more, the command itself goes on
            while not self._ended.wait(_TICK_SECONDS):
                self.tick()
