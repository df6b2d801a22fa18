"""End a child process when its parent has ended, in whatever way."""

from __future__ import annotations

import os
import threading
import time

_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process as soon as its parent has ended; also if that was killed.

    A thread looks: the signal that Linux offers for it comes when the thread of the parent ends
    that started the child, and the parent may go on without it.
    """
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), name="vsrc-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
