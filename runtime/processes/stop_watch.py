"""Stop native code at the first stop signal, and the process at once at the second.

Python runs signal handlers between its own instructions, so a graph that loops inside ONNX Runtime
would never be interrupted. The C part of a handler writes a byte to a pipe, which a thread reads:

    first signal     every run inside `interruptible` is told to end; then Python's handler acts
    second signal    the process ends with 130, if it comes more than a second after the first
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_AT_ONCE_SECONDS = 1.0
"""Signals closer than this are one wish: `timeout` and service managers send several."""

_STATUS = 130
_WORDS = b"vsrc: interrupted again; ended at once\n"


class _Runs:
    """The native calls that are running now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: set[Callable[[], None]] = set()
        self.is_stopped = False
        self.held = 0

    def add(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stops.add(stop)
            if self.is_stopped:
                stop()

    def remove(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stops.discard(stop)

    def stop(self) -> None:
        with self._lock:
            self.is_stopped = True
            for stop in self._stops:
                stop()


_runs = _Runs()


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first stop signal while the block runs; it is called in another thread."""
    _runs.add(stop)
    try:
        yield
    finally:
        _runs.remove(stop)


@contextmanager
def let_runs_finish() -> Iterator[None]:
    """Leave native calls alone in the block, which handles a first stop signal itself."""
    _runs.held += 1
    try:
        yield
    finally:
        _runs.held -= 1


@contextmanager
def watch_stop_signals() -> Iterator[None]:
    """Act on stop signals as described above, in the block; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(read_end,), name="vsrc-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write_end)
        thread.join()
        os.close(read_end)
        _runs.is_stopped = False


def _watch(read_end: int) -> None:
    numbers = {getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)}
    first: float | None = None
    while came := os.read(read_end, 64):
        if numbers.isdisjoint(came):
            continue
        now = time.perf_counter()
        if first is None:
            first = now
            if not _runs.held:
                _runs.stop()
        elif now - first > _AT_ONCE_SECONDS:
            os.write(2, _WORDS)
            os._exit(_STATUS)
