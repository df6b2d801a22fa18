"""Stop signals reach native code, a second one ends the process, and children end with parents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LOOPS = """
import numpy as np, sys
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.processes.stop_signal import raise_on_stop_signal
from vsrc.runtime.processes.stop_watch import watch_stop_signals
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
feeds = {
    value.name: np.zeros([axis if isinstance(axis, int) else 8 for axis in value.shape],
                         {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}[value.type])
    for value in session.get_inputs()
}
try:
    with watch_stop_signals(), raise_on_stop_signal():
        print("running", flush=True)
        run_graph(session, None, feeds)
except KeyboardInterrupt:
    sys.exit(130)
"""
STUBBORN = """
import time
from vsrc.runtime.processes.stop_signal import raise_on_stop_signal
from vsrc.runtime.processes.stop_watch import watch_stop_signals
with watch_stop_signals(), raise_on_stop_signal():
    try:
        print("running", flush=True)
        time.sleep(600)
    finally:
        print("cleaning", flush=True)
        time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
code = "from vsrc.runtime.processes.parent_watch import end_with_parent; end_with_parent(); " \
       "print('running', flush=True); import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_graph_that_loops_ends_at_the_first_signal(cases: Path, number: signal.Signals) -> None:
    with started(LOOPS, cases / "attack" / "loop.onnx") as process:
        assert line_of(process) == "running"
        time.sleep(0.5)  # into the loop; nothing depends on it
        process.send_signal(number)
        assert process.wait(60) == 130


def test_a_second_signal_ends_the_process_at_once() -> None:
    with started(STUBBORN) as process:
        assert line_of(process) == "running"
        process.send_signal(signal.SIGINT)
        assert line_of(process) == "cleaning"
        process.send_signal(signal.SIGINT)  # one wish with the first, as of service managers
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert "interrupted again" in process.stderr.read()


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    with started(PARENT) as parent:
        child = int(line_of(parent))
        os.kill(child, 0)
        parent.kill()
        parent.wait()
    for _ in range(600):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child is still there")
