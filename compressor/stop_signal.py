"""Ctrl+C and SIGTERM as a wish that a loop grants when its state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_signal() -> Iterator[StopSignal]:
    """Note the first SIGINT or SIGTERM while the block runs; a second one acts as usual.

    In a thread other than the main one Python delivers no signals, so nothing is caught there.
    """
    stop = StopSignal()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.requested = True
        _restore()

    def _restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in numbers:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        _restore()
