"""Handle Ctrl+C, SIGTERM and a closed terminal (SIGHUP), the same for every command.

    cli                   raise_on_stop_signal   KeyboardInterrupt wherever the command is
    train, calibrate,     note_stop_signal       a flag, for loops that end at a point
    build an engine                              where everything done can be saved
    write several files   delay_stop_signal      the same as in cli, once the block has ended
    workers               ignore_stop_signals    the parent ends them
    a process that ends   ignore_stop_signals    a second signal changes nothing

A library function that keeps partial results turns KeyboardInterrupt into `StoppedError`, whose
message says what was saved and how to resume. Where nothing was, the cli reports that. Both exit
with 130. `vsrc.runtime.processes.stop_watch` stops native code at the first signal, and ends the
process at the second.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vsrc.runtime.processes.stop_watch import STOP_SIGNALS, let_runs_finish

_AT_ONCE_SECONDS = 1.0
_AGAIN_SECONDS = 0.02
"""Until a signal that was lost is sent again: by then the destructor has ended."""

_Handler = Callable[[int, FrameType | None], object]


class StopSignal:
    """State of a stop request.

    Attributes:
        requested: Whether a stop signal was received.
    """

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def raise_on_stop_signal() -> Iterator[None]:
    """Turn the first stop signal into `KeyboardInterrupt`; further signals are ignored.

    Cleanup in the block takes little time, and a second signal (`timeout` and service managers send
    several) would interrupt it. An exception in a destructor, or in a callback of a weak reference,
    does not leave it: if the signal came there, it is sent again.
    """
    came = 0

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = number
        for other in before:
            # Not SIG_IGN: for a signal that is already pending, Python would print a traceback.
            signal.signal(other, _do_nothing)
        raise KeyboardInterrupt

    def send_again(lost: sys.UnraisableHookArgs) -> None:
        if not came or lost.exc_type is not KeyboardInterrupt:
            hook_before(lost)
            return
        for other in before:
            signal.signal(other, interrupt)
        once_more = (threading.main_thread().ident, came)
        timer = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, once_more)
        timer.daemon = True
        timer.start()

    hook_before = sys.unraisablehook
    with _handled_by(interrupt) as before:
        if before:
            sys.unraisablehook = send_again
        try:
            yield
        finally:
            if sys.unraisablehook is send_again:
                sys.unraisablehook = hook_before


@contextmanager
def note_stop_signal() -> Iterator[StopSignal]:
    """Record a stop signal while the block runs.

    A second one, unless it was sent together with the first, acts as it would outside the block.
    """
    stop = StopSignal()
    first = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        first = first if stop.requested else now
        stop.requested = True
        handler = before[signal.Signals(number)]
        if now - first > _AT_ONCE_SECONDS and callable(handler):
            handler(number, frame)

    with let_runs_finish(), _handled_by(note) as before:
        yield stop


@contextmanager
def delay_stop_signal() -> Iterator[None]:
    """Delay stop signals until the end of a short block."""
    came: list[int] = []
    with let_runs_finish(), _handled_by(lambda number, _frame: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


def ignore_stop_signals() -> None:
    """Ignore stop signals from now on, also after the end of a surrounding block.

    For a worker, whose parent handles them (they reach the whole process group), and for a process
    that is ending because of one.
    """
    for number in _numbers():
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    return


@contextmanager
def _handled_by(
    handler: _Handler,
) -> Iterator[dict[signal.Signals, signal._HANDLER]]:
    """Install a handler for the block, and yield the previous handlers.

    Signals that the block itself ignores stay ignored.
    Python delivers signals to the main thread alone: in other threads nothing is installed.
    """
    before: dict[signal.Signals, signal._HANDLER] = {}
    if threading.current_thread() is threading.main_thread():
        # A signal that was ignored when the process started, as by nohup, stays ignored.
        known = {number: signal.getsignal(number) for number in _numbers()}
        before |= {number: old for number, old in known.items() if old is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, old in before.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, old)


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
