"""Three stages on three threads, with bounded queues between them.

    source  --Channel-->  transform  --Channel-->  sink
    own thread            calling thread           own thread

Whatever stops one stage stops all of them: an error, or Ctrl+C on the calling thread. When `run`
returns or raises, no thread of it is left.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


class Channel(Generic[T]):
    """A bounded queue between two threads that either of them can end."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Hand an item on, when there is room; raises what the channel was broken with."""
        with self._changed:
            while len(self._items) >= self._depth and self._error is None:
                self._changed.wait()
            self.check()
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what it was broken with, if it was."""
        if self._error is not None:
            raise self._error

    def break_off(self, error: BaseException) -> None:
        """End it at once, for both sides; the first error stays."""
        with self._changed:
            if self._error is None:
                self._error = error
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield items until it is closed and empty; raises what it was broken with."""
        while True:
            with self._changed:
                while not self._items and not self._closed and self._error is None:
                    self._changed.wait()
                self.check()
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class _Stopped(Exception):  # noqa: N818  told to a stage, never to the caller
    """The run is over."""


def run(
    source: Iterable[A],
    transform: Callable[[Iterable[A]], Iterable[B]],
    sink: Callable[[B], None],
    *,
    depths: tuple[int, int] = (8, 4),
) -> None:
    """Push everything from `source` through `transform` into `sink`.

    Args:
        source: Iterated on a thread of its own.
        transform: Its result is iterated on the calling thread.
        sink: Called on a thread of its own, in order.
        depths: Items that may wait before and behind the transform.

    Raises:
        BaseException: The first error of any stage, as it was raised there.
    """
    before: Channel[A] = Channel(depths[0])
    behind: Channel[B] = Channel(depths[1])
    threads = [
        threading.Thread(target=_feed, args=(source, before), name="vsrc-decode", daemon=True),
        threading.Thread(target=_drain, args=(behind, sink), name="vsrc-encode", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        for item in transform(before):
            behind.put(item)
        behind.close()
        threads[1].join()
        behind.check()
    finally:
        for channel in (before, behind):
            channel.break_off(_Stopped())
        for thread in threads:
            thread.join()


def _feed(source: Iterable[A], channel: Channel[A]) -> None:
    try:
        for item in source:
            channel.put(item)
        channel.close()
    except BaseException as error:
        channel.break_off(error)


def _drain(channel: Channel[B], sink: Callable[[B], None]) -> None:
    try:
        for item in channel:
            sink(item)
    except BaseException as error:
        channel.break_off(error)
