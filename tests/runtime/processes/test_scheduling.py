"""Encoders leave the scheduling of the process alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import OutputContainer

from vsrc.runtime.encode.muxing_trial import accepts_header
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.processes.scheduling import keep_scheduling

Make = Callable[..., Any]

TASKS = Path("/proc/self/task")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="SCHED_FIFO is set on Linux only"),
    pytest.mark.skipif(
        getattr(os, "geteuid", int)() != 0 or "libsvtav1" not in av.codecs_available,
        reason="only SVT-AV1 run as root becomes real-time",
    ),
]


def real_time_threads() -> list[int]:
    """Threads of this process with a policy other than the usual one."""
    found = []
    for task in TASKS.iterdir():
        with suppress(ProcessLookupError):  # it has ended since it was listed
            if os.sched_getscheduler(int(task.name)) != os.SCHED_OTHER:
                found.append(int(task.name))
    return found


def make_ordinary() -> None:
    for thread in real_time_threads():
        with suppress(ProcessLookupError):
            os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(autouse=True)
def _ordinary() -> Iterator[None]:
    make_ordinary()
    yield
    make_ordinary()


def svt_av1() -> av.VideoCodecContext:
    context = av.VideoCodecContext.create("libsvtav1", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 128, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 24), Fraction(24)
    return context


def add_svt_av1(target: OutputContainer) -> None:
    stream = target.add_stream("libsvtav1", rate=24)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"


def test_svt_av1_becomes_real_time_unless_that_is_undone() -> None:
    with keep_scheduling():
        context = svt_av1()
        context.open()
        assert real_time_threads(), "this SVT-AV1 changes no policy, and there is nothing to undo"
    assert real_time_threads() == []


def test_a_policy_that_was_chosen_stays() -> None:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(3))
    with keep_scheduling():
        svt_av1().open()
    assert os.sched_getscheduler(0) == os.SCHED_RR
    assert os.sched_getparam(0).sched_priority == 3


def test_trials_of_containers_change_no_policy() -> None:
    assert accepts_header("mp4", add_svt_av1)
    assert real_time_threads() == []


def test_a_result_in_av1_changes_no_policy(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    found: list[int] = []
    infer(
        InferConfig((clip,), tmp_path / "a.mkv", codec="av1"),
        session=enlarger(),
        progress=lambda _: found.extend(real_time_threads()),
    )
    assert found == real_time_threads() == []
