"""Run several windows in parallel on the CPU, each on its own thread.

    one at a time, 2 threads     | w0 ==|-|==|--| w1 ==|-|==|--|      = both, - one thread works:
                                                                      some operators use only one,
    two lanes, 1 thread each     | w0 ------------ | w2 ----------    and after each of the others
                                 | w1 ------------ | w3 ----------    all wait for the slowest

The latency of a window is higher, but so is the throughput: on 2 cores edge-m upscales 1.2 times as
many frames a second in fp32, 1.3 times in int8 (docs/results/runtime.md). Results are bit-exact.
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
"""Largest number of lanes; each needs the memory of a window and delays the first frame."""


def lane_count(threads: int) -> int:
    """Number of windows that run in parallel, given threads (0 for as many as there are cores)."""
    return min(_MOST_LANES, threads or core_count())


def lane_threads(threads: int) -> int:
    """Threads inside an operator: that of the lane, plus those shared by all lanes.

    Together with the other lanes' threads they add up to the requested number.
    """
    return (threads or core_count()) - lane_count(threads) + 1


class Lanes:
    """Threads that run windows in parallel.

    Attributes:
        count: Number of lanes; with 1, work is done on the calling thread.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "vsrc-window") if count > 1 else None
        self._under_way: set[Future[Any]] = set()

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Submit work; it is started in the order of submission.

        Returns:
            Function that waits for the result. If memory ran out, it raises only after the other
            lanes have finished, so that a retry has all memory.
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
        """Finish running work and drop queued work; a second call has no effect."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class LaneSession:
    """A session that runs several windows in parallel; see `AsyncSession`."""

    def __init__(self, session: Session, lanes: Lanes) -> None:
        self._session, self._lanes = session, lanes
        self.label, self.network, self.graph = session.label, session.network, session.graph
        self.ahead = self.at_once = lanes.count

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows one after the other; see `Session`."""
        return self._session(lr)

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Start to upscale windows; see `AsyncSession`."""
        del keys, place  # no features are kept between windows
        return self._lanes.begin(lambda: self._session(lr))

    def close(self) -> None:
        """Free all resources; a second call has no effect."""
        self._lanes.close()
        self._session.close()
