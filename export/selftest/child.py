"""The process of one step of a self-test."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsrc.export.selftest import (
    bench_step,
    build_step,
    machine_step,
    memory_step,
    picture_step,
    route_step,
    sensor_step,
)
from vsrc.export.selftest.context import Context
from vsrc.runtime.processes.fresh_process import Message, answer

RUNS = {
    "machine": machine_step.try_machine,
    "memory": memory_step.try_memory,
    "sensors": sensor_step.try_sensors,
    "builds": build_step.try_builds,
    "pictures": picture_step.try_pictures,
    "routes": route_step.try_routes,
    "bench": bench_step.try_speed,
}
"""Name of a step -> function that runs it."""


def main() -> None:
    """Run the step that stdin names; each check is told as progress."""
    answer(_run)


def _run(request: Message, tell: Any) -> Message:  # noqa: ANN401
    evidence = Path(request["evidence"])
    _log_to(evidence / "log.txt")
    context = Context(
        evidence=evidence,
        work=Path(request["work"]),
        device=request["device"],
        quick=request["quick"],
        tell=lambda check: tell(asdict(check)),
    )
    RUNS[request["step"]](context)
    return {}


def _log_to(path: Path) -> None:
    """Write what libraries print, also native ones, to a file of the evidence."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
