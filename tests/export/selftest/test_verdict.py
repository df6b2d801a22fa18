"""What a self-test leaves behind: whether `infer --hwaccel auto` may use the codecs of a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cuda_stand_in import compile_stand_in, in_place_of_cuda
from vsrc.export.selftest.result import (
    ROUND_TRIPS,
    Check,
    CheckState,
    SelftestReport,
    StepResult,
    step_state,
)
from vsrc.export.selftest.verdict import record_result
from vsrc.runtime.sensors.selftest_record import has_passed_selftest

ROUND_TRIP = ROUND_TRIPS["h264_nvenc"][0]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(autouse=True)
def cuda(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with in_place_of_cuda(runtime, DEVICES=2):
        yield


def report(
    *checks: tuple[str, CheckState], quick: bool = False, interrupted: bool = False
) -> SelftestReport:
    made = [Check(name, state) for name, state in checks]
    step = StepResult(6, "routes", step_state(made), checks=tuple(made))
    return SelftestReport(
        vsrc="1", started_utc="2026-01-01T00:00:00Z", seconds=1.0, quick=quick, has_device=True,
        interrupted=interrupted, steps=(step,),
    )  # fmt: skip


def test_what_passed_is_remembered_for_its_device_until_it_fails() -> None:
    assert not has_passed_selftest(1)
    record_result(report((ROUND_TRIP, "passed")), 1)
    assert has_passed_selftest(1)
    assert not has_passed_selftest(0)
    assert not has_passed_selftest(7)
    record_result(report((ROUND_TRIP, "passed"), ("ort-cuda", "failed")), 1)
    assert not has_passed_selftest(1)


@pytest.mark.parametrize(
    "nothing",
    [
        report((ROUND_TRIP, "skipped"), ("ort-cuda", "passed")),
        report(("ort-cuda", "passed")),
        report((ROUND_TRIP, "passed"), quick=True),
        report((ROUND_TRIP, "passed"), interrupted=True),
    ],
)
def test_what_was_not_tried_proves_nothing(nothing: SelftestReport) -> None:
    record_result(nothing, 0)
    assert not has_passed_selftest(0)
    record_result(report((ROUND_TRIP, "passed")), 0)
    record_result(nothing, 0)
    assert has_passed_selftest(0)
