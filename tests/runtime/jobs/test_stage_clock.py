from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from vsrc.runtime.jobs import pipeline
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.stage_clock import StageClock, Untimed


class Ticking:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def work(self, milliseconds: float) -> None:
        self.seconds += milliseconds / 1000


def test_each_stage_has_its_own_time_and_no_waiting() -> None:
    now = Ticking()
    clock = StageClock(now)

    def read() -> Iterator[int]:
        for item in range(3):
            now.work(5)
            yield item

    def pairs(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            now.work(20)
            yield item
            now.work(1)
            yield -item

    written: list[int] = []

    def write(item: int) -> None:
        now.work(7)
        written.append(item)

    sink = clock.sink("encode", write)
    for result in clock.between("upscale", clock.source("decode", read()), pairs):
        sink(result)
    assert written == [0, 0, 1, -1, 2, -2]
    assert clock.durations_ms["decode"] == pytest.approx([5, 5, 5])
    assert clock.durations_ms["upscale"] == pytest.approx([20, 1, 20, 1, 20, 1])
    assert clock.durations_ms["encode"] == pytest.approx([7] * 6)


def test_work_for_what_does_not_count_is_part_of_what_does() -> None:
    now = Ticking()
    clock = StageClock(now)

    def read() -> Iterator[int]:
        for item in range(6):
            now.work(10)
            yield item

    def write(_item: int) -> None:
        now.work(3)

    def counts(item: int) -> bool:
        return 2 <= item < 4  # two before it, two behind it

    sink = clock.sink("encode", write, counts)
    for item in clock.source("decode", read(), counts):
        sink(item)
    assert clock.durations_ms["decode"] == pytest.approx([30, 30])
    assert clock.durations_ms["encode"] == pytest.approx([3, 9])


@pytest.mark.parametrize("clock", [StageClock(), Untimed()])
def test_a_pipeline_gives_the_same_with_and_without_a_clock(clock: Untimed) -> None:
    found: list[int] = []
    pipeline.run(
        clock.source("decode", range(50)),
        lambda read: clock.between("upscale", read, lambda items: (2 * item for item in items)),
        clock.sink("encode", found.append),
    )
    assert found == [2 * item for item in range(50)]


def test_an_error_of_a_stage_goes_on() -> None:
    def broken(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            if item == 1:
                raise OSError("gone")
            yield item

    with pytest.raises(OSError, match="gone"):
        list(StageClock().between("upscale", [0, 1], broken))


def test_a_real_run_is_timed(clip: Path, enlarger: Callable[[], object], tmp_path: Path) -> None:
    clock = StageClock()
    config = InferConfig((clip,), tmp_path / "out.mp4", frames=10)
    result = infer(config, session=enlarger(), clock=clock)  # type: ignore[arg-type]
    assert result.files[0].frames == 10
    assert {name: len(ms) >= 10 for name, ms in clock.durations_ms.items()} == {
        "decode": True,
        "upscale": True,
        "encode": True,
    }
    assert all(value >= 0 for values in clock.durations_ms.values() for value in values)
