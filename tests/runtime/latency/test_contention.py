from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vsrc.runtime.latency.contention import (
    CoreTime,
    core_time,
    overall_share,
    share_of_others,
    without_others,
)

START = CoreTime(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("own", "everybody", "queued", "threads", "share"),
    [
        (20.0, 20.0, 0.0, 2, 0.0),  # all that was wanted was got
        (15.0, 15.0, 0.0, 2, 0.0),  # the threads slept at times; nobody else was there
        (10.0, 20.0, 10.0, 2, 0.5),  # others had half of two cores
        (10.0, 20.0, 1.0, 1, 0.0),  # one thread that had its core all the time; others the second
        (5.0, 20.0, 5.0, 1, 0.5),  # one thread that got half of what it wanted
        (12.0, 16.0, 4.0, 2, 0.2),  # others used 4 of the 8 that were not got
        (12.0, 20.0, 1.0, 2, 0.1),  # and no more than was stood in line for, by each thread
        (12.0, 20.0, None, 2, 0.4),  # ... where the kernel tells
        (0.0, 20.0, 20.0, 2, 0.99),  # never all of it: something ran
    ],
)
def test_others_took_what_was_wanted_and_theirs(
    own: float, everybody: float, queued: float | None, threads: int, share: float
) -> None:
    end = CoreTime(10.0, own, everybody, queued)
    start = START if queued is not None else CoreTime(0.0, 0.0, 0.0, None)
    assert share_of_others(start, end, threads=threads) == pytest.approx(share)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, START),
        (START, None),
        (START, START),  # no time has passed
        (START, CoreTime(-1.0, 1.0, 1.0, 0.0)),  # or it ran backwards
        (START, CoreTime(10.0, 10.0, 0.0, 0.0)),  # a kernel that counts nothing
    ],
)
def test_what_the_clocks_cannot_tell_is_not_told(
    start: CoreTime | None, end: CoreTime | None
) -> None:
    assert share_of_others(start, end, threads=2) is None


@pytest.mark.parametrize("stat", ["", "cpu 1 2 3", "intr 1", "cpu0 a b c d e f g h", "cpu0 1 2"])
def test_a_file_that_says_nothing_is_no_clock(stat: str, tmp_path: Path) -> None:
    assert core_time(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(stat)
    assert core_time(tmp_path) is None


def test_only_the_cores_of_this_process_count_and_idle_does_not(tmp_path: Path) -> None:
    (tmp_path / "proc/self/task/7").mkdir(parents=True)
    (tmp_path / "proc/self/task/7/schedstat").write_text("5 2500000000 3\n")
    cores = sorted(os.sched_getaffinity(0))
    rows = [f"cpu{core} 100 20 30 9999 8888 4 5 6 7 0" for core in cores]
    (tmp_path / "proc/stat").write_text(
        "\n".join(["cpu 1 1 1 1 1 1 1 1", *rows, "cpu999 " + "9 " * 8])
    )
    found = core_time(tmp_path)
    assert found
    # user, nice, system, irq, softirq and stolen; a guest's time is part of the user's.
    assert found.all == pytest.approx(165 * len(cores) / os.sysconf("SC_CLK_TCK"))
    assert found.queued == pytest.approx(2.5)


def test_a_process_that_shares_its_core_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4 s the one thread got 2.5 s; another process computed for 1.5 s on its core meanwhile."""
    monkeypatch.setattr("vsrc.runtime.latency.contention.os.sched_getaffinity", lambda _: {0})
    readings = []
    for wall, own, everybody, queued in ((10.0, 1.0, 50.0, 0.5), (14.0, 3.5, 54.0, 2.0)):
        write_clocks(tmp_path, cores=everybody, queued=queued)
        times = os.times_result((own - 0.25, 0.25, 9.0, 9.0, wall))
        monkeypatch.setattr("vsrc.runtime.latency.contention.os.times", lambda times=times: times)
        monkeypatch.setattr(
            "vsrc.runtime.latency.contention.time.perf_counter", lambda wall=wall: wall
        )
        readings.append(core_time(tmp_path))
    assert readings[0] == CoreTime(10.0, 1.0, 50.0, 0.5)
    assert share_of_others(*readings, threads=1) == pytest.approx(1.5 / 4)


def write_clocks(root: Path, *, cores: float, queued: float) -> None:
    """What Linux says of core 0 and of one thread, seconds."""
    task = root / "proc/self/task/7"
    task.mkdir(parents=True, exist_ok=True)
    ticks = round(cores * os.sysconf("SC_CLK_TCK"))
    (root / "proc/stat").write_text(f"cpu0 {ticks} 0 0 9999 0 0 0 0 0 0\n")
    (task / "schedstat").write_text(f"5 {round(queued * 1e9)} 3\n")


def test_the_clocks_of_this_system_are_read_or_said_to_be_missing() -> None:
    # What they say depends on the system and on what else it runs: that it is sane is the promise.
    share = share_of_others(core_time(), core_time(), threads=1)
    assert share is None or 0 <= share < 1


def test_what_others_took_is_taken_off_evenly_or_from_the_slowest() -> None:
    quiet = np.array([10.0, 10.0, 30.0, 50.0])
    bare, even, slowest = without_others([quiet, [8.0]], [0.4, 0.0])
    np.testing.assert_array_equal(bare[0], quiet)
    np.testing.assert_allclose(even[0], 0.6 * quiet)
    # 40 of 100 ms are gone: 35 of the slowest and 5 ... until both are as slow as each other.
    np.testing.assert_allclose(slowest[0], [10.0, 10.0, 20.0, 20.0])
    for version in (even, slowest):
        assert version[0].sum() == pytest.approx(60.0)
        np.testing.assert_allclose(version[1], [8.0])


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.98])
def test_the_share_is_taken_off_exactly(share: float) -> None:
    samples = np.random.default_rng(0).lognormal(0.0, 0.5, 333)
    for (run,) in list(without_others([samples], [share]))[1:]:
        assert run.sum() == pytest.approx((1 - share) * samples.sum())
        assert run.min() > 0
        assert (run <= samples + 1e-12).all()


def test_where_nobody_took_anything_there_is_one_version() -> None:
    assert len(list(without_others([[1.0], [2.0]], [0.0, 0.0]))) == 1


def test_the_share_of_all_runs_counts_their_time() -> None:
    assert overall_share([[1.0, 1.0], [8.0]], [0.5, 0.0]) == pytest.approx(0.1)
    assert overall_share([[0.0]], [0.0]) == 0.0
