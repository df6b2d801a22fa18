from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from support.optional import skip_without
from vsrc.cli import main
from vsrc.runtime.errors import GateError, SpecError
from vsrc.runtime.latency.regression import (
    bench_comparison_text,
    check_no_regression,
    compare_reports,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A report of five runs: 5 % of noise that neighbours share, and 2 % between the runs."""

    def make(name: str, level_ms: float, seed: int, **more: Any) -> Path:  # noqa: ANN401
        generator = np.random.default_rng(seed)
        noise = np.convolve(generator.standard_normal(320), np.ones(20) / np.sqrt(20), "valid")
        own = 0.02 * generator.standard_normal(5).repeat(60)
        samples = level_ms * np.exp(0.05 * noise[:300] + own)
        report = {
            "kind": "vsrc-bench",
            "schema_version": 1,
            "feed": {"height_px": 180, "width_px": 320},
            "machine": {"cpu": "A CPU", "cores": 2},
            "subject": {"threads": 2, "session": "ort-cpu fp32"},
            "memory": {"peak_bytes": 100_000_000},
            "throughput_fps": 1000 / float(samples.mean()),
            "samples_ms": list(samples),
            "samples_per_run": [60] * 5,
            **more,
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(report))
        return path

    return make


def verdicts(old: Path, new: Path) -> dict[str, str]:
    return {one.metric: one.verdict for one in compare_reports(old, new).changes}


SPEEDS = ("latency_ms.p50", "latency_ms.mean", "throughput_fps")


def test_a_slower_one_is_worse_and_a_faster_one_better(write: Write) -> None:
    slow, fast = write("slow", 50.0, 1), write("fast", 40.0, 2)
    assert {verdicts(fast, slow)[name] for name in SPEEDS} == {"worse"}
    assert {verdicts(slow, fast)[name] for name in SPEEDS} == {"better"}


def test_two_runs_of_the_same_thing_do_not_differ(write: Write) -> None:
    # An interval of 95 % is wrong in 5 of 100 cases, but then seldom by 2 % too.
    called = 0
    for seed in range(20):
        found = verdicts(write("a", 40.0, 2 * seed), write("b", 40.0, 2 * seed + 1))
        called += found["latency_ms.p50"] != "no difference"
    assert called <= 3


def test_the_change_and_its_interval_hold_the_truth(write: Write) -> None:
    (change, *_) = compare_reports(write("a", 40.0, 1), write("b", 48.0, 2)).changes
    assert change.interval
    assert change.interval.low < 0.2 < change.interval.high
    assert change.interval.high - change.interval.low < 0.2


def test_no_change_is_below_all_of_it(write: Write) -> None:
    levels = [float(level) for level in np.repeat([10.0, 30.0, 90.0, 20.0, 60.0], 60)]
    old = write("old", 40.0, 1, samples_ms=levels)
    (change, *_) = compare_reports(old, write("new", 40.0, 2, samples_ms=levels[::-1])).changes
    assert change.interval
    assert -1 < change.interval.low < 0 < 1 < change.interval.high


def test_memory_has_no_noise_and_single_times_are_not_judged(write: Write) -> None:
    old = write("old", 40.0, 1, startup={"load_ms": 10.0})
    more = {"memory": {"peak_bytes": 106_000_000}, "startup": {"load_ms": 90.0}}
    found = verdicts(old, write("new", 40.0, 2, **more))
    assert found["memory.peak_bytes"] == "worse"
    assert found["startup.load_ms"] == "not judged"
    near = write("near", 40.0, 2, memory={"peak_bytes": 104_000_000})
    assert verdicts(old, near)["memory.peak_bytes"] == "no difference"


def test_few_samples_are_not_judged(write: Write) -> None:
    old, new = (
        write("old", 40.0, 1, samples_ms=[40.0] * 5, samples_per_run=[1] * 5),
        write("new", 90.0, 2),
    )
    found = verdicts(old, new)
    assert found["latency_ms.p95"] == "not judged"
    assert found["latency_ms.p99"] == "not judged"
    assert found["latency_ms.p50"] == "worse"


@pytest.mark.parametrize("runs", [[300], [150, 150]])
def test_fewer_than_three_processes_are_not_judged(write: Write, runs: list[int]) -> None:
    old, new = write("old", 40.0, 1, samples_per_run=runs), write("new", 90.0, 2)
    found = compare_reports(old, new)
    assert {one.verdict for one in found.changes if one.metric in SPEEDS} == {"not judged"}
    assert "--runs 3" in found.notes[0]


def test_what_should_be_alike_and_is_not_is_named(write: Write) -> None:
    old = write("old", 40.0, 1)
    new = write("new", 40.0, 2, feed={"height_px": 90, "width_px": 160})
    found = compare_reports(old, new)
    assert found.notes[0] == "shape differs: 180 320, then 90 160"
    assert "Note: shape differs" in bench_comparison_text(found)


def test_other_work_is_named(write: Write) -> None:
    busy = {"machine": {"cpu": "A CPU", "cores": 2, "load_average": 3.0}}
    old = write("old", 40.0, 1)
    notes = compare_reports(old, write("new", 40.0, 2, **busy)).notes
    assert "other work was running during new (load average 3.0)" in notes
    # What others took while it ran says more than the load of the minute before.
    told = busy | {"taken_share_per_run": [0.4] * 5}
    notes = compare_reports(old, write("new", 40.0, 2, **told)).notes
    assert "other work was running during new (up to 40% of the time)" in notes
    none = busy | {"taken_share_per_run": [0.0] * 5}
    notes = compare_reports(old, write("new", 40.0, 2, **none)).notes
    assert not any("other work" in note for note in notes)


def test_what_others_took_is_no_regression(write: Write) -> None:
    old, share = write("old", 40.0, 1), [0.5] * 5
    slowed = verdicts(old, write("new", 80.0, 2, taken_share_per_run=share))
    assert {slowed[name] for name in (*SPEEDS, "latency_ms.p99")} == {"no difference"}
    # Three times as slow is more than they took.
    worse = verdicts(old, write("new", 120.0, 2, taken_share_per_run=share))
    assert {worse[name] for name in SPEEDS} == {"worse"}
    # And an old report of a busy machine is no reason to call the new one better.
    again = verdicts(write("old", 80.0, 1, taken_share_per_run=share), write("new", 40.0, 2))
    assert {again[name] for name in SPEEDS} == {"no difference"}


def test_what_differs_between_processes_is_noise(write: Write) -> None:
    # Five processes of 60 samples each, their levels 10 % apart: a change of 4 % is nothing.
    levels = np.repeat([36.0, 38.0, 40.0, 42.0, 44.0], 60)
    runs = {"samples_per_run": [60] * 5}
    old = write("old", 40.0, 1, samples_ms=list(levels), **runs)
    new = write("new", 40.0, 2, samples_ms=list(levels * 1.04), **runs)
    assert verdicts(old, new)["latency_ms.p50"] == "no difference"
    # Of processes that all agree, the same 4 % are something.
    flat = write("flat", 40.0, 1, samples_ms=[40.0, 40.1] * 150, **runs)
    more = write("more", 40.0, 1, samples_ms=[41.6, 41.7] * 150, **runs)
    assert verdicts(flat, more)["latency_ms.p50"] == "worse"


def test_a_regression_ends_with_status_4(write: Write) -> None:
    old, new = write("old", 40.0, 1), write("new", 60.0, 2)
    with pytest.raises(GateError, match=r"latency_ms\.p50 .*%"):
        check_no_regression(compare_reports(old, new))
    done = CliRunner().invoke(main, ["bench", "--compare", str(old), str(new)])
    assert done.exit_code == 4
    assert "worse" in done.stdout
    assert CliRunner().invoke(main, ["bench", "--compare", str(new), str(old)]).exit_code == 0


def test_the_comparison_is_json_and_a_page_too(write: Write, tmp_path: Path) -> None:
    skip_without("jinja2")
    files = [str(write("a", 40.0, 1)), str(write("b", 60.0, 2))]
    page, numbers = tmp_path / "page.html", tmp_path / "c.json"
    done = CliRunner().invoke(main, ["bench", "--compare", *files, "--json", "-"])
    assert json.loads(done.stdout)["changes"][0]["metric"] == "latency_ms.p50"
    more = ["--json", str(numbers), "--html", str(page)]
    done = CliRunner().invoke(main, ["bench", "--compare", *files, *more])
    assert done.exit_code == 4  # and both were written all the same
    assert json.loads(numbers.read_text())["kind"] == "vsrc-bench-comparison"
    text = page.read_text(encoding="utf-8")
    assert "latency_ms.p50 is worse" in text
    assert "://" not in text
    assert text.count("180x320 (HxW), A CPU, 2 cores") == 2


def test_what_is_not_shown_is_not_called_fine(write: Write) -> None:
    same = compare_reports(write("a", 40.0, 1), write("b", 40.2, 1))
    assert same.result == "no difference found"
    assert "worse" in compare_reports(write("c", 40.0, 1), write("d", 60.0, 2)).result
    assert "better" in compare_reports(write("e", 60.0, 1), write("f", 40.0, 2)).result
    alone = {"samples_per_run": [300], "memory": {}}
    unknown = compare_reports(write("g", 40.0, 1, **alone), write("h", 60.0, 2, **alone))
    assert unknown.result == "nothing could be judged"


def test_reports_of_two_networks_say_so(write: Write) -> None:
    subjects = [
        {"subject": {"threads": 2, "session": "ort-cpu fp32", "network": name}}
        for name in ("edge-s", "edge-m")
    ]
    old, new = (write(str(at), 40.0, at, **more) for at, more in enumerate(subjects))
    found = compare_reports(old, new)
    assert "network differs: edge-s, then edge-m" in found.notes
    text = bench_comparison_text(found)
    assert "edge-s on ort-cpu fp32, 180x320 (HxW), A CPU, 2 cores" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"wrong\.json .*line 1 column 1"),
        ("[1]", r"wrong\.json .*vsrc bench MODEL --json"),
        (
            '{"kind": "vsrc-bench-set"}',
            r"wrong\.json .*several models.*vsrc bench MODEL ",
        ),
        ('{"kind": "other"}', r"wrong\.json .*vsrc bench MODEL --json"),
        ('{"kind": "vsrc-bench", "schema_version": 9}', "schema version 9"),
        ('{"kind": "vsrc-bench", "schema_version": 1}', r"wrong\.json: samples_ms "),
        (
            '{"kind": "vsrc-bench", "schema_version": 1, "samples_ms": ["a"]}',
            r"wrong\.json: samples_ms ",
        ),
        (
            '{"kind": "vsrc-bench", "schema_version": 1, "samples_ms": []}',
            r"wrong\.json: samples_ms ",
        ),
        (
            '{"kind": "vsrc-bench", "schema_version": 1, "samples_ms": [1],'
            ' "samples_per_run": [2]}',
            "samples_per_run ",
        ),
        (
            '{"kind": "vsrc-bench", "schema_version": 1, "samples_ms": [1],'
            ' "taken_share_per_run": [1.5]}',
            r"a share in \[0, 1\)",
        ),
    ],
)
def test_what_is_no_report_is_refused(
    content: str, message: str, write: Write, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(SpecError, match=message):
        compare_reports(write("a", 40.0, 1), path)
    with pytest.raises(SpecError, match="does not exist"):
        compare_reports(tmp_path / "none.json", path)
