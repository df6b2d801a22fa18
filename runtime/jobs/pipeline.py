"""Three stages on three threads, with bounded queues between them.

    source  --Channel-->  transform  --Channel-->  sink
    own thread            calling thread           own thread

An error in any stage, or Ctrl+C on the calling thread, stops all stages. All threads have ended
when `run` returns or raises.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from vsrc.runtime.processes.stop_signal import delay_stop_signal

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


SOURCE_DEPTH = 8
"""Depth of the queue of decoded frames."""


class Channel(Generic[T]):
    """A bounded queue between two threads that either of them can close."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item, waiting for room; raises the error with which the channel was aborted."""
        with self._changed:
            while len(self._items) >= self._depth and self._error is None:
                self._changed.wait()
            self.check()
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Mark the end of the items."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error with which the channel was aborted, if any."""
        if self._error is not None:
            raise self._error

    def break_off(self, error: BaseException) -> None:
        """Abort for both sides immediately; the first error is kept."""
        with self._changed:
            if self._error is None:
                self._error = error
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield items until the channel is closed and empty; raises its error if aborted."""
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


class _Stopped(Exception):  # noqa: N818  raised within a stage, never to the caller
    """The run is over."""


def run(
    source: Iterable[A],
    transform: Callable[[Iterable[A]], Iterable[B]],
    sink: Callable[[B], None],
    *,
    depths: tuple[int, int] = (SOURCE_DEPTH, 4),
) -> None:
    """Pass all items from `source` through `transform` to `sink`.

    Args:
        source: Items, iterated on a separate thread.
        transform: Function whose result is iterated on the calling thread.
        sink: Function called for each result in order, on a separate thread.
        depths: Capacity of the queues before and after the transform.

    Raises:
        BaseException: The first error of any stage, as it was raised there.
    """
    before: Channel[A] = Channel(depths[0])
    behind: Channel[B] = Channel(depths[1])
    threads = [
        threading.Thread(target=_feed, args=(source, before), name="vsrc-decode", daemon=True),
        threading.Thread(target=_drain, args=(behind, sink), name="vsrc-encode", daemon=True),
    ]
    try:
        with delay_stop_signal():  # a thread that is half started cannot be joined
            for thread in threads:
                thread.start()
        for item in transform(before):
            behind.put(item)
        behind.close()
        threads[1].join()
        behind.check()
    finally:
        for channel in (before, behind):
            channel.break_off(_Stopped())
        for thread in threads:
            if thread.ident is not None:  # it was started
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
