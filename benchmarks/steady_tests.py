"""Tests again and again on a machine that is busy: how often each of them fails.

    python benchmarks/steady_tests.py [--times 10] [--busy N] [--json FILE] [WORDS FOR PYTEST ...]

Each repetition is a pytest of its own, beside N processes that compute all the time, each bound to
a core: as many as there are cores, unless told otherwise. Without words for pytest the whole suite
runs. The exit status is 1 if a test failed in any repetition.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from vsrc.runtime.processes.child_process import prepare_child

ROOT = Path(__file__).resolve().parents[1]
SPIN = """
import os, sys
core, parent = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
while os.getppid() == parent:  # and no longer, however this script ends
    sum(range(1_000_000))
"""


def main() -> None:
    """Keep the cores busy, run, count, report."""
    options, words = parsed()
    runs = []
    with busy_cores(options.busy):
        for number in range(options.times):
            runs.append(run(words))
            print(f"{number + 1} of {options.times}: {runs[-1]}", file=sys.stderr)
    report = summary(runs, words, options.busy)
    text = json.dumps(report, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    sys.exit(1 if report["failures"] or report["broken_runs"] else 0)


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """The command line: own options, and what is for pytest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    return parser.parse_known_args()


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Processes that compute all the time, one on each core in turn."""
    cores = sorted(os.sched_getaffinity(0))
    children = [
        prepare_child(SPIN, str(cores[at % len(cores)]), str(os.getpid())) for at in range(count)
    ]
    processes = [subprocess.Popen(child.command, env=child.environment) for child in children]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Run:
    """What became of the tests of one pytest; `status` is its exit status."""

    status: int
    seconds: float
    tests: int
    skipped: int
    failed: tuple[str, ...]


def run(words: list[str]) -> Run:
    """Run pytest once."""
    with tempfile.TemporaryDirectory(prefix="vsrc-steady.") as folder:
        found = Path(folder) / "found.xml"
        pytest = prepare_child(
            "from runpy import run_module; run_module('pytest', run_name='__main__')",
            *("-q", f"--junit-xml={found}", *words),
        )
        began = time.perf_counter()
        done = subprocess.run(
            pytest.command,
            env=pytest.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        cases = list(ET.parse(found).iter("testcase")) if found.exists() else []
    bad = [case for case in cases if any(part.tag in ("failure", "error") for part in case)]
    if done.returncode not in (0, 1):  # pytest itself did not end as it should
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    return Run(
        status=done.returncode,
        seconds=round(seconds, 1),
        tests=len(cases),
        skipped=sum(case.find("skipped") is not None for case in cases),
        failed=tuple(f"{case.get('classname')}::{case.get('name')}" for case in bad),
    )


def summary(runs: list[Run], words: list[str], busy: int) -> dict[str, object]:
    """Failures by test, over all runs."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
        "busy_processes": busy,
        "arguments": words,
        "runs": len(runs),
        "tests_per_run": sorted({one.tests for one in runs}),
        "skipped_per_run": sorted({one.skipped for one in runs}),
        "seconds_per_run": [one.seconds for one in runs],
        "failures": dict(Counter(name for one in runs for name in one.failed).most_common()),
        "broken_runs": sum(one.status not in (0, 1) for one in runs),
    }


if __name__ == "__main__":
    main()
