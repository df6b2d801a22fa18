"""Run several windows in parallel on the CPU, each on its own thread.

    one at a time, 2 threads     | w0 ==|-|==|--| w1 ==|-|==|--|      = both, - one thread works:
                                                                      some operators use only one,
    two lanes, 1 thread each     | w0 ------------ | w2 ----------    and after each of the others
                                 | w1 ------------ | w3 ----------    all wait for the slowest

The latency of a window is higher, but so is the throughput, up to a number of lanes that depends on
the machine, the network and the size of the frames. So the first windows of a video are timed
(`lane_trial`), each of them computed once. Results are bit-exact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, Protocol, TypeVar

from vsrc.runtime.backends.lane_trial import LanePlan, LaneTrial
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.machine import thread_count
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.lane_choice import LaneChoice
from vsrc.runtime.windows.session import PendingPixels, Session

T = TypeVar("T")


class Closable(Protocol):
    """Something that is closed."""

    def close(self) -> None:
        """Free all memory."""


R = TypeVar("R", bound=Closable)


class Lanes(Generic[R]):
    """Threads that run windows in parallel, as many as a trial on the first windows finds.

    Args:
        open_graphs: Opens what runs the windows according to a plan.
        threads: Number of threads as asked for; 0 to find it by the trial.
        clock: Returns monotonic seconds.

    Attributes:
        graphs: What runs the windows, for the plan in use.
    """

    def __init__(
        self,
        open_graphs: Callable[[LanePlan], R],
        *,
        threads: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._open_graphs, self._threads, self._clock = open_graphs, threads, clock
        self._trial = LaneTrial(threads, most=self.most)
        self._plan = self._trial.plan
        self._fitted: tuple[tuple[int, int], int] | None = None
        self._lock = threading.Lock()
        self._running = self._waiting = self._times_empty = 0
        self._under_way: set[Future[Any]] = set()
        self.graphs = open_graphs(self._plan)
        self._pool = self._new_pool()

    @property
    def count(self) -> int:
        """Number of lanes; with 1, work is done on the calling thread."""
        return self._plan.lanes

    @property
    def most(self) -> int:
        """Largest number of lanes, if memory allows."""
        return thread_count(self._threads)

    @property
    def ahead(self) -> int:
        """Number of windows to start before the first is waited for; see `AsyncSession`."""
        return self.count if self.count > 1 else 0

    @property
    def choice(self) -> LaneChoice:
        """The division of threads that is in use, for reports."""
        return self._trial.choice

    def fit(self, size: tuple[int, int], most: int) -> None:
        """Begin a new trial for windows of another size or memory; see `ParallelSession`."""
        if self._fitted != (size, most):
            self._fitted = (size, most)
            self._trial = LaneTrial(self._threads, most=most)

    def begin(self, work: Callable[[R], T], *, windows: int = 1) -> Callable[[], T]:
        """Submit work; it is started in the order of submission.

        Args:
            work: Function of the graphs.
            windows: Number of windows that are finished with it.

        Returns:
            Function that waits for the result. If memory runs out, it raises only after the other
            lanes have finished, so that a retry has all memory.
        """
        self._follow_trial()
        if self._pool is None:
            self._waiting += 1
            made = self._timed(work, windows)
            return lambda: made
        with self._lock:
            self._waiting += 1
        future = self._pool.submit(self._timed, work, windows)
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
        """Finish running work, drop queued work and close the graphs."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self.graphs.close()

    def renew(self) -> None:
        """Open the graphs anew, after all work that was begun; see `RenewableSession`."""
        self._open(self._plan)

    def _follow_trial(self) -> None:
        """Change to the next plan of the trial, after all work that was begun."""
        if self._trial.plan != self._plan:
            self._open(self._trial.plan)

    def _open(self, plan: LanePlan) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self.graphs.close()
        self.graphs = self._open_graphs(plan)
        self._plan = plan
        self._pool = self._new_pool()

    def _new_pool(self) -> ThreadPoolExecutor | None:
        return ThreadPoolExecutor(self.count, "vsrc-window") if self.count > 1 else None

    def _timed(self, work: Callable[[R], T], windows: int) -> T:
        with self._lock:
            self._waiting -= 1
            self._running += 1
            was_full = self._running + self._waiting >= self.count
            times_empty, trial = self._times_empty, self._trial
        start = self._clock()
        try:
            return work(self.graphs)
        finally:
            seconds = self._clock() - start
            with self._lock:
                self._running -= 1
                is_full = was_full and times_empty == self._times_empty
                if trial.plan == self._plan:  # not for what was begun before it changed
                    trial.add(seconds, windows=windows, is_full=is_full)
                self._times_empty += self._waiting == 0  # this lane has nothing to do now


class OnLanes(Generic[R]):
    """What sessions have in common that run windows on lanes; see `ParallelSession`."""

    def __init__(self, lanes: Lanes[R]) -> None:
        self._lanes = lanes

    @property
    def ahead(self) -> int:
        """Number of windows to start before the first is waited for; see `AsyncSession`."""
        return self._lanes.ahead

    @property
    def at_once(self) -> int:
        """Number of windows computed at the same time; see `AsyncSession`."""
        return self._lanes.count

    @property
    def lane_choice(self) -> LaneChoice:
        """Division of the threads that is in use; see `ParallelSession`."""
        return self._lanes.choice

    @property
    def most_lanes(self) -> int:
        """Largest number of lanes; see `ParallelSession`."""
        return self._lanes.most

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        """Prepare for windows of another size; see `ParallelSession`."""
        self._lanes.fit(size, most)

    def renew(self) -> None:
        """Give back memory that is kept from earlier windows; see `RenewableSession`."""
        self._lanes.renew()

    def close(self) -> None:
        """Free all resources; a second call has no effect."""
        self._lanes.close()


class LaneSession(OnLanes[Session]):
    """A session that runs several windows in parallel; see `AsyncSession`."""

    def __init__(self, lanes: Lanes[Session]) -> None:
        super().__init__(lanes)
        session = lanes.graphs
        self.label, self.network, self.graph = session.label, session.network, session.graph

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows one after the other; see `Session`."""
        return self._lanes.graphs(lr)

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Start to upscale windows; see `AsyncSession`."""
        del keys, place  # no features are kept between windows
        return self._lanes.begin(lambda session: session(lr), windows=len(lr))
