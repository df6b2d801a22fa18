"""Hands files to processes of their own, and judges what became of each."""

from __future__ import annotations

import json
import queue
import re
import statistics
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from support.fuzzing.clips import Damaged
from vsrc.runtime.processes.child_process import prepare_child

LIMIT_SECONDS = 60
_TESTS = Path(__file__).resolve().parents[2]
_WORKER = f"""\
import sys
sys.path.append({str(_TESTS)!r})
from support.fuzzing.worker import main
main()
"""
LEAK_BYTES = 1 << 20
REPEATS = 40
"""Most runs of a file that is suspected of leaking."""

CALM = 5
"""So many runs in a row that add less than a leak would show that there is none."""


@dataclass
class Outcome:
    """What became of a file.

    Attributes:
        name: Of the file.
        kind: How it was damaged.
        status: Exit status, or None.
        line: Last line on stderr, or the line of the result.
        failure: Which of the failures it is; empty for none.
        detail: More on that.
        seconds: How long it took.
        grown_bytes: By how much the process was larger afterwards.
    """

    name: str
    kind: str
    status: int | None = None
    line: str = ""
    failure: str = ""
    detail: str = ""
    seconds: float = 0.0
    grown_bytes: int = 0


class Worker:
    """A process that takes one file after another; it is started again when it is lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(self, path: Path) -> dict[str, object] | str:
        """The answer of the process, or why there is none: "hang", or "crash (status)"."""
        process, answers = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        try:
            answer = answers.get(timeout=LIMIT_SECONDS)
        except queue.Empty:
            self.close()
            return "hang"
        if answer:
            found: dict[str, object] = json.loads(answer)
            return found
        return f"crash (status {self._forget(process)})"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._forget(self._process)

    def _forget(self, process: subprocess.Popen[str]) -> int:
        """Wait for a process that ends, and close its pipes; its exit status."""
        status = process.wait()
        self._reader.join()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        self._process = None
        return status

    def _started(self) -> tuple[subprocess.Popen[str], queue.Queue[str]]:
        if self._process is None:
            child = prepare_child(_WORKER, str(self._folder))
            self._process = subprocess.Popen(
                child.command,
                env=child.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._answers: queue.Queue[str] = queue.Queue()
            self._reader = threading.Thread(
                target=_pass_on, args=(self._process, self._answers), daemon=True
            )
            self._reader.start()
        return self._process, self._answers


def _pass_on(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")


def run_batch(files: list[Damaged], folder: Path) -> list[Outcome]:
    """Run files in one process, as long as it lives."""
    worker = Worker(folder)
    try:
        return [judged(one, worker.run(one.path)) for one in files]
    finally:
        worker.close()


def judged(file: Damaged, answer: dict[str, object] | str) -> Outcome:
    """The verdict on one file, but for leaks."""
    outcome = Outcome(file.path.name, file.kind)
    if isinstance(answer, str):
        outcome.failure, outcome.detail = answer.partition(" ")[0], answer
        return outcome
    out, err = str(answer["out"]), str(answer["err"])
    outcome.status = answer["status"] if isinstance(answer["status"], int) else None
    outcome.seconds = float(str(answer["seconds"]))
    outcome.grown_bytes = int(str(answer["grown_bytes"]))
    outcome.line = (out if outcome.status == 0 else err).strip().rpartition("\n")[2]
    if answer["trouble"]:
        outcome.failure, outcome.detail = "crash", str(answer["trouble"])
    elif not has_its_word(outcome):
        outcome.failure, outcome.detail = "silent", err
    elif answer["left_over"]:
        outcome.failure = "left over"
    elif outcome.status == 0 and file.frames is not None:
        found = re.search(r"  (\d+) frames?, ", outcome.line)
        if found is None or int(found[1]) != file.frames:
            outcome.failure, outcome.detail = "count", f"{file.frames} frames are due; {err}"
    return outcome


def has_its_word(outcome: Outcome) -> bool:
    """Whether status and line are such as a user can act on."""
    if outcome.status == 0:
        return " frames, " in outcome.line
    return outcome.status == 1 and outcome.line.startswith("vsrc: ")


def judge_leaks(outcomes: list[Outcome], folder: Path) -> None:
    """Run files after which a process was larger by 1 MB again and again."""
    damaged = folder / "damaged"
    for outcome in outcomes:
        if outcome.failure or outcome.grown_bytes <= LEAK_BYTES:
            continue
        growth = lasting_growth(Damaged(damaged / outcome.name, outcome.kind, None), folder)
        if growth > LEAK_BYTES:
            outcome.failure, outcome.detail = "leak", f"{growth / 1e6:.1f} MB a run"


def lasting_growth(file: Damaged, folder: Path) -> float:
    """Bytes that each run of a file adds, once the buffers that grow but once have grown."""
    worker = Worker(folder)
    grown: list[int] = []
    try:
        for _ in range(REPEATS):
            grown.append(judged(file, worker.run(file.path)).grown_bytes)
            last = grown[-CALM:]
            if len(grown) > CALM and sum(last) < LEAK_BYTES:
                break
    finally:
        worker.close()
    return statistics.mean(grown[-CALM:] if len(grown) < REPEATS else grown[REPEATS // 2 :])
