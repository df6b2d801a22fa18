"""Measure how fast a package runs on this machine, and what it costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from vsrc.runtime import errors
from vsrc.runtime.bench_assembly import assemble
from vsrc.runtime.bench_child import config_to_text
from vsrc.runtime.bench_config import BenchConfig, BenchProgress
from vsrc.runtime.bench_report import BenchReport
from vsrc.runtime.errors import GateError, VsrcError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.measurement import Measurement
from vsrc.runtime.package import open_package, shipped
from vsrc.runtime.schema import from_json

DEFAULT_STUDENT = "edge-s"

_CHILD = "from vsrc.runtime.bench_child import main; main()"


def bench(
    config: BenchConfig, *, progress: Callable[[BenchProgress], None] = lambda _step: None
) -> BenchReport:
    """Measure a package in a fresh process and report.

    Limits that were missed do not raise: they are part of the report. `check_gates` raises.

    Args:
        config: What to measure, for how long, and the limits.
        progress: Told about progress, a few times a second.

    Raises:
        VsrcError: The package cannot be opened or run, or takes no frames of this shape.
    """
    config = replace(config, model=config.model or shipped(DEFAULT_STUDENT))
    assert config.model is not None
    network = open_package(
        config.model
    ).spec.network  # a bad one is refused before a process starts
    started, machine = datetime.now(timezone.utc), this_machine()
    found = _measured_apart(config, progress)
    return assemble(config, network, found, machine=machine, started=started)


def check_gates(report: BenchReport) -> None:
    """Raise if a limit was missed.

    Raises:
        GateError: Names every limit that was missed and what was measured instead.
    """
    if missed := [str(gate) for gate in report.gates if not gate.passed]:
        raise GateError("; ".join(missed))


def _measured_apart(config: BenchConfig, progress: Callable[[BenchProgress], None]) -> Measurement:
    command = [sys.executable, "-c", _CHILD]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with child.stdin:
                child.stdin.write(config_to_text(config))
            found = _answer(child.stdout, progress)
        finally:
            child.kill()  # no effect on one that has ended
    if found is None:
        raise VsrcError(f"the measuring process {_how_it_ended(child.returncode)}")
    return found


def _answer(lines: Iterable[str], progress: Callable[[BenchProgress], None]) -> Measurement | None:
    """What the child said last; None if it ended without a word."""
    for line in lines:
        message: dict[str, Any] = json.loads(line)
        if "progress" in message:
            progress(BenchProgress(**message["progress"]))
        elif "measurement" in message:
            return from_json(Measurement, message["measurement"], where="measuring process")
        else:
            kind = getattr(errors, message["error"], ValueError)
            raise kind(message["message"])
    return None


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed, as the system does when memory runs out; try a smaller --shape"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"failed with status {status}; its own words are above"
