"""Time the stages of a running pipeline: decode, upscale and encode, each on its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def _always(_item: object) -> bool:
    return True


class Untimed:
    """A clock that does nothing, for runs that are not timed."""

    def source(
        self, _stage: str, items: Iterable[A], _counts: Callable[[A], bool] = _always
    ) -> Iterable[A]:
        """Return the items unchanged."""
        return items

    def between(
        self,
        _stage: str,
        items: Iterable[A],
        transform: Callable[[Iterable[A]], Iterable[B]],
        _counts: Callable[[B], bool] = _always,
    ) -> Iterable[B]:
        """Return the transformed items."""
        return transform(items)

    def sink(
        self, _stage: str, function: Callable[[A], None], _counts: Callable[[A], bool] = _always
    ) -> Callable[[A], None]:
        """Return the function unchanged."""
        return function


class StageClock(Untimed):
    """Durations of each stage, ms, in the order of the frames.

    Waiting for another stage is not included. Time spent on an item that does not count is added
    to the next one that does, or to the last. Each stage runs on one thread, so its list needs no
    lock.

    Args:
        clock: Returns monotonic seconds.

    Attributes:
        durations_ms: Stage -> durations, ms.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.durations_ms: dict[str, list[float]] = {}

    def source(
        self, stage: str, items: Iterable[A], counts: Callable[[A], bool] = _always
    ) -> Iterator[A]:
        """Yield the items; the time to produce each is its duration."""
        return self.between(stage, (), lambda _: items, counts)

    def between(
        self,
        stage: str,
        items: Iterable[A],
        transform: Callable[[Iterable[A]], Iterable[B]],
        counts: Callable[[B], bool] = _always,
    ) -> Iterator[B]:
        """Yield the transformed items; the time waiting for `items` is not included."""
        durations = self.durations_ms.setdefault(stage, [])
        waited = extra_ms = 0.0

        def inputs() -> Iterator[A]:
            nonlocal waited
            iterator = iter(items)
            while True:
                start = self._clock()
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                finally:
                    waited += self._clock() - start
                yield item

        results = iter(transform(inputs()))
        while True:
            start, before = self._clock(), waited
            try:
                result = next(results)
            except StopIteration:
                if durations:
                    durations[-1] += extra_ms
                return
            extra_ms += (self._clock() - start - (waited - before)) * 1000
            if counts(result):
                durations.append(extra_ms)
                extra_ms = 0.0
            yield result

    def sink(
        self, stage: str, function: Callable[[A], None], counts: Callable[[A], bool] = _always
    ) -> Callable[[A], None]:
        """Wrap the function; the time of each call is its duration."""
        durations = self.durations_ms.setdefault(stage, [])

        def timed(item: A) -> None:
            start = self._clock()
            function(item)
            took_ms = (self._clock() - start) * 1000
            if counts(item):
                durations.append(took_ms)
            elif durations:
                durations[-1] += took_ms

        return timed
