"""Time the stages of a running pipeline: decode, restore, encode, each on its own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def _always(_item: object) -> bool:
    return True


class Untimed:
    """Passes everything through; what a run takes that nobody wants to time."""

    def source(
        self, _stage: str, items: Iterable[A], _counts: Callable[[A], bool] = _always
    ) -> Iterable[A]:
        """The items."""
        return items

    def between(
        self,
        _stage: str,
        items: Iterable[A],
        transform: Callable[[Iterable[A]], Iterable[B]],
        _counts: Callable[[B], bool] = _always,
    ) -> Iterable[B]:
        """The items, transformed."""
        return transform(items)

    def sink(
        self, _stage: str, function: Callable[[A], None], _counts: Callable[[A], bool] = _always
    ) -> Callable[[A], None]:
        """The function."""
        return function


class StageClock(Untimed):
    """Durations of each stage, ms, in the order of the frames.

    What a stage waits for another is in none of them. What it does for an item that does not count
    is part of the next one that does, or of the last. Each stage runs on one thread, so its list
    needs no lock.

    Args:
        clock: Monotonic seconds.

    Attributes:
        durations_ms: Stage -> durations.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.durations_ms: dict[str, list[float]] = {}

    def source(
        self, stage: str, items: Iterable[A], counts: Callable[[A], bool] = _always
    ) -> Iterator[A]:
        """The items; the time until each is there is its duration."""
        return self.between(stage, (), lambda _: items, counts)

    def between(
        self,
        stage: str,
        items: Iterable[A],
        transform: Callable[[Iterable[A]], Iterable[B]],
        counts: Callable[[B], bool] = _always,
    ) -> Iterator[B]:
        """The items, transformed; the time that it waits for `items` does not count."""
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
        """The function; the time of each call is its duration."""
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
