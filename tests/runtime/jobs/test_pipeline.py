"""Three stages: order, bounds, and an end that leaves no thread behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from vsrc.runtime.jobs.pipeline import run
from vsrc.runtime.processes.stop_signal import raise_on_stop_signal


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def same(items: Iterable[int]) -> Iterable[int]:
    return items


def live() -> list[str]:
    own = ("vsrc-decode", "vsrc-encode")
    return [thread.name for thread in threading.enumerate() if thread.name in own]


@pytest.mark.parametrize("count", [0, 1, 5, 1000])
def test_everything_arrives_in_order(count: int) -> None:
    arrived: list[int] = []
    run(numbers(count), lambda items: (2 * item for item in items), arrived.append)
    assert arrived == [2 * item for item in range(count)]
    assert live() == []


def test_a_slow_sink_holds_the_source_back() -> None:
    given: list[int] = []
    taken: list[int] = []

    def source() -> Iterator[int]:
        for item in range(60):
            given.append(item)
            yield item

    def sink(item: int) -> None:
        time.sleep(0.001)
        taken.append(item)
        # 3 + 2 in the queues, one in the hands of each stage
        assert len(given) - len(taken) <= 3 + 2 + 3

    run(source(), same, sink, depths=(3, 2))
    assert len(taken) == 60


class BrokenError(Exception):
    """Raised on purpose."""


def failing(items: Iterable[int], at: int) -> Iterator[int]:
    for item in items:
        if item == at:
            raise BrokenError("here")
        yield item


@pytest.mark.parametrize("stage", ["source", "transform", "sink"])
@pytest.mark.parametrize("at", [0, 20])
def test_the_error_of_any_stage_ends_all(stage: str, at: int) -> None:
    def sink(item: int) -> None:
        if stage == "sink" and item == at:
            raise BrokenError("here")

    source: Iterable[int] = numbers(10_000)
    with pytest.raises(BrokenError, match="here"):
        run(
            failing(source, at) if stage == "source" else source,
            (lambda items: failing(items, at)) if stage == "transform" else same,
            sink,
        )
    assert live() == []


def test_the_sink_may_fail_on_the_last_item() -> None:
    def sink(item: int) -> None:
        if item == 4:
            raise BrokenError("last")

    with pytest.raises(BrokenError, match="last"):
        run(numbers(5), same, sink)


def test_a_transform_that_stops_early_stops_the_source() -> None:
    def first_three(items: Iterable[int]) -> Iterator[int]:
        for item, _ in zip(items, range(3), strict=False):
            yield item

    arrived: list[int] = []
    run(numbers(10_000), first_three, arrived.append)
    assert arrived == [0, 1, 2]
    assert live() == []


def test_a_signal_while_the_threads_start_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("vsrc.runtime.jobs.pipeline.threading.Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt), raise_on_stop_signal():
        run(numbers(1000), same, lambda _item: time.sleep(0.01))
    assert live() == []
