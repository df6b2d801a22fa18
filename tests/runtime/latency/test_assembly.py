"""Sums, shares, gates and reasons of a report, from measurements made by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.made_reports import (
    MACHINE,
    SILENT_MACHINE,
    STARTED,
    WATCHED,
    measurement,
    nulls,
    report,
)
from vsrc.runtime.errors import GateError
from vsrc.runtime.latency.assembly import assemble
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.measurement import join_measurements
from vsrc.runtime.latency.report import BenchReport, report_to_text
from vsrc.runtime.latency.runs import check_gates
from vsrc.runtime.latency.sampling import Series
from vsrc.runtime.latency.text import WIDTH, bench_text


def test_arithmetic_is_two_operations_for_each_multiply_accumulate() -> None:
    found = report((20.0,) * 100, shape=(180, 320))
    # 50e-6 GMAC x 57600 pixels = 2.88 GMAC = 5.76 GFLOP a frame, 50 frames a second.
    assert found.subject.gmac_per_frame == pytest.approx(2.88)
    assert found.throughput_fps == pytest.approx(50.0)
    assert found.arithmetic.gflop_per_s == pytest.approx(288.0)
    assert found.arithmetic.matmul_share == pytest.approx(288.0 / 800.0)
    assert found.subject.lookahead_frames == 2


def test_the_text_says_what_is_left_of_the_machine_and_all_percentiles() -> None:
    words = " ".join(bench_text(report((20.0,) * 1000)).split())
    assert "36% of the 800 GOP/s at which ort-cpu multiplies matrices in uint8 x int8" in words
    # A megabyte 50 times a second, of 20 GB/s.
    assert "0.05 GB/s in and out, 0.2% of the 20 GB/s at which main memory is copied" in words
    assert "p99 p99.9 max" in words
    slow = dataclasses.replace(report((20.0,) * 1000).backend_rates, copy_gb_per_s=0.34)
    busy = dataclasses.replace(report((20.0,) * 1000), backend_rates=slow)
    assert "of the 0.34 GB/s" in " ".join(bench_text(busy).split())
    assert "p99.9" not in bench_text(report((20.0,) * 999))


def test_a_network_that_doubles_the_frame_rate_is_paid_by_the_frame() -> None:
    config = BenchConfig(model=Path("student.vsrc"))
    found = dataclasses.replace(measurement((20.0,) * 100), frames_per_run=3)
    whole = assemble(config, found, machine=MACHINE, started=STARTED)
    assert whole.throughput_fps == pytest.approx(150.0)


def test_reason_of_an_unknown_level_counts_the_samples_of_one_process() -> None:
    series = Series((), (20.0,) * 15, 0.3, None)
    part = dataclasses.replace(measurement((20.0,) * 15), series=series)
    whole = assemble(BenchConfig(), join_measurements([part] * 3), machine=MACHINE, started=STARTED)
    assert whole.warmup.steady is None
    assert whole.null_reasons["warmup.steady"] == "needs 20 samples in each process; one has 15"


@pytest.mark.parametrize("count", [1, 2, 19, 99, 1000])
def test_every_null_has_a_reason(count: int, schema: dict[str, Any]) -> None:
    steady = None if count < 20 else True
    data = json.loads(
        report_to_text(report((20.0,) * count, steady=steady, machine=SILENT_MACHINE))
    )
    jsonschema.validate(data, schema)
    assert sorted(nulls(data)) == sorted(data["null_reasons"])


def test_the_schema_refuses_what_it_should(schema: dict[str, Any]) -> None:
    good = json.loads(report_to_text(report()))
    for path, wrong in (
        ("throughput_fps", 0),
        ("schema_version", 3),
        ("samples_ms", []),
        ("started_utc", "2026-01-02 03:04:05"),
        ("jitter_ms", -0.1),
        ("taken_share_per_run", [1.0]),
        ("gates", [{"name": "max_celsius", "limit": 1, "measured": 0, "passed": True}]),
        ("subject", {**good["subject"], "graph_sha256": "0" * 63}),
        ("subject", {**good["subject"], "kind": "film"}),
        ("machine", {**good["machine"], "cores": 0}),
        ("rates", {**good["rates"], "copy_gb_per_s": 0}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, path: wrong}, schema)


def test_power_below_idle_and_every_gate_are_valid(schema: dict[str, Any]) -> None:
    gates: dict[str, Any] = {"max_p99_ms": 1.0, "min_fps": 1.0, "max_watts": 1.0, "max_rss_mb": 1.0}
    good = json.loads(report_to_text(report(**gates)))
    assert [gate["name"] for gate in good["gates"]] == list(gates)
    jsonschema.validate({**good, "power": {**good["power"], "joule_per_frame": -0.1}}, schema)


@pytest.mark.parametrize(
    ("options", "missed"),
    [
        ({"max_p99_ms": 20.0}, ""),
        ({"max_p99_ms": 19.9}, "--max-p99-ms 19.9: missed, measured 20"),
        ({"min_fps": 50.0}, ""),
        ({"min_fps": 50.1}, "--min-fps 50.1: missed, measured 50"),
        ({"max_p99_ms": 1.0, "min_fps": 100.0}, "max-p99-ms 1: .*; --min-fps 100: "),
    ],
)
def test_gates_hold_at_their_limit_and_not_beyond(options: dict[str, Any], missed: str) -> None:
    found = report(**options)
    if missed:
        with pytest.raises(GateError, match=missed):
            check_gates(found)
    else:
        check_gates(found)


def test_power_is_paid_by_the_frame_and_idle_is_taken_off() -> None:
    found = report((20.0,) * 100, max_watts=11.9)
    assert found.power.source == "VDD_IN"
    assert found.power.idle_w == pytest.approx(5.0)
    assert found.power.busy_w == pytest.approx(12.0)
    assert found.power.joule_per_frame == pytest.approx(7.0 / 50)
    with pytest.raises(GateError, match=r"--max-watts 11\.9: missed, measured 12"):
        check_gates(found)


def test_memory_has_a_gate() -> None:
    check_gates(report(max_rss_mb=80.0))
    with pytest.raises(GateError, match="--max-rss-mb 79: missed, measured 80"):
        check_gates(report(max_rss_mb=79.0))


def test_deadlines_of_a_stream_are_counted_and_look_ahead_is_told_apart() -> None:
    found = report((20.0,) * 90 + (50.0,) * 10, fps=25.0)
    assert found.stream.deadline_ms == 40.0
    assert found.stream.deadline_misses == 10
    assert found.stream.deadline_miss_share == pytest.approx(0.1)
    assert found.stream.lookahead_ms == pytest.approx(2 * 40.0)  # two frames of a window of five
    assert "10 of 100 frames (10.0%) took longer than 40 ms" in " ".join(bench_text(found).split())


def test_jitter_is_the_change_from_one_frame_to_the_next() -> None:
    assert report((10.0, 14.0, 10.0, 12.0)).jitter_ms == pytest.approx((4 + 4 + 2) / 3)
    assert report((10.0,)).jitter_ms is None


def test_intervals_hold_the_numbers_they_belong_to() -> None:
    found = report(tuple(10 + index % 7 for index in range(200)), runs=5)
    for name, value in (("p50_ms", found.latency_ms.p50), ("mean_ms", found.latency_ms.mean)):
        ends = getattr(found.intervals, name)
        assert ends.low <= value <= ends.high
    rate = found.intervals.throughput_fps
    assert rate
    assert rate.low <= found.throughput_fps <= rate.high


def test_two_runs_tell_no_interval() -> None:
    two = join_measurements([measurement((20.0,) * 50), measurement((30.0,) * 50)])
    assert two.runs_ms == [(20.0,) * 50, (30.0,) * 50]
    config = BenchConfig(model=Path("student.vsrc"), runs=2)
    found = assemble(config, two, machine=MACHINE, started=STARTED)
    assert found.intervals.p50_ms is None
    assert "2 processes do not show" in found.null_reasons["intervals.p50_ms"]
    one = report((20.0,) * 500)
    assert one.intervals.p50_ms is None
    assert "one process does not show" in one.null_reasons["intervals.p50_ms"]


def test_intervals_reach_down_to_what_the_machine_alone_would_take() -> None:
    # Others had half of the time: either all frames took twice as long as they must, or some much
    # longer; a percentile of the slow ones may be all theirs.
    busy = tuple(20.0 + index % 5 for index in range(500))
    found = report(busy, runs=5, taken_shares=(0.5,) * 5)
    alone = report(busy, runs=5)
    for name in ("p50_ms", "p99_ms", "mean_ms"):
        ends, bare = getattr(found.intervals, name), getattr(alone.intervals, name)
        assert ends.low == pytest.approx(11.0, rel=0.01)  # half of 22, for the slowest as well
        assert ends.high == bare.high
    text = " ".join(bench_text(found).split())
    assert "up to 50% of the time; on an idle machine a frame may take 11 ms" in text
    assert "other work" not in bench_text(alone)
    unknown = report(busy, runs=5, taken_shares=(None,) * 5)
    assert unknown.taken_share_per_run is None
    assert unknown.null_reasons["taken_share_per_run"].startswith("/proc/stat does not report")


def soaked(durations_ms: tuple[float, ...], *, seconds: float, gap: float = 1.0) -> BenchReport:
    """A report of a soak whose samples and the time between them took `gap` times the samples."""
    wall = gap * sum(durations_ms) / 1000
    found = measurement(
        durations_ms,
        series=Series((), durations_ms, wall, steady=False),
        watched=dataclasses.replace(WATCHED, busy=((4.0, 4.0 + seconds),)),
    )
    config = BenchConfig(model=Path("student.vsrc"), minutes=2.0)
    return assemble(config, found, machine=MACHINE, started=STARTED)


def test_a_soak_sets_the_first_minute_against_the_last() -> None:
    cooling_lost = (10.0,) * 6000 + (15.0,) * 4000  # a minute at 100 frames/s, one at 67
    found = soaked(cooling_lost, seconds=120.0)
    assert found.soak
    assert found.soak.first_minute_fps == pytest.approx(100.0)
    assert found.soak.last_minute_fps == pytest.approx(66.7, rel=0.01)
    assert found.soak.settled is None  # these readings hold no temperature
    assert "first minute 100 frames/s, last 66.7" in " ".join(bench_text(found).split())
    assert "one process" in found.null_reasons["intervals.p50_ms"]


def test_time_between_the_samples_is_time_of_the_soak() -> None:
    # Two minutes of which the samples fill nine tenths: a soak of --minutes 2 never fills them all.
    found = soaked((9.0,) * 12_000, seconds=120.0, gap=10 / 9)
    assert found.soak
    assert found.soak.first_minute_fps == pytest.approx(100.0)
    assert found.soak.last_minute_fps == pytest.approx(100.0)


def test_a_short_soak_has_no_first_and_last_minute() -> None:
    short = soaked((10.0,) * 100, seconds=119.0)
    assert short.soak
    assert short.soak.first_minute_fps is None
    assert short.null_reasons["soak.first_minute_fps"] == "the soak lasted less than two minutes"
    slow = soaked((70_000.0, 80_000.0), seconds=150.0)  # no frame within a minute
    assert slow.soak
    assert slow.soak.first_minute_fps == pytest.approx(1 / 70)
    assert slow.soak.last_minute_fps == pytest.approx(1 / 80)


def test_the_quality_of_a_package_is_the_mean_over_its_clips() -> None:
    subject = report().subject
    assert (subject.quality_db, subject.quality_data) == (27.0, "a, b")


def test_a_gate_on_what_could_not_be_measured_is_missed() -> None:
    found = report((20.0,) * 99, max_p99_ms=1e6)
    with pytest.raises(GateError, match=r"100 samples.* 99\)"):
        check_gates(found)


@pytest.mark.parametrize("count", [1, 12, 150, 1000])
@pytest.mark.parametrize("scale_ms", [0.004, 1.0, 6000.0])
def test_the_text_fits_a_terminal(count: int, scale_ms: float) -> None:
    durations = tuple(scale_ms * (1 + index % 3) for index in range(count))
    text = bench_text(report(durations, steady=False, machine=MACHINE, min_fps=1e9))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "drifted throughout" in text


def test_the_text_says_what_few_samples_cannot_tell() -> None:
    loaded = dataclasses.replace(MACHINE, load_average=3.0)
    text = bench_text(report((20.0,) * 12, machine=loaded, taken_shares=(None,)))
    assert "12 samples: too few for p95, p99; add --seconds" in text
    assert "other work was running (load average 3.0)" in text
