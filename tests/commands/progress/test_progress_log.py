from __future__ import annotations

import itertools

import pytest

from vsrc.commands.progress import progress_log
from vsrc.commands.progress.progress_log import LONGEST_SECONDS, SHORTEST_SECONDS, ProgressLog
from vsrc.runtime.text.time_text import format_span


class Clock:
    """A clock that is set by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written."""
    written: list[str] = []
    monkeypatch.setattr(progress_log, "write_line", written.append)
    return written


def written_at(log: ProgressLog, clock: Clock, lines: list[str], *, every: float) -> list[float]:
    """Times of the lines in a run of an hour that reports something every so many seconds."""
    log.start("begin")
    times = [clock.now] * len(lines)
    next_report = every
    while clock.now < 3600:
        clock.now += 0.5
        if clock.now >= next_report:
            log.show(f"frame {clock.now}")
            next_report += every
        log.tick()
        times += [clock.now] * (len(lines) - len(times))
    return times


@pytest.mark.parametrize("every", [0.5, 3.0, 45.0, 1000.0])
def test_lines_are_10_to_60_seconds_apart(every: float, lines: list[str]) -> None:
    clock = Clock()
    times = written_at(ProgressLog(clock=clock), clock, lines, every=every)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == 0
    assert min(gaps) >= SHORTEST_SECONDS
    # A report may come just before the clock is looked at.
    assert max(gaps) <= LONGEST_SECONDS + 0.5
    assert times[-1] >= 3600 - LONGEST_SECONDS - 0.5


def test_a_line_says_the_latest(lines: list[str]) -> None:
    clock = Clock()
    log = ProgressLog(clock=clock)
    log.start("begin")
    for second in range(1, 12):
        clock.now = float(second)
        log.show(f"frame {second}")
    clock.now = 75.0
    log.tick()
    assert lines == ["begin", "frame 10", "frame 11  (1 min 15 s)"]


def test_nothing_is_written_on_a_terminal(lines: list[str]) -> None:
    clock = Clock()
    written_at(ProgressLog(clock=clock, is_on=False), clock, lines, every=1.0)
    assert lines == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
        (125, "2 min 05 s"), (3599.6, "1 h 00 min"), (4200, "1 h 10 min"), (86400 * 3, "3 days"),
    ],
)  # fmt: skip
def test_spans_read_well(seconds: float, text: str) -> None:
    assert format_span(seconds) == text


def test_a_header_is_not_written_again(lines: list[str]) -> None:
    clock = Clock()
    log = ProgressLog(clock=clock)
    log.say("writes to student.vsrc")
    clock.now += LONGEST_SECONDS
    log.tick()
    assert lines[0] == "writes to student.vsrc"
    assert lines[1].startswith("starting")
