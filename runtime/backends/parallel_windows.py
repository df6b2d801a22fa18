"""Several windows at once on the CPU, each on a thread of its own.

    one at a time, 2 threads     | w0 ==|-|==|--| w1 ==|-|==|--|      = both, - one thread works:
                                                                      some operators know only one
    two lanes, 1 thread each     | w0 ------------ | w2 ----------    and after each of the others
                                 | w1 ------------ | w3 ----------    all wait for the slowest

A window takes longer, more windows are done: on 2 cores edge-m restores 1.2 times as many a second
in fp32, 1.3 times as many in int8 (docs/results/runtime.md). The arithmetic is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.machine import core_count
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.session import PendingPixels, Session

T = TypeVar("T")

_MOST_LANES = 4
"""Each takes the memory of a window, and the first picture comes later."""


def lane_count(threads: int) -> int:
    """How many windows so many threads compute at once; 0 for as many as there are cores."""
    return min(_MOST_LANES, threads or core_count())


def lane_threads(threads: int) -> int:
    """Threads inside an operator, the lane's own and those that all lanes share.

    With these and the lanes' own as many threads are at work as were asked for.
    """
    return (threads or core_count()) - lane_count(threads) + 1


class Lanes:
    """Threads that work side by side.

    Attributes:
        count: How many; with one, work is done by whoever asks for it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "vsrc-window") if count > 1 else None
        self._under_way: set[Future[Any]] = set()

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Have work done, in the order it is given.

        Returns:
            What waits for its result. Where memory ran out, the other lanes are done by the time
            it says so: what is tried next has all there is.
        """
        if self._pool is None:
            made = work()
            return lambda: made
        future = self._pool.submit(work)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

        def result() -> T:
            try:
                return future.result()
            except DeviceMemoryError:
                wait(self._under_way.copy())
                raise

        return result

    def close(self) -> None:
        """Let what was begun end, drop the rest; calling it twice does nothing."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class LaneSession:
    """A session that computes several windows at once; see `StartedSession`."""

    def __init__(self, session: Session, lanes: Lanes) -> None:
        self._session, self._lanes = session, lanes
        self.label, self.network, self.graph = session.label, session.network, session.graph
        self.ahead = self.at_once = lanes.count

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Restore windows one after the other; see `Session`."""
        return self._session(lr)

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows; see `StartedSession`."""
        del keys, place  # nothing is kept from window to window
        return self._lanes.begin(lambda: self._session(lr))

    def close(self) -> None:
        """Free everything; calling it twice does nothing."""
        self._lanes.close()
        self._session.close()
