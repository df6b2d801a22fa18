"""SIGTERM and a closed terminal end a command the way Ctrl+C does, so that it can tidy up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextmanager
def ends_like_ctrl_c() -> Iterator[None]:
    """Turn the first of these signals into `KeyboardInterrupt`; more of them are ignored.

    What a block does while it ends is soon done, and a second signal (`timeout` and service
    managers send several) would leave it half done.
    """
    if threading.current_thread() is not threading.main_thread():  # Python delivers none there
        yield
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    # Whoever started this process with a signal ignored, as nohup does, wants it ignored.
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
